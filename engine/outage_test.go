package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests an engine whose shared store is away: what is refused costs nothing that
// stays, and all is as before when the store is back.

// farStore is a store that can be away. What is sent to it then fails at once, as with a server
// that is not there; lossy, it is done before it fails.
type farStore struct {
	store.Store
	away, lossy atomic.Bool
	commits     atomic.Int64 // that came while it was away
}

func newFarStore() *farStore { return &farStore{Store: memory.New()} }

// goneError is what a store says that can not be reached.
type goneError struct{}

func (goneError) Error() string     { return "connection refused" }
func (goneError) Unavailable() bool { return true }

var errGone = goneError{}

func (s *farStore) read() error {
	if s.away.Load() {
		return errGone
	}
	return nil
}

func (s *farStore) Commit(ctx context.Context, c *job.Change) error {
	if !s.away.Load() {
		return s.Store.Commit(ctx, c)
	}
	s.commits.Add(1)
	if s.lossy.Load() {
		return errors.Join(errGone, s.Store.Commit(ctx, c))
	}
	return errGone
}

func (s *farStore) Job(ctx context.Context, id string) (*job.Job, error) {
	if err := s.read(); err != nil {
		return nil, err
	}
	return s.Store.Job(ctx, id)
}

func (s *farStore) Load(ctx context.Context, id string) (*job.Job, store.Data, error) {
	if err := s.read(); err != nil {
		return nil, store.Data{}, err
	}
	return s.Store.Load(ctx, id)
}

func (s *farStore) Records(ctx context.Context, id string, after int64, limit int) ([]job.Record, error) {
	if err := s.read(); err != nil {
		return nil, err
	}
	return s.Store.Records(ctx, id, after, limit)
}

func (s *farStore) Task(ctx context.Context, id string, n int) (*job.Task, error) {
	if err := s.read(); err != nil {
		return nil, err
	}
	return s.Store.Task(ctx, id, n)
}

func (s *farStore) Ready(ctx context.Context, after string, limit int) ([]string, error) {
	if err := s.read(); err != nil {
		return nil, err
	}
	return s.Store.Ready(ctx, after, limit)
}

// newFarRig is a rig on a store that can be away.
func newFarRig(t *testing.T) (*rig, *farStore) {
	far := newFarStore()
	r := newRig(t, func(c *Config) { c.Store = far })
	return r, far
}

// ask asks for a job with large data.
func (r *rig) ask(blueprint string) (string, error) {
	id, _, err := r.Submit(r.ctx, Request{Blueprint: blueprint, InitialData: largeData})
	return id, err
}

var largeData = json.RawMessage(`{"text": "` + strings.Repeat("x", 900<<10) + `"}`)

// burden tells what is kept for jobs in doubt, and for steps that are tried again.
func (r *rig) burden() (open, bytes, stuck int) {
	r.doubts.mu.Lock()
	defer r.doubts.mu.Unlock()
	return len(r.doubts.open), r.doubts.bytes, int(r.stuck.n.Load())
}

// isCalm holds that nothing is left of an outage.
func (r *rig) isCalm() {
	r.t.Helper()
	if open, bytes, stuck := r.burden(); open+bytes+stuck != 0 || r.outage.on.Load() {
		r.t.Errorf("afterwards %d jobs are in doubt (%d bytes), %d steps are stuck, the store counts as away: %v", open, bytes, stuck, r.outage.on.Load())
	}
	for shard, n := range r.doubts.shards {
		if n != 0 {
			r.t.Errorf("shard %d counts %d jobs in doubt", shard, n)
		}
	}
}

