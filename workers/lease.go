package workers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds leases: the fence of a hand-out, how long it stands, and how it is lost.

// lease is one hand-out of a task to a worker.
type lease struct {
	id        string // the fence
	worker    *worker
	at        time.Time
	due       *time.Time
	confirmed bool          // the worker showed that it has the task
	cancel    bool          // the worker was asked to stop it
	misses    int           // heartbeats in a row that should have listed it and did not
	unlisted  time.Time     // when the first of them began
	returning chan struct{} // not nil while a result is being written; closed after it
	second    time.Time     // of the progress limit
	reports   int           // progress that came in that second
	flooded   bool          // it was told that progress is dropped
	adopted   time.Time     // when this node took it over as a row of the store; zero: it handed it out itself
	entrusted time.Time     // when another node took it for its worker, until it says that it arrived
	orphan    bool          // an emulated worker of an earlier process had it
}

const fenceAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

// newFence makes the id of a hand-out: "<job id>-<n>-<8 random characters>".
func newFence(k taskKey) string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24 and later)
	for i := range b {
		b[i] = fenceAlphabet[int(b[i])%len(fenceAlphabet)]
	}
	return k.job + "-" + strconv.Itoa(k.n) + "-" + string(b[:])
}

// randomBelow gives a random number of at least 0 and less than n (n up to 65,536).
func randomBelow(n int) int {
	var b [4]byte
	rand.Read(b[:])
	return (int(b[0])<<16 | int(b[1])<<8 | int(b[2])) % n
}

// parseFence gives the task that a fence was made for.
func parseFence(id string) (k taskKey, ok bool) {
	end := strings.LastIndexByte(id, '-')
	if end < 1 || len(id)-end != 9 {
		return k, false
	}
	mid := strings.LastIndexByte(id[:end], '-')
	if mid < 1 {
		return k, false
	}
	n, err := strconv.Atoi(id[mid+1 : end])
	return taskKey{id[:mid], n}, err == nil && n > 0
}

// JobOf gives the job that a task id of this product names.
func JobOf(taskID string) (jobID string, ok bool) {
	k, ok := parseFence(taskID)
	if !ok {
		return "", false
	}
	_, ok = job.ParseID(k.job)
	return k.job, ok
}

// leaseTo takes an entry out of the queue and makes it a lease of the worker.
func (h *Hub) leaseTo(e *entry, w *worker) *lease {
	h.dequeue(e)
	e.handOut++
	e.attempt++
	h.turn++
	w.turn = h.turn
	l := &lease{id: newFence(e.key), worker: w, at: h.clock.Now()}
	h.hold(e, l)
	if !w.emulated && !h.served[e.class.taskType] {
		h.served[e.class.taskType] = true
		h.servedDirty = true
	}
	return l
}

func (h *Hub) hold(e *entry, l *lease) {
	e.lease = l
	l.worker.leases[e] = struct{}{}
	h.leased++
	h.byJob[e.key.job].leased++
	h.reseat(l.worker)
}

// endLease forgets the lease of an entry, if it has one.
func (h *Hub) endLease(e *entry) {
	l := e.lease
	if l == nil {
		return
	}
	e.lease = nil
	delete(l.worker.leases, e)
	h.leased--
	h.byJob[e.key.job].leased--
	if l.returning != nil {
		h.byJob[e.key.job].returning--
	}
	h.reseat(l.worker)
}

// find gives the entry whose present fence is id, or nil.
func (h *Hub) find(id string) *entry {
	k, ok := parseFence(id)
	if !ok {
		return nil
	}
	if e := h.entry(k.job, k.n); e != nil && e.lease != nil && e.lease.id == id {
		return e
	}
	return nil
}

// stamped gives a row with the lease's fields: the store may not have them yet.
func (e *entry) stamped(row job.Task) job.Task {
	l := e.lease
	row.ID, row.State, row.Worker, row.LeasedAt, row.Due = l.id, job.TaskLeased, l.worker.id, l.at, l.due
	row.HandOut, row.Attempt = int(e.handOut), int(e.attempt)
	return row
}

// errGone: the lease ended while its task was read.
var errGone = errors.New("the lease has ended")

