package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file feeds a copy of the history to a database for others (HISTORY_DATABASE_URI). Each
// commit leaves a mark in the outbox; marks are taken in order, the events of their jobs are
// kept at the sink, then the marks go. A crash in between repeats events, which the sink knows
// by their ids. Jobs never wait for the sink: while it is away the marks stay.

// HistorySink keeps events elsewhere.
type HistorySink interface {
	// Last gives the number of the newest record of a job that was kept; 0: none.
	Last(ctx context.Context, jobID string) (int64, error)
	// Keep keeps events in one transaction; those whose ids are kept already change nothing.
	Keep(ctx context.Context, events []HistoryEvent) error
}

const (
	marksTaken   = 512      // marks that one look at the outbox asks for
	marksMost    = 1 << 16  // with so many other messages before them
	eventsKept   = 500      // events that one transaction holds, about
	bytesKept    = 8 << 20  // of events that one transaction holds, about
	copyMemory   = 64 << 20 // bytes of builders that are remembered
	copyPatience = 30 * time.Second
	copyRetry    = time.Second
	copyRest     = time.Minute // the longest wait between tries
)

// markYears puts marks where the deliverers of other messages do not look: they are due a
// thousand years after their commit.
const markYears = 1000

// mark notes in a change that its job has something new for the copy.
func (e *Engine) mark(c *job.Change) {
	if e.cfg.History == nil || len(c.Records) == 0 {
		return
	}
	c.Outbox = append(c.Outbox[:len(c.Outbox):len(c.Outbox)], job.Message{
		ID: fmt.Sprintf("%s/%d/history", c.Job.ID, c.Job.Version), JobID: c.Job.ID, Kind: job.MsgHistory,
		Due: c.Job.UpdatedAt.AddDate(markYears, 0, 0),
	})
}

// copier remembers the builders of jobs that it met lately. One goroutine uses it.
type copier struct {
	builders map[string]*historyBuilder
	bytes    int
}

func (c *copier) take(id string) *historyBuilder {
	b := c.builders[id]
	if b != nil {
		c.bytes -= b.size()
		delete(c.builders, id)
	}
	return b
}

func (c *copier) put(id string, b *historyBuilder) {
	b.progress = nil
	if c.bytes += b.size(); c.bytes > copyMemory || c.builders == nil {
		c.builders, c.bytes = map[string]*historyBuilder{}, b.size() // rebuilt from the records when needed
	}
	c.builders[id] = b
}

// runCopy copies until ctx ends.
func (e *Engine) runCopy(ctx context.Context) {
	wait, failing := copyRetry, false
	for ctx.Err() == nil {
		n, err := e.CopyHistory(ctx)
		nap := e.longest()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				e.cfg.Log.Error("the copy of the history (HISTORY_DATABASE_URI) can not be fed; jobs go on, and nothing of it is lost", "error", err)
			}
			failing, nap = true, wait
			wait = min(2*wait, copyRest)
		case failing:
			e.cfg.Log.Info("the copy of the history is fed again")
			failing, wait = false, copyRetry
			continue
		case n > 0:
			continue
		}
		wake := e.copies
		if failing {
			wake = nil // a commit is no reason to try sooner
		}
		e.nap(ctx, wake, nap)
	}
}

// copyBatch is what the next transaction will hold.
type copyBatch struct {
	events []HistoryEvent
	bytes  int // about
}

func (b *copyBatch) add(events []HistoryEvent, record int) {
	b.events = append(b.events, events...)
	b.bytes += record
	for i := range events {
		b.bytes += len(events[i].Snapshot)
	}
}

func (b *copyBatch) full() bool { return len(b.events) >= eventsKept || b.bytes >= bytesKept }

// CopyHistory takes the oldest marks and gives how many it dealt with; 0: none are left.
func (e *Engine) CopyHistory(ctx context.Context) (int, error) {
	if e.cfg.History == nil {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, copyPatience)
	defer cancel()
	marks, err := e.marks(ctx)
	if err != nil || len(marks) == 0 {
		return 0, err
	}
	byJob, order := map[string][]string{}, []string{}
	for _, m := range marks {
		if byJob[m.JobID] == nil {
			order = append(order, m.JobID)
		}
		byJob[m.JobID] = append(byJob[m.JobID], m.ID)
	}
	var done []string
	var batch copyBatch
	flush := func() error {
		if len(batch.events) > 0 {
			if err := e.cfg.History.Keep(ctx, batch.events); err != nil {
				e.copier = copier{} // what the builders have passed may not be kept
				return err
			}
		}
		if len(done) > 0 {
			if err := e.store.Delivered(ctx, done...); err != nil {
				return err
			}
		}
		batch, done = copyBatch{}, nil
		return nil
	}
	for _, id := range order {
		if err := e.copyJob(ctx, id, &batch, flush); err != nil {
			return 0, err
		}
		if done = append(done, byJob[id]...); batch.full() {
			if err := flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(marks), flush()
}

// marks gives the oldest marks. Messages of other kinds that wait for a date come before them
// in the outbox, so more is asked for when there are many of those.
func (e *Engine) marks(ctx context.Context) ([]job.Message, error) {
	until := e.cfg.Clock.Now().AddDate(2*markYears, 0, 0)
	for limit := marksTaken; ; limit *= 4 {
		all, err := e.messages(ctx, until, limit)
		if err != nil {
			return nil, err
		}
		var marks []job.Message
		for _, m := range all {
			if m.Kind == job.MsgHistory {
				marks = append(marks, m)
			}
		}
		if len(marks) > 0 || len(all) < limit || limit >= marksMost {
			return marks, nil
		}
	}
}

// copyJob adds the events of all records of a job that are not kept yet. The marks of the job
// were read before its records, so a record that comes later has a mark of its own.
func (e *Engine) copyJob(ctx context.Context, id string, kept *copyBatch, flush func() error) error {
	b := e.copier.take(id)
	after := int64(0)
	if b == nil {
		var err error
		if b, err = e.historyBuilder(ctx, id); FaultCode(err) == NotFound {
			return nil // it never came to be, or was removed with all that could be told of it
		} else if err != nil {
			return err
		}
		if after, err = e.cfg.History.Last(ctx, id); err != nil {
			return err
		}
	} else {
		after = b.last
	}
	for {
		batch, err := e.store.Records(ctx, id, b.last, recordsBatch)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		for i := range batch {
			r := &batch[i]
			if r.N > after && r.Task != nil && (r.Kind == job.RecTaskEnd || r.Kind == job.RecTaskFail) {
				if b.progress, err = e.store.Progress(ctx, id); err != nil {
					return err
				}
			}
			more, err := b.add(r)
			if err != nil {
				return err
			}
			if r.N <= after { // kept already; it was read for the state that it leaves
				continue
			}
			if kept.add(more, recordBytes(r)); kept.full() {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if len(batch) == 0 {
			break
		}
	}
	e.copier.put(id, b)
	return nil
}
