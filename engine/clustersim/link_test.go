package clustersim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is a node's connection to the store: it delays calls, fails them before or after
// they were done, is cut, and ends with its node.

// errLink is what a call fails with. The caller can not know what was done.
var errLink = errors.New("the store can not be reached")

// weather says how often things go wrong; all shares are of 1.
type weather struct {
	before, after float64       // calls of the store that fail, not done or done
	full          float64       // commits that find the disk full
	slow          float64       // calls that take time
	longest       time.Duration // that they take
	lost, doubled float64       // requests and answers on the network
	crash         time.Duration // between two blows, on average
}

func randomWeather(r *rand.Rand) weather {
	w := weather{crash: time.Duration(5+r.IntN(40)) * time.Second, longest: 20 * time.Millisecond}
	pick := func(shares ...float64) float64 { return shares[r.IntN(len(shares))] }
	w.before, w.after = pick(0, 0.005, 0.03), pick(0, 0.005, 0.03)
	w.full = pick(0, 0, 0.01)
	w.slow = pick(0, 0.1, 0.5)
	if r.IntN(4) == 0 {
		w.longest = 3 * time.Second
	}
	w.lost, w.doubled = pick(0, 0.02, 0.1), pick(0, 0.02, 0.1)
	return w
}

// link is one node's way to the store, until the node ends.
type link struct {
	store.Store
	w     *world
	owner *node

	mu     sync.Mutex
	r      *rand.Rand
	calls  int
	fatal  int  // the call at which the node dies; 0 none
	done   bool // it dies after that call was done
	cut    bool
	paused chan struct{} // not nil: the process is stopped; closed when it goes on
	ended  bool
	handed []job.Task // noted, and not written yet
}

var _ store.Store = (*link)(nil)

func newLink(w *world, owner *node, below store.Store) *link {
	return &link{Store: below, w: w, owner: owner, r: w.random("link", owner.name, owner.starts)}
}

// end breaks the link for good; what was only noted is lost.
func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.handed = true, nil
	l.goOn()
}

// goOn ends a pause; the caller holds the lock.
func (l *link) goOn() {
	if l.paused != nil {
		close(l.paused)
		l.paused = nil
	}
}

// setPaused stops the process at its next call, or lets it go on.
func (l *link) setPaused(paused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.goOn(); paused && !l.ended {
		l.paused = make(chan struct{})
	}
}

func (l *link) isPaused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused != nil
}

// halt waits while the process is stopped.
func (l *link) halt() {
	for {
		l.mu.Lock()
		paused := l.paused
		l.mu.Unlock()
		if paused == nil {
			return
		}
		<-paused
	}
}

// setCut breaks the link, or mends it.
func (l *link) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// dieAt plans the death of the node at the n-th call from now.
func (l *link) dieAt(n int, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fatal, l.done = l.calls+n, done
}

// lot is what is drawn for one call.
type lot struct {
	wait          time.Duration
	before, after error
	dies, done    bool
}

func (l *link) draw(method string) (x lot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	x.dies, x.done = l.calls == l.fatal, l.done
	if l.w.isCalm() {
		return x
	}
	f := l.w.weather
	a, b, c, d, e := l.r.Float64(), l.r.Float64(), l.r.Float64(), l.r.Float64(), l.r.Float64()
	if a < f.slow {
		x.wait = time.Duration(b*float64(f.longest)) + 1
	}
	if c < f.before {
		x.before = fmt.Errorf("%s, not done: %w", method, errLink)
	}
	if d < f.after {
		x.after = fmt.Errorf("%s, done: %w", method, errLink)
	}
	if method == "Commit" && e < f.full {
		x.before = store.ErrFull
	}
	return x
}

func (l *link) broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut || l.ended
}

