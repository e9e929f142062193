package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/line"
)

// This file holds the writes of jobs: everything is encoded by the caller's goroutine, a
// writer only sends it.

// row is the text of a value with its format number before it, as all rows are kept.
func row(v any) (string, error) {
	text, err := store.Encode(v)
	return formatted(text), err
}

const formatHead = "1 " // store.Format and a space; a test compares them

func formatted(text string) string { return formatHead + text }

// decode reads what row wrote.
func decode(text string, v any) error {
	format, body, err := cutFormat(text)
	if err != nil {
		return err
	}
	return store.Decode(format, body, v)
}

func cutFormat(text string) (format int64, body string, err error) {
	head, body, _ := strings.Cut(text, " ")
	format, err = strconv.ParseInt(head, 10, 64)
	if err != nil {
		return 0, "", fmt.Errorf("%w: it begins with %.20q, where its format number belongs", store.ErrUnreadable, text)
	}
	return format, body, nil
}

// taskCodes number the states of tasks in their texts; they are kept, so they never change.
var taskCodes = map[job.TaskState]int{
	job.TaskQueued: 1, job.TaskLeased: 2, job.TaskRetry: 3, job.TaskDone: 4, job.TaskClosed: 5,
}

// taskText is a task as it is kept: state, hand-outs, format and row.
func taskText(t *job.Task) (string, error) {
	code := taskCodes[t.State]
	if code == 0 || t.N > maxTask {
		return "", fmt.Errorf("task %d of job %s has the unknown state %q or too high a number", t.N, t.JobID, t.State)
	}
	text, err := row(t)
	return strconv.Itoa(code) + " " + strconv.Itoa(t.HandOut) + " " + text, err
}

// parseTask reads a task. One that was closed with all the others keeps its old row.
func parseTask(text string) (t job.Task, err error) {
	code, rest, _ := strings.Cut(text, " ")
	_, rest, _ = strings.Cut(rest, " ")
	err = decode(rest, &t)
	if code == "5" && t.State != job.TaskClosed {
		t.State, t.Due = job.TaskClosed, nil
	}
	return t, err
}