// whole gives the task of a lease with its row, reading it again if memory has not got it.
func (h *Hub) whole(ctx context.Context, e *entry, id string) (job.Task, error) {
	h.mu.Lock()
	row, key := e.task, e.key
	h.mu.Unlock()
	if row == nil {
		var err error
		if row, err = h.desk.Task(ctx, key.job, key.n); err != nil {
			return job.Task{}, fmt.Errorf("read task %d of job %s: %w", key.n, key.job, err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.lease == nil || e.lease.id != id {
		return job.Task{}, errGone
	}
	if e.task == nil && h.entry(key.job, key.n) == e { // for its result
		h.keepRow(e, *row)
	}
	return e.stamped(*row), nil
}

// Recover rebuilds leases from rows that are leased in the store. They end one TTL from now at
// the earliest: their workers may not have found this node yet. Those of emulated workers end at once, as these lived in
// the process that is gone.
func (h *Hub) Recover(leased []job.Task) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range leased {
		t := leased[i]
		if h.entry(t.JobID, t.N) == nil {
			l := h.adopt(&t, false)
			l.adopted = h.clock.Now()
			l.orphan = strings.HasPrefix(t.Worker, emulatedPrefix)
		}
	}
}

// adopt makes a lease of a row that has one already.
func (h *Hub) adopt(t *job.Task, confirmed bool) *lease {
	e := h.add(t)
	w := h.worker(t.Worker)
	l := &lease{id: t.ID, worker: w, at: t.LeasedAt, due: t.Due, confirmed: confirmed}
	h.hold(e, l)
	return l
}

// loss is a lease that a worker lost, to be told to the desk outside the lock.
type loss struct {
	e   *entry
	id  string
	why string
}

// lossesOf collects the leases of a worker, except those whose result is being written.
func lossesOf(w *worker, why string) []loss {
	var out []loss
	for e := range w.leases {
		if e.lease.returning == nil {
			out = append(out, loss{e, e.lease.id, why})
		}
	}
	return out
}

// lose gives leases back to the engine. What can not be written stays a lease and is tried
// again by the next sweep.
func (h *Hub) lose(ctx context.Context, losses []loss) {
	for _, x := range losses {
		t, err := h.whole(ctx, x.e, x.id)
		if errors.Is(err, errGone) {
			continue
		}
		gone := errors.Is(err, store.ErrNotFound)
		if err != nil && !gone {
			h.log.Warn("a lost task could not be read and is looked at again", "task_id", x.id, "error", err)
			continue
		}
		h.mu.Lock()
		if x.e.lease == nil || x.e.lease.id != x.id || x.e.lease.returning != nil {
			h.mu.Unlock()
			continue
		}
		confirmed, asked := x.e.lease.confirmed, x.e.lease.cancel
		h.drop(x.e)
		h.mu.Unlock()
		if gone { // the job was removed: nobody is left to tell
			continue
		}
		h.log.Info("a worker lost a task", "task_id", x.id, "worker", t.Worker, "confirmed", confirmed, "why", x.why)
		err = h.desk.Lost(ctx, t, confirmed, x.why)
		if errors.Is(err, engine.ErrElsewhere) && !h.desk.Mine(t.JobID) { // else its shard is still being taken up
			err = nil
		}
		if err != nil {
			h.log.Warn("a lost task could not be given back and is tried again", "task_id", x.id, "error", err)
			h.mu.Lock()
			if h.entry(t.JobID, t.N) == nil {
				h.adopt(&t, confirmed).cancel = asked
			}
			h.mu.Unlock()
		}
	}
}

// Drop forgets the tasks of shards that are another node's now. Their workers hear nothing of
// it: what they have is theirs still.
func (h *Hub) Drop(lost store.ShardSet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.byJob {
		if lost.Has(job.ShardOf(id)) {
			for _, e := range h.ofJob(id) {
				h.drop(e)
			}
		}
	}
}

// AskCancel tells every worker that has a task of the job to stop. Queued tasks leave the
// queue: nobody is to begin them any more.
func (h *Hub) AskCancel(jobID string) (atWorkers int) {
	h.mu.Lock()
	var stops []stop
	for _, e := range h.ofJob(jobID) {
		if e.lease == nil {
			h.drop(e)
			continue
		}
		atWorkers++
		e.lease.cancel = true
		if e.lease.returning == nil {
			stops = append(stops, h.stopOf(e))
		}
	}
	h.mu.Unlock()
	h.push(stops)
	return atWorkers
}

// AtWorkers counts the tasks of the job that are at workers now. Results that are being
// written count as one, however many: each of them asks whether it is the last, and of two
// that come at once neither must take the other for a worker that is still to answer.
func (h *Hub) AtWorkers(jobID string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.byJob[jobID]
	if of == nil {
		return 0
	}
	return int(of.leased - of.returning + min(1, of.returning))
}

// Cancelled answers a worker that asks whether to stop: yes when it was asked to, and when
// the task is not leased under this id any more.
func (h *Hub) Cancelled(taskID string) bool {
	k, ours := parseFence(taskID)
	opening := ours && !h.desk.Open(k.job) // asked first: when it is open, its leases are known
	h.mu.Lock()
	e := h.find(taskID)
	asked := e != nil && e.lease.cancel
	h.mu.Unlock()
	if e != nil {
		return asked
	}
	return !opening && (!ours || h.desk.Open(k.job)) // it may have gone to another node since
}