// through makes one call with what is drawn for it.
func (l *link) through(method string, do func() error) error {
	x := l.draw(method)
	l.w.wait(x.wait)
	l.halt()
	switch {
	case l.broken():
		return fmt.Errorf("%s: %w", method, errLink)
	case x.before != nil:
		return x.before
	case x.dies && !x.done:
		l.owner.die("at " + method)
		return fmt.Errorf("%s: %w", method, errLink)
	}
	err := do()
	l.halt() // the answer is read when the process goes on
	if x.dies {
		l.owner.die("after " + method)
		return fmt.Errorf("%s: %w", method, errLink)
	}
	if err == nil && x.after != nil {
		return x.after
	}
	return err
}

// Commit passes on store.Committer's method. Hand-outs are written before it.
func (l *link) Commit(ctx context.Context, c *job.Change) error {
	return l.through("Commit", func() error {
		l.write()
		return l.Store.Commit(ctx, c)
	})
}

// HandOut keeps the hand-out for a moment, as a driver with batches does.
func (l *link) HandOut(t job.Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if l.handed = append(l.handed, t); len(l.handed) == 1 {
		time.AfterFunc(time.Duration(l.r.IntN(int(50*time.Millisecond))), func() {
			l.halt()
			if !l.broken() {
				l.write()
			}
		})
	}
}

// write brings the hand-outs to the store.
func (l *link) write() {
	l.mu.Lock()
	handed := l.handed
	l.handed = nil
	l.mu.Unlock()
	for _, t := range handed {
		l.Store.HandOut(t)
	}
}

// AddProgress passes on store.Committer's method; nobody can be told of a fault.
func (l *link) AddProgress(id string, p store.Progress) {
	if !l.broken() && !l.isPaused() {
		l.Store.AddProgress(id, p)
	}
}

// Sync passes on store.Committer's method.
func (l *link) Sync(ctx context.Context) error {
	return l.through("Sync", func() error { l.write(); return l.Store.Sync(ctx) })
}

// Load passes on store.Jobs' method.
func (l *link) Load(ctx context.Context, id string) (j *job.Job, d store.Data, err error) {
	err = l.through("Load", func() (err error) { j, d, err = l.Store.Load(ctx, id); return err })
	return j, d, err
}

// Job passes on store.Jobs' method.
func (l *link) Job(ctx context.Context, id string) (j *job.Job, err error) {
	err = l.through("Job", func() (err error) { j, err = l.Store.Job(ctx, id); return err })
	return j, err
}

// Rows passes on store.Jobs' method.
func (l *link) Rows(ctx context.Context, ids []string) (js []job.Job, err error) {
	err = l.through("Rows", func() (err error) { js, err = l.Store.Rows(ctx, ids); return err })
	return js, err
}

// Task passes on store.Tasks' method.
func (l *link) Task(ctx context.Context, id string, n int) (t *job.Task, err error) {
	err = l.through("Task", func() (err error) { t, err = l.Store.Task(ctx, id, n); return err })
	return t, err
}

// OpenTasks passes on store.Tasks' method.
func (l *link) OpenTasks(ctx context.Context, id string, after, limit int) (open []job.Task, more bool, err error) {
	err = l.through("OpenTasks", func() (err error) { open, more, err = l.Store.OpenTasks(ctx, id, after, limit); return err })
	return open, more, err
}

// ScanTasks passes on store.Tasks' method.
func (l *link) ScanTasks(ctx context.Context, s job.TaskState, fn func(job.Task) bool) error {
	return l.through("ScanTasks", func() error { return l.Store.ScanTasks(ctx, s, fn) })
}

// Records passes on store.Jobs' method.
func (l *link) Records(ctx context.Context, id string, after int64, limit int) (r []job.Record, err error) {
	err = l.through("Records", func() (err error) { r, err = l.Store.Records(ctx, id, after, limit); return err })
	return r, err
}

// Results passes on store.Jobs' method.
func (l *link) Results(ctx context.Context, id string, group int64, after string, limit int) (r []job.Result, more bool, err error) {
	err = l.through("Results", func() (err error) { r, more, err = l.Store.Results(ctx, id, group, after, limit); return err })
	return r, more, err
}

