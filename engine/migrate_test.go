package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests jobs while their blueprint changes: they stay on their revision, also over
// a restart, until somebody moves them.

// changing is a blueprint with a task, a timer and a question; word is what its end writes,
// and END the name of the state that does so.
const changing = `
bp = blueprint(name = "changing")

def start(context, actions):
    mode = context.initial_data.get("mode", "task")
    if mode == "task":
        actions.dispatch_task(task_type = "echo", params = {}, transitions = {"success": "END"})
    elif mode == "nap":
        actions.transition_to("END", after_seconds = 60)
    elif mode == "fail":
        actions.transition_to("broken")
    else:
        actions.await_human_approval(integration = "x", message = "?", transitions = {"yes": "END"})

def say(context, actions):
    context.state_history["said"] = "WORD"
    actions.transition_to("finished")

def broken(context, actions):
    fail("as WORD")

bp.handler_for("start", is_start = True)(start)
bp.handler_for("END")(say)
bp.handler_for("broken")(broken)
`

// changingRig has a directory with that blueprint.
type changingRig struct {
	*rig
	dir string
}

func newChangingRig(t *testing.T, s store.Store) *changingRig {
	t.Helper()
	r := &changingRig{dir: t.TempDir()}
	r.write(t, changing, "END", "say", "WORD", "old")
	r.rig = newRig(t, func(c *Config) { c.Store, c.Blueprints = s, r.open(t, s) })
	r.bps = r.cfg.Blueprints.(*blueprint.Catalog)
	r.bps.UseClock(r.clock)
	return r
}

// open loads the directory anew, as a restart does.
func (r *changingRig) open(t *testing.T, s store.Store) *blueprint.Catalog {
	t.Helper()
	c, err := blueprint.LoadDir(context.Background(), r.dir, nil)
	if err != nil || !c.Status().OK {
		t.Fatalf("%v, %v", err, c.Status().Errors())
	}
	c.UseStore(s)
	return c
}

