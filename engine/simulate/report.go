package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file builds what a run leaves behind: the JSON of `run --format json`.

// JobReport is one job as contract.md prints it.
type JobReport struct {
	JobID        string          `json:"job_id"`
	Blueprint    string          `json:"blueprint"`
	Status       job.Status      `json:"status"`
	FinalState   string          `json:"final_state"`
	Path         []string        `json:"path"` // states in the order they were entered
	InitialData  json.RawMessage `json:"initial_data"`
	StateHistory json.RawMessage `json:"state_history"`
	Error        *Failure        `json:"error"`
	Dispatched   []Try           `json:"dispatched"`
	Children     []JobReport     `json:"children"`
	Log          []job.LogLine   `json:"log"`

	Stuck  string        `json:"-"` // why the job did not end; "" when it did
	Reason string        `json:"-"` // transition_to(error_message=)
	Cause  *job.Error    `json:"-"` // the whole error, with position and backtrace
	Took   time.Duration `json:"-"` // simulated, from the job's creation to its end
	Served []Try         `json:"-"` // tries in the order in which the worker got them

	Ignored  []Ignored         `json:"-"` // results that did not count
	Moves    []Move            `json:"-"` // the ways it took, in order
	Progress []store.Progress  `json:"-"`
	Webhooks []json.RawMessage `json:"-"` // what its client was told; of the job that ran, not of children

	Files map[string]string `json:"-"` // name -> text, or a note for what is no short text
}

// Failure is the part of a job's error that is a promise.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// CodeStuck is the error code of a job that nothing could move any more.
const CodeStuck = "STUCK"

// Try is one attempt of one task, as it entered the queue.
type Try struct {
	TaskType  string          `json:"task_type"`
	Params    json.RawMessage `json:"params"`
	Priority  float64         `json:"priority"`
	Strategy  string          `json:"dispatch_strategy"`
	MaxCost   *float64        `json:"max_cost"`
	Resources json.RawMessage `json:"resource_requirements"`
	Timeout   *float64        `json:"timeout_seconds"`
	Attempt   int             `json:"attempt"` // 1-based
}

type tryKey struct {
	taskKey
	attempt int
}

// noteTries keeps every attempt that the queue shows for the first time.
func (s *sim) noteTries(ctx context.Context) {
	for _, t := range s.queue.queued() {
		k := tryKey{keyOf(t), t.Attempt + 1}
		if s.seen[k] {
			continue
		}
		s.seen[k] = true
		s.tries[t.JobID] = append(s.tries[t.JobID], s.try(ctx, t))
	}
}

// try gives the next attempt of a queued task as contract.md prints it.
func (s *sim) try(ctx context.Context, t job.Task) Try {
	try := Try{TaskType: t.Type, Params: t.Params, Priority: t.Priority, Strategy: t.Strategy,
		MaxCost: t.MaxCost, Resources: t.Resources, Attempt: t.Attempt + 1}
	if try.Params == nil { // a queue may hold tasks without their large part
		if row, err := s.engine.Task(ctx, t.JobID, t.N); err == nil {
			try.Params = row.Params
		}
	}
	if try.Strategy == "" {
		try.Strategy = "default"
	}
	if t.Timeout > 0 {
		try.Timeout = &t.Timeout
	}
	return try
}

// reportJob reads a job and its children back from the store.
func (s *sim) reportJob(ctx context.Context, id, stuck string) (*JobReport, error) {
	j, data, err := s.store.Load(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", id, err)
	}
	r := &JobReport{
		JobID: id, Blueprint: j.Blueprint, Status: j.Status, FinalState: j.State,
		InitialData: data.Initial, StateHistory: data.History,
		Path: []string{}, Dispatched: []Try{}, Children: []JobReport{}, Log: []job.LogLine{},
		Stuck: stuck, Reason: j.Reason, Served: s.served[id],
	}
	if j.EndedAt != nil {
		r.Took = j.EndedAt.Sub(j.CreatedAt)
	}
	if len(r.StateHistory) == 0 {
		r.StateHistory = json.RawMessage(`{}`)
	}
	r.Dispatched = append(r.Dispatched, s.tries[id]...)
	switch {
	case stuck != "":
		r.Error = &Failure{CodeStuck, stuck}
	case j.Status != job.Finished && j.Error != nil:
		r.Error, r.Cause = &Failure{j.Error.Code, j.Error.Message}, j.Error
	}
	records, err := s.records(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	if j.Parent == nil {
		r.Webhooks = s.hooks
	}
	r.Ignored, r.Moves = s.ignored[id], moves(records)
	if r.Progress, err = s.store.Progress(ctx, id); err != nil {
		return nil, fmt.Errorf("the progress of job %s: %w", id, err)
	}
	for _, rec := range records {
		r.Path = append(r.Path, entered(rec)...)
		for _, line := range rec.Log {
			if line.State == "" {
				line.State = rec.State
			}
			r.Log = append(r.Log, line)
		}
	}
	children, err := s.store.Children(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, child := range children {
		c, err := s.reportJob(ctx, child, "")
		if err != nil {
			return nil, err
		}
		r.Children = append(r.Children, *c)
	}
	return r, nil
}

// entered gives the state that a record entered, if it did. A job that runs after the
// event without a Next has entered the state it stood in once more.
func entered(r job.Record) []string {
	switch {
	case r.Next != "":
		return []string{r.Next}
	case r.Kind == job.RecCreated, r.Status == job.Running:
		return []string{r.State}
	}
	return nil
}

// records reads all history records of a job after a number.
func (s *sim) records(ctx context.Context, id string, after int64) ([]job.Record, error) {
	const page = 1000
	var all []job.Record
	for {
		got, err := s.store.Records(ctx, id, after, page)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("the history of job %s: %w", id, err)
		}
		if len(got) == 0 {
			return all, nil
		}
		all = append(all, got...)
		after = got[len(got)-1].N
	}
}

// MarshalJSON gives the object of one run, or {"runs": [...]} for several; stores and files
// stand beside.
func (r Report) MarshalJSON() ([]byte, error) {
	type extras struct {
		Stores map[string]map[string]json.RawMessage `json:"stores"`
		Files  map[string]string                     `json:"files"`
	}
	stores := r.Stores
	if stores == nil {
		stores = map[string]map[string]json.RawMessage{}
	}
	files := map[string]string{}
	if n := len(r.Runs); n > 0 && r.Runs[n-1].Files != nil { // of the last job
		files = r.Runs[n-1].Files
	}
	x := extras{stores, files}
	if len(r.Runs) == 1 {
		return json.Marshal(struct {
			JobReport
			extras
		}{r.Runs[0], x})
	}
	return json.Marshal(struct {
		Runs []JobReport `json:"runs"`
		extras
	}{r.Runs, x})
}
