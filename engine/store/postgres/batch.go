package postgres

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file turns the writes of a batch into statements: one for each kind of row, whose
// parameters are the columns of all rows together.

// columns are the rows of a batch, by table.
type columns struct {
	slot  int16 // of the numbers
	locks lockKeys

	fresh, steps headColumns
	cold         struct {
		id                []uuid
		parent            []pgtype.UUID
		blueprint, client [][]byte
		initial           [][]byte
	}
	records struct {
		job  []uuid
		n    []int32
		body [][]byte
	}
	closing []uuid // jobs whose open tasks are closed
	tasks   taskColumns
	outs    taskColumns // hand-outs
	results struct {
		job        []uuid
		grp        []int64
		task, body [][]byte
	}
	outbox struct {
		id, body [][]byte
		due      []int64
		shard    []int16
	}
	moved struct { // postponed messages
		id, body [][]byte
		due      []int64
	}
	gone   [][]byte // delivered messages
	values struct {
		blueprint, store, key, body [][]byte
		version                     []int64
	}
	emptied  struct{ blueprint, store, key [][]byte } // values
	progress struct {
		job        []uuid
		task, body [][]byte
	}
	fences guards
	reads  struct {
		blueprint, store, key [][]byte
		version               []int64
	}
	stores []int32 // keys of the data stores that are locked, in order
}

type headColumns struct {
	id            []uuid
	base          []int64
	shard, status []int16
	ready         []bool
	due           []pgtype.Int8
	body, history [][]byte
}

type taskColumns struct {
	job            []uuid
	n, hand        []int32
	shard, state   []int16
	open           []bool
	due            []pgtype.Int8
	body           [][]byte
	firstOfHandOut map[outKey]bool
}

// guards are the leases that changes were built on.
type guards struct {
	name  []string
	fence []int64
}

type outKey struct {
	job     uuid
	n, hand int
}

type valueKey struct{ blueprint, store, key string }

func (h *headColumns) add(p *plan) {
	ready, due := p.wakes()
	h.id, h.base = append(h.id, p.id), append(h.base, p.c.Base)
	h.shard, h.status = append(h.shard, shardOf(p.id)), append(h.status, p.status)
	h.ready, h.due = append(h.ready, ready), append(h.due, due)
	h.body = append(h.body, p.body)
	h.history = append(h.history, p.c.StateHistory) // nil is NULL: unchanged
}

func (c *taskColumns) add(r *taskRow) {
	c.job, c.n, c.hand = append(c.job, r.job), append(c.n, int32(r.t.N)), append(c.hand, int32(r.t.HandOut))
	c.shard, c.state = append(c.shard, shardOf(r.job)), append(c.state, taskCodes[r.t.State])
	c.open, c.due = append(c.open, r.t.State.Open()), append(c.due, r.due)
	c.body = append(c.body, r.body)
}

// handOut adds the first of several hand-outs that bear the same number; the others come late.
func (c *taskColumns) handOut(r *taskRow) {
	k := outKey{r.job, r.t.N, r.t.HandOut}
	if c.firstOfHandOut[k] {
		return
	}
	if c.firstOfHandOut == nil {
		c.firstOfHandOut = map[outKey]bool{}
	}
	c.firstOfHandOut[k] = true
	c.add(r)
}

// change adds the rows of a change; its values and guards are added apart.
func (c *columns) change(p *plan) {
	if p.c.Base == 0 {
		c.fresh.add(p)
		c.cold.id, c.cold.parent = append(c.cold.id, p.id), append(c.cold.parent, p.parent)
		c.cold.blueprint, c.cold.client = append(c.cold.blueprint, []byte(p.c.Job.Blueprint)), append(c.cold.client, []byte(p.c.Job.Client.ID))
		c.cold.initial = append(c.cold.initial, p.c.InitialData)
	} else {
		c.steps.add(p)
	}
	if p.records != nil {
		c.records.job, c.records.n = append(c.records.job, p.id), append(c.records.n, int32(p.c.Job.Records))
		c.records.body = append(c.records.body, p.records)
	}
	if p.c.CloseTasks && p.c.Job.LastTask > 0 && p.c.Base > 0 {
		c.closing = append(c.closing, p.id)
	}
	for i := range p.tasks {
		c.tasks.add(&p.tasks[i])
	}
	c.branchResults(p)
	for i, body := range p.outbox {
		m := &p.c.Outbox[i]
		c.outbox.id, c.outbox.body = append(c.outbox.id, []byte(m.ID)), append(c.outbox.body, body)
		c.outbox.due, c.outbox.shard = append(c.outbox.due, m.Due.UnixMilli()), append(c.outbox.shard, shardOf(p.id))
	}
}

// branchResults adds the last one of each task: a statement may not write a row twice.
func (c *columns) branchResults(p *plan) {
	for i := range p.results {
		r, again := &p.c.Results[i], false
		for _, later := range p.c.Results[i+1:] {
			again = again || later.Group == r.Group && later.TaskID == r.TaskID
		}
		if again {
			continue
		}
		c.results.job, c.results.grp = append(c.results.job, p.id), append(c.results.grp, r.Group)
		c.results.task, c.results.body = append(c.results.task, []byte(r.TaskID)), append(c.results.body, p.results[i])
	}
}

