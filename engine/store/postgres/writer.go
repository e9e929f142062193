package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/line"
)

// This file says what is written, and puts it in line for the writer that has its shard.

// write is one thing to be written.
type write = line.Write[item]

// item is what is sent: one of its fields is set, or none for a Sync.
type item struct {
	change *plan
	out    *taskRow // a hand-out
	note   *progressRow
	moved  *movedMessage
	gone   []string // ids of messages
}

type progressRow struct {
	job        uuid
	task, body []byte
}

type movedMessage struct {
	m    *job.Message
	job  uuid // whose shard its fence is of
	due  int64
	body []byte
}

// writer sends what one line gives it.
type writer struct {
	*line.Line[item]
	s    *Store
	slot int16
	conn *pgx.Conn // nil: none, or the last one broke
	used time.Time // when conn answered last
}

// startWriters starts the goroutines that write.
func (s *Store) startWriters() {
	for range s.opts.Writers {
		w := &writer{s: s, slot: int16(rand.IntN(numberSlots))}
		w.Line = line.Start(line.Options[item]{
			Store: s.name, Log: s.opts.Log, MaxBatch: s.opts.MaxBatch, MaxBatchBytes: s.opts.MaxBatchBytes,
			OneChange: true, Send: w.verdicts, Passing: passing,
		}, s.closing)
		s.writers = append(s.writers, w)
	}
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
	return w.Await(ctx, &write{Data: item{change: p}, Kind: line.Change, What: "change", Job: c.Job.ID, Tasks: c.Tasks, Size: p.size}, queued)
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
	s.writerOf(id).Later(&write{
		Data: item{out: &taskRow{id, &t, taskDue(&t), []byte(body)}},
		Kind: line.HandOut, What: "hand-out", Job: t.JobID, Task: t.N, Size: len(body),
	})
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
	s.writerOf(id).Later(&write{Data: item{note: &progressRow{id, []byte(p.TaskID), []byte(body)}}, What: "progress", Job: jobID, Size: len(body)})
}

// Sync returns when all that was queued before it is durable, held hand-outs included.
func (s *Store) Sync(ctx context.Context) error {
	lines := make([]*line.Line[item], len(s.writers))
	for i, w := range s.writers {
		lines[i] = w.Line
	}
	return line.All(ctx, lines)
}
