package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery/engine/approval"
	"orrery/engine/job"
)

// This file tests that questions reach people and that all who were asked hear the end.

// people is an integration that remembers.
type people struct {
	mu      sync.Mutex
	asked   []approval.Request
	settled []string // job, outcome, receipt
	fail    func(n int) error
	onAsk   func(approval.Request) // before Ask returns
}

func (p *people) Ask(_ context.Context, r approval.Request) (json.RawMessage, error) {
	p.mu.Lock()
	p.asked = append(p.asked, r)
	n := len(p.asked)
	p.mu.Unlock()
	if p.onAsk != nil {
		p.onAsk(r)
	}
	if p.fail != nil {
		if err := p.fail(n); err != nil {
			return nil, err
		}
	}
	return json.RawMessage(fmt.Sprintf(`"message %d"`, n)), nil
}

func (p *people) Settle(_ context.Context, r approval.Request, o approval.Outcome, receipt json.RawMessage) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled = append(p.settled, fmt.Sprintf("%s/%d %s %s by %q, receipt %s", r.JobID, r.Step, o.How, o.Decision, o.By, receipt))
	return nil
}

func (p *people) ends() string { return strings.Join(p.settled, "; ") }

func peopleRig(t *testing.T, mods ...func(*Config)) (*rig, *people) {
	t.Helper()
	p := &people{}
	set := func(c *Config) {
		c.Approvals, c.PublicURL = map[string]approval.Integration{"desk": p}, "https://orrery.example"
	}
	return newRig(t, append([]func(*Config){set}, mods...)...), p
}

