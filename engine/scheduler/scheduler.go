package scheduler

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"orrery/engine"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file fires schedules, and finds out what was missed.

// Missed says what happens to fires that found no server.
type Missed string

// The policies.
const (
	MissedOnce Missed = "once" // the newest one is made up for
	MissedSkip Missed = "skip"
	MissedAll  Missed = "all" // each is, oldest first, at most AllMost of them
)

const (
	// AllMost is the number of missed fires that MissedAll makes up for.
	AllMost = 100
	// DefaultCatchUp is how old a missed fire may be.
	DefaultCatchUp = 24 * time.Hour
	// MostCatchUp is the longest catch-up time.
	MostCatchUp = 31 * 24 * time.Hour

	punctual    = time.Minute // a fire that is later than so is missed
	claimBeyond = 2 * time.Hour
	retryFirst  = time.Second
	retryLast   = time.Minute
	longestNap  = time.Minute // clocks are set anew sometimes
	standbyNap  = time.Second // between looks whether another node's work has become this one's
)

// Schedule is one entry.
type Schedule struct {
	Name            string
	Blueprint       string
	Timing          Timing
	Input           json.RawMessage // an object
	DispatchTimeout float64         // seconds, 0 unset
	ResultTimeout   float64         // seconds, 0 unset
	Missed          Missed          // "" is MissedOnce
	CatchUp         time.Duration   // 0 is DefaultCatchUp
	Paused          bool
}

// Jobs is what is asked of the engine; *engine.Engine implements it.
type Jobs interface {
	SubmitOnce(ctx context.Context, r engine.Request, cause string, at time.Time) (id string, repeated bool, err error)
	List(ctx context.Context, q store.Query) (jobs []*engine.View, next string, err error)
}

// Config is what a scheduler is made of.
type Config struct {
	Jobs  Jobs
	Keys  store.Keys
	Clock clock.Clock
	Log   *slog.Logger
	Leads func() bool // whether to fire is this node's work now; nil: it always is
}

// Work is the work of firing schedules, as engine.Nodes.Leads knows it.
const Work = "schedules"

// Scheduler fires. Make it with New; its methods may be called from any goroutine.
type Scheduler struct {
	cfg  Config
	wake chan struct{}

	mu      sync.Mutex
	entries map[string]*entry
}

// entry is a schedule at work.
type entry struct {
	Schedule
	handled time.Time // every fire up to then is dealt with; zero: not looked at yet
	retry   time.Time // a fire failed, and is tried again then
	pause   time.Duration
	failed  string // the last error, until a fire succeeds
}

// New makes a scheduler without schedules.
func New(cfg Config) *Scheduler {
	return &Scheduler{cfg: cfg, wake: make(chan struct{}, 1), entries: map[string]*entry{}}
}

