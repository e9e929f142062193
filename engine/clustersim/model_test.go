package clustersim

import (
	"fmt"
	"slices"
	"strings"

	"orrery/engine/job"
)

// This file is the reference model: a plain interpreter of plans. It walks along a job's
// history and says where that leaves what the plan, and what the outside did, allow; and of
// a job that nobody disturbed it says from the plan alone which way it must have gone.

// walk is the model's view of one job, after so many records.
type walk struct {
	p   *plan
	key string
	l   *ledger
	id  string

	state        string
	due          bool   // a step is due
	waits        *stage // the stage that waits for something, or nil
	steps        int64
	visits       []string
	numbers      int
	open         int            // branches that have not succeeded
	fates        map[int]fate   // by task number, of the present wait
	fences       map[string]int // results taken, by fence
	failures     map[string]int // tries that ended as failures, by fence, whoever said so
	mended       bool
	cancelling   bool
	compensating bool
	forced       job.Status   // of the coming end state
	errState     string       // where the job failed last
	status       job.Status   // once it has ended, else ""
	ended        []job.Status // every end that it had
	children     int
	resumed      int
	disturbed    bool // cancelled or reopened
	chances      bool // went where time decides
}

// follow takes one record; the error says why the model does not allow it.
func (k *walk) follow(r *job.Record) error {
	if r.State != k.state && r.Kind != job.RecCreated {
		return fmt.Errorf("it stands in %q, and the model in %q", r.State, k.state)
	}
	if k.status != "" && r.Kind != job.RecReopened {
		return fmt.Errorf("I5: it had ended %s", k.status)
	}
	switch r.Kind {
	case job.RecCreated:
		k.state, k.due = k.p.order[0], true
		return nil
	case job.RecStep:
		return k.step(r)
	case job.RecTaskEnd:
		return k.taskReturned(r)
	case job.RecTaskFail:
		return k.taskFailed(r)
	case job.RecRetry:
		return k.stays(r)
	case job.RecTimer:
		return k.timer(r)
	case job.RecApproval:
		return k.decided(r)
	case job.RecChild:
		return k.childEnded(r)
	case job.RecCancelAsk:
		k.cancelling, k.disturbed = true, true
		return k.stays(r)
	case job.RecCancelled:
		k.disturbed = true
		return k.settled(r)
	case job.RecReopened:
		return k.reopened(r)
	}
	return fmt.Errorf("nobody asked for that")
}

// enter moves to a state, as the record must say.
func (k *walk) enter(target string, r *job.Record) error {
	next := target
	if target == k.state {
		next = ""
	}
	if r.Next != next || r.Status != job.Running {
		return fmt.Errorf("it goes to %q (%s), the model to %q", r.Next, r.Status, target)
	}
	k.state, k.due, k.waits = target, true, nil
	return nil
}

// ends ends the job, as the record must say.
func (k *walk) ends(want job.Status, r *job.Record) error {
	if r.Status != want || r.Next != "" {
		return fmt.Errorf("it is %s (next %q), the model ends %s", r.Status, r.Next, want)
	}
	k.ended = append(k.ended, want)
	k.status, k.due, k.waits, k.cancelling, k.forced = want, false, nil, false, ""
	return nil
}

func (k *walk) stays(r *job.Record) error {
	if r.Next != "" || r.Status.Terminal() || k.waits == nil {
		return fmt.Errorf("it goes to %q (%s), the model stays", r.Next, r.Status)
	}
	return nil
}

func count(list []string, name string) (n int) {
	for _, s := range list {
		if s == name {
			n++
		}
	}
	return n
}