// millis gives a date as it is kept, "" for none.
func millis(t *time.Time) string {
	if t == nil {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func flag(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}

// classOf says in which list of a shard a job of a status is.
func classOf(s job.Status) string {
	switch {
	case !s.Terminal():
		return liveList
	case s == job.Finished:
		return "done"
	}
	return badList
}

// plan makes the arguments of the commit's script; see lua/commit.lua.
type plan struct {
	args []any
	size int
	err  error
}

func (p *plan) add(text string) {
	p.args = append(p.args, text)
	p.size += len(text)
}

func (p *plan) length(n int) { p.add(strconv.Itoa(n)) }

func (p *plan) row(v any) {
	text, err := row(v)
	if err != nil && p.err == nil {
		p.err = err
	}
	p.add(text)
}

// data adds an object that is kept as it came; absent ones stay "".
func (p *plan) data(raw []byte) {
	if len(raw) == 0 {
		p.add("")
		return
	}
	p.add(formatted(string(raw)))
}

// Homes that are no shard's key; see lua/commit.lua.
const (
	noHome    = "-" // no data store is read or written
	otherHome = ""  // what is read and written is prepared apart
)

// planOf encodes a change. home is the shard's key of its blueprint's data stores.
func planOf(c *job.Change, token, home string) (*plan, error) {
	p := &plan{args: make([]any, 0, 40)}
	j := &c.Job
	live := !j.Status.Terminal()
	due, parent := "", ""
	if live {
		due = millis(j.Due)
	}
	if j.Parent != nil {
		parent = j.Parent.JobID
	}
	for _, text := range []string{
		j.ID, token, strconv.FormatInt(c.Base, 10), strconv.FormatInt(c.Fence, 10), strconv.FormatInt(j.Version, 10),
		string(j.Status), classOf(j.Status), flag(j.Ready && live), due, flag(c.CloseTasks), j.Blueprint, j.Client.ID, parent,
	} {
		p.add(text)
	}
	p.row(j)
	if c.Base == 0 {
		p.data(c.InitialData)
	} else {
		p.add("")
	}
	if c.StateHistory == nil {
		p.add("")
	} else {
		p.data(store.Object(c.StateHistory))
	}
	p.add(home)
	p.lists(c, home == otherHome)
	if p.err != nil {
		return nil, fmt.Errorf("commit job %s: %w", j.ID, p.err)
	}
	return p, nil
}

func (p *plan) reads(c *job.Change, list []job.StoreRead) {
	p.length(len(list))
	for _, r := range list {
		p.add(valueStore(c.Job.Blueprint, r.Store))
		p.add(r.Key)
		p.add(strconv.FormatInt(r.Version, 10))
	}
}

func (p *plan) writes(c *job.Change, list []job.StoreWrite) {
	p.length(len(list))
	for i := range list {
		w := &list[i]
		version := strconv.FormatInt(w.Version, 10)
		if w.Value == nil {
			version = "-"
		}
		p.add(valueStore(c.Job.Blueprint, w.Store))
		p.add(w.Key)
		p.add(version)
		p.add(string(w.Value))
	}
}

// lists adds the six lists; apart leaves out what concerns data stores.
func (p *plan) lists(c *job.Change, apart bool) {
	reads, writes := c.Reads, c.Writes
	if apart {
		reads, writes = nil, nil
	}
	p.length(len(c.Records))
	for i := range c.Records {
		p.row(&c.Records[i])
	}
	p.reads(c, reads)
	p.length(len(c.Tasks))
	for i := range c.Tasks {
		t := &c.Tasks[i]
		text, err := taskText(t)
		if err != nil && p.err == nil {
			p.err = err
		}
		open, due := taskWakes(t)
		p.add(taskNumber(t.N))
		p.add(open)
		p.add(due)
		p.add(text)
	}
	p.length(len(c.Results))
	for i := range c.Results {
		p.add(strconv.FormatInt(c.Results[i].Group, 10))
		p.add(c.Results[i].TaskID)
		p.row(&c.Results[i])
	}
	p.length(len(c.Outbox))
	for i := range c.Outbox {
		m := &c.Outbox[i]
		bucket, _ := bucketOf(m.ID)
		p.add(m.ID)
		p.add(bucket)
		p.add(strconv.FormatInt(m.Due.UnixMilli(), 10))
		p.row(m)
	}
	p.writes(c, writes)
}

func taskWakes(t *job.Task) (open, due string) {
	if !t.State.Open() {
		return "0", ""
	}
	return "1", millis(t.Due)
}

// Commit encodes the change, queues it and waits for its pipeline.
func (s *Store) Commit(ctx context.Context, c *job.Change) error {
	return s.CommitQueued(ctx, c, nil)
}

// CommitQueued is Commit; queued, when there is one, hears that the change is in line.
func (s *Store) CommitQueued(ctx context.Context, c *job.Change, queued func()) error {
	if err := store.Check(c); err != nil {
		return err
	}
	x, at, err := s.commitOf(c)
	if err != nil {
		return err
	}
	return s.lineOf(at).Await(ctx, x, queued)
}

// commitOf makes the write of a change, and says which shard's line it goes in.
func (s *Store) commitOf(c *job.Change) (x *write, at byte, err error) {
	shard, home := s.keys.of(c.Job.ID), noHome
	at = job.ShardOf(c.Job.ID)
	if len(c.Reads) > 0 || len(c.Writes) > 0 { // in line by the values' shard: others wait for them
		at = job.ShardByName(c.Job.Blueprint)
		home = s.keys.shard(at)
	}
	token, inScript := s.token(), home
	apart := s.cluster && home != noHome && home != shard
	if apart {
		inScript = otherHome
	}
	p, err := planOf(c, token, inScript)
	if err != nil {
		return nil, 0, err
	}
	x = &write{
		Kind: line.Change, What: "change", Job: c.Job.ID, Tasks: c.Tasks, Size: p.size,
		Data: call{script: commitScript, key: shard, args: p.args, home: home, told: func(reply any) error { return s.refusal(c, reply) }},
	}
	if apart {
		kept := &plan{}
		kept.add(token)
		kept.add(shard)
		kept.reads(c, c.Reads)
		kept.writes(c, c.Writes)
		x.Size += kept.size
		x.Data.across = &crossing{home: home, shard: shard, prepare: kept.args, commit: p.args}
	}
	return x, at, nil
}

// refusal says why the script did nothing; nil when it did.
func (s *Store) refusal(c *job.Change, reply any) error {
	text, _ := reply.(string)
	what, rest, _ := strings.Cut(text, " ")
	switch what {
	case "":
		return nil
	case "exists":
		return fmt.Errorf("commit job %s: %w", c.Job.ID, store.ErrExists)
	case "conflict":
		return fmt.Errorf("commit job %s on version %d: %w", c.Job.ID, c.Base, store.ErrConflict)
	case "fenced":
		return fmt.Errorf("commit job %s: shard %02x stands at fence %s, the change was built on %d: %w", c.Job.ID, job.ShardOf(c.Job.ID), rest, c.Fence, store.ErrFenced)
	case "pending", "over":
		return s.contended()
	case "read":
		name, key := "", ""
		if n, after, ok := strings.Cut(rest, " "); ok {
			if size, err := strconv.Atoi(n); err == nil && size <= len(after) {
				name, key = after[len(valueStore(c.Job.Blueprint, "")):size], after[size:]
			}
		}
		return fmt.Errorf("commit job %s: store %s, key %q: %w", c.Job.ID, name, key, store.ErrConflict)
	}
	return fmt.Errorf("commit job %s: the script answered %q", c.Job.ID, text)
}

// HandOut queues the task as given; the script drops it when it is not the next hand-out.
func (s *Store) HandOut(t job.Task) {
	text, err := taskText(&t)
	if _, ok := job.ParseID(t.JobID); !ok || err != nil {
		s.opts.Log.Warn("hand-out not written", "job", t.JobID, "task", t.N, "state", t.State, "error", err)
		return
	}
	open, due := taskWakes(&t)
	s.lineOf(job.ShardOf(t.JobID)).Later(&write{
		Kind: line.HandOut, What: "hand-out", Job: t.JobID, Task: t.N, Size: len(text),
		Data: call{script: handOutScript, key: s.keys.of(t.JobID),
			args: []any{t.JobID, taskNumber(t.N), strconv.Itoa(t.HandOut - 1), open, due, text, strconv.FormatInt(t.Fence, 10)}},
	})
}

// AddProgress queues an entry. One that meets a server that is away is dropped.
func (s *Store) AddProgress(jobID string, p store.Progress) {
	if _, ok := job.ParseID(jobID); !ok {
		return // of no job
	}
	text, err := row(&p)
	if err != nil {
		s.opts.Log.Warn("progress not written", "job", jobID, "error", err)
		return
	}
	s.lineOf(job.ShardOf(jobID)).Later(&write{
		What: "progress", Job: jobID, Size: len(text),
		Data: call{script: progressScript, key: s.keys.of(jobID),
			args: []any{jobID, p.TaskID, strconv.Itoa(store.ProgressKept), s.token(), text, strconv.Itoa(store.JobProgressKept), strconv.Itoa(store.ProgressLeft)}},
	})
}