// overlay is what the accepted changes of a batch do to data stores, in order.
type overlay struct {
	last  map[valueKey]*job.StoreWrite
	order []valueKey
}

// read gives the version of a value that an earlier change of the batch writes. -1 is one that
// the database will choose, 0 a deleted value.
func (o *overlay) read(k valueKey) (version int64, written bool) {
	w, ok := o.last[k]
	switch {
	case !ok:
		return 0, false
	case w.Value == nil:
		return 0, true
	case w.Version == 0:
		return -1, true
	}
	return w.Version, true
}

func (o *overlay) write(p *plan) {
	for i := range p.c.Writes {
		w := &p.c.Writes[i]
		k := valueKey{p.c.Job.Blueprint, w.Store, w.Key}
		if o.last == nil {
			o.last = map[valueKey]*job.StoreWrite{}
		}
		if _, again := o.last[k]; !again {
			o.order = append(o.order, k)
		}
		o.last[k] = w
	}
}

// writes adds what stands at the end.
func (c *columns) writes(o *overlay) {
	for _, k := range o.order {
		w := o.last[k]
		if w.Value == nil {
			e := &c.emptied
			e.blueprint, e.store, e.key = append(e.blueprint, []byte(k.blueprint)), append(e.store, []byte(k.store)), append(e.key, []byte(k.key))
			continue
		}
		v := &c.values
		v.blueprint, v.store, v.key = append(v.blueprint, []byte(k.blueprint)), append(v.store, []byte(k.store)), append(v.key, []byte(k.key))
		v.version, v.body = append(v.version, w.Version), append(v.body, w.Value)
	}
}

func (c *columns) read(k valueKey, version int64) {
	r := &c.reads
	r.blueprint, r.store, r.key = append(r.blueprint, []byte(k.blueprint)), append(r.store, []byte(k.store)), append(r.key, []byte(k.key))
	r.version = append(r.version, version)
}

// queue adds the statements. Guards come where they are cheapest: the fences last, so that a
// node that is stopped while it sends does not hold the lock that a takeover waits for.
func (c *columns) queue(b *pgx.Batch) {
	if len(c.stores) > 0 {
		b.Queue(lockValues, c.stores, c.locks.values)
	}
	if len(c.reads.key) > 0 {
		b.Queue(checkReads, c.reads.blueprint, c.reads.store, c.reads.key, c.reads.version)
	}
	if len(c.outs.job) > 0 {
		b.Queue(putHandOuts, c.outs.job, c.outs.n, c.outs.hand, c.outs.state, c.outs.open, c.outs.due, c.outs.body, formatNow)
	}
	c.queueJobs(b)
	c.queueParts(b)
	c.queueBeside(b)
	if len(c.fences.name) > 0 {
		b.Queue(lockFences, c.locks.fences)
		b.Queue(checkFences, c.fences.name, c.fences.fence)
	}
}

// formatNow is the format number of what is written.
const formatNow = int16(store.Format)

func (c *columns) queueJobs(b *pgx.Batch) {
	if h := &c.steps; len(h.id) > 0 {
		b.Queue(updateHeads, h.id, h.base, h.status, h.ready, h.due, h.body, h.history, formatNow, c.slot, len(h.id))
	}
	if h := &c.fresh; len(h.id) > 0 {
		b.Queue(insertHeads, h.id, h.shard, h.status, h.ready, h.due, h.body, h.history, formatNow, c.slot, len(h.id))
		b.Queue(insertJobs, c.cold.id, c.cold.parent, c.cold.blueprint, c.cold.client, c.cold.initial, formatNow)
	}
}

func (c *columns) queueParts(b *pgx.Batch) {
	if r := &c.records; len(r.job) > 0 {
		b.Queue(insertRecords, r.job, r.n, r.body, formatNow)
	}
	if len(c.closing) > 0 { // before the others, so that those stay open
		b.Queue(closeTasks, c.closing)
	}
	if t := &c.tasks; len(t.job) > 0 {
		b.Queue(putTasks, t.job, t.n, t.hand, t.shard, t.state, t.open, t.due, t.body, formatNow)
	}
	if r := &c.results; len(r.job) > 0 {
		b.Queue(putResults, r.job, r.grp, r.task, r.body, formatNow)
	}
	if p := &c.progress; len(p.job) > 0 {
		b.Queue(insertProgress, p.job, p.task, p.body, formatNow)
		b.Queue(trimProgress, p.job, p.task, store.ProgressKept)
		b.Queue(trimJobs, p.job, store.JobProgressKept, store.ProgressLeft)
	}
}

func (c *columns) queueBeside(b *pgx.Batch) {
	if o := &c.outbox; len(o.id) > 0 {
		b.Queue(insertOutbox, o.id, o.due, o.shard, o.body, formatNow)
	}
	if m := &c.moved; len(m.id) > 0 {
		b.Queue(postponeOutbox, m.id, m.due, m.body, formatNow)
	}
	if len(c.gone) > 0 {
		b.Queue(deleteOutbox, c.gone)
	}
	if v := &c.values; len(v.key) > 0 {
		b.Queue(putValues, v.blueprint, v.store, v.key, v.version, v.body)
	}
	if e := &c.emptied; len(e.key) > 0 {
		b.Queue(deleteValues, e.blueprint, e.store, e.key)
	}
}
