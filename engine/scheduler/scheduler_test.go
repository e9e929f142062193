package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests what fires when, what was missed, and that a crash changes nothing, with the
// engine and a store in memory and a clock that stands still.

const tick = `
bp = blueprint(name = "tick")

def start(context, actions):
    context.state_history["at"] = context.client.params["scheduled_at"]
    context.state_history["data"] = context.initial_data
    actions.transition_to("finished")

bp.handler_for("start", is_start = True)(start)
`

// nobody is a dispatcher without workers.
type nobody struct{ engine.Dispatcher }

func (nobody) Withdraw(string, int) {}
func (nobody) AtWorkers(string) int { return 0 }
func (nobody) AskCancel(string) int { return 0 }
func (nobody) Offer(job.Task)       {}
func (nobody) Recover(_ []job.Task) {}
func (nobody) Drop(store.ShardSet)  {}

type rig struct {
	*Scheduler
	t      *testing.T
	ctx    context.Context
	clock  *clock.Fake
	store  store.Store
	engine *engine.Engine
	log    strings.Builder
	list   []Schedule
	fail   error // of the next start, after its job was created
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newRig(t *testing.T, list ...Schedule) *rig {
	t.Helper()
	r := &rig{t: t, ctx: t.Context(), clock: clock.NewFake(noon), store: memory.New(), list: list}
	bps, err := blueprint.LoadFS(r.ctx, fstest.MapFS{"tick.star": {Data: []byte(tick)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bps.UseStore(r.store)
	r.engine, err = engine.New(engine.Config{Store: r.store, Blueprints: bps, Dispatcher: nobody{}, Clock: r.clock})
	if err != nil {
		t.Fatal(err)
	}
	r.boot()
	return r
}

// boot is a start of the server, or one after a crash: only the store is kept.
func (r *rig) boot() {
	r.Scheduler = New(Config{Jobs: r, Keys: r.store, Clock: r.clock, Log: slog.New(slog.NewTextHandler(&r.log, nil))})
	r.Set(r.list)
	r.Fire(r.ctx)
}

// SubmitOnce is the engine's; fail lets the process die before the fire is noted.
func (r *rig) SubmitOnce(ctx context.Context, q engine.Request, cause string, at time.Time) (string, bool, error) {
	id, again, err := r.engine.SubmitOnce(ctx, q, cause, at)
	if r.fail != nil && err == nil {
		err, r.fail = r.fail, nil
	}
	return id, again, err
}

func (r *rig) List(ctx context.Context, q store.Query) ([]*engine.View, string, error) {
	return r.engine.List(ctx, q)
}

// pass lets time go by, firing whenever the scheduler wants to.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	end := r.clock.Now().Add(d)
	for {
		nap := r.Fire(r.ctx)
		if next := r.clock.Now().Add(max(nap, time.Millisecond)); next.After(end) {
			break
		}
		r.clock.Advance(max(nap, time.Millisecond))
	}
	r.clock.Set(end)
	r.Fire(r.ctx)
}

// down is the time without a server.
func (r *rig) down(d time.Duration) {
	r.clock.Advance(d)
	r.boot()
}

// ran gives the dates for which jobs of a schedule were started, oldest first.
func (r *rig) ran(name string) string {
	r.t.Helper()
	if err := r.engine.Settle(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	views, _, err := r.engine.List(r.ctx, store.Query{Client: Client(name), Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	out := make([]string, len(views))
	for i, v := range views {
		full, err := r.engine.View(r.ctx, v.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		var h struct {
			At time.Time `json:"at"`
		}
		if err := json.Unmarshal(full.StateHistory, &h); err != nil {
			r.t.Fatal(err)
		}
		out[len(views)-1-i] = h.At.Format("2 15:04")
	}
	return strings.Join(out, ", ")
}

func (r *rig) is(name, want string) {
	r.t.Helper()
	if got := r.ran(name); got != want {
		r.t.Errorf("%s ran for %q, want %q", name, got, want)
	}
}

func daily(t *testing.T, name string, missed Missed) Schedule {
	return Schedule{Name: name, Blueprint: "tick", Timing: must(t)(Daily("13:00", time.UTC)), Missed: missed, Input: json.RawMessage(`{"a": 1}`)}
}

func hourly(t *testing.T, name string, missed Missed) Schedule {
	return Schedule{Name: name, Blueprint: "tick", Timing: must(t)(Every(time.Hour)), Missed: missed}
}

func TestFires(t *testing.T) {
	r := newRig(t, daily(t, "report", ""), hourly(t, "pulse", ""))
	r.is("report", "") // nothing was missed before the server knew of it
	r.pass(50 * time.Hour)
	r.is("report", "23 13:00, 24 13:00, 25 13:00")
	if got := strings.Count(r.ran("pulse"), ",") + 1; got != 50 {
		t.Errorf("%d runs in 50 hours: %s", got, r.ran("pulse"))
	}
	list, err := r.Scheduler.List(r.ctx)
	if err != nil || len(list) != 2 || list[0].Name != "pulse" || list[1].Last == nil || list[1].Last.Status != job.Finished || list[1].Next.String() != "2026-11-26T13:00:00.000Z" ||
		len(list[1].Upcoming) != 5 || list[1].Timing != "daily at 13:00" || list[1].Missed != MissedOnce {
		t.Errorf("%+v %v", list, err)
	}
	v, err := r.engine.View(r.ctx, list[1].Last.JobID)
	if err != nil || string(v.InitialData) != `{"a": 1}` && string(v.InitialData) != `{"a":1}` {
		t.Errorf("%s %v", v.InitialData, err)
	}
}

func TestMissedRuns(t *testing.T) {
	all := hourly(t, "all", MissedAll)
	short := hourly(t, "short", MissedAll)
	short.CatchUp = 2 * time.Hour
	r := newRig(t, hourly(t, "once", ""), hourly(t, "skip", MissedSkip), all, short)
	r.pass(time.Hour)
	r.down(4*time.Hour + 30*time.Minute) // 17:30; 14, 15, 16 and 17 o'clock found nobody
	r.is("once", "23 13:00, 23 17:00")
	r.is("skip", "23 13:00")
	r.is("all", "23 13:00, 23 14:00, 23 15:00, 23 16:00, 23 17:00")
	r.is("short", "23 13:00, 23 16:00, 23 17:00")
	for _, want := range []string{"schedule=once runs=3", "schedule=skip runs=4"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, r.log.String())
		}
	}
	r.pass(time.Hour)
	for _, name := range []string{"once", "skip", "all", "short"} {
		if !strings.HasSuffix(r.ran(name), ", 23 18:00") {
			t.Errorf("%s does not go on: %s", name, r.ran(name))
		}
	}
}

// A restart over the minute is no miss, whatever the policy.
func TestShortPauseIsNoMiss(t *testing.T) {
	r := newRig(t, hourly(t, "skip", MissedSkip))
	r.pass(59*time.Minute + 50*time.Second)
	r.down(30 * time.Second)
	r.is("skip", "23 13:00")
}

func TestOldRunsAreNotMadeUpFor(t *testing.T) {
	r := newRig(t, daily(t, "once", ""), daily(t, "all", MissedAll))
	r.pass(2 * time.Hour)
	r.down(10*24*time.Hour - time.Hour) // the 3rd, 13:00: today's is not missed
	r.is("all", "23 13:00, 3 13:00")
	r.down(30 * time.Hour) // the 4th, 19:00
	r.is("once", "23 13:00, 3 13:00, 4 13:00")
	r.down(47 * time.Hour) // the 6th, 18:00: the 5th is older than a day
	r.is("all", "23 13:00, 3 13:00, 4 13:00, 6 13:00")
}

func TestRestartsFireNothingTwice(t *testing.T) {
	r := newRig(t, hourly(t, "pulse", ""), hourly(t, "all", MissedAll))
	for range 20 {
		r.pass(10 * time.Minute)
		r.boot()
		r.boot()
	}
	const want = "23 13:00, 23 14:00, 23 15:00"
	r.is("pulse", want)
	r.is("all", want)
	if strings.Contains(r.log.String(), "level=WARN") {
		t.Error(r.log.String())
	}
}

// The process dies after the job was created and before the fire was noted.
func TestCrashBetweenJobAndNote(t *testing.T) {
	r := newRig(t, hourly(t, "pulse", ""))
	r.clock.Advance(time.Hour)
	r.fail = errors.New("the process is dead")
	r.Fire(r.ctx)
	r.boot()
	r.is("pulse", "23 13:00")
	r.down(time.Minute)
	r.is("pulse", "23 13:00")
}

// Two servers on one store.
func TestTwoServersFireOnce(t *testing.T) {
	r := newRig(t, hourly(t, "pulse", ""))
	other := New(Config{Jobs: r, Keys: r.store, Clock: r.clock, Log: slog.New(slog.DiscardHandler)})
	other.Set(r.list)
	for range 3 {
		r.clock.Advance(time.Hour)
		done := make(chan struct{})
		go func() { other.Fire(r.ctx); close(done) }()
		r.Fire(r.ctx)
		<-done
	}
	r.is("pulse", "23 13:00, 23 14:00, 23 15:00")
}

func TestFailureIsTriedAgain(t *testing.T) {
	s := hourly(t, "broken", "")
	s.Blueprint = "tok"
	r := newRig(t, s)
	r.pass(time.Hour)
	list, err := r.Scheduler.List(r.ctx)
	if err != nil || !strings.Contains(list[0].Error, "there is no blueprint") {
		t.Fatalf("%+v %v", list, err)
	}
	s.Blueprint = "tick"
	r.Set([]Schedule{s}) // the file was mended
	r.pass(2 * time.Minute)
	r.is("broken", "23 13:00")
	if list, err := r.Scheduler.List(r.ctx); err != nil || list[0].Error != "" {
		t.Errorf("the error stays: %+v %v", list, err)
	}
}

func TestChangedPausedAndRemoved(t *testing.T) {
	a, b := hourly(t, "a", ""), hourly(t, "b", "")
	r := newRig(t, a, b)
	r.pass(time.Hour)
	a.Timing = must(t)(Cron("30 * * * *", time.UTC, "")) // a new timing missed nothing before
	b.Paused = true
	r.Set([]Schedule{a, b})
	r.pass(time.Hour)
	r.is("a", "23 13:00, 23 13:30")
	r.is("b", "23 13:00")
	if list, err := r.Scheduler.List(r.ctx); err != nil || list[1].Next != nil || !list[1].Paused {
		t.Errorf("%+v %v", list, err)
	}
	r.Set(nil)
	r.pass(5 * time.Hour)
	r.is("a", "23 13:00, 23 13:30")
}

// Many fires in a short time, and a clock that jumps, as a machine's does after a sleep.
func TestManyMissedAtOnce(t *testing.T) {
	s := Schedule{Name: "second", Blueprint: "tick", Timing: must(t)(Every(time.Second)), Missed: MissedAll}
	r := newRig(t, s)
	r.clock.Advance(time.Hour)
	r.Fire(r.ctx)
	if got := strings.Count(r.ran("second"), ",") + 1; got != AllMost {
		t.Errorf("%d runs", got)
	}
	if want := fmt.Sprintf("runs=%d", 3600-AllMost); !strings.Contains(r.log.String(), want) {
		t.Errorf("the log does not say %s: %s", want, r.log.String())
	}
}

func TestRunSleepsUntilTheNextDate(t *testing.T) {
	r := newRig(t, hourly(t, "pulse", ""))
	ctx, stop := context.WithCancel(r.ctx)
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	for r.ran("pulse") == "" {
		<-r.clock.Armed()
		r.clock.Advance(longestNap)
	}
	stop()
	<-done
	if !strings.HasPrefix(r.ran("pulse"), "23 13:00") {
		t.Error(r.ran("pulse"))
	}
}

// jumping is a clock that somebody has set.
type jumping struct {
	*clock.Fake
	by time.Duration
}

func (c *jumping) Now() time.Time { return c.Fake.Now().Add(c.by) }

// A clock that is set back comes by dates again that have fired; one that is set ahead passes
// several at once. Each fires once, as its policy says.
func TestAClockThatJumps(t *testing.T) {
	r := newRig(t, hourly(t, "pulse", ""), hourly(t, "all", MissedAll))
	c := &jumping{Fake: r.clock}
	r.Scheduler = New(Config{Jobs: r, Keys: r.store, Clock: c, Log: slog.New(slog.NewTextHandler(&r.log, nil))})
	r.Set(r.list)
	r.pass(2*time.Hour + time.Minute)
	r.is("pulse", "23 13:00, 23 14:00")
	c.by = -90 * time.Minute // 12:31
	r.pass(2 * time.Hour)    // 14:31
	r.is("pulse", "23 13:00, 23 14:00")
	r.is("all", "23 13:00, 23 14:00")
	c.by = 3 * time.Hour // 19:01
	r.pass(time.Minute)
	r.is("all", "23 13:00, 23 14:00, 23 15:00, 23 16:00, 23 17:00, 23 18:00, 23 19:00")
	r.is("pulse", "23 13:00, 23 14:00, 23 19:00")
}
