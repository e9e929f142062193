package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file holds the writes of jobs: everything is encoded by the caller's goroutine, the
// writer only binds and steps.

// plan is a Change ready to be written.
type plan struct {
	rows
	c      *job.Change
	size   int
	outbox []string
}

// text encodes one row of the plan.
func (p *plan) text(v any) (string, error) {
	s, err := store.Encode(v)
	p.size += len(s)
	return s, err
}

func planOf(c *job.Change) (*plan, error) {
	if err := store.Check(c); err != nil {
		return nil, err
	}
	return planTo(c)
}

// planTo is planOf for a change that does not follow from another, such as a whole row.
func planTo(c *job.Change) (p *plan, err error) {
	if c.Job.Records > maxPart || c.Job.LastTask > maxPart {
		return nil, fmt.Errorf("commit job %s: it has %d records and %d tasks; a job can keep %d of each", c.Job.ID, c.Job.Records, c.Job.LastTask, maxPart)
	}
	p = &plan{c: c, size: len(c.InitialData) + len(c.StateHistory)}
	if err := p.setJob(&c.Job); err != nil {
		return nil, err
	}
	p.base, p.closeTasks, p.lastTask = c.Base, c.CloseTasks, int64(c.Job.LastTask)
	if c.Base == 0 && len(c.InitialData) > 0 {
		p.initial = string(c.InitialData)
	}
	if c.StateHistory != nil {
		p.history = string(c.StateHistory)
	}
	for _, w := range c.Writes {
		p.size += len(w.Key) + len(w.Value)
	}
	if p.body, err = p.text(&c.Job); err != nil {
		return nil, err
	}
	return p, p.encode()
}

// encode makes the rows beside the job's own.
func (p *plan) encode() (err error) {
	c := p.c
	if len(c.Records) > 0 {
		p.lastRecord = c.Job.Records
		if p.records, err = p.text(c.Records); err != nil {
			return err
		}
	}
	p.tasks = make([]taskRow, 0, len(c.Tasks))
	var place map[int]int // of the task in tasks: the last of two in one change stands
	if len(c.Tasks) > 1 {
		place = make(map[int]int, len(c.Tasks))
	}
	for i := range c.Tasks {
		t := &c.Tasks[i]
		if taskCodes[t.State] == 0 || t.N > maxPart {
			return fmt.Errorf("commit job %s: task %d has the unknown state %q or too high a number", c.Job.ID, t.N, t.State)
		}
		text, err := p.text(t)
		if err != nil {
			return err
		}
		open, due := taskWakes(t)
		row := taskRow{int64(t.N), open, taskCodes[t.State], int64(t.HandOut), due, text}
		if at, twice := place[t.N]; twice {
			p.tasks[at] = row
			continue
		}
		if place != nil {
			place[t.N] = len(p.tasks)
		}
		p.tasks = append(p.tasks, row)
	}
	p.results = make([]resultRow, len(c.Results))
	for i := range c.Results {
		text, err := p.text(&c.Results[i])
		if err != nil {
			return err
		}
		p.results[i] = resultRow{c.Results[i].Group, c.Results[i].TaskID, text}
	}
	p.outbox = make([]string, len(c.Outbox))
	for i := range c.Outbox {
		if p.outbox[i], err = p.text(&c.Outbox[i]); err != nil {
			return err
		}
	}
	return nil
}

// Commit encodes the change, queues it and waits for its batch.
func (s *Store) Commit(ctx context.Context, c *job.Change) error {
	return s.CommitQueued(ctx, c, nil)
}

var _ store.Queuer = (*Store)(nil)

// CommitQueued is Commit; queued, when there is one, hears that the change is in line.
func (s *Store) CommitQueued(ctx context.Context, c *job.Change, queued func()) error {
	p, err := planOf(c)
	if err != nil {
		return err
	}
	return s.await(ctx, &write{do: p.apply, size: p.size, done: make(chan error, 1)}, queued)
}