// Ready passes on store.Wakes' method.
func (l *link) Ready(ctx context.Context, after string, limit int) (ids []string, err error) {
	err = l.through("Ready", func() (err error) { ids, err = l.Store.Ready(ctx, after, limit); return err })
	return ids, err
}

// Due passes on store.Wakes' method.
func (l *link) Due(ctx context.Context, now time.Time, limit int) (due []store.Wake, err error) {
	err = l.through("Due", func() (err error) { due, err = l.Store.Due(ctx, now, limit); return err })
	return due, err
}

// NextDue passes on store.Wakes' method.
func (l *link) NextDue(ctx context.Context) (at time.Time, ok bool, err error) {
	err = l.through("NextDue", func() (err error) { at, ok, err = l.Store.NextDue(ctx); return err })
	return at, ok, err
}

// Messages passes on store.Outbox' method.
func (l *link) Messages(ctx context.Context, now time.Time, limit int) (m []job.Message, err error) {
	err = l.through("Messages", func() (err error) { m, err = l.Store.Messages(ctx, now, limit); return err })
	return m, err
}

// MessagesOf passes on store.Outbox' method.
func (l *link) MessagesOf(ctx context.Context, id string) (m []job.Message, err error) {
	err = l.through("MessagesOf", func() (err error) { m, err = l.Store.MessagesOf(ctx, id); return err })
	return m, err
}

// Delivered passes on store.Outbox' method.
func (l *link) Delivered(ctx context.Context, ids ...string) error {
	return l.through("Delivered", func() error { return l.Store.Delivered(ctx, ids...) })
}

// Postpone passes on store.Outbox' method.
func (l *link) Postpone(ctx context.Context, m job.Message) error {
	return l.through("Postpone", func() error { return l.Store.Postpone(ctx, m) })
}

// Value passes on store.Values' method.
func (l *link) Value(ctx context.Context, bp, name, key string) (v json.RawMessage, version int64, err error) {
	err = l.through("Value", func() (err error) { v, version, err = l.Store.Value(ctx, bp, name, key); return err })
	return v, version, err
}

// Claim passes on store.Keys' method.
func (l *link) Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) (stands []byte, claimed bool, err error) {
	err = l.through("Claim", func() (err error) { stands, claimed, err = l.Store.Claim(ctx, key, value, ttl, now); return err })
	return stands, claimed, err
}

// Count passes on store.Counters' method.
func (l *link) Count(ctx context.Context, key string, by, most int64, until, now time.Time) (stands int64, taken bool, err error) {
	err = l.through("Count", func() (err error) { stands, taken, err = l.Store.Count(ctx, key, by, most, until, now); return err })
	return stands, taken, err
}

// PutWorker passes on store.Workers' method. The hub holds a lock meanwhile: it takes no time.
func (l *link) PutWorker(ctx context.Context, id string, body json.RawMessage, seen time.Time) error {
	return l.atOnce("PutWorker", func() error { return l.Store.PutWorker(ctx, id, body, seen) })
}

// DeleteWorker passes on store.Workers' method.
func (l *link) DeleteWorker(ctx context.Context, id string) error {
	return l.atOnce("DeleteWorker", func() error { return l.Store.DeleteWorker(ctx, id) })
}

// PutRevision passes on store.Blueprints' method. The catalog holds a lock meanwhile.
func (l *link) PutRevision(ctx context.Context, r store.Revision) error {
	return l.atOnce("PutRevision", func() error { return l.Store.PutRevision(ctx, r) })
}

// Revision passes on store.Blueprints' method.
func (l *link) Revision(ctx context.Context, hash string) (r *store.Revision, err error) {
	err = l.atOnce("Revision", func() (err error) { r, err = l.Store.Revision(ctx, hash); return err })
	return r, err
}

// atOnce makes one call that is not delayed.
func (l *link) atOnce(method string, do func() error) error {
	x := l.draw(method)
	switch {
	case l.broken(), l.isPaused():
		return fmt.Errorf("%s: %w", method, errLink)
	case x.before != nil:
		return x.before
	}
	if err := do(); err != nil {
		return err
	}
	return x.after
}
