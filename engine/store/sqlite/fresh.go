package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"orrery/engine/store"
)

// This file keeps new jobs in memory for a moment. Their changes are durable by the redo log;
// their rows go into SQLite when the job has ended, when readers want to see them, or when
// something else is written about them. A job of a few short tasks is then written once, with
// its last rows, and never enters the indexes of what is ready or under way.

// freshJob is a job whose rows are not in SQLite yet.
type freshJob struct {
	rows
	seq int64
}

// freshJobs are all of them, and the order in which they came.
type freshJobs struct {
	jobs map[[16]byte]*freshJob
	line []*freshJob // with some that are written already
}

const (
	freshTasks = 32      // in a change; one with more is written at once
	freshMost  = 1024    // jobs kept, about; from there on the oldest is written with each batch
	freshText  = 1 << 18 // bytes of a change; one with more is written at once
)

// small says whether rows may stay in memory.
func (r *rows) small() bool {
	size := len(r.body) + len(r.records)
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
	return len(r.tasks) <= freshTasks && len(r.results) <= freshTasks && size <= freshText
}

// refuseSecond gives ErrExists when there is such a job.
func (w *writer) refuseSecond(id [16]byte) error {
	if w.fresh.jobs[id] != nil {
		return store.ErrExists
	}
	if _, ok := w.known.get(id); ok {
		return store.ErrExists
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
	if r.small() {
		f := &freshJob{*r, seq}
		if w.fresh.jobs == nil {
			w.fresh.jobs = map[[16]byte]*freshJob{}
		}
		w.fresh.jobs[r.id] = f
		w.fresh.line = append(w.fresh.line, f)
		return w.redo.note(rowsText, r.args(seq))
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
	if err := w.redo.note(rowsText, next.args(f.seq)); err != nil {
		return err
	}
	f.take(next)
	if !f.small() {
		return w.write(f)
	}
	return nil
}

// write brings the rows of a fresh job into SQLite.
func (w *writer) write(f *freshJob) error {
	delete(w.fresh.jobs, f.id)
	err := f.insert(f.seq, w.c.exec)
	if err == nil {
		err = f.putParts(f.seq, w.c.exec)
	}
	if err != nil {
		return fmt.Errorf("job %s: %w", uuid(f.id[:]), err)
	}
	w.known.put(f.id, known{f.seq, f.status})
	return nil
}

// writeAll writes all fresh jobs.
func (w *writer) writeAll() error {
	for _, f := range w.fresh.line {
		if w.fresh.jobs[f.id] == f {
			if err := w.write(f); err != nil {
				return err
			}
		}
	}
	clear(w.fresh.line)
	w.fresh.line = w.fresh.line[:0]
	return nil
}

// settleFresh writes jobs that have ended, the oldest first, while nothing waits in line, and
// others when there are too many. A failure loses nothing: the redo log has all of it.
func (w *writer) settleFresh() {
	done := 0
	for _, f := range w.fresh.line {
		if w.fresh.jobs[f.id] == f {
			if len(w.fresh.line)-done < freshMost && (f.ended == 0 || len(w.s.queue) > 0) {
				break
			}
			if err := w.write(f); err != nil {
				w.complain("write a job that is in the redo log", w.explain(errors.Join(err, w.rollback())))
				return
			}
		}
		done++
	}
	if done > 0 {
		n := copy(w.fresh.line, w.fresh.line[done:])
		clear(w.fresh.line[n:])
		w.fresh.line = w.fresh.line[:n]
	}
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