// apply writes the change. The checks come first: a refusal must leave no trace.
func (p *plan) apply(w *writer) error {
	if err := p.checkReads(w); err != nil {
		return err
	}
	if err := p.applyJob(w); err != nil {
		return err
	}
	for i, text := range p.outbox {
		m := &p.c.Outbox[i]
		_, err := w.exec("INSERT INTO outbox(id, due, f, body) VALUES(?,?,?,?) ON CONFLICT(id) DO NOTHING", m.ID, m.Due.UnixMilli(), int64(store.Format), text)
		if err != nil {
			return fmt.Errorf("message %s of job %s: %w", m.ID, p.c.Job.ID, err)
		}
	}
	for i := range p.c.Writes {
		if err := p.putValue(w, &p.c.Writes[i]); err != nil {
			return fmt.Errorf("job %s: store %s, key %q: %w", p.c.Job.ID, p.c.Writes[i].Store, p.c.Writes[i].Key, err)
		}
	}
	return nil
}

// applyJob writes the rows of the job: into memory while the job is fresh, else into SQLite.
func (p *plan) applyJob(w *writer) error {
	if p.base == 0 {
		if err := w.refuseSecond(p.id); err != nil {
			return fmt.Errorf("commit job %s: %w", p.c.Job.ID, err)
		}
		return w.create(&p.rows)
	}
	if f := w.fresh.jobs[p.id]; f != nil && f.version != p.base {
		return p.conflict()
	} else if f != nil {
		if err := w.putHeld(p.id, p.c.Tasks); err != nil {
			return err
		}
		return w.renewFresh(f, &p.rows)
	}
	k, ok, err := w.lookUp(p.id)
	if err == nil && ok {
		ok, err = p.update(k, w.exec)
	}
	if err != nil {
		return fmt.Errorf("job %s: %w", p.c.Job.ID, err)
	}
	if !ok {
		return p.conflict()
	}
	w.delta[k.status]--
	w.delta[p.status]++
	w.known.put(p.id, known{k.seq, p.status})
	if err := w.putHeld(p.id, p.c.Tasks); err != nil {
		return err
	}
	return p.putParts(k.seq, w.exec)
}

// conflict says that the job moved on.
func (p *plan) conflict() error {
	return fmt.Errorf("commit job %s on version %d: %w", p.c.Job.ID, p.base, store.ErrConflict)
}

func (p *plan) checkReads(w *writer) error {
	for _, r := range p.c.Reads {
		row, ok, err := w.c.one("SELECT version FROM data_stores WHERE blueprint=? AND store=? AND key=?", p.c.Job.Blueprint, r.Store, r.Key)
		if err != nil {
			return err
		}
		var version int64 // of an absent key
		if ok {
			version = row.int(0)
		}
		if version != r.Version {
			return fmt.Errorf("commit job %s: store %s, key %q: %w", p.c.Job.ID, r.Store, r.Key, store.ErrConflict)
		}
	}
	return nil
}

// putValue keeps a value under its version, or gives it one that was never used before in
// this file: a key that is deleted and written again is not what a step read earlier.
func (p *plan) putValue(w *writer, v *job.StoreWrite) error {
	if v.Value == nil {
		_, err := w.exec("DELETE FROM data_stores WHERE blueprint=? AND store=? AND key=?", p.c.Job.Blueprint, v.Store, v.Key)
		return err
	}
	version := v.Version
	if version == 0 {
		var err error
		if version, err = w.nextValue(); err != nil {
			return err
		}
	}
	_, err := w.exec("INSERT INTO data_stores(blueprint, store, key, version, body) VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE SET version=excluded.version, body=excluded.body",
		p.c.Job.Blueprint, v.Store, v.Key, version, string(v.Value))
	return err
}

// nextValue counts the versions that this file has given by itself.
func (w *writer) nextValue() (int64, error) {
	if w.value == 0 {
		r, ok, err := w.c.one("SELECT n FROM numbers WHERE k=?", int64(valueNumber))
		if err != nil {
			return 0, err
		}
		if ok {
			w.value = r.int(0)
		}
	}
	w.value++
	w.delta[valueNumber]++
	return w.value, nil
}