// Set replaces all schedules. One whose timing did not change goes on where it was.
func (s *Scheduler) Set(list []Schedule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.entries
	s.entries = map[string]*entry{}
	for _, one := range list {
		one.Missed, one.CatchUp = cmp.Or(one.Missed, MissedOnce), cmp.Or(one.CatchUp, DefaultCatchUp)
		e := &entry{Schedule: one}
		if old := before[one.Name]; old != nil && old.key() == e.key() && old.Paused == one.Paused {
			e.handled, e.failed = old.handled, old.failed
		}
		s.entries[one.Name] = e
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// key names the schedule with its timing: another timing is another schedule, to which
// nothing was due before.
func (s *Schedule) key() string {
	zone := ""
	if s.Timing.zone != nil {
		zone = s.Timing.zone.String()
	}
	sum := sha256.Sum256([]byte(s.Timing.every.String() + "\x00" + s.Timing.cron + "\x00" + zone))
	return s.Name + "/" + hex.EncodeToString(sum[:6])
}

// Client is the name under which a schedule's jobs are created.
func Client(name string) string { return "schedule:" + name }

// Run fires until ctx ends.
func (s *Scheduler) Run(ctx context.Context) {
	for ctx.Err() == nil {
		nap := s.Fire(ctx)
		t := s.cfg.Clock.NewTimer(nap)
		select {
		case <-t.C():
		case <-s.wake:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// Fire does all that is due now, and gives the time until the next date.
func (s *Scheduler) Fire(ctx context.Context) time.Duration {
	if s.cfg.Leads != nil && !s.cfg.Leads() {
		return standbyNap
	}
	s.mu.Lock()
	list := make([]*entry, 0, len(s.entries))
	for _, e := range s.entries {
		list = append(list, e)
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b *entry) int { return cmp.Compare(a.Name, b.Name) })
	nap := longestNap
	for _, e := range list {
		if at, ok := s.tend(ctx, e); ok {
			nap = min(nap, max(at.Sub(s.cfg.Clock.Now()), 0))
		}
	}
	return nap
}

// tend does what is due of one schedule, and gives when it must be looked at again. Only
// Fire's goroutine changes an entry's dates.
func (s *Scheduler) tend(ctx context.Context, e *entry) (again time.Time, ok bool) {
	now := s.cfg.Clock.Now()
	if e.Paused {
		return again, false
	}
	if now.Before(e.retry) {
		return e.retry, true
	}
	due, skipped, err := s.due(ctx, e, now)
	for _, at := range due {
		if err == nil {
			err = s.start(ctx, e, at)
		}
	}
	if ctx.Err() != nil {
		return again, false
	}
	if err != nil {
		return s.failed(e, err), true
	}
	if skipped > 0 {
		s.cfg.Log.Warn("missed runs of a schedule are not made up for", "schedule", e.Name, "runs", skipped, "policy", e.Missed, "catch_up", e.CatchUp)
	}
	s.set(e, func() { e.handled, e.retry, e.pause = now, time.Time{}, 0 })
	return e.Timing.Next(now)
}

// set changes an entry that List may be reading.
func (s *Scheduler) set(_ *entry, change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *Scheduler) failed(e *entry, err error) time.Time {
	s.cfg.Log.Error("a schedule could not start its job; it is tried again", "schedule", e.Name, "blueprint", e.Blueprint, "error", err)
	s.set(e, func() {
		e.pause = min(max(2*e.pause, retryFirst), retryLast)
		e.retry = s.cfg.Clock.Now().Add(e.pause)
		e.failed = err.Error()
	})
	return e.retry
}

// due gives the fires up to now that a job must be started for, and how many are left out.
// What one fire came to is claimed, so after a start the claims tell what was done.
func (s *Scheduler) due(ctx context.Context, e *entry, now time.Time) (due []time.Time, skipped int, err error) {
	from := e.handled
	if from.IsZero() {
		if from, err = s.since(ctx, e, now); err != nil {
			return nil, 0, err
		}
	}
	old := now.Add(-e.CatchUp)
	if from.Before(old) {
		from = old
	}
	keep := 1
	if e.Missed == MissedAll {
		keep = AllMost
	}
	for at, ok := e.Timing.Next(from); ok && !at.After(now); at, ok = e.Timing.Next(at) {
		due = append(due, at)
		if len(due) > keep {
			if err := s.leaveOut(ctx, e, due[0], &skipped); err != nil {
				return nil, 0, err
			}
			due = slices.Delete(due, 0, 1)
		}
	}
	if e.Missed == MissedSkip && len(due) > 0 && now.Sub(due[0]) > punctual {
		err, due = s.leaveOut(ctx, e, due[0], &skipped), nil
	}
	return due, skipped, err
}

// leaveOut counts a fire that is not made up for, unless it was dealt with before a restart.
func (s *Scheduler) leaveOut(ctx context.Context, e *entry, at time.Time, skipped *int) error {
	_, done, err := s.cfg.Keys.Claimed(ctx, fireKey(e.Name, at), s.cfg.Clock.Now())
	if err == nil && !done {
		*skipped++
	}
	return err
}

// since tells from when on a schedule counts: from its first sight by any server.
func (s *Scheduler) since(ctx context.Context, e *entry, now time.Time) (time.Time, error) {
	kept, _, err := s.cfg.Keys.Claim(ctx, "schedule/since/"+e.key(), []byte(now.Format(time.RFC3339)), 0, now)
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, string(kept))
	if err != nil {
		return time.Time{}, fmt.Errorf("what is kept of schedule %s can not be read: %w", e.Name, err)
	}
	return at.UTC(), nil
}

func fireKey(name string, at time.Time) string {
	return "schedule/fired/" + name + "/" + at.UTC().Format(time.RFC3339)
}

// params is what a script finds in context.client.params.
type params struct {
	Schedule string   `json:"schedule"`
	At       job.Time `json:"scheduled_at"`
}

// start creates the job of one fire, once.
func (s *Scheduler) start(ctx context.Context, e *entry, at time.Time) error {
	now := s.cfg.Clock.Now()
	key := fireKey(e.Name, at)
	if _, done, err := s.cfg.Keys.Claimed(ctx, key, now); err != nil || done {
		return err
	}
	p, err := json.Marshal(params{e.Name, job.Time{Time: at}})
	if err != nil {
		return err
	}
	id, repeated, err := s.cfg.Jobs.SubmitOnce(ctx, engine.Request{
		Blueprint: e.Blueprint, InitialData: e.Input, DispatchTimeout: e.DispatchTimeout, ResultTimeout: e.ResultTimeout,
		Client: job.Client{ID: Client(e.Name), Params: p},
	}, key, at)
	if err != nil {
		return err
	}
	if _, _, err := s.cfg.Keys.Claim(ctx, key, []byte(id), e.CatchUp+claimBeyond, now); err != nil {
		return err
	}
	if !repeated {
		s.cfg.Log.Info("a schedule has started a job", "schedule", e.Name, "job", id, "for", job.Time{Time: at}, "late", now.Sub(at).Round(time.Second))
	}
	s.set(e, func() { e.failed = "" })
	return nil
}

// View is a schedule as people see it.
type View struct {
	Name      string        `json:"name"`
	Blueprint string        `json:"blueprint_name"`
	Timing    string        `json:"timing"`
	Zone      string        `json:"time_zone"`
	Missed    Missed        `json:"missed"`
	CatchUp   float64       `json:"catch_up_seconds"`
	Paused    bool          `json:"paused"`
	Next      *engine.Time  `json:"next_run_at"` // null: paused, or none comes
	Upcoming  []engine.Time `json:"upcoming"`    // the next five
	Last      *LastRun      `json:"last_run"`    // null: none is kept
	Error     string        `json:"error,omitempty"`
}

// zoneName tells the zone, also when it is only known as the machine's own.
func zoneName(z *time.Location, now time.Time) string {
	if z == time.Local {
		return now.In(z).Format("Local (MST)")
	}
	return z.String()
}

// LastRun is the newest job of a schedule.
type LastRun struct {
	JobID     string      `json:"job_id"`
	Status    job.Status  `json:"status"`
	CreatedAt engine.Time `json:"created_at"`
}

const upcomingShown = 5

// List gives the schedules in the order of their names.
func (s *Scheduler) List(ctx context.Context) ([]View, error) {
	s.mu.Lock()
	out := make([]View, 0, len(s.entries))
	now := s.cfg.Clock.Now()
	for _, e := range s.entries {
		v := View{Name: e.Name, Blueprint: e.Blueprint, Timing: e.Timing.String(), Zone: zoneName(e.Timing.zone, now), Missed: e.Missed,
			CatchUp: e.CatchUp.Seconds(), Paused: e.Paused, Upcoming: []engine.Time{}, Error: e.failed}
		if !e.Paused {
			for _, at := range e.Timing.Upcoming(now, upcomingShown) {
				v.Upcoming = append(v.Upcoming, engine.Time(at))
			}
		}
		if len(v.Upcoming) > 0 {
			v.Next = &v.Upcoming[0]
		}
		out = append(out, v)
	}
	s.mu.Unlock()
	slices.SortFunc(out, func(a, b View) int { return cmp.Compare(a.Name, b.Name) })
	for i := range out {
		newest, _, err := s.cfg.Jobs.List(ctx, store.Query{Client: Client(out[i].Name), Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(newest) > 0 {
			out[i].Last = &LastRun{newest[0].ID, newest[0].Status, newest[0].CreatedAt}
		}
	}
	return out, nil
}