func (k *walk) step(r *job.Record) error {
	s := k.p.stages[k.state]
	if k.steps++; !k.due || r.Step != k.steps {
		return fmt.Errorf("I3: step %d where the model has %d (due: %v)", r.Step, k.steps, k.due)
	}
	if s.kind == broken && !k.mended {
		k.errState = k.state
		return k.ends(job.Quarantined, r)
	}
	k.visits = append(k.visits, k.state)
	if s.counts {
		k.numbers++
	}
	k.fates = map[int]fate{}
	want := job.Status("")
	switch s.kind {
	case ending:
		want = job.Status(s.status)
		if k.forced != "" {
			want = k.forced
		}
		if want == job.Finished {
			k.errState = ""
		}
		return k.ends(want, r)
	case goOn:
		if s.after == 0 {
			return k.enter(s.next, r)
		}
		want = job.WaitingTimer
	case again:
		if count(k.visits, k.state) == 1 {
			return k.enter(s.next, r)
		}
		return k.enter(s.other, r)
	case broken, join:
		return k.enter(s.next, r)
	case work, fan:
		if want = job.WaitingWorker; s.kind == fan {
			want = job.WaitingParallel
		}
		if len(r.Tasks) != len(s.fates) {
			return fmt.Errorf("it dispatched %d tasks, the model %d", len(r.Tasks), len(s.fates))
		}
		for i, t := range r.Tasks {
			if k.fates[t.N] = s.fates[i]; k.mended {
				k.fates[t.N] = fine
			}
		}
		k.open = len(s.fates)
		k.chances = k.chances || s.dispatch > 0 || s.retries == never
	case child:
		want = job.WaitingSubJob
		k.children++
	case ask:
		want = job.WaitingHuman
		k.chances = k.chances || s.after > 0
	}
	k.due, k.waits = false, s
	if r.Next != "" || r.Status != want {
		return fmt.Errorf("it is %s (next %q), the model %s", r.Status, r.Next, want)
	}
	return nil
}

// result checks that a fence's result is new and was sent by a worker.
func (k *walk) result(r *job.Record, code string) error {
	if k.waits == nil || k.waits.kind != work && k.waits.kind != fan {
		return fmt.Errorf("no task is out")
	}
	if k.fences[r.Task.ID]++; k.fences[r.Task.ID] > 1 {
		return fmt.Errorf("I4: the result of %s is taken again", r.Task.ID)
	}
	if !k.l.sent[r.Task.ID][answer{r.Task.Status, code}] {
		return fmt.Errorf("no worker that had %s said %q %s", r.Task.ID, r.Task.Status, code)
	}
	return nil
}

func (k *walk) taskReturned(r *job.Record) error {
	if err := k.result(r, ""); err != nil {
		return err
	}
	if k.cancelling {
		return k.whileCancelling(r)
	}
	want := "success"
	switch k.fates[r.Task.N] {
	case custom:
		want = "other"
	case unheard:
		want = "strange"
	}
	if r.Task.Status != want {
		return fmt.Errorf("its worker said %q, and was to say %q", r.Task.Status, want)
	}
	if want == "success" {
		if k.open--; k.open > 0 {
			return k.stays(r)
		}
	}
	switch want {
	case "success":
		return k.enter(k.waits.next, r)
	case "other":
		return k.enter(k.waits.other, r)
	}
	k.errState = k.state
	return k.ends(job.Failed, r)
}

// codes of failures that the server itself finds.
var ownCodes = []string{job.CodeResultTimeout, job.CodeWorkerLost, job.CodeDispatchTimeout}

func (k *walk) taskFailed(r *job.Record) error {
	if r.Error == nil { // a branch that is not tried again
		if !k.cancelling {
			return fmt.Errorf("a try was given up though nobody cancels")
		}
		return k.stays(r)
	}
	code := r.Error.Code
	k.failures[r.Task.ID]++
	if !slices.Contains(ownCodes, code) {
		if err := k.result(r, code); err != nil {
			return err
		}
		meant := map[fate]string{permanent: job.CodePermanent, invalid: job.CodeInvalidInput, exhausts: job.CodeTransient, flaky: job.CodeTransient}
		if !k.cancelling && meant[k.fates[r.Task.N]] != code {
			return fmt.Errorf("its worker failed with %s, and was to be %s", code, k.fates[r.Task.N])
		}
	}
	if k.waits == nil {
		return fmt.Errorf("no task is out")
	}
	if k.cancelling {
		return k.whileCancelling(r)
	}
	passing := code == job.CodeTransient || code == job.CodeResultTimeout || code == job.CodeWorkerLost
	if r.Next == "" && !r.Status.Terminal() { // tried again
		if !passing || k.waits.retries == never || code != job.CodeWorkerLost && r.Task.Attempt > k.waits.retries {
			return fmt.Errorf("try %d is followed by another after %s", r.Task.Attempt, code)
		}
		return nil
	}
	if passing && k.waits.retries != never && r.Task.Attempt <= k.waits.retries {
		return fmt.Errorf("try %d of %d was the last, after %s", r.Task.Attempt, k.waits.retries, code)
	}
	status := job.Quarantined
	if code == job.CodeInvalidInput || code == job.CodeDispatchTimeout {
		status = job.Failed
	}
	return k.failed(status, r)
}

