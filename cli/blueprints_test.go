package cli

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// This file tests the commands about revisions against whole servers: versions, diff,
// uploads, reload, and moving jobs.

// place is a server over a folder that the test changes.
type place struct {
	t   *testing.T
	dev *running
	url string
}

// newPlace starts `dev` in a folder of its own. The store is in there, so another one finds it again.
func newPlace(t *testing.T) *place {
	t.Helper()
	inFolder(t)
	p := &place{t: t}
	p.start()
	return p
}

func (p *place) start() {
	p.t.Helper()
	p.dev = serveIn(p.t, "dev", "flows", "--listen", "127.0.0.1:0")
	p.url = p.dev.find(p.t, p.dev.out, shownURL)
}

// do runs a command against the server.
func (p *place) do(line string) outcome {
	p.t.Helper()
	return orrery(p.t, append(strings.Fields(line), "--url", p.url)...)
}

// works runs one that must end well and show the texts.
func (p *place) works(line string, want ...string) string {
	p.t.Helper()
	got := p.do(line)
	if got.code != 0 {
		p.t.Fatalf("%s: %+v", line, got)
	}
	for _, w := range want {
		if !strings.Contains(got.out, w) {
			p.t.Errorf("%s: no %q in\n%s", line, w, got.out)
		}
	}
	return got.out
}

// refused runs one that must end with the code, with the text on the first line of stderr.
func (p *place) refused(code int, line, want string) outcome {
	p.t.Helper()
	got := p.do(line)
	if got.code != code || !strings.Contains(got.firstLine(), want) {
		p.t.Errorf("%s: want code %d and %q, have %+v", line, code, want, got)
	}
	return got
}

// write changes a file below the present folder.
func (p *place) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// revise puts devFlow with other words into force.
func (p *place) revise(old, new string) {
	p.t.Helper()
	text := strings.ReplaceAll(devFlow, old, new)
	if text == devFlow {
		p.t.Fatalf("nothing changes by %q", old)
	}
	p.write("flows/flow.star", text)
	p.works("blueprints reload", "1 blueprint in force")
}

// asked starts a job and waits until it asks a person.
func (p *place) asked() string {
	p.t.Helper()
	id := strings.TrimSpace(p.works("jobs start flow"))
	waitFor(p.t, p.url, id, `"waiting_for_human"`)
	return id
}

func TestVersionsAndDiff(t *testing.T) {
	p := newPlace(t)
	if got := p.works("blueprints versions flow", "flow.star", "in force"); strings.Count(got, "\n") != 2 {
		t.Errorf("one revision:\n%s", got)
	}
	p.refused(1, "blueprints diff flow", `no earlier revision of "flow" is kept`)
	id := p.asked()
	p.write("flows/flow.star", strings.ReplaceAll(devFlow, `"rejected": "failed"`, `"rejected": "turned_down"`)+"\nbp.handler_for(\"turned_down\", is_end = True)(lambda: None)\n")
	p.works("blueprints reload", "1 blueprint in force")

	var list []struct {
		Revision string `json:"revision"`
		InForce  bool   `json:"in_force"`
		LiveJobs int    `json:"live_jobs"`
	}
	if err := json.Unmarshal([]byte(p.works("blueprints versions flow --format json")), &list); err != nil || len(list) < 2 || !list[0].InForce || list[len(list)-1].LiveJobs != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	first := list[len(list)-1].Revision
	p.works("blueprints diff flow "+first[:8], "+ turned_down", "+ ask -> turned_down [rejected]", "- ask -> failed [rejected]", "~ ask: ask", "~ flow.star", `-    actions.await_human_approval("telegram", "Go on?", {"approved": "finished", "rejected": "failed"})`)
	p.works("blueprints diff flow latest latest", "nothing differs")
	p.works("blueprints show flow --revision "+first[:8]+" --source", `"rejected": "failed"`)
	for line, want := range map[string]string{
		"blueprints diff flow abc":                   "too short",
		"blueprints diff flow ffffffffff":            `no revision of "flow" that begins with "ffffffffff" is kept`,
		"blueprints versions nothing":                `there is no blueprint "nothing"`,
		"blueprints diff nothing":                    `there is no blueprint "nothing"`,
		"blueprints show folw":                       `did you mean "flow"?`,
		"blueprints versions flow --token wrong":     "this token is not known here",
		"blueprints show flow --revision ffffffffff": "is kept",
	} {
		p.refused(1, line, want)
	}
	p.refused(2, "blueprints versions", "<name>")

	// The job runs to its end on the revision with which it began, also after a restart.
	p.dev.end(t)
	p.start()
	p.works("approvals approve " + id + " rejected")
	if got := p.do("jobs watch " + id); !strings.Contains(got.out+got.err, "failed") || strings.Contains(got.out, "turned_down") {
		t.Errorf("%+v", got)
	}
}

