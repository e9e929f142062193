package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/job"
	"orrery/engine/store/sqlite"
)

// This file gives a store a past: finished jobs, written as the server would have.

const agers = 256 // goroutines; they fill the store's batches

// age puts n finished jobs into a new store file.
func age(ctx context.Context, path string, n int) (err error) {
	s, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var next atomic.Int64
	var failure atomic.Pointer[error]
	var group sync.WaitGroup
	began := time.Now().Add(-time.Duration(n) * time.Millisecond).UTC().Truncate(time.Millisecond)
	for range agers {
		group.Go(func() {
			for i := next.Add(1); i <= int64(n) && ctx.Err() == nil && failure.Load() == nil; i = next.Add(1) {
				if err := s.Commit(ctx, pastJob(began.Add(time.Duration(i)*time.Millisecond))); err != nil {
					failure.Store(&err)
				}
			}
		})
	}
	group.Wait()
	if f := failure.Load(); f != nil {
		return fmt.Errorf("age the store: %w", *f)
	}
	return ctx.Err()
}

// pastJob is a finished job of the echo shape with its four records.
func pastJob(at time.Time) *job.Change {
	c := &job.Change{InitialData: json.RawMessage(`{"text":"hello","n":1}`), StateHistory: json.RawMessage(`{"text":"hello","n":1}`)}
	c.Job = job.Job{ID: job.NewID(at, job.NewShard()), Version: 1, Blueprint: "bench_past", Revision: "past", State: "finished",
		Status: job.Finished, Step: 2, LastTask: 1, Records: 4, CreatedAt: at, UpdatedAt: at, EndedAt: &at}
	for i, kind := range []job.RecordKind{job.RecCreated, job.RecStep, job.RecTaskEnd, job.RecStep} {
		c.Records = append(c.Records, job.Record{N: int64(i + 1), At: job.Time{Time: at}, Kind: kind, State: "start", Status: job.Finished})
	}
	c.Tasks = []job.Task{{JobID: c.Job.ID, N: 1, State: job.TaskDone, Type: "bench_echo", Params: c.InitialData, Queued: at}}
	return c
}