// failed takes "failure", or ends the job.
func (k *walk) failed(status job.Status, r *job.Record) error {
	k.errState = k.state
	target := k.waits.failure
	if target == "" {
		return k.ends(status, r)
	}
	if k.p.stages[target].kind == ending && k.waits.kind != child {
		k.forced = status
	}
	return k.enter(target, r)
}

// whileCancelling takes the end of one task of a job that is being cancelled: the last one
// settles it.
func (k *walk) whileCancelling(r *job.Record) error {
	if r.Next == "" && !r.Status.Terminal() {
		return nil
	}
	return k.settled(r)
}

func (k *walk) settled(r *job.Record) error {
	if k.l.cancels[k.id] == nil && !strings.Contains(k.key, "/") {
		return fmt.Errorf("nobody cancelled it")
	}
	target := ""
	if k.waits != nil {
		target = k.waits.cancelled
	}
	k.cancelling = false
	if target == "" || k.compensating {
		return k.ends(job.Cancelled, r)
	}
	if k.p.stages[target].kind == ending {
		k.forced = job.Cancelled
	} else {
		k.compensating = true
	}
	return k.enter(target, r)
}

func (k *walk) timer(r *job.Record) error {
	switch {
	case k.waits == nil:
		return fmt.Errorf("nothing waits for a date")
	case k.waits.kind == goOn:
		return k.enter(k.waits.next, r)
	case k.waits.kind != ask || k.waits.after == 0:
		return fmt.Errorf("it waits for no date")
	}
	k.errState = k.state
	if k.waits.timeout == "" {
		return k.ends(job.Failed, r)
	}
	return k.enter(k.waits.timeout, r)
}

func (k *walk) decided(r *job.Record) error {
	if k.waits == nil || k.waits.kind != ask || !k.l.choices[k.id][r.Detail] {
		return fmt.Errorf("nobody was asked, or nobody said %q", r.Detail)
	}
	if want := choice(k.waits, k.key, count(k.visits, k.state)); r.Detail != want {
		return fmt.Errorf("the decision is %q, people said %q", r.Detail, want)
	}
	if r.Detail == "no" {
		return k.enter(k.waits.other, r)
	}
	return k.enter(k.waits.next, r)
}

func (k *walk) childEnded(r *job.Record) error {
	if k.waits == nil || k.waits.kind != child {
		return fmt.Errorf("I6: it waits for no child")
	}
	k.resumed++
	_, status, _ := strings.Cut(r.Detail, " ")
	if status == string(job.Finished) {
		return k.enter(k.waits.next, r)
	}
	return k.failed(job.Failed, r)
}

func (k *walk) reopened(r *job.Record) error {
	if k.status != job.Failed && k.status != job.Quarantined || k.l.retries[k.id] == nil {
		return fmt.Errorf("it was %q, and asked to run again: %v", k.status, k.l.retries[k.id] != nil)
	}
	target := k.state
	if k.errState != "" {
		target = k.errState
	}
	k.status, k.errState, k.forced, k.compensating, k.mended, k.disturbed = "", "", "", false, true, true
	return k.enter(target, r)
}

// foresee says which way a job goes that nobody disturbs; sure is false where time decides.
func foresee(p *plan, key string) (visits []string, status job.Status, sure bool) {
	state, forced, sure := p.order[0], job.Status(""), true
	for {
		s := p.stages[state]
		if s.kind == broken {
			return visits, job.Quarantined, sure
		}
		visits = append(visits, state)
		failed, failedAs := false, job.Quarantined
		state = s.next
		switch s.kind {
		case ending:
			if forced == "" {
				forced = job.Status(s.status)
			}
			return visits, forced, sure
		case again:
			if count(visits, s.name) > 1 {
				state = s.other
			}
		case work, fan:
			sure = sure && s.dispatch == 0 && s.retries != never
			for _, f := range s.fates {
				switch f {
				case custom:
					state = s.other
				case unheard:
					return visits, job.Failed, sure
				case invalid:
					failed, failedAs = true, job.Failed
				case permanent, exhausts:
					failed = true
				}
			}
		case child:
			_, end, known := foresee(p.child, fmt.Sprintf("%s/%s%d", key, s.name, count(visits, s.name)))
			sure = sure && known
			failed, failedAs = end != job.Finished, job.Failed
		case ask:
			sure = sure && s.after == 0
			if choice(s, key, count(visits, s.name)) == "no" {
				state = s.other
			}
		}
		if failed {
			if state = s.failure; state == "" {
				return visits, failedAs, sure
			}
			if p.stages[state].kind == ending && s.kind != child {
				forced = failedAs
			}
		}
	}
}
