package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/held"
)

// This file holds what is in line and the goroutine that takes it from there.

// write is one thing to be written: one of the fields change, out, note, moved and gone is set,
// or none for a Sync.
type write struct {
	change *plan
	out    *taskRow // a hand-out
	note   *progressRow
	moved  *movedMessage
	gone   []string // ids of messages

	size  int              // bytes of text, about
	done  chan error       // nil: nobody waits; else room for one
	sync  bool             // all that is held goes before it
	spare []*write         // hand-outs that change makes needless; if it is refused they are not
	place held.Place[uuid] // of a hand-out that is held
}

type progressRow struct {
	job        uuid
	task, body []byte
}

type movedMessage struct {
	id   string
	due  int64
	body []byte
}

type writer struct {
	s       *Store
	queue   chan *write
	stopped chan struct{} // closed when it has written all it took
	slot    int16

	conn  *pgx.Conn // nil: none, or the last one broke
	used  time.Time // when conn answered last
	held  held.Line[uuid, *write]
	next  *write   // taken from the line, but not to be in one batch with what was taken before
	again []*write // hand-outs from batches that a full or absent server refused
	told  time.Time
}

// Commit encodes the change, queues it and waits for its batch.
func (s *Store) Commit(ctx context.Context, c *job.Change) error {
	return s.CommitQueued(ctx, c, nil)
}

var _ store.Queuer = (*Store)(nil)

// CommitQueued is Commit; queued, when there is one, hears that the change is in line. Changes
// with values of one blueprint are in one line, whatever their shards are.
func (s *Store) CommitQueued(ctx context.Context, c *job.Change, queued func()) error {
	p, err := planOf(c)
	if err != nil {
		return err
	}
	w := s.writerOf(p.id)
	if p.valued() {
		w = s.writers[uint32(lockKey(c.Job.Blueprint))%uint32(len(s.writers))]
	}
	return s.await(ctx, w, &write{change: p, size: p.size, done: make(chan error, 1)}, queued)
}

// writerOf gives the writer of a job's shard.
func (s *Store) writerOf(id uuid) *writer { return s.writers[int(shardOf(id))%len(s.writers)] }

// HandOut queues the task as given; the server drops it when it is not the next hand-out, be it
// that the task has returned.
func (s *Store) HandOut(t job.Task) {
	id, ok := job.ParseID(t.JobID)
	if !ok || taskCodes[t.State] == 0 {
		return // of no job
	}
	body, err := store.Encode(&t)
	if err != nil {
		s.opts.Log.Warn("hand-out not written", "job", t.JobID, "task", t.N, "error", err)
		return
	}
	s.later(s.writerOf(id), "hand-out", &write{out: &taskRow{id, &t, taskDue(&t), []byte(body)}, size: len(body)})
}

// AddProgress queues an entry; those of its task that are too old go with it.
func (s *Store) AddProgress(jobID string, p store.Progress) {
	id, ok := job.ParseID(jobID)
	if !ok {
		return // of no job
	}
	body, err := store.Encode(&p)
	if err != nil {
		s.opts.Log.Warn("progress not written", "job", jobID, "error", err)
		return
	}
	s.later(s.writerOf(id), "progress", &write{note: &progressRow{id, []byte(p.TaskID), []byte(body)}, size: len(body)})
}

// Sync returns when all that was queued before it is durable, held hand-outs included.
func (s *Store) Sync(ctx context.Context) error {
	waits := make(chan error, len(s.writers))
	for _, w := range s.writers {
		go func() { waits <- s.await(ctx, w, &write{done: make(chan error, 1), sync: true}, nil) }()
	}
	var err error
	for range s.writers {
		err = errors.Join(err, <-waits)
	}
	return err
}

// enqueue puts a write in line, waiting while the line is full.
func (s *Store) enqueue(ctx context.Context, to *writer, w *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return store.ErrClosed
	default:
	}
	select {
	case to.queue <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return store.ErrClosed
	}
}

