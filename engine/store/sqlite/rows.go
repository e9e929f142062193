package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds the rows of one job: how a change of them is written into SQLite, how two
// changes become one, and how a change stands in the redo log.

// rows is what a change writes of its job. Everything in it is encoded.
type rows struct {
	id                   [16]byte
	base, version        int64 // base 0: the job is new
	status, ended, ready int64
	due                  driver.Value // milliseconds, or nil
	parent               driver.Value // an id, or nil
	blueprint, client    string       // of a new job, as parent
	body                 string
	initial, history     driver.Value // texts; nil: none comes with this change
	records              string       // a list; empty: none
	lastRecord           int64        // its last one
	closeTasks           bool         // all that are open, before tasks
	lastTask             int64
	tasks                []taskRow
	results              []resultRow
}

type taskRow struct {
	n, open, state, handOut int64
	due                     driver.Value
	text                    string
}

type resultRow struct {
	group      int64
	task, text string
}

// run runs a statement: (*writer).exec, or (*conn).exec for what the redo log has already.
type run func(text string, args ...driver.Value) (int64, error)

// setJob takes the columns of the job's row.
func (r *rows) setJob(j *job.Job) error {
	var ok bool
	if r.id, ok = job.ParseID(j.ID); !ok {
		return fmt.Errorf("%q is no job id", j.ID)
	}
	if r.status = statusCodes[j.Status]; r.status == 0 {
		return fmt.Errorf("commit job %s: unknown status %q", j.ID, j.Status)
	}
	if j.Parent != nil {
		parent, ok := job.ParseID(j.Parent.JobID)
		if !ok {
			return fmt.Errorf("commit job %s: its parent %q is no job id", j.ID, j.Parent.JobID)
		}
		r.parent = parent[:]
	}
	r.version, r.blueprint, r.client = j.Version, j.Blueprint, j.Client.ID
	if r.status >= firstEnded { // the columns by which the engine finds a job are empty
		r.ended = 1
		return nil
	}
	if j.Ready {
		r.ready = 1
	}
	r.due = millis(j.Due)
	return nil
}

// inlineMost is the length of a text up to which it stands in the job's row, bytes: then it
// costs neither a row nor a look-up, and lists still read few pages.
const inlineMost = 1024

// inline gives what stands in the job's row for a text, and whether it is the text itself.
func inline(text driver.Value) (driver.Value, bool) {
	if s, ok := text.(string); ok && len(s) <= inlineMost {
		return s, true
	}
	return nil, false
}

// insert writes a new job's row.
func (r *rows) insert(seq int64, exec run) error {
	_, err := exec(oneJob, r.jobArgs(make([]driver.Value, 0, jobWidth), seq)...)
	return err
}

// update writes a job's row over that of the version before; ok is false when the job is not
// on that any more.
func (r *rows) update(k known, exec run) (ok bool, err error) {
	var text string
	args := append(make([]driver.Value, 0, 10), r.version, r.status, r.ready, r.due, int64(store.Format), r.body)
	ends := r.ended == 1 || k.status >= firstEnded // only then may the index of live jobs change
	switch {
	case ends && r.history != nil:
		text = "UPDATE jobs SET version=?, status=?, ready=?, due=?, f=?, body=?, ended=?, history=? WHERE seq=? AND version=?"
	case ends:
		text = "UPDATE jobs SET version=?, status=?, ready=?, due=?, f=?, body=?, ended=? WHERE seq=? AND version=?"
	case r.history != nil:
		text = "UPDATE jobs SET version=?, status=?, ready=?, due=?, f=?, body=?, history=? WHERE seq=? AND version=?"
	default:
		text = "UPDATE jobs SET version=?, status=?, ready=?, due=?, f=?, body=? WHERE seq=? AND version=?"
	}
	if ends {
		args = append(args, r.ended)
	}
	if r.history != nil {
		history, _ := inline(r.history)
		args = append(args, history)
	}
	n, err := exec(text, append(args, k.seq, r.base)...)
	return n > 0, err
}

// putParts writes what stands beside the job's row.
func (r *rows) putParts(seq int64, exec run) error {
	if _, ok := inline(r.initial); r.initial != nil && !ok {
		if _, err := exec("INSERT INTO parts(k, f, body) VALUES(?,?,?)", partKey(seq, initialData, 0), int64(store.Format), r.initial); err != nil {
			return fmt.Errorf("initial data of job %s: %w", uuid(r.id[:]), err)
		}
	}
	if _, ok := inline(r.history); r.history != nil && !ok {
		_, err := exec("INSERT INTO parts(k, f, body) VALUES(?,?,?) ON CONFLICT DO UPDATE SET f=excluded.f, body=excluded.body",
			partKey(seq, stateHistory, 0), int64(store.Format), r.history)
		if err != nil {
			return fmt.Errorf("state_history of job %s: %w", uuid(r.id[:]), err)
		}
	}
	if r.records != "" {
		if _, err := exec("INSERT INTO parts(k, f, body) VALUES(?,?,?)", partKey(seq, recordPart, r.lastRecord), int64(store.Format), r.records); err != nil {
			return fmt.Errorf("record %d of job %s: %w", r.lastRecord, uuid(r.id[:]), err)
		}
	}
	return r.putTasks(seq, exec)
}

