package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file shows a job as the public API does ("A job" in the contract).

// View is a job as clients see it. List entries lack the data fields.
type View struct {
	ID                 string          `json:"id"`
	JobID              string          `json:"job_id"`
	Blueprint          string          `json:"blueprint_name"`
	Revision           string          `json:"revision"`
	State              string          `json:"current_state"`
	Status             job.Status      `json:"status"`
	InitialData        json.RawMessage `json:"initial_data,omitempty"`
	StateHistory       json.RawMessage `json:"state_history,omitempty"`
	AggregationResults json.RawMessage `json:"aggregation_results,omitempty"`
	ResultsNext        string          `json:"aggregation_results_next,omitempty"` // set when others follow: the task id after which they begin
	ErrorMessage       *string         `json:"error_message"`
	Error              *job.Error      `json:"error"`
	Client             string          `json:"client"`
	ParentJobID        string          `json:"parent_job_id,omitempty"`
	ChildJobIDs        []string        `json:"child_job_ids"`
	CreatedAt          Time            `json:"created_at"`
	UpdatedAt          Time            `json:"updated_at"`
	EndedAt            *Time           `json:"ended_at,omitempty"`
	Closed             bool            `json:"closed,omitempty"` // a person ended it for good
	Waiting            *Waiting        `json:"waiting"`
	CancelRequestedAt  *Time           `json:"cancel_requested_at,omitempty"`
	WebhookURL         string          `json:"webhook_url,omitempty"`
	CurrentTaskID      string          `json:"current_task_id,omitempty"`
	Deliveries         []Delivery      `json:"deliveries,omitempty"` // to the outside, not yet done
}

// Waiting is the dated reason why a job stands still.
type Waiting struct {
	For    job.Status `json:"for"`
	Since  Time       `json:"since"`
	Until  *Time      `json:"until,omitempty"`
	Detail string     `json:"detail"`
}

// Time is written as RFC 3339 in UTC with milliseconds.
type Time time.Time

// MarshalJSON writes the time with exactly three decimals.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// String gives the same form without quotes.
func (t Time) String() string { return time.Time(t).UTC().Format("2006-01-02T15:04:05.000Z") }

func timePtr(t *time.Time) *Time {
	if t == nil {
		return nil
	}
	v := Time(*t)
	return &v
}

func viewOf(j *job.Job) *View {
	v := &View{
		ID: j.ID, JobID: j.ID, Blueprint: j.Blueprint, Revision: j.Revision, State: j.State, Status: j.Status,
		Error: j.Error, Client: j.Client.ID, ChildJobIDs: []string{}, CreatedAt: Time(j.CreatedAt), UpdatedAt: Time(j.UpdatedAt),
		EndedAt: timePtr(j.EndedAt), Closed: j.Closed, CancelRequestedAt: timePtr(j.CancelAsked), WebhookURL: j.WebhookURL,
	}
	switch {
	case j.Reason != "":
		v.ErrorMessage = &j.Reason
	case j.Error != nil:
		v.ErrorMessage = &j.Error.Message
	}
	if j.Parent != nil {
		v.ParentJobID = j.Parent.JobID
	}
	if j.Wait != nil {
		v.Waiting = &Waiting{For: j.Wait.For, Since: Time(j.Wait.Since), Until: timePtr(j.Wait.Until), Detail: j.Wait.Detail}
	}
	return v
}

// View gives a job with all its data. Fault: not_found.
func (e *Engine) View(ctx context.Context, id string) (*View, error) {
	j, data, err := e.store.Load(ctx, id)
	if err != nil {
		return nil, faultFrom(err, id)
	}
	return e.viewWith(ctx, j, data, e.firstResults)
}

// firstResults are those that a view holds; ResultsNext says where the others begin.
func (e *Engine) firstResults(ctx context.Context, j *job.Job) (object json.RawMessage, next string, err error) {
	return e.Results(ctx, j, "", resultsMost)
}

// resultsOf reads the branch results that a view shows.
type resultsOf func(ctx context.Context, j *job.Job) (object json.RawMessage, next string, err error)

// viewWith gives a job's view from its row and data as they are at hand.
func (e *Engine) viewWith(ctx context.Context, j *job.Job, data store.Data, results resultsOf) (v *View, err error) {
	id := j.ID
	v = viewOf(j)
	v.InitialData, v.StateHistory = orEmpty(data.Initial), orEmpty(data.History)
	if v.StateHistory, err = e.withProgress(ctx, id, v.StateHistory); err != nil {
		return nil, err
	}
	if v.AggregationResults, v.ResultsNext, err = results(ctx, j); err != nil {
		return nil, err
	}
	children, err := e.store.Children(ctx, id)
	if err != nil {
		return nil, err
	}
	v.ChildJobIDs = append(v.ChildJobIDs, children...)
	if j.WebhookURL != "" || j.Status == job.WaitingHuman {
		if v.Deliveries, err = e.outsideOf(ctx, id); err != nil {
			return nil, err
		}
	}
	if j.Wait != nil && j.Wait.Task > 0 {
		t, err := e.store.Task(ctx, id, j.Wait.Task)
		if err == nil && t.State == job.TaskLeased {
			v.CurrentTaskID = t.ID
			v.Waiting.Detail = "task \"" + t.Type + "\" is at worker " + t.Worker + " since " + Time(t.LeasedAt).String()
			v.Waiting.Until = timePtr(t.Due)
		}
	}
	return v, nil
}

func orEmpty(object json.RawMessage) json.RawMessage {
	if len(object) == 0 {
		return json.RawMessage("{}")
	}
	return object
}

// withProgress shows a job's progress reports where recipe 11 looks for them.
func (e *Engine) withProgress(ctx context.Context, id string, history json.RawMessage) (json.RawMessage, error) {
	reports, err := e.store.Progress(ctx, id)
	if err != nil || len(reports) == 0 {
		return history, err
	}
	body, err := json.Marshal(reports)
	if err != nil {
		return nil, err
	}
	return job.Merge(history, job.Object([]job.Field{{Key: "progress_updates", Value: body}}))
}

// List gives jobs, newest first, without their data and what explains their errors at length,
// and the next page's cursor. A page of long rows is short. Fault:
// bad_request for a cursor that no page gave.
func (e *Engine) List(ctx context.Context, q store.Query) ([]*View, string, error) {
	page, err := e.list(ctx, q)
	if errors.Is(err, store.ErrCursor) {
		return nil, "", &Fault{BadRequest, fmt.Sprintf("%q is no cursor of an earlier page: take the one in its Link header, or leave it out for the newest jobs", q.Cursor), err}
	}
	if err != nil {
		return nil, "", err
	}
	views := make([]*View, len(page.Jobs))
	for i := range page.Jobs {
		views[i] = viewOf(&page.Jobs[i])
		if failed := views[i].Error; failed != nil { // details and backtrace may be longer than all the rest
			short := *failed
			short.Details, short.Trace = nil, ""
			views[i].Error = &short
		}
	}
	return views, page.Cursor, nil
}

// Counts gives the number of jobs by status.
func (e *Engine) Counts(ctx context.Context) (map[job.Status]int64, error) {
	return e.store.Counts(ctx)
}

// Job gives a job's row. Fault: not_found.
func (e *Engine) Job(ctx context.Context, id string) (*job.Job, error) {
	j, err := e.store.Job(ctx, id)
	return j, faultFrom(err, id)
}
