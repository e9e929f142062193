package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file takes rows from another store.

// Import writes a piece in one transaction.
func (s *Store) Import(ctx context.Context, rows []store.Row) error {
	size := 0
	writes := make([]func(w *writer) error, len(rows))
	for i, r := range rows {
		do, err := importer(r)
		if err != nil {
			return fmt.Errorf("import %s: %w", r.Kind(), err)
		}
		size += r.Bytes()
		writes[i] = func(w *writer) error {
			if err := do(w); err != nil {
				return fmt.Errorf("import %s: %w", r.Kind(), err)
			}
			return nil
		}
	}
	return s.write(ctx, size, func(w *writer) error {
		for _, do := range writes {
			if err := do(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// importer encodes a row and gives what writes it.
func importer(r store.Row) (func(w *writer) error, error) {
	switch r := r.(type) {
	case store.RevisionRow:
		body, err := store.Encode(&r.Revision)
		return insertion("INSERT INTO revisions(hash, f, body, used) VALUES(?,?,?,?)", r.Revision.Hash, int64(store.Format), body, r.Revision.LastUse().UnixMilli()), err
	case store.FileRow:
		body, err := store.Encode(&r.File)
		return insertion("INSERT INTO source_files(name, f, body) VALUES(?,?,?)", r.File.Name, int64(store.Format), body), err
	case store.WorkerRow:
		seen := r.Seen.UnixMilli()
		if r.Seen.IsZero() {
			seen = 0
		}
		return insertion("INSERT INTO workers(id, seen, body) VALUES(?,?,?)", r.ID, seen, string(r.Body)), nil
	case store.ClaimRow:
		return insertion("INSERT INTO claims(key, until, value) VALUES(?,?,?)", r.Key, millis(r.Until), append([]byte{}, r.Value...)), nil
	case store.ValueRow:
		return insertion("INSERT INTO data_stores(blueprint, store, key, version, body) VALUES(?,?,?,?,?)",
			r.Blueprint, r.Store, r.Value.Key, r.Value.Version, string(r.Value.Text)), nil
	case store.VersionRow:
		return func(w *writer) error { return w.raiseValue(r.Newest) }, nil
	case store.MessageRow:
		body, err := store.Encode(&r.Message)
		return insertion("INSERT INTO outbox(id, due, f, body) VALUES(?,?,?,?)", r.Message.ID, messageDue(&r.Message), int64(store.Format), body), err
	case store.JobRow:
		return importJob(r)
	}
	return importPart(r)
}

func insertion(text string, args ...driver.Value) func(w *writer) error {
	return func(w *writer) error {
		_, err := w.exec(text, args...)
		return err
	}
}

// raiseValue makes the next version that this file gives by itself at least newest+1.
func (w *writer) raiseValue(newest int64) error {
	next, err := w.nextValue()
	if err != nil {
		return err
	}
	if newest > next {
		w.delta[valueNumber] += newest - next
		w.value = newest
	}
	return nil
}

// importJob goes the way of a new job, so that what is derived from its row stands as well.
func importJob(r store.JobRow) (func(w *writer) error, error) {
	c := &job.Change{Job: r.Job}
	if string(r.Data.Initial) != "{}" {
		c.InitialData = r.Data.Initial
	}
	if string(r.Data.History) != "{}" {
		c.StateHistory = r.Data.History
	}
	p, err := planTo(c)
	if err != nil {
		return nil, err
	}
	return func(w *writer) error {
		if err := w.refuseSecond(p.id); err != nil {
			return fmt.Errorf("job %s: %v", r.Job.ID, err) // not store.ErrExists, which would say that nothing of the piece was written
		}
		return w.create(&p.rows)
	}, nil
}

// importPart writes a row that belongs to a job.
func importPart(part store.Row) (func(w *writer) error, error) {
	c := &job.Change{}
	var id string
	switch r := part.(type) {
	case store.RecordRow:
		return importRecords(r)
	case store.TaskRow:
		id, c.Tasks = r.Task.JobID, []job.Task{r.Task}
	case store.ResultRow:
		id, c.Results = r.JobID, []job.Result{r.Result}
	case store.ProgressRow:
		body, err := store.Encode(&r.Progress)
		return inJob(r.JobID, func(w *writer, seq int64) error {
			_, err := w.exec("INSERT INTO progress(job, task_id, f, body) VALUES(?,?,?,?)", seq, r.Progress.TaskID, int64(store.Format), body)
			return err
		}), err
	default:
		return nil, fmt.Errorf("this Orrery does not know the row %T", part)
	}
	c.Job.ID = id
	p := &plan{c: c}
	if err := p.encode(); err != nil {
		return nil, err
	}
	return inJob(id, func(w *writer, seq int64) error { return p.putTasks(seq, w.exec) }), nil
}

// importRecords keeps them as one row, as a commit would.
func importRecords(r store.RecordRow) (func(w *writer) error, error) {
	body, err := store.Encode(r.Records)
	if err != nil {
		return nil, err
	}
	last := r.Records[len(r.Records)-1].N
	if last < 1 || last > maxPart {
		return nil, fmt.Errorf("record %d of job %s: a job can keep %d of them", last, r.JobID, maxPart)
	}
	return inJob(r.JobID, func(w *writer, seq int64) error {
		_, err := w.exec("INSERT INTO parts(k, f, body) VALUES(?,?,?)", partKey(seq, recordPart, last), int64(store.Format), body)
		return err
	}), nil
}

// inJob finds the number of the job that came before.
func inJob(id string, do func(w *writer, seq int64) error) func(w *writer) error {
	return func(w *writer) error {
		key, ok := job.ParseID(id)
		if !ok {
			return fmt.Errorf("%q is no job id", id)
		}
		k, ok, err := w.lookUp(key)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("a row of job %s comes before the job itself", id)
		}
		if err := do(w, k.seq); err != nil {
			return fmt.Errorf("job %s: %w", id, err)
		}
		return nil
	}
}