// kept gives the outbox's states of a job.
func (r *rig) kept(id string) string {
	r.t.Helper()
	list, err := r.outsideOf(r.ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	out := []string{}
	for _, d := range list {
		out = append(out, d.Kind+" "+d.State)
	}
	return strings.Join(out, ", ")
}

func (r *rig) answerTo(q approval.Request, choice int, by string) approval.Verdict {
	r.t.Helper()
	v, err := r.Answer(r.ctx, approval.Answer{JobID: q.JobID, Step: q.Step, Choice: choice, Proof: q.Token[:approval.ProofSize], By: by})
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func TestQuestionReachesAPersonAndItsEndToo(t *testing.T) {
	r, p := peopleRig(t)
	id := r.begin("ask", `{"seconds": 60}`)
	q := p.asked[0]
	if q.JobID != id || q.Step != 1 || q.Message != "go on?" || fmt.Sprint(q.Decisions) != "[no yes]" || q.Until == nil || q.Doubt {
		t.Errorf("asked %+v", q)
	}
	if want := "https://orrery.example/_public/webhooks/approval/" + id + "?token=" + r.ApprovalToken(id, 1); q.Link != want {
		t.Errorf("the link is %s", q.Link)
	}
	if got := r.kept(id); got != "approval sent" {
		t.Errorf("kept: %s", got)
	}
	if why, err := r.Why(r.ctx, id); err != nil || !strings.Contains(strings.Join(why.Details, ";"), "the request to desk was sent at") {
		t.Errorf("%+v %v", why, err)
	}
	r.reboot()
	r.settle()
	if len(p.asked) != 1 {
		t.Fatalf("asked %d times", len(p.asked))
	}
	v := r.answerTo(q, 1, "telegram:ana")
	if !v.Taken || v.Outcome.Decision != "yes" || v.Request.ID != q.ID {
		t.Fatalf("%+v", v)
	}
	r.settle()
	r.is(id, job.Finished, "finished")
	if want := fmt.Sprintf(`%s/1 decided yes by "telegram:ana", receipt "message 1"`, id); p.ends() != want {
		t.Errorf("told: %s", p.ends())
	}
	if got := r.kept(id); got != "" {
		t.Errorf("kept after the end: %s", got)
	}
	v = r.answerTo(q, 0, "telegram:bob")
	if v.Taken || !v.Ended || !strings.Contains(v.Why, "yes, by telegram:ana") {
		t.Errorf("the second answer: %+v", v)
	}
}

func TestOthersAreToldHoweverItEnded(t *testing.T) {
	r, p := peopleRig(t)
	late, stopped, byAPI, twice := r.begin("ask", `{"seconds": 60}`), r.begin("ask", `{}`), r.begin("ask", `{}`), r.begin("ask", `{}`)
	if err := r.Cancel(r.ctx, stopped, "ann"); err != nil {
		t.Fatal(err)
	}
	for id, decision := range map[string]string{byAPI: "yes", twice: "no"} {
		if err := r.Decide(r.ctx, id, decision, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	r.pass(seconds(60))
	for _, want := range []string{late + `/1 expired  by ""`, stopped + `/1 cancelled  by "ann"`, byAPI + `/1 decided yes by "ann"`, twice + `/1 decided no by "ann"`} {
		if !strings.Contains(p.ends(), want) {
			t.Errorf("%s is missing in %s", want, p.ends())
		}
	}
	if len(p.asked) != 5 || r.kept(twice) != "approval sent" { // the second question of the same job
		t.Errorf("asked %d times; kept %s", len(p.asked), r.kept(twice))
	}
	for _, q := range p.asked[:4] {
		if v := r.answerTo(q, 0, "bob"); v.Taken || !v.Ended || v.Outcome == nil {
			t.Errorf("job %s: %+v", q.JobID, v)
		}
	}
}

// The process dies between the sending and its note.
func TestCrashBetweenAskingAndNoting(t *testing.T) {
	for _, decidedMeanwhile := range []bool{false, true} {
		r, p := peopleRig(t)
		id := r.submit("ask", `{}`)
		ctx, die := context.WithCancel(r.ctx)
		p.onAsk = func(approval.Request) { die() } // what it returns is lost
		p.fail = func(n int) error {
			if n == 1 {
				return errors.New("the process is dead")
			}
			return nil
		}
		if err := r.Settle(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		p.onAsk = nil
		r.reboot()
		if decidedMeanwhile {
			if err := r.Decide(r.ctx, id, "yes", "ann"); err != nil {
				t.Fatal(err)
			}
		}
		r.settle()
		r.pass(seconds(5))
		if decidedMeanwhile {
			if len(p.asked) != 1 || !strings.Contains(p.ends(), "decided yes by \"ann\", receipt ") || strings.Contains(p.ends(), "message") {
				t.Errorf("asked %d times, told %s", len(p.asked), p.ends())
			}
		} else if len(p.asked) != 2 || !p.asked[1].Doubt || p.asked[0].Doubt || p.asked[0].ID != p.asked[1].ID || p.asked[0].Token != p.asked[1].Token {
			t.Errorf("asked %+v", p.asked)
		}
		if got, want := r.kept(id), map[bool]string{false: "approval sent", true: ""}[decidedMeanwhile]; got != want {
			t.Errorf("kept: %q, want %q", got, want)
		}
	}
}

func TestAskingIsTriedAgain(t *testing.T) {
	r, p := peopleRig(t)
	p.fail = func(n int) error {
		switch n {
		case 1:
			return failed{notSent: true}
		case 2:
			return failed{}
		}
		return nil
	}
	id := r.begin("ask", `{}`)
	if got := r.kept(id); got != "approval retrying" {
		t.Errorf("kept: %s", got)
	}
	r.pass(pauses[0])
	r.pass(pauses[1])
	if len(p.asked) != 3 || p.asked[1].Doubt || !p.asked[2].Doubt || r.kept(id) != "approval sent" {
		t.Errorf("asked %+v, kept %s", p.asked, r.kept(id))
	}
}

// A chat takes so many messages a minute: that is no failure, however long it lasts.
func TestBusyIntegrationIsWaitedFor(t *testing.T) {
	r, p := peopleRig(t)
	p.fail = func(n int) error {
		if n <= 30 {
			return failed{notSent: true, wait: 20 * time.Second}
		}
		return nil
	}
	id := r.begin("ask", `{}`)
	for range 30 {
		if got := r.kept(id); got != "approval retrying" {
			t.Fatalf("kept: %s", got)
		}
		r.pass(20 * time.Second)
	}
	if got := r.kept(id); got != "approval sent" || len(p.asked) != 31 {
		t.Errorf("kept: %s, asked %d times", got, len(p.asked))
	}
}

// A question that nobody could be asked is decided by other ways, and nobody hears of it.
func TestDecidedBeforeItWasAsked(t *testing.T) {
	r, p := peopleRig(t)
	p.fail = func(int) error { return failed{notSent: true} }
	id := r.begin("ask", `{}`)
	if err := r.Decide(r.ctx, id, "yes", "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.pass(pauses[0])
	if len(p.asked) != 1 || p.ends() != "" || r.kept(id) != "" {
		t.Errorf("asked %d times, told %q, kept %q", len(p.asked), p.ends(), r.kept(id))
	}
}

func TestIntegrationThatIsNotConfigured(t *testing.T) {
	r, p := peopleRig(t, func(c *Config) { c.Approvals = map[string]approval.Integration{} })
	id, other := r.begin("ask", `{}`), r.begin("ask", `{}`)
	why, err := r.Why(r.ctx, id)
	if err != nil || !strings.Contains(strings.Join(why.Details, ";"), `"desk" is not configured here`) {
		t.Errorf("%+v %v", why, err)
	}
	if err := r.Decide(r.ctx, other, "yes", "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.is(other, job.Finished, "finished")
	if got := r.kept(other); got != "" {
		t.Errorf("kept after the decision: %s", got)
	}
	r.cfg.Approvals = map[string]approval.Integration{"desk": p} // and started again
	r.reboot()
	r.settle()
	if len(p.asked) != 1 || p.asked[0].JobID != id || r.kept(id) != "approval sent" {
		t.Errorf("asked %+v, kept %s", p.asked, r.kept(id))
	}
}

func TestAnswersThatDoNotCount(t *testing.T) {
	r, p := peopleRig(t)
	id := r.begin("ask", `{}`)
	q := p.asked[0]
	for name, change := range map[string]func(a *approval.Answer){
		"another job":    func(a *approval.Answer) { a.JobID = job.NewID(noon, 1) },
		"another step":   func(a *approval.Answer) { a.Step = 7 },
		"another proof":  func(a *approval.Answer) { a.Proof = strings.Repeat("A", approval.ProofSize) },
		"an empty proof": func(a *approval.Answer) { a.Proof = "" },
		"no such choice": func(a *approval.Answer) { a.Choice = 2 },
		"below all":      func(a *approval.Answer) { a.Choice = -1 },
	} {
		a := approval.Answer{JobID: id, Step: 1, Choice: 0, Proof: q.Token[:approval.ProofSize], By: "eve"}
		change(&a)
		if v, err := r.Answer(r.ctx, a); err != nil || v.Taken || v.Ended || v.Why == "" {
			t.Errorf("%s: %+v %v", name, v, err)
		}
	}
	r.is(id, job.WaitingHuman, "start")
}

// Many people press at once, by two ways: one decision is taken.
func TestOneDecisionWins(t *testing.T) {
	r, p := peopleRig(t)
	r.begin("ask", `{}`)
	q := p.asked[0]
	var group sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for i := range 50 {
		group.Go(func() {
			ok := false
			if i%2 == 0 {
				ok = r.DecideByToken(r.ctx, q.JobID, q.Decisions[i/2%2], q.Token) == nil
			} else {
				v, err := r.Answer(r.ctx, approval.Answer{JobID: q.JobID, Step: q.Step, Choice: i / 2 % 2, Proof: q.Token[:approval.ProofSize], By: fmt.Sprint(i)})
				ok = err == nil && v.Taken
			}
			if ok {
				mu.Lock()
				taken++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if taken != 1 {
		t.Errorf("%d decisions were taken", taken)
	}
	r.settle()
	if len(p.settled) != 1 {
		t.Errorf("told %s", p.ends())
	}
	err := r.DecideByToken(r.ctx, q.JobID, "yes", q.Token)
	refused(t, err, BadToken)
	if !strings.Contains(err.Error(), "decided already") {
		t.Errorf("the late one is told %q", err)
	}
}
