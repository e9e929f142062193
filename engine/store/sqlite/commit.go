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
	c       *job.Change
	id      [16]byte
	parent  []byte // nil: none
	status  int64
	size    int
	body    string
	records string // all of them, as one row: a list
	tasks   []string
	results []string
	outbox  []string
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
	p = &plan{c: c, status: statusCodes[c.Job.Status], size: len(c.InitialData) + len(c.StateHistory)}
	if p.status == 0 {
		return nil, fmt.Errorf("commit job %s: unknown status %q", c.Job.ID, c.Job.Status)
	}
	var ok bool
	if p.id, ok = job.ParseID(c.Job.ID); !ok {
		return nil, fmt.Errorf("%q is no job id", c.Job.ID)
	}
	if c.Job.Parent != nil {
		parent, ok := job.ParseID(c.Job.Parent.JobID)
		if !ok {
			return nil, fmt.Errorf("commit job %s: its parent %q is no job id", c.Job.ID, c.Job.Parent.JobID)
		}
		p.parent = parent[:]
	}
	for _, w := range c.Writes {
		p.size += len(w.Key) + len(w.Value)
	}
	return p, p.encode()
}

func (p *plan) encode() (err error) {
	c := p.c
	if p.body, err = p.text(&c.Job); err != nil {
		return err
	}
	if len(c.Records) > 0 {
		if p.records, err = p.text(c.Records); err != nil {
			return err
		}
	}
	p.tasks = make([]string, len(c.Tasks))
	for i := range c.Tasks {
		if taskCodes[c.Tasks[i].State] == 0 || c.Tasks[i].N > maxPart {
			return fmt.Errorf("commit job %s: task %d has the unknown state %q or too high a number", c.Job.ID, c.Tasks[i].N, c.Tasks[i].State)
		}
		if p.tasks[i], err = p.text(&c.Tasks[i]); err != nil {
			return err
		}
	}
	p.results = make([]string, len(c.Results))
	for i := range c.Results {
		if p.results[i], err = p.text(&c.Results[i]); err != nil {
			return err
		}
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
	var seq int64
	var err error
	if p.c.Base == 0 {
		seq, err = p.insert(w)
	} else {
		seq, err = p.update(w)
	}
	if err != nil {
		return err
	}
	if err := p.putData(w, seq); err != nil {
		return err
	}
	if p.records != "" {
		if _, err := w.c.exec("INSERT INTO parts(k, f, body) VALUES(?,?,?)", partKey(seq, recordPart, p.c.Job.Records), int64(store.Format), p.records); err != nil {
			return fmt.Errorf("record %d of job %s: %w", p.c.Job.Records, p.c.Job.ID, err)
		}
	}
	if err := w.putHeld(p.id, p.c.Tasks); err != nil {
		return err
	}
	if err := p.putTasks(w, seq); err != nil {
		return err
	}
	return p.putRest(w, seq)
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

// wakes gives the columns by which the engine finds the job; those of an ended job are empty.
func (p *plan) wakes() (ended, ready int64, due driver.Value) {
	if p.status >= firstEnded {
		return 1, 0, nil
	}
	if p.c.Job.Ready {
		ready = 1
	}
	return 0, ready, millis(p.c.Job.Due)
}

func (p *plan) insert(w *writer) (seq int64, err error) {
	ended, ready, due := p.wakes()
	n, err := w.c.exec(`INSERT INTO jobs(id, version, status, ended, ready, due, parent, blueprint, client, f, body)
		VALUES(?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO NOTHING`,
		p.id[:], p.c.Job.Version, p.status, ended, ready, due, p.parent, p.c.Job.Blueprint, p.c.Job.Client.ID, int64(store.Format), p.body)
	if err != nil {
		return 0, fmt.Errorf("job %s: %w", p.c.Job.ID, err)
	}
	if n == 0 {
		return 0, fmt.Errorf("commit job %s: %w", p.c.Job.ID, store.ErrExists)
	}
	seq = w.c.last
	w.delta[p.status]++
	w.known.put(p.id, known{seq, p.status})
	return seq, nil
}

// update guards by the version in its WHERE: no row changed means that the job moved on.
func (p *plan) update(w *writer) (seq int64, err error) {
	conflict := func() error {
		return fmt.Errorf("commit job %s on version %d: %w", p.c.Job.ID, p.c.Base, store.ErrConflict)
	}
	k, ok, err := w.lookUp(p.id)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, conflict()
	}
	ended, ready, due := p.wakes()
	args := []driver.Value{p.c.Job.Version, p.status, ready, due, int64(store.Format), p.body, k.seq, p.c.Base}
	text := "UPDATE jobs SET version=?, status=?, ready=?, due=?, f=?, body=? WHERE seq=? AND version=?"
	if ended == 1 || k.status >= firstEnded { // only then may the index of live jobs change
		args = append([]driver.Value{ended}, args...)
		text = "UPDATE jobs SET ended=?, version=?, status=?, ready=?, due=?, f=?, body=? WHERE seq=? AND version=?"
	}
	n, err := w.c.exec(text, args...)
	if err != nil {
		return 0, fmt.Errorf("job %s: %w", p.c.Job.ID, err)
	}
	if n == 0 {
		return 0, conflict()
	}
	w.delta[k.status]--
	w.delta[p.status]++
	w.known.put(p.id, known{k.seq, p.status})
	return k.seq, nil
}

func (p *plan) putData(w *writer, seq int64) error {
	if p.c.Base == 0 && len(p.c.InitialData) > 0 {
		if _, err := w.c.exec("INSERT INTO parts(k, f, body) VALUES(?,?,?)", partKey(seq, initialData, 0), int64(store.Format), string(p.c.InitialData)); err != nil {
			return fmt.Errorf("initial data of job %s: %w", p.c.Job.ID, err)
		}
	}
	if p.c.StateHistory == nil {
		return nil
	}
	_, err := w.c.exec("INSERT INTO parts(k, f, body) VALUES(?,?,?) ON CONFLICT DO UPDATE SET f=excluded.f, body=excluded.body",
		partKey(seq, stateHistory, 0), int64(store.Format), string(p.c.StateHistory))
	if err != nil {
		return fmt.Errorf("state_history of job %s: %w", p.c.Job.ID, err)
	}
	return nil
}

func (p *plan) putTasks(w *writer, seq int64) error {
	if p.c.CloseTasks && p.c.Job.LastTask > 0 { // before the others, so that those stay open
		_, err := w.c.exec("UPDATE parts SET open=0, state=5, due=NULL WHERE k BETWEEN ? AND ? AND +open=1",
			partKey(seq, taskPart, 0), partKey(seq, taskPart, int64(p.c.Job.LastTask)))
		if err != nil {
			return fmt.Errorf("close tasks of job %s: %w", p.c.Job.ID, err)
		}
	}
	for i, text := range p.tasks {
		t := &p.c.Tasks[i]
		open, due := taskWakes(t)
		_, err := w.c.exec(`INSERT INTO parts(k, open, state, hand_out, due, f, body) VALUES(?,?,?,?,?,?,?)
			ON CONFLICT DO UPDATE SET open=excluded.open, state=excluded.state, hand_out=excluded.hand_out,
				due=excluded.due, f=excluded.f, body=excluded.body`,
			partKey(seq, taskPart, int64(t.N)), open, taskCodes[t.State], int64(t.HandOut), due, int64(store.Format), text)
		if err != nil {
			return fmt.Errorf("task %d of job %s: %w", t.N, p.c.Job.ID, err)
		}
	}
	return nil
}

func (p *plan) putRest(w *writer, seq int64) error {
	for i, text := range p.results {
		r := &p.c.Results[i]
		_, err := w.c.exec("INSERT INTO results(job, grp, task_id, f, body) VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE SET f=excluded.f, body=excluded.body",
			seq, r.Group, r.TaskID, int64(store.Format), text)
		if err != nil {
			return fmt.Errorf("result of task %s of job %s: %w", r.TaskID, p.c.Job.ID, err)
		}
	}
	for i, text := range p.outbox {
		m := &p.c.Outbox[i]
		_, err := w.c.exec("INSERT INTO outbox(id, due, f, body) VALUES(?,?,?,?) ON CONFLICT(id) DO NOTHING", m.ID, m.Due.UnixMilli(), int64(store.Format), text)
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

// putValue keeps a value under its version, or gives it one that was never used before in
// this file: a key that is deleted and written again is not what a step read earlier.
func (p *plan) putValue(w *writer, v *job.StoreWrite) error {
	if v.Value == nil {
		_, err := w.c.exec("DELETE FROM data_stores WHERE blueprint=? AND store=? AND key=?", p.c.Job.Blueprint, v.Store, v.Key)
		return err
	}
	version := v.Version
	if version == 0 {
		var err error
		if version, err = w.nextValue(); err != nil {
			return err
		}
	}
	_, err := w.c.exec("INSERT INTO data_stores(blueprint, store, key, version, body) VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE SET version=excluded.version, body=excluded.body",
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

// HandOut queues the task as given; the WHERE drops it when it is not the next hand-out, be
// it that the task has returned.
func (s *Store) HandOut(t job.Task) {
	id, ok := job.ParseID(t.JobID)
	body, err := store.Encode(&t)
	if !ok || err != nil || taskCodes[t.State] == 0 {
		s.opts.Log.Warn("hand-out not written", "job", t.JobID, "task", t.N, "state", t.State, "error", err)
		return
	}
	s.later("hand-out", &write{size: len(body), keep: true, out: &handOut{id: id, task: t.N}, do: func(w *writer) error {
		k, ok, err := w.lookUp(id)
		if err != nil || !ok {
			return err
		}
		open, due := taskWakes(&t)
		_, err = w.c.exec("UPDATE parts SET open=?, state=?, hand_out=?, due=?, f=?, body=? WHERE k=? AND state=1 AND hand_out=?",
			open, taskCodes[t.State], int64(t.HandOut), due, int64(store.Format), body, partKey(k.seq, taskPart, int64(t.N)), int64(t.HandOut-1))
		return err
	}})
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
		if _, err := w.c.exec("INSERT INTO progress(job, task_id, f, body) VALUES(?,?,?,?)", k.seq, p.TaskID, int64(store.Format), body); err != nil {
			return err
		}
		_, err = w.c.exec(`DELETE FROM progress WHERE job=?1 AND task_id=?2 AND k<=
			(SELECT k FROM progress WHERE job=?1 AND task_id=?2 ORDER BY k DESC LIMIT 1 OFFSET ?3)`, k.seq, p.TaskID, int64(store.ProgressKept))
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