// handOutText writes a task that was handed out over the one that waited for that.
const handOutText = "UPDATE parts SET open=?, state=?, hand_out=?, due=?, f=?, body=? WHERE k=? AND state=1 AND hand_out=?"

func (t *taskRow) handOutArgs(seq int64) []driver.Value {
	return []driver.Value{t.open, t.state, t.handOut, t.due, int64(store.Format), t.text, partKey(seq, taskPart, t.n), t.handOut - 1}
}

// HandOut queues the task as given; the WHERE drops it when it is not the next hand-out, be
// it that the task has returned. The writer encodes it, for most are never written: see
// package held.
func (s *Store) HandOut(t job.Task) {
	id, ok := job.ParseID(t.JobID)
	if !ok || taskCodes[t.State] == 0 {
		s.opts.Log.Warn("hand-out not written", "job", t.JobID, "task", t.N, "state", t.State)
		return
	}
	size := handOutBytes + len(t.Params)
	s.later("hand-out", &write{size: size, keep: true, out: &handOut{id: id, task: t.N}, do: func(w *writer) error {
		return w.handOut(id, &t)
	}})
}

// handOutBytes is the length of a task's text without what its worker is given, about.
const handOutBytes = 512

func (w *writer) handOut(id [16]byte, t *job.Task) error {
	text, err := store.Encode(t)
	if err != nil {
		w.s.opts.Log.Warn("hand-out not written", "job", t.JobID, "task", t.N, "error", err)
		return nil // it will never be otherwise
	}
	open, due := taskWakes(t)
	next := taskRow{int64(t.N), open, taskCodes[t.State], int64(t.HandOut), due, text}
	if f := w.fresh.jobs[id]; f != nil {
		return w.handOutFresh(f, next, next.handOutArgs(f.seq))
	}
	k, ok, err := w.lookUp(id)
	if err != nil || !ok {
		return err
	}
	w.late += len(text)
	_, err = w.exec(handOutText, next.handOutArgs(k.seq)...)
	return err
}

// AddProgress queues an entry and drops those of its task that are too old.
func (s *Store) AddProgress(jobID string, p store.Progress) {
	id, ok := job.ParseID(jobID)
	if !ok {
		return // of no job
	}
	body, err := store.Encode(&p)
	if err != nil {
		s.opts.Log.Warn("progress not written", "job", jobID, "error", err)
		return
	}
	s.later("progress", &write{size: len(body), do: func(w *writer) error {
		k, ok, err := w.lookUp(id)
		if err != nil || !ok {
			return err
		}
		if _, err := w.exec("INSERT INTO progress(job, task_id, f, body) VALUES(?,?,?,?)", k.seq, p.TaskID, int64(store.Format), body); err != nil {
			return err
		}
		_, err = w.exec(`DELETE FROM progress WHERE job=?1 AND task_id=?2 AND k<=
			(SELECT k FROM progress WHERE job=?1 AND task_id=?2 ORDER BY k DESC LIMIT 1 OFFSET ?3)`, k.seq, p.TaskID, int64(store.ProgressKept))
		if err != nil {
			return err
		}
		n, _, err := w.c.one("SELECT count(*) FROM progress INDEXED BY progress_task WHERE job=?", k.seq)
		if err != nil || n.int(0) <= store.JobProgressKept {
			return err
		}
		_, err = w.exec(`DELETE FROM progress WHERE job=?1 AND k<=
			(SELECT k FROM progress WHERE job=?1 ORDER BY k DESC LIMIT 1 OFFSET ?2)`, k.seq, int64(store.ProgressLeft))
		return err
	}})
}

func taskWakes(t *job.Task) (open int64, due driver.Value) {
	if !t.State.Open() {
		return 0, nil
	}
	return 1, millis(t.Due)
}

// millis gives a date as it is kept; nil stays NULL.
func millis(t *time.Time) driver.Value {
	if t == nil {
		return nil
	}
	return t.UnixMilli()
}
