// Package yardstick says what `orrery bench` wants to know of the server behind a shared store:
// what it has used, and how many jobs a second it could keep if nothing of Orrery stood before
// it.
//
// Words: a place is a store of its own on a server, such as a schema or a prefix, so that a
// measurement meets no rows of others and leaves none behind. The limit is the load without
// Orrery: the rows of a job, as many commits, as many bytes, batched by the same lines, with no
// question asked before anything is written.
package yardstick

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/job"
	"orrery/engine/store/line"
)

// This file says what a driver gives, and runs its limit.

// Server is the server of a shared store. The drivers' packages have one each.
type Server interface {
	// Kind names it: redis or postgres.
	Kind() string
	// Place gives the STORE_URL of a place that nobody has used yet.
	Place(name string) string
	// Drop removes all that is in a place.
	Drop(ctx context.Context, name string) error
	// Used reads the counters. Only the difference between two readings means something.
	Used(ctx context.Context) (Used, error)
	// Limit makes a place ready for the load without Orrery.
	Limit(ctx context.Context, name string) (Limit, error)
	Close() error
}

// Used is what a server counts of itself, all its users together.
type Used struct {
	Commits    int64         // changes that were written as one
	RoundTrips int64         // requests that came by themselves, pipelined ones counting once
	Bytes      int64         // written to its log or received, see the driver
	Kept       int64         // bytes that its data takes now
	CPU        time.Duration // of its processes
	CPUUnseen  bool          // they are not of this machine, and do not tell: CPU says nothing
}

// Since gives what was used between two readings.
func (u Used) Since(before Used) Used {
	return u.with(before, func(a, b int64) int64 { return a - b })
}

// Plus gives what was used at two times.
func (u Used) Plus(more Used) Used {
	return u.with(more, func(a, b int64) int64 { return a + b })
}

func (u Used) with(other Used, do func(a, b int64) int64) Used {
	return Used{
		Commits: do(u.Commits, other.Commits), RoundTrips: do(u.RoundTrips, other.RoundTrips), Bytes: do(u.Bytes, other.Bytes),
		Kept: do(u.Kept, other.Kept), CPU: time.Duration(do(int64(u.CPU), int64(other.CPU))), CPUUnseen: u.CPUUnseen || other.CPUUnseen,
	}
}

// Step is one commit of a job on the limit. The rows of a job that is created are new, those of
// a later step stand already.
type Step struct {
	ID     string // of the job
	Number int    // of the step, from 0
	Last   bool
	Rows   Rows
}

// Rows are texts as long as those that a job of one small task has.
type Rows struct{ Head, History, Initial, Task, Records []byte }

// rows holds the lengths that were read from the stores after jobs of the shape echo: a job's
// row 420 bytes, its task 350, and the two records of a commit 230 and 480, here the mean.
var rows = Rows{
	Head: filler(420), History: []byte(`1 {"text":"hello","n":1}`), Initial: []byte(`1 {"text":"hello","n":1}`),
	Task: filler(350), Records: filler(355),
}

func filler(n int) []byte { return bytes.Repeat([]byte{'x'}, n) }

// Limit sends the batches of a line; Send is called by several goroutines at once, each with the
// number of its line.
type Limit interface {
	Lines() int // as many as a node has
	Send(lineNumber int, batch []Step) error
	Close() error
}

// maxBatch is the most commits of a batch, as in the drivers.
const maxBatch = 256

// Run lets so many jobs, of so many commits each, go through a limit, atOnce at a time: a job's
// next commit begins when the one before is kept, and what is in line meanwhile goes together.
func Run(ctx context.Context, f Limit, jobs, commits, atOnce int) error {
	closing := make(chan struct{})
	lines := make([]*line.Line[Step], f.Lines())
	for i := range lines {
		lines[i] = line.Start(line.Options[Step]{
			MaxBatch: maxBatch, MaxBatchBytes: 1 << 20, Passing: func(error) bool { return false },
			Send: func(batch []*line.Write[Step]) []error { return send(f, i, batch) },
		}, closing)
	}
	var (
		next    atomic.Int64
		busy    sync.WaitGroup
		mu      sync.Mutex
		failure error
	)
	for range atOnce {
		busy.Go(func() {
			for int(next.Add(1)) <= jobs && ctx.Err() == nil {
				if err := one(ctx, lines, commits); err != nil {
					mu.Lock()
					failure = err
					mu.Unlock()
					next.Store(int64(jobs)) // the others stop, too
				}
			}
		})
	}
	busy.Wait()
	close(closing)
	for _, l := range lines {
		<-l.Gone()
	}
	if failure == nil {
		failure = ctx.Err()
	}
	return failure
}

// one is the life of a job.
func one(ctx context.Context, lines []*line.Line[Step], commits int) error {
	id := job.NewID(time.Now(), byte(rand.IntN(256))) // the shards of all nodes
	l := lines[int(job.ShardOf(id))%len(lines)]
	for n := range commits {
		w := &line.Write[Step]{Kind: line.Change, Job: id, Size: len(rows.Head) + len(rows.Task) + len(rows.Records),
			Data: Step{ID: id, Number: n, Last: n == commits-1, Rows: rows}}
		if err := l.Await(ctx, w, nil); err != nil {
			return fmt.Errorf("commit %d of a job without Orrery: %w", n+1, err)
		}
	}
	return nil
}

func send(f Limit, number int, batch []*line.Write[Step]) []error {
	steps := make([]Step, len(batch))
	for i, w := range batch {
		steps[i] = w.Data
	}
	err := f.Send(number, steps)
	verdicts := make([]error, len(batch))
	for i := range verdicts {
		verdicts[i] = err
	}
	return verdicts
}
