package postgres

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file encodes a change, in the goroutine of its caller.

// uuid is a job's id as its rows have it.
type uuid = [16]byte

// plan is a Change ready to be written.
type plan struct {
	c       *job.Change
	id      uuid
	parent  pgtype.UUID
	status  int16
	size    int
	body    []byte
	records []byte // all of them, as one row: a list
	tasks   []taskRow
	results [][]byte
	outbox  [][]byte
}

// taskRow is a task as it is kept.
type taskRow struct {
	job  uuid
	t    *job.Task
	due  pgtype.Int8
	body []byte
}

func planOf(c *job.Change) (p *plan, err error) {
	if err := store.Check(c); err != nil {
		return nil, err
	}
	return planTo(c)
}

// planTo is planOf for a row that is moved in, whose version is whatever it was.
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
		return nil, fmt.Errorf("commit job %q: that is no job id", c.Job.ID)
	}
	if c.Job.Parent != nil {
		parent, ok := job.ParseID(c.Job.Parent.JobID)
		if !ok {
			return nil, fmt.Errorf("commit job %s: its parent %q is no job id", c.Job.ID, c.Job.Parent.JobID)
		}
		p.parent = pgtype.UUID{Bytes: parent, Valid: true}
	}
	for _, w := range c.Writes {
		p.size += len(w.Key) + len(w.Value)
	}
	return p, p.encode()
}

// text encodes one row of the plan.
func (p *plan) text(v any) ([]byte, error) {
	s, err := store.Encode(v)
	p.size += len(s)
	return []byte(s), err
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
	if err := p.encodeTasks(); err != nil {
		return err
	}
	for i := range c.Results {
		body, err := p.text(&c.Results[i])
		if err != nil {
			return err
		}
		p.results = append(p.results, body)
	}
	for i := range c.Outbox {
		body, err := p.text(&c.Outbox[i])
		if err != nil {
			return err
		}
		p.outbox = append(p.outbox, body)
	}
	return nil
}

// encodeTasks keeps the last row of each task: a statement may not write one twice.
func (p *plan) encodeTasks() error {
	at := map[int]int{}
	for i := range p.c.Tasks {
		t := &p.c.Tasks[i]
		if taskCodes[t.State] == 0 || t.N > maxPart {
			return fmt.Errorf("commit job %s: task %d has the unknown state %q or too high a number", p.c.Job.ID, t.N, t.State)
		}
		body, err := p.text(t)
		if err != nil {
			return err
		}
		row := taskRow{p.id, t, taskDue(t), body}
		if n, twice := at[t.N]; twice {
			p.tasks[n] = row
			continue
		}
		at[t.N] = len(p.tasks)
		p.tasks = append(p.tasks, row)
	}
	return nil
}

// wakes gives the columns by which the engine finds the job; those of an ended job are empty.
func (p *plan) wakes() (ready bool, due pgtype.Int8) {
	if p.status >= firstEnded {
		return false, pgtype.Int8{}
	}
	return p.c.Job.Ready, millis(p.c.Job.Due)
}

// valued reports whether the change reads or writes data stores.
func (p *plan) valued() bool { return len(p.c.Reads) > 0 || len(p.c.Writes) > 0 }

func taskDue(t *job.Task) pgtype.Int8 {
	if !t.State.Open() {
		return pgtype.Int8{}
	}
	return millis(t.Due)
}

// millis gives a date as it is kept; nil is NULL.
func millis(t *time.Time) pgtype.Int8 {
	if t == nil {
		return pgtype.Int8{}
	}
	return pgtype.Int8{Int64: t.UnixMilli(), Valid: true}
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// shardOf gives the shard that an id names.
func shardOf(id uuid) int16 { return int16(id[15]) }
