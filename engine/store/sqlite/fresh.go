package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"orrery/engine/store"
)

// This file keeps new jobs in memory for a moment. Their changes are durable by the redo log;
// their rows go into SQLite when eight jobs have ended, when readers want to see them, or when
// something else is written about them. A job of a few short tasks is then written once, with
// its last rows, and never enters the indexes of what is ready or under way.

// freshJob is a job whose rows are not in SQLite yet.
type freshJob struct {
	rows
	seq int64
}

// freshJobs are all of them, and the order in which they came.
type freshJobs struct {
	jobs    map[[16]byte]*freshJob
	line    []*freshJob // with some that are written already
	written int         // of those at the beginning of line
	bytes   int         // of their texts
}

const (
	freshTasks  = 32       // in a change; one with more is written at once
	freshText   = 1 << 18  // bytes of a job; one with more is written at once
	freshMost   = 8192     // jobs kept, about; from there on the oldest are written after each batch
	freshBytes  = 16 << 20 // bytes kept, about
	freshAtOnce = 16       // jobs written between two batches, when others wait in line
	freshFew    = 64       // jobs that a fold may write without holding everybody up
)

// small says whether rows may stay in memory.
func (r *rows) small() bool {
	return len(r.tasks) <= freshTasks && len(r.results) <= freshTasks && r.bytes() <= freshText
}

// bytes gives the length of all texts.
func (r *rows) bytes() int {
	size := len(r.body) + len(r.records) + 2*(len(r.blueprint)+len(r.client)) // in an index, too
	for _, v := range []driver.Value{r.initial, r.history} {
		if text, ok := v.(string); ok {
			size += len(text)
		}
	}
	for i := range r.tasks {
		size += len(r.tasks[i].text)
	}
	for i := range r.results {
		size += len(r.results[i].text)
	}
	return size
}

// refuseSecond gives ErrExists when there is such a job.
func (w *writer) refuseSecond(id [16]byte) error {
	if w.fresh.jobs[id] != nil {
		return store.ErrExists
	}
	if _, ok := w.known.get(id); ok {
		return store.ErrExists
	}
	if w.known.above(id) {
		return nil
	}
	_, ok, err := w.c.one("SELECT 1 FROM jobs WHERE id=?", id[:])
	if err == nil && ok {
		return store.ErrExists
	}
	return err
}

// nextSeq gives the number of a new job.
func (w *writer) nextSeq() (int64, error) {
	if w.seq == 0 {
		r, _, err := w.c.one("SELECT max(seq) FROM jobs")
		if err != nil {
			return 0, err
		}
		w.seq = r.int(0)
	}
	w.seq++
	return w.seq, nil
}

// create takes a new job.
func (w *writer) create(r *rows) error {
	seq, err := w.nextSeq()
	if err != nil {
		return err
	}
	w.touched = append(w.touched, r.id)
	w.delta[r.status]++
	w.known.newest = later(w.known.newest, r.id)
	if r.small() {
		f := &freshJob{*r, seq}
		if w.fresh.jobs == nil {
			w.fresh.jobs = map[[16]byte]*freshJob{}
		}
		w.fresh.jobs[r.id] = f
		w.fresh.line = append(w.fresh.line, f)
		w.grow(f, &f.rows, 1, f.bytes())
		return r.note(&w.redo, seq)
	}
	if err = r.insert(seq, w.exec); err == nil {
		err = r.putParts(seq, w.exec)
	}
	if err != nil {
		return fmt.Errorf("job %s: %w", uuid(r.id[:]), err)
	}
	w.known.put(r.id, known{seq, r.status})
	return nil
}

// renewFresh takes the next change of a fresh job.
func (w *writer) renewFresh(f *freshJob, next *rows) error {
	w.touched = append(w.touched, f.id)
	w.delta[f.status]--
	w.delta[next.status]++
	if err := next.note(&w.redo, f.seq); err != nil {
		return err
	}
	before := f.bytes()
	f.take(next)
	w.grow(f, next, 0, f.bytes()-before)
	if !f.small() {
		return w.write(f)
	}
	return nil
}