// await has it written; queued, unless it is nil, is called when the write is in line.
func (s *Store) await(ctx context.Context, to *writer, w *write, queued func()) error {
	if err := s.enqueue(ctx, to, w); err != nil {
		return err
	}
	if queued != nil {
		queued()
	}
	select {
	case err := <-w.done:
		return err
	case <-to.stopped:
	}
	select {
	case err := <-w.done: // it was in the last batch
		return err
	default:
		return store.ErrClosed // it came too late for that
	}
}

// later has something written that nobody waits for.
func (s *Store) later(to *writer, what string, w *write) {
	if err := s.enqueue(context.Background(), to, w); err != nil && !errors.Is(err, store.ErrClosed) {
		s.opts.Log.Warn("not written", "what", what, "error", err)
	}
}

// againAfter is how long hand-outs wait that a full or absent server refused.
const againAfter = time.Second

// run writes batches until the store is closed.
func (w *writer) run() {
	defer close(w.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if first := w.next; first != nil {
			w.next = nil
			w.commit(w.gather(first))
			continue
		}
		if wait, any := w.wait(); any {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case first := <-w.queue:
			w.commit(w.gather(first))
		case <-timer.C:
			w.commit(w.held.Due(w.takeAgain(), false))
		case <-w.s.closing:
			w.finish()
			return
		}
	}
}

// wait gives the time until something must be done without anybody asking.
func (w *writer) wait() (time.Duration, bool) {
	if d, any := w.held.Wait(); any {
		return d, true
	}
	return againAfter, len(w.again) > 0
}

func (w *writer) takeAgain() []*write {
	again := w.again
	w.again = nil
	return again
}

// finish writes what is in line at the end.
func (w *writer) finish() {
	for {
		first := w.next
		if w.next = nil; first == nil {
			select {
			case first = <-w.queue:
			default:
			}
		}
		if first == nil {
			break
		}
		w.commit(w.gather(first))
	}
	w.commit(w.held.Due(w.takeAgain(), true))
}

// gather adds first and what else is in line, and holds hand-outs back; what was held long
// enough goes before them. It never waits: a lone write goes at once. A second change of a job
// begins the next batch.
func (w *writer) gather(first *write) []*write {
	runtime.Gosched() // lets those that the last batch woke get in line
	batch := w.held.Due(w.takeAgain(), false)
	jobs, size := map[uuid]bool{}, 0
	for next := first; ; {
		if next.change != nil {
			if jobs[next.change.id] {
				w.next = next
				return batch
			}
			jobs[next.change.id] = true
		}
		batch = w.take(batch, next)
		size += next.size
		if len(batch) >= w.s.opts.MaxBatch || size >= w.s.opts.MaxBatchBytes {
			return batch
		}
		select {
		case next = <-w.queue:
		default:
			return batch
		}
	}
}

// take adds a write that comes from the line.
func (w *writer) take(batch []*write, next *write) []*write {
	switch {
	case next.out != nil:
		w.held.Add(next.out.job, next)
		return batch
	case next.sync:
		batch = w.held.Due(batch, true)
	case next.change != nil:
		batch = w.before(batch, next)
	}
	return append(batch, next)
}

// settle tells everybody what became of a batch.
func (w *writer) settle(batch []*write, verdicts []error) {
	for i, b := range batch {
		err := verdicts[i]
		for _, out := range b.spare { // what the change would have said is not written
			if err != nil {
				w.again = append(w.again, out)
			}
		}
		switch {
		case b.done != nil:
			b.done <- err
		case b.out != nil && passing(err):
			w.again = append(w.again, b)
		case err != nil:
			w.s.opts.Log.Warn("not written", "store", w.s.name, "what", b.what(), "error", err)
		}
	}
}

// what names a write that nobody waits for.
func (b *write) what() string {
	switch {
	case b.out != nil:
		return fmt.Sprintf("hand-out of task %d of job %s", b.out.t.N, b.out.t.JobID)
	case b.note != nil:
		return "progress of task " + string(b.note.task)
	}
	return "write"
}
