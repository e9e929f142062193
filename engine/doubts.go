package engine

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/job"
)

// This file keeps what is in doubt, and keeps it small: while a shared store is away, refused
// starts come as quickly as clients can ask.
//
// A first commit is a few bytes here: should the job be there later, the store tells all of it.
// Of another change its records and tasks are needed, so their bytes are counted as well. At
// the bound nothing more is sent to a store that is away, nor to a shard with open doubts, until
// some are settled: results and steps are tried again.

const (
	mostDoubts     = 10_000
	mostDoubtBytes = 64 << 20
	doubtBytes     = 256 // of an entry without its change, about

	// doubtEcho is how long a job's results are looked at twice after its doubt has ended: a
	// worker that heard of a failure may send one again.
	doubtEcho = 30 * time.Minute
)

// doubt is a commit that could not even be looked up.
type doubt struct {
	change *job.Change // nil: the job's first
	bytes  int
	told   bool // the log has been told that it can not be looked up
}

// doubts are at most one a job. Entries are written and settled under the job's lock, except
// for a job's first commit.
type doubts struct {
	mu      sync.Mutex
	open    map[string]*doubt
	shards  [job.Shards]int // open ones
	bytes   int
	most    int // of bytes; less in tests
	full    atomic.Bool
	echoes  map[string]time.Time // jobs whose doubt has ended, and when
	last    string               // looked at in the last round
	changed chan struct{}        // one was added
}

func newDoubts() *doubts {
	return &doubts{most: mostDoubtBytes, open: map[string]*doubt{}, echoes: map[string]time.Time{}, changed: make(chan struct{}, 1)}
}

func (d *doubts) add(c *job.Change) {
	x := &doubt{bytes: doubtBytes}
	if c.Base != 0 {
		x.change, x.bytes = c, doubtBytes+weight(c)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, there := d.open[c.Job.ID]; there { // of a repeated first commit it does not matter which was done
		return
	}
	d.open[c.Job.ID] = x
	d.count(c.Job.ID, 1, x.bytes)
	nudge(d.changed)
}

// count notes that entries came or went. The caller has mu.
func (d *doubts) count(id string, n, bytes int) {
	d.shards[job.ShardOf(id)] += n
	d.bytes += bytes
	d.full.Store(len(d.open) >= mostDoubts || d.bytes >= d.most)
}

// room refuses a change of a job that may only add to what is in doubt. away says that the
// whole store seems to be, and not a part of it.
func (d *doubts) room(id string, away bool) error {
	if !d.full.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shards[job.ShardOf(id)] == 0 && !away {
		return nil
	}
	return &errAway{fmt.Sprintf("job %s: %d changes (%d bytes) wait for the store to tell whether they were done, and the limits are %d and %d: nothing was sent", id, len(d.open), d.bytes, mostDoubts, d.most)}
}

// of gives the change in doubt of a job; nil for its first.
func (d *doubts) of(id string) (c *job.Change, open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x, open := d.open[id]
	if !open {
		return nil, false
	}
	return x.change, true
}

// end forgets a doubt.
func (d *doubts) end(id string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x, open := d.open[id]
	if !open {
		return
	}
	delete(d.open, id)
	d.count(id, -1, -x.bytes)
	if x.change != nil { // a first commit carries no result
		d.echoes[id] = now
	}
}

// ever reports whether a job has a doubt, or had one lately.
func (d *doubts) ever(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ended := d.echoes[id]
	return ended || d.open[id] != nil
}

// round gives the jobs in doubt, from the one after the last that was looked at.
func (d *doubts) round() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := slices.Sorted(maps.Keys(d.open))
	at, found := slices.BinarySearch(ids, d.last)
	if found {
		at++
	}
	return append(ids[at:len(ids):len(ids)], ids[:at]...)
}

// looked notes that a job was looked at. fresh says that it failed for a reason of its own and
// that this is the first time.
func (d *doubts) looked(id string, err error) (fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = id
	x := d.open[id]
	if x == nil || err == nil || isAway(err) || x.told {
		return false
	}
	x.told = true
	return true
}

// fade forgets jobs whose doubt ended long ago. open says that some are in doubt now; nap is
// the time until there is something to do again.
func (d *doubts) fade(now time.Time) (nap time.Duration, open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.echoes, func(_ string, at time.Time) bool { return now.Sub(at) >= doubtEcho })
	if len(d.open) > 0 {
		return retryStore, true
	}
	return doubtEcho, false
}

// weight is what a change takes in memory, about, without its job's row.
func weight(c *job.Change) int {
	n := len(c.InitialData) + len(c.StateHistory)
	for i := range c.Records {
		for key, value := range c.Records[i].Set {
			n += len(key) + len(value)
		}
		for _, line := range c.Records[i].Log {
			n += len(line.Message)
		}
		n += doubtBytes + len(c.Records[i].Acts)*doubtBytes
	}
	for i := range c.Tasks {
		n += 2*doubtBytes + len(c.Tasks[i].Params)
	}
	for i := range c.Results {
		n += doubtBytes + len(c.Results[i].Data)
	}
	for i := range c.Outbox {
		n += doubtBytes + len(c.Outbox[i].Body)
	}
	for i := range c.Writes {
		n += doubtBytes + len(c.Writes[i].Value)
	}
	return n
}
