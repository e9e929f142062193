package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is for due dates that can not be handled: the job can not be read, the store
// refuses the write, or the date stands though it was dealt with. Each is put off to a next try
// of its own, so that those of others come up however many it are.

// lateMost bounds the dates that are put off: beyond it the store as a whole is out of order,
// and its dates are tried in their order, once a second.
const lateMost = 20_000

// lateList is the dates whose last try failed. The timers fill it, `why` looks into it.
type lateList struct {
	mu    sync.Mutex
	dates map[store.Wake]stuckStep
}

func (l *lateList) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.dates)
}

// failed puts a date off and counts its tries; false says that there is no room.
func (l *lateList) failed(w store.Wake, err error, now time.Time) (s stuckStep, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, again := l.dates[w]
	if !again {
		if len(l.dates) >= lateMost {
			return s, false
		}
		if l.dates == nil {
			l.dates = map[store.Wake]stuckStep{}
		}
		s.since = now
	}
	s.failed(err, now)
	l.dates[w] = s
	return s, true
}

// turns puts dates into the order in which they are to be tried and gives when each is: one that
// was put off counts as of its next try.
func (l *lateList) turns(wakes []store.Wake) []turnOfDate {
	l.mu.Lock()
	defer l.mu.Unlock()
	turns := make([]turnOfDate, len(wakes))
	for i, w := range wakes {
		w.At = w.At.UTC() // dates are compared
		turns[i] = turnOfDate{w, w.At}
		if s, late := l.dates[w]; late {
			turns[i].next = s.next
		}
	}
	slices.SortStableFunc(turns, func(a, b turnOfDate) int { return a.next.Compare(b.next) })
	return turns
}

// turnOfDate is when a date is to be tried.
type turnOfDate struct {
	wake store.Wake
	next time.Time
}

// keep forgets the dates that a look at all of them did not show: they were dealt with, or their
// shards are others' now.
func (l *lateList) keep(shown []turnOfDate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.dates) == 0 {
		return
	}
	still := map[store.Wake]stuckStep{}
	for _, t := range shown {
		if s, late := l.dates[t.wake]; late {
			still[t.wake] = s
		}
	}
	l.dates = still
}

// has reports whether a date was put off before.
func (l *lateList) has(w store.Wake) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, late := l.dates[w]
	return late
}

// of tells of the dates of a job.
func (l *lateList) of(jobID string) (words []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w, s := range l.dates {
		if w.JobID != jobID {
			continue
		}
		what := "its date"
		if w.Task != 0 {
			what = fmt.Sprintf("the date of its task %d", w.Task)
		}
		words = append(words, fmt.Sprintf("%s, %s, could not be handled, %d times since %s; it is tried again at %s: %s",
			what, Time(w.At), s.tries, Time(s.since), Time(s.next), s.err))
	}
	slices.SortFunc(words, strings.Compare)
	return words
}

// putOff keeps a date for a later try; false says that too many are kept already.
func (e *Engine) putOff(w store.Wake, err error) bool {
	s, ok := e.late.failed(w, err, e.cfg.Clock.Now())
	if ok && s.tries&(s.tries-1) == 0 && !isPassing(err) { // the 1st, 2nd, 4th, 8th ... time
		e.cfg.Log.Error("a due date could not be handled; it is tried again", "job", w.JobID, "task", w.Task, "at", s.next, "tries", s.tries, "error", err)
	}
	return ok
}

// isPassing tells failures of the whole store, for which no single job is to blame.
func isPassing(err error) bool {
	var out interface{ Unavailable() bool } // the disk's failures, see store/sqlite
	return errors.Is(err, store.ErrFull) || errors.As(err, &out)
}

// isPast tells that a job moved on between the look and the lock: its new row has its own date.
func isPast(err error) bool {
	var illegal *job.Illegal
	return errors.As(err, &illegal) || errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrElsewhere)
}