func TestStartsWhileTheStoreIsAway(t *testing.T) {
	for _, lossy := range []bool{false, true} {
		t.Run(fmt.Sprintf("done all the same: %v", lossy), func(t *testing.T) {
			r, far := newFarRig(t)
			first := r.submit("straight", `{}`)
			far.lossy.Store(lossy)
			far.away.Store(true)
			const starts, within = 3000, 30 * time.Second
			for range starts {
				if _, err := r.ask("work"); !isAway(err) {
					t.Fatalf("a start gives %v", err)
				}
				r.clock.Advance(within / starts)
			}
			r.settleAway()
			probes := int64(within / probeEvery)
			if n := far.commits.Load(); n < probes/2 || n > probes+1 {
				t.Errorf("%d of %d starts in %s reached for the store, want one in %s", n, starts, within, probeEvery)
			}
			open, bytes, stuck := r.burden()
			if open == 0 || open > int(probes)+1 || bytes > open*2*doubtBytes || stuck > 1 { // first's step is stuck
				t.Errorf("%d jobs are in doubt, %d bytes are kept for them, %d steps are stuck", open, bytes, stuck)
			}
			far.away.Store(false)
			r.clock.Advance(retryStore)
			r.settle()
			if _, err := r.ask("work"); err != nil {
				t.Errorf("once the store is back, a start gives %v", err)
			}
			if err := r.mend(); err != nil {
				t.Fatal(err)
			}
			r.isCalm()
			r.is(first, job.Finished, "finished")
			want := 1
			if lossy {
				want += open
			}
			if queued, _ := r.line.size(); queued != want {
				t.Errorf("%d tasks are queued, want those of all %d jobs that are in the store", queued, want)
			}
		})
	}
}

// settleAway settles while the store is away.
func (r *rig) settleAway() {
	r.t.Helper()
	if err := r.Settle(r.ctx); err != nil && !isAway(err) {
		r.t.Fatal(err)
	}
}

// A start alone finds out that the store is back, though nothing else happens.
func TestAStartFindsTheStoreAgain(t *testing.T) {
	r, far := newFarRig(t)
	r.submit("straight", `{}`)
	far.away.Store(true)
	for range 2 {
		if _, err := r.ask("work"); !isAway(err) {
			t.Fatal(err)
		}
	}
	far.away.Store(false)
	if _, err := r.ask("work"); !isAway(err) {
		t.Errorf("a start right after a refusal gives %v", err)
	}
	r.clock.Advance(probeEvery)
	for range 2 {
		if _, err := r.ask("work"); err != nil {
			t.Errorf("%s later a start gives %v", probeEvery, err)
		}
	}
	r.settle()
	r.isCalm()
}

// With an engine that runs, nobody has to ask: it looks by itself.
func TestARunningEngineSettlesWhatIsInDoubt(t *testing.T) {
	r, far := newFarRig(t)
	r.run()
	r.submit("straight", `{}`)
	far.lossy.Store(true)
	far.away.Store(true)
	var starts sync.WaitGroup
	for range 50 { // at once: all are on their way before the first has failed
		starts.Go(func() {
			if _, err := r.ask("work"); !isAway(err) {
				t.Errorf("a start gives %v", err)
			}
		})
	}
	starts.Wait()
	far.away.Store(false)
	for open, _, stuck := r.burden(); open+stuck > 0; open, _, stuck = r.burden() {
		r.clock.Advance(retryStore)
		select {
		case <-r.clock.Armed():
		case <-time.After(time.Millisecond): // what comes next has begun to wait before
		case <-r.ctx.Done():
			t.Fatalf("%d jobs stay in doubt, %d steps stuck", open, stuck)
		}
	}
	r.isCalm()
	if _, err := r.ask("work"); err != nil {
		t.Error(err)
	}
}