// handOutFresh writes a hand-out down with a fresh job; it is dropped when it is not the task's next.
func (w *writer) handOutFresh(f *freshJob, next taskRow, args []driver.Value) error {
	for i := range f.tasks {
		if t := &f.tasks[i]; t.n == next.n && t.state == codeQueued && t.handOut == next.handOut-1 {
			w.touched = append(w.touched, f.id)
			w.grow(f, &rows{tasks: []taskRow{next}}, 0, len(next.text)-len(t.text))
			*t = next
			return w.redo.note(handOutText, args)
		}
	}
	return nil
}

// write brings the rows of fresh jobs into SQLite.
func (w *writer) write(all ...*freshJob) error {
	for _, f := range all {
		delete(w.fresh.jobs, f.id)
		w.fresh.bytes -= f.bytes()
	}
	if err := w.writeNew(all); err != nil {
		return err
	}
	for _, f := range all {
		w.known.put(f.id, known{f.seq, f.status})
	}
	return nil
}

// writeAll writes all fresh jobs.
func (w *writer) writeAll() error {
	for len(w.fresh.jobs) > 0 {
		if err := w.writeOldest(); err != nil {
			return err
		}
	}
	return nil
}

// settleFresh writes jobs that have ended, the oldest first, while nothing waits in line, and
// some others when a fold comes near. A failure loses nothing: the redo log has all of it.
func (w *writer) settleFresh() {
	for n := 0; w.due() && (n < freshAtOnce || len(w.s.queue) == 0); n += chunkJobs {
		if err := w.writeOldest(); err != nil {
			w.complain("write a job that is in the redo log", w.explain(errors.Join(err, w.rollback())))
			return
		}
	}
}

// due says that the oldest fresh jobs should be written: as many as one statement takes have
// ended, or the next fold would hold up everybody while it writes very many.
func (w *writer) due() bool {
	if w.fresh.oldest() == nil {
		return false
	}
	return w.fresh.endedFirst() || len(w.fresh.jobs) > freshMost || w.fresh.bytes > freshBytes || w.foldIsNear()
}

// endedFirst says that the first in line, as many as one statement takes, have ended.
func (f *freshJobs) endedFirst() bool {
	ended := 0
	for i := f.written; i < len(f.line) && ended < chunkJobs; i++ {
		first := f.line[i]
		if first == nil || f.jobs[first.id] != first {
			continue
		}
		if first.ended == 0 {
			return false
		}
		ended++
	}
	return ended == chunkJobs
}

// foldIsNear says that little room is left in SQLite's log or in the redo log.
func (w *writer) foldIsNear() bool {
	return w.foldBytes() > w.log.ahead()/4*3 || w.redoIsLong()
}

// oldest gives the first in line that is still fresh; nil: none is.
func (f *freshJobs) oldest() *freshJob {
	for f.written < len(f.line) {
		if first := f.line[f.written]; first != nil && f.jobs[first.id] == first {
			return first
		}
		f.line[f.written] = nil
		f.written++
	}
	f.line, f.written = f.line[:0], 0
	return nil
}

// writeOldest brings the oldest fresh jobs into SQLite, as many as one statement takes.
func (w *writer) writeOldest() error {
	if n := w.fresh.written; n > 1024 && n > len(w.fresh.line)/2 { // the line moves up, now and then
		m := copy(w.fresh.line, w.fresh.line[n:])
		clear(w.fresh.line[m:])
		w.fresh.line, w.fresh.written = w.fresh.line[:m], 0
	}
	var some [chunkJobs]*freshJob
	all := some[:0]
	for f := w.fresh.oldest(); f != nil && len(all) < chunkJobs; f = w.fresh.oldest() {
		all = append(all, f)
		w.fresh.line[w.fresh.written] = nil
		w.fresh.written++
	}
	return w.write(all...)
}

// putAgain runs what the redo log has for a job's rows.
func (w *writer) putAgain(args []driver.Value) error {
	seq, r, err := rowsOf(args)
	if err != nil {
		return err
	}
	if r.base == 0 {
		err = r.insert(seq, w.c.exec)
	} else {
		var ok bool
		if ok, err = r.update(known{seq: seq, status: firstEnded}, w.c.exec); err == nil && !ok {
			err = fmt.Errorf("the redo log changes version %d of job %s, which is not there", r.base, uuid(r.id[:]))
		}
	}
	if err != nil {
		return err
	}
	return r.putParts(seq, w.c.exec)
}