func (r *rows) putTasks(seq int64, exec run) error {
	if r.base != 0 && r.closeTasks && r.lastTask > 0 { // before the others, so that those stay open
		_, err := exec("UPDATE parts SET open=0, state=5, due=NULL WHERE k BETWEEN ? AND ? AND +open=1",
			partKey(seq, taskPart, 0), partKey(seq, taskPart, r.lastTask))
		if err != nil {
			return fmt.Errorf("close tasks of job %s: %w", uuid(r.id[:]), err)
		}
	}
	for i := range r.tasks {
		t := &r.tasks[i]
		_, err := exec(`INSERT INTO parts(k, open, state, hand_out, due, f, body) VALUES(?,?,?,?,?,?,?)
			ON CONFLICT DO UPDATE SET open=excluded.open, state=excluded.state, hand_out=excluded.hand_out,
				due=excluded.due, f=excluded.f, body=excluded.body`,
			partKey(seq, taskPart, t.n), t.open, t.state, t.handOut, t.due, int64(store.Format), t.text)
		if err != nil {
			return fmt.Errorf("task %d of job %s: %w", t.n, uuid(r.id[:]), err)
		}
	}
	return r.putResults(seq, exec)
}

func (r *rows) putResults(seq int64, exec run) error {
	for i := range r.results {
		_, err := exec("INSERT INTO results(job, grp, task_id, f, body) VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE SET f=excluded.f, body=excluded.body",
			seq, r.results[i].group, r.results[i].task, int64(store.Format), r.results[i].text)
		if err != nil {
			return fmt.Errorf("result of task %s of job %s: %w", r.results[i].task, uuid(r.id[:]), err)
		}
	}
	return nil
}

// take makes the next change part of this one.
func (r *rows) take(next *rows) {
	r.version, r.status, r.ended, r.ready, r.due, r.body = next.version, next.status, next.ended, next.ready, next.due, next.body
	if next.history != nil {
		r.history = next.history
	}
	if next.records != "" {
		r.lastRecord = next.lastRecord
		if r.records == "" {
			r.records = next.records
		} else { // two lists become one
			r.records = r.records[:len(r.records)-1] + "," + next.records[1:]
		}
	}
	if next.closeTasks {
		for i := range r.tasks {
			if t := &r.tasks[i]; t.open == 1 {
				t.open, t.state, t.due = 0, codeClosed, nil
			}
		}
	}
	r.lastTask = next.lastTask
	for _, t := range next.tasks {
		r.tasks = replace(r.tasks, t, func(old taskRow) bool { return old.n == t.n })
	}
	for _, t := range next.results {
		r.results = replace(r.results, t, func(old resultRow) bool { return old.group == t.group && old.task == t.task })
	}
}

// replace puts v in the place of the one that it is the new form of, or at the end.
func replace[T any](all []T, v T, same func(T) bool) []T {
	for i := range all {
		if same(all[i]) {
			all[i] = v
			return all
		}
	}
	return append(all, v)
}

// rowsText stands in the redo log in the place of a statement's text before a job's rows.
const rowsText = "rows of a job"

// note writes the rows into the redo log in the form of a statement.
func (r *rows) note(to *redo, seq int64) (err error) {
	value := func(v driver.Value) { err = errors.Join(err, to.value(v)) }
	to.begin(rowsText, fixedArgs+6*len(r.tasks)+3*len(r.results))
	to.int(seq)
	to.blob(r.id[:])
	for _, n := range [...]int64{r.base, r.version, r.status, r.ended, r.ready} {
		to.int(n)
	}
	value(r.due)
	value(r.parent)
	to.text(r.blueprint)
	to.text(r.client)
	to.text(r.body)
	value(r.initial)
	value(r.history)
	to.text(r.records)
	closes := int64(0)
	if r.closeTasks {
		closes = 1
	}
	for _, n := range [...]int64{r.lastRecord, closes, r.lastTask, int64(len(r.tasks))} {
		to.int(n)
	}
	for i := range r.tasks {
		t := &r.tasks[i]
		for _, n := range [...]int64{t.n, t.open, t.state, t.handOut} {
			to.int(n)
		}
		value(t.due)
		to.text(t.text)
	}
	for i := range r.results {
		to.int(r.results[i].group)
		to.text(r.results[i].task)
		to.text(r.results[i].text)
	}
	return err
}

// fixedArgs stand before those of tasks.
const fixedArgs = 19

var errForm = errors.New("the redo log has rows of a job in a form that this Orrery does not know: start the Orrery that wrote it once more, and stop it")

// rowsOf reads what note wrote. The log's checksum holds, so what does not fit is of a version
// of Orrery that this one does not know.
func rowsOf(args []driver.Value) (seq int64, r *rows, err error) {
	a := row(args)
	if len(a) < fixedArgs || len(a.blob(1)) != 16 || a.int(18) < 0 || a.int(18) > maxPart || int64(len(a)) < fixedArgs+6*a.int(18) {
		return 0, nil, errForm
	}
	r = &rows{
		id: [16]byte(a.blob(1)), base: a.int(2), version: a.int(3), status: a.int(4), ended: a.int(5), ready: a.int(6), due: a[7],
		parent: a[8], blueprint: a.text(9), client: a.text(10), body: a.text(11), initial: a[12], history: a[13],
		records: a.text(14), lastRecord: a.int(15), closeTasks: a.int(16) == 1, lastTask: a.int(17),
	}
	n := int(a.int(18))
	for t := a[fixedArgs:]; n > 0; n, t = n-1, t[6:] {
		r.tasks = append(r.tasks, taskRow{t.int(0), t.int(1), t.int(2), t.int(3), t[4], t.text(5)})
	}
	for t := a[fixedArgs+6*int(a.int(18)):]; len(t) >= 3; t = t[3:] {
		r.results = append(r.results, resultRow{t.int(0), t.text(1), t.text(2)})
	}
	return a.int(0), r, nil
}