// Changes of jobs that are there are kept whole, so their bytes are bounded too; whoever comes
// after that is refused before anything is sent, and heard later.
func TestResultsWhileTheStoreIsAwayAreBounded(t *testing.T) {
	r, far := newFarRig(t)
	const jobs, size, most = 100, 40 << 10, 2 << 20
	r.doubts.most = most
	tasks := make([]job.Task, jobs)
	for i := range tasks {
		r.begin("work", `{}`)
		tasks[i] = r.take()
	}
	result := success(`{"text": "` + strings.Repeat("x", size) + `"}`)
	far.lossy.Store(true)
	far.away.Store(true)
	for _, task := range tasks {
		result.Worker = task.Worker
		if _, err := r.Returned(r.ctx, task, result); !isAway(err) {
			t.Fatalf("a result gives %v", err)
		}
	}
	open, bytes, _ := r.burden()
	if bytes < most/2 || bytes > most+4*size || int64(open) != far.commits.Load() {
		t.Errorf("%d jobs are in doubt with %d bytes after %d commits; the limit is %d", open, bytes, far.commits.Load(), most)
	}
	far.away.Store(false)
	if err := r.mend(); err != nil {
		t.Fatal(err)
	}
	r.isCalm()
	for _, task := range tasks { // each worker sends again
		result.Worker, result.Again = task.Worker, true
		if got, err := r.Returned(r.ctx, task, result); err != nil || !got.Accepted {
			t.Fatalf("a repeated result gives %+v, %v", got, err)
		}
		r.line.gone(task)
	}
	r.settle()
	for _, task := range tasks {
		r.is(task.JobID, job.Finished, "finished")
	}
	if n := len(r.doubts.echoes); n != open {
		t.Errorf("%d jobs are remembered, %d were in doubt", n, open)
	}
	r.clock.Advance(doubtEcho)
	if r.doubts.fade(r.clock.Now()); len(r.doubts.echoes) != 0 {
		t.Errorf("%s later %d jobs are still remembered", doubtEcho, len(r.doubts.echoes))
	}
}

// A start that was refused before it was sent costs no attempt; one that failed on its way may.
func TestOnlyWhatWasSentMayBeDone(t *testing.T) {
	if isOpen(fmt.Errorf("commit: %w", &errAway{"full"})) {
		t.Error("a change that was not sent counts as one that may be done")
	}
	if !isOpen(fmt.Errorf("commit: %w", errGone)) {
		t.Error("a change that was on its way counts as not done")
	}
}

// With the list full, only shards that have something in doubt take no more.
func TestAFullListOfDoubtsRefusesOnlyItsShards(t *testing.T) {
	d := newDoubts()
	add := func(shard byte) string {
		id := job.NewID(noon, shard)
		d.add(&job.Change{Job: job.Job{ID: id}})
		return id
	}
	var ids []string
	for range mostDoubts {
		if err := d.room(job.NewID(noon, 7), false); err != nil {
			t.Fatalf("with %d in doubt: %v", len(ids), err)
		}
		ids = append(ids, add(7))
	}
	if err := d.room(job.NewID(noon, 7), false); !isAway(err) {
		t.Errorf("a full list gives %v", err)
	}
	if err := d.room(job.NewID(noon, 8), false); err != nil {
		t.Errorf("a shard without doubts is refused: %v", err)
	}
	if err := d.room(job.NewID(noon, 8), true); !isAway(err) {
		t.Errorf("with all of the store away, another shard gives %v", err)
	}
	d.end(ids[0], noon)
	d.end(ids[0], noon) // harmless
	if err := d.room(job.NewID(noon, 7), false); err != nil {
		t.Errorf("with one less: %v", err)
	}
}

// While one part of the store is away, doubts about the others are settled.
func TestARoundGoesOnWhereTheLastEnded(t *testing.T) {
	d := newDoubts()
	for shard := range byte(5) {
		d.add(&job.Change{Job: job.Job{ID: job.NewID(noon, shard)}})
	}
	all := d.round()
	d.looked(all[2], errGone)
	if got := d.round(); len(got) != 5 || got[0] != all[3] || got[4] != all[2] {
		t.Errorf("the next round is %v, the last began %v", got, all)
	}
}

// A link is not called bad because nobody could look.
func TestALinkWhileTheStoreIsAway(t *testing.T) {
	r, far := newFarRig(t)
	id := r.begin("ask", `{}`)
	token := r.ApprovalToken(id, r.job(id).Wait.Step)
	far.away.Store(true)
	for what, err := range map[string]error{
		"the look":             r.CheckToken(r.ctx, id, token),
		"a foreign one's look": r.CheckToken(r.ctx, id, "foreign"),
		"the decision":         r.DecideByToken(r.ctx, id, "yes", token),
	} {
		if !isAway(err) || FaultCode(err) != "" {
			t.Errorf("%s gives %v with the code %q", what, err, FaultCode(err))
		}
	}
	far.away.Store(false)
	refused(t, r.CheckToken(r.ctx, job.NewID(noon, 1), token), BadToken)
	if err := r.CheckToken(r.ctx, id, token); err != nil {
		t.Errorf("afterwards the link gives %v", err)
	}
}