func (r *changingRig) write(t *testing.T, text string, pairs ...string) {
	t.Helper()
	text = strings.NewReplacer(pairs...).Replace(text)
	if err := os.WriteFile(filepath.Join(r.dir, "changing.star"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// swap changes the file and reloads.
func (r *changingRig) swap(text string, pairs ...string) {
	r.t.Helper()
	r.write(r.t, text, pairs...)
	if err := r.bps.Reload(r.ctx); err != nil {
		r.t.Fatal(err)
	}
}

// restart is a crash and a start on the directory as it is now.
func (r *changingRig) restart() {
	r.t.Helper()
	r.bps = r.open(r.t, r.rows)
	r.bps.UseClock(r.clock)
	r.cfg.Blueprints = r.bps
	r.reboot()
}

func (r *changingRig) said(id string) string {
	r.t.Helper()
	v, err := r.View(r.ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(v.StateHistory)
}

func (r *changingRig) migrate(id string, dry bool) *Move {
	r.t.Helper()
	m, err := r.Migrate(r.ctx, id, dry, "op")
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func TestAJobStaysOnItsRevisionOverARestart(t *testing.T) {
	r := newChangingRig(t, memory.New())
	id := r.begin("changing", `{}`)
	r.swap(changing, "END", "shout", "WORD", "new")
	r.restart()
	young := r.begin("changing", `{}`)
	for range 2 {
		r.answer(r.take(), success(`{}`))
	}
	r.is(id, job.Finished, "finished")
	r.is(young, job.Finished, "finished")
	if r.said(id) != `{"said":"old"}` || r.said(young) != `{"said":"new"}` {
		t.Errorf("the old job says %s, the new one %s", r.said(id), r.said(young))
	}
}

// Removing the file stops new jobs only.
func TestAJobOutlivesItsFile(t *testing.T) {
	r := newChangingRig(t, memory.New())
	id := r.begin("changing", `{}`)
	if err := os.Remove(filepath.Join(r.dir, "changing.star")); err != nil {
		t.Fatal(err)
	}
	r.restart()
	if _, _, err := r.Submit(r.ctx, Request{Blueprint: "changing"}); FaultCode(err) != UnknownBlueprint {
		t.Errorf("a new job without the file: %v", err)
	}
	if _, err := r.Migrate(r.ctx, id, true, "op"); FaultCode(err) != UnknownBlueprint {
		t.Errorf("a migration without the file: %v", err)
	}
	r.answer(r.take(), success(`{}`))
	r.is(id, job.Finished, "finished")
}

func TestMigrateMovesAWaitingJob(t *testing.T) {
	r := newChangingRig(t, memory.New())
	ids := map[string]string{"task": r.begin("changing", `{"mode": "task"}`), "nap": r.begin("changing", `{"mode": "nap"}`), "ask": r.begin("changing", `{"mode": "ask"}`)}
	task := r.take() // at a worker meanwhile
	if m := r.migrate(ids["nap"], false); m.Outcome != MoveCurrent {
		t.Errorf("without a change: %+v", m)
	}
	r.swap(changing, "END", "say", "WORD", "new")
	for name, id := range ids {
		before := r.job(id)
		if m := r.migrate(id, true); m.Outcome != MoveWould || m.From != before.Revision || m.To == m.From {
			t.Errorf("%s, dry: %+v", name, m)
		}
		if r.job(id).Version != before.Version {
			t.Errorf("%s: a dry run changed the job", name)
		}
		if m := r.migrate(id, false); m.Outcome != MoveDone || r.job(id).Revision != m.To {
			t.Errorf("%s: %+v", name, m)
		}
		if kinds := r.kinds(id); kinds[len(kinds)-1] != job.RecMigrated {
			t.Errorf("%s: history says %v", name, kinds)
		}
	}
	r.restart()
	r.answer(task, success(`{}`))
	r.pass(seconds(60))
	if err := r.Decide(r.ctx, ids["ask"], "yes", "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	for name, id := range ids {
		r.is(id, job.Finished, "finished")
		if r.said(id) != `{"said":"new"}` {
			t.Errorf("%s says %s", name, r.said(id))
		}
	}
	if m := r.migrate(ids["nap"], false); m.Outcome != MoveEnded {
		t.Errorf("after its end: %+v", m)
	}
}

func TestMigrateLeavesWhatDoesNotFit(t *testing.T) {
	r := newChangingRig(t, memory.New())
	id := r.begin("changing", `{}`)
	failed := r.begin("changing", `{"mode": "fail"}`)
	before := r.job(id)
	r.swap(changing, "END", "sag", "WORD", "new")
	for _, dry := range []bool{true, false} {
		m := r.migrate(id, dry)
		if m.Outcome != MoveMismatch || len(m.Missing) != 1 || m.Missing[0].State != "say" || !strings.Contains(m.Reason, `did you mean "sag"`) {
			t.Errorf("dry %v: %+v", dry, m)
		}
	}
	if after := r.job(id); after.Version != before.Version || after.Revision != before.Revision {
		t.Errorf("a job that does not fit was changed: %+v", after)
	}
	if m := r.migrate(failed, false); m.Outcome != MoveEnded || !strings.Contains(m.Reason, "retry --revision latest") {
		t.Errorf("a failed job: %+v", m)
	}
	r.answer(r.take(), success(`{}`))
	if r.said(id) != `{"said":"old"}` {
		t.Errorf("it went on with %s", r.said(id))
	}
}

func TestMigrateWaitsForAStep(t *testing.T) {
	r := newChangingRig(t, memory.New())
	r.alone("changing")
	id := r.submit("changing", `{}`)
	r.swap(changing, "END", "say", "WORD", "new")
	if m := r.migrate(id, false); m.Outcome != MoveBusy || !m.Stays() {
		t.Errorf("a job with a step due: %+v", m)
	}
	if _, err := r.Migrate(r.ctx, "0192f0a0-0000-7000-8000-000000000000", false, "op"); FaultCode(err) != NotFound {
		t.Errorf("an unknown job: %v", err)
	}
}

// Jobs of a blueprint with data stores live beside them; others do not, and can not move in.
func TestMigrateKeepsJobsBesideTheirStores(t *testing.T) {
	r := newChangingRig(t, memory.New())
	id, n := "", 0
	for id == "" || job.ShardOf(id) == job.ShardByName("changing") {
		id, n = r.begin("changing", `{}`), n+1
	}
	r.swap(changing+"bp.add_data_store(\"seen\", {})\n", "END", "say", "WORD", "new")
	if m := r.migrate(id, false); m.Outcome != MoveMismatch || !strings.Contains(m.Reason, "data stores") {
		t.Errorf("%+v", m)
	}
}

func TestMigrateAll(t *testing.T) {
	r := newChangingRig(t, memory.New())
	old := map[string]bool{}
	for range 7 {
		old[r.begin("changing", `{}`)] = true
	}
	r.answer(r.take(), success(`{}`)) // has ended: not looked at
	r.swap(changing, "END", "say", "WORD", "new")
	r.begin("changing", `{}`) // runs on it already
	live, err := r.LiveRevisions(r.ctx, "changing")
	if err != nil || len(live) != 2 {
		t.Fatalf("live revisions %v, %v", live, err)
	}
	for _, dry := range []bool{true, false} {
		seen, cursor, pages := 0, "", 0
		for {
			moves, next, err := r.MigrateAll(r.ctx, "changing", dry, "op", cursor, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range moves {
				if want := map[bool]string{true: MoveWould, false: MoveDone}[dry]; m.Outcome != want || !old[m.JobID] {
					t.Errorf("dry %v: %+v", dry, m)
				}
				seen++
			}
			if pages++; next == "" {
				break
			}
			cursor = next
		}
		if seen != 6 || pages != 3 {
			t.Errorf("dry %v: %d jobs on %d pages, want 6 on 3", dry, seen, pages)
		}
	}
	if live, err = r.LiveRevisions(r.ctx, "changing"); err != nil || len(live) != 1 {
		t.Errorf("live revisions %v, %v", live, err)
	}
	if _, _, err := r.MigrateAll(r.ctx, "changed", true, "op", "", 3); FaultCode(err) != UnknownBlueprint {
		t.Errorf("an unknown blueprint: %v", err)
	}
}
