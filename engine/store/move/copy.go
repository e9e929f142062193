package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file copies.

// Options tune a move.
type Options struct {
	Now      time.Time                     // when it begins
	From     string                        // what the note in the target calls the source; no secrets
	Progress func(sums *Sums, stage Stage) // called after every piece, from one goroutine; nil: nobody looks
}

// Stage says what a move is at.
type Stage string

// The stages.
const (
	Copying   Stage = "copying"
	Verifying Stage = "verifying"
)

// A piece holds so many rows or so much text, whichever is reached first.
const (
	pieceRows  = 1000
	pieceBytes = 2 << 20
)

// Report is what a move did.
type Report struct {
	Sums   []Sum                `json:"rows"`
	Jobs   map[job.Status]int64 `json:"jobs"` // by status
	Copied time.Duration        `json:"-"`
	Read   time.Duration        `json:"-"` // again, to compare
}

// ErrNotEmpty: the target keeps something already.
var ErrNotEmpty = errors.New("the target is not empty")

// ErrUnfinished: an earlier move into the store did not come to its end.
var ErrUnfinished = errors.New("a copy into this store did not come to its end, so part of the jobs is missing")

// DifferError says what did not arrive as it was sent.
type DifferError struct{ Lines []string }

func (e *DifferError) Error() string {
	return "the target differs from the source: " + strings.Join(e.Lines, "; ")
}

// The notes: a store with the first and without the second is unfinished.
const (
	noteBegan = store.MoveClaim + "began"
	noteEnded = store.MoveClaim + "ended"
)

// Copy brings all rows of one store into another, and compares. The target must be empty;
// when Copy fails on the way, it is marked as unfinished, and has to be emptied for another
// try. Nobody else may use either store meanwhile.
func Copy(ctx context.Context, from store.Movable, to store.Movable, o Options) (*Report, error) {
	if err := Target(ctx, to, o.Now); err != nil {
		return nil, err
	}
	note, err := json.Marshal(map[string]any{"from": o.From, "at": o.Now.UTC()})
	if err != nil {
		return nil, err
	}
	if _, _, err := to.Claim(ctx, noteBegan, note, 0, o.Now); err != nil {
		return nil, fmt.Errorf("note the beginning in the target: %w", err)
	}
	begin := time.Now()
	sent, err := transfer(ctx, from, to, o)
	if err != nil {
		return nil, err
	}
	r := &Report{Sums: sent.All(), Jobs: sent.Counts(), Copied: time.Since(begin)}
	begin = time.Now()
	if err := verify(ctx, to, sent, o); err != nil {
		return nil, err
	}
	r.Read = time.Since(begin)
	if _, _, err := to.Claim(ctx, noteEnded, note, 0, o.Now); err != nil {
		return nil, fmt.Errorf("note the end in the target: %w", err)
	}
	return r, nil
}

// Target says why a store can not be moved into: ErrNotEmpty or ErrUnfinished.
func Target(ctx context.Context, to store.Movable, now time.Time) error {
	if err := Finished(ctx, to, now); err != nil {
		return err
	}
	empty, err := to.Empty(ctx)
	if err != nil || empty {
		return err
	}
	counts, err := to.Counts(ctx)
	if err != nil {
		return err
	}
	jobs := int64(0)
	for _, n := range counts {
		jobs += n
	}
	return fmt.Errorf("%w: it keeps %d jobs and what belongs to them; copying never mixes two stores", ErrNotEmpty, jobs)
}

// Finished refuses a store into which a copy began and did not end (ErrUnfinished). A server
// asks it before it starts.
func Finished(ctx context.Context, s store.Keys, now time.Time) error {
	note, began, err := s.Claimed(ctx, noteBegan, now)
	if err != nil || !began {
		return err
	}
	_, ended, err := s.Claimed(ctx, noteEnded, now)
	if err != nil || ended {
		return err
	}
	return fmt.Errorf("%w (%s): empty it and copy again", ErrUnfinished, note)
}

// transfer reads and writes at the same time, one piece apart.
func transfer(ctx context.Context, from store.Exporter, to store.Importer, o Options) (*Sums, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	pieces := make(chan []store.Row)
	written := make(chan error, 1)
	go func() {
		for piece := range pieces {
			if err := to.Import(ctx, piece); err != nil {
				err = fmt.Errorf("write to the target: %w", err)
				stop(err)
				written <- err
				return
			}
		}
		written <- nil
	}()
	sums := NewSums(o.Now)
	p := piece{ctx: ctx, out: pieces, told: func() { o.tell(sums, Copying) }}
	err := from.Export(ctx, func(r store.Row) error {
		if c, ok := r.(store.ClaimRow); ok && strings.HasPrefix(c.Key, store.MoveClaim) {
			return nil
		}
		if err := sums.Add(r); err != nil {
			return err
		}
		return p.add(r)
	})
	if err == nil {
		err = p.send()
	}
	close(pieces)
	if failed := <-written; failed != nil { // what stopped the reading as well
		return nil, failed
	}
	if err != nil {
		return nil, fmt.Errorf("read the source: %w", err)
	}
	return sums, nil
}

func (o *Options) tell(s *Sums, stage Stage) {
	if o.Progress != nil {
		o.Progress(s, stage)
	}
}

// piece gathers rows until they are worth a write.
type piece struct {
	ctx   context.Context
	out   chan<- []store.Row
	rows  []store.Row
	bytes int
	told  func()
}

func (p *piece) add(r store.Row) error {
	p.rows, p.bytes = append(p.rows, r), p.bytes+r.Bytes()
	if len(p.rows) < pieceRows && p.bytes < pieceBytes {
		return nil
	}
	return p.send()
}

func (p *piece) send() error {
	if len(p.rows) == 0 {
		return nil
	}
	select {
	case p.out <- p.rows:
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
	p.rows, p.bytes = make([]store.Row, 0, pieceRows), 0
	p.told()
	return nil
}

// verify reads the target row by row, and asks it for the counts that it keeps by itself.
func verify(ctx context.Context, to store.Movable, sent *Sums, o Options) error {
	got := NewSums(o.Now)
	n := 0
	err := to.Export(ctx, func(r store.Row) error {
		if n++; n%pieceRows == 0 {
			o.tell(got, Verifying)
		}
		return got.Add(r)
	})
	if err != nil {
		return fmt.Errorf("read the target: %w", err)
	}
	if diff := sent.Differences(got); len(diff) > 0 {
		return &DifferError{diff}
	}
	counts, err := to.Counts(ctx)
	if err != nil {
		return fmt.Errorf("read the counts of the target: %w", err)
	}
	if !maps.Equal(counts, sent.Counts()) {
		return &DifferError{[]string{fmt.Sprintf("jobs by status: %v in the source, the target counts %v", sent.Counts(), counts)}}
	}
	return nil
}