func TestUploadsFromTheCommandLine(t *testing.T) {
	p := newPlace(t)
	extra := strings.ReplaceAll(strings.ReplaceAll(devFlow, `"flow"`, `"extra"`), "jobs/flow", "jobs/extra")
	p.write("extra.star", extra)
	p.write("bad.star", strings.ReplaceAll(strings.ReplaceAll(extra, "extra", "bad"), `"ask"}`, `"aks"}`))
	p.works("blueprints upload extra.star --dry-run", "added", "extra", "checked; nothing was changed")
	if got := p.works("blueprints uploads"); strings.Contains(got, "extra") {
		t.Errorf("after a dry run:\n%s", got)
	}
	p.works("blueprints upload extra.star", "in force")
	p.works("blueprints uploads", "extra.star", "admin")
	id := strings.TrimSpace(p.works("jobs start extra"))
	waitFor(t, p.url, id, `"waiting_for_human"`)

	got := p.refused(1, "blueprints upload bad.star extra.star", `bad.star:5:92: error: no state is called "aks"`)
	if !strings.Contains(got.err, "\n    "+`    actions.dispatch_task(`) || !strings.Contains(got.err, "^~~~~") || !strings.Contains(got.err, `did you mean "ask"?`) {
		t.Errorf("a refused upload shows\n%s", got.err)
	}
	p.refused(1, "blueprints upload flows/flow.star --root flows", "the blueprint directory has a file flow.star")
	p.refused(1, "blueprints remove nothing.star", `no file "nothing.star" was uploaded`)
	p.refused(1, "blueprints remove ../flow.star", "holds a segment")
	p.refused(2, "blueprints upload nothing.star", "nothing.star")
	p.refused(2, "blueprints upload ../../etc/hostname --root flows", "")
	p.refused(2, "blueprints upload", "<files>")

	p.dev.end(t) // an upload lasts over a restart
	p.start()
	p.works("blueprints list", "extra", "flow")
	p.works("blueprints remove extra.star --dry-run", "removed", "checked; nothing was changed")
	p.works("blueprints list", "extra")
	p.works("blueprints remove extra.star", "removed", "in force")
	if got := p.works("blueprints list"); strings.Contains(got, "extra") {
		t.Errorf("removed, and still there:\n%s", got)
	}
	p.works("approvals approve " + id + " approved") // its job goes on
	p.works("jobs watch "+id, "finished in state finished")
}

func TestReloadFromTheCommandLine(t *testing.T) {
	p := newPlace(t)
	p.write("flows/broken.star", "bp = blueprint(")
	got := p.refused(1, "blueprints reload", "broken.star:1:16: error:")
	if !strings.Contains(got.firstLine(), "nothing was changed") {
		t.Errorf("%+v", got)
	}
	if got := p.do("blueprints list"); got.code != 0 || !strings.Contains(got.out, "flow") || !strings.Contains(got.err, "what was in force before stays") {
		t.Errorf("%+v", got)
	}
	if err := os.Remove("flows/broken.star"); err != nil {
		t.Fatal(err)
	}
	p.works("blueprints reload --format json", `"in_force"`)
	p.refused(1, "blueprints reload --token wrong", "this token is not known here")
}

func TestMigrateFromTheCommandLine(t *testing.T) {
	p := newPlace(t)
	id := p.asked()
	p.works("jobs migrate "+id+" --dry-run", "current")
	p.works("jobs migrate --blueprint flow", "every job runs on the newest revision")
	p.revise(`"Go on?"`, `"Shall it go on?"`)
	before := p.works("jobs get " + id + " --format json")
	p.works("jobs migrate "+id+" --dry-run", "would_migrate")
	p.works("jobs migrate --blueprint flow --dry-run --format json", `"would_migrate"`)
	if after := p.works("jobs get " + id + " --format json"); after != before {
		t.Errorf("a dry run changed the job:\n%s\nbefore:\n%s", after, before)
	}
	p.works("jobs migrate "+id, "migrated")
	p.works("jobs migrate "+id, "current")

	other := p.asked()
	p.revise(`"ask"`, `"question"`) // the state where both stand is gone
	p.refused(1, "jobs migrate "+id+" --dry-run", "can not be moved")
	got := p.refused(1, "jobs migrate --blueprint flow", "2 of 2 jobs can not be moved; nothing was changed")
	if !strings.Contains(got.out, "mismatch") || !strings.Contains(got.out, other) || !strings.Contains(got.out, `"ask"`) {
		t.Errorf("%+v", got)
	}
	p.refused(1, "jobs migrate "+id, "stays on its revision")
	p.refused(2, "jobs migrate", "name a job, or a blueprint")
	p.refused(2, "jobs migrate x --blueprint flow", "name a job, or a blueprint")
	p.refused(1, "jobs migrate 01a20885-8517-7000-bc33-9daf4fc50d10", "there is no job")
	p.refused(1, "jobs migrate --blueprint nothing --dry-run", `there is no blueprint "nothing"`)
	p.works("approvals approve " + id + " approved")
	p.works("jobs watch "+id, "finished in state finished")
	p.refused(1, "jobs migrate "+id, "stays on its revision: the job is finished")
}
