package simulate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orrery/engine"
	"orrery/engine/blob"
	"orrery/engine/job"
)

// This file reads a scenario: what the outside of a simulated job does and says.

// Scenario is a scenario file (contract.md). Its zero value scripts nothing.
type Scenario struct {
	InitialData json.RawMessage   `json:"initial_data"` // an object; nil: the one given by the caller
	Client      *Client           `json:"client"`
	Worker      json.RawMessage   `json:"worker"` // registration fields of the one worker there is
	Replies     []Reply           `json:"replies"`
	Approvals   []Approval        `json:"approvals"`
	Cancel      *Cancel           `json:"cancel"`
	Files       map[string]string `json:"files"`
	Runs        int               `json:"runs"` // jobs one after another over the same stores; 0 counts as 1
	Env         map[string]string `json:"env"`
	Also        []string          `json:"also"` // further blueprint files, relative to Dir

	Dir string `json:"-"` // folder of the scenario file
}

// Client is who asks for the job.
type Client struct {
	Plan   string          `json:"plan"`
	Params json.RawMessage `json:"params"`
}

// Reply is what the worker answers to tasks of one type. Replies of a type are used in
// order, each Times times; the last is used again without end.
type Reply struct {
	TaskType string `json:"task_type"`
	Reply    Result `json:"reply"`
	Times    int    `json:"times"` // 0 counts as 1
}

// Result is a worker's result. Error is an object {code, message, details}, or a text with
// ErrorType beside it, as the oldest workers write it.
type Result struct {
	Status    string          `json:"status"` // "" counts as success
	Data      json.RawMessage `json:"data"`
	Error     json.RawMessage `json:"error"`
	ErrorType string          `json:"error_type"`
}

// Approval is a person's decision in a state; State "" is any state.
type Approval struct {
	State    string `json:"state"`
	Decision string `json:"decision"`
}

// Cancel asks by the API to cancel the job while the worker has a task of the type.
type Cancel struct {
	TaskType string `json:"task_type"`
}

// ReadScenario reads and checks a scenario file. Its errors name the file and the key.
func ReadScenario(path string) (*Scenario, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the scenario can not be read: %w", err)
	}
	s, err := ParseScenario(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.Dir = filepath.Dir(path)
	return s, nil
}

// ParseScenario reads a scenario from text; unknown keys are errors, so that a misspelt one
// does not silently script nothing.
func ParseScenario(text []byte) (*Scenario, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var s Scenario
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("not a scenario: %s", explain(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a scenario: more text after the object's end")
	}
	return &s, s.check()
}

// check finds what the types can not say.
func (s *Scenario) check() error {
	for name := range s.Files {
		if err := blob.CheckName(name); err != nil {
			return fmt.Errorf("`files`: %w", err)
		}
	}
	if s.Runs < 0 || s.Runs > 10_000 {
		return fmt.Errorf("`runs` is %d; it must be from 1 to 10000", s.Runs)
	}
	if s.InitialData != nil && !isObject(s.InitialData) {
		return errors.New("`initial_data` must be an object")
	}
	if s.Worker != nil && !isObject(s.Worker) {
		return errors.New("`worker` must be an object of registration fields")
	}
	if s.Client != nil && s.Client.Params != nil && !isObject(s.Client.Params) {
		return errors.New("`client.params` must be an object")
	}
	for i, r := range s.Replies {
		if err := r.check(); err != nil {
			return fmt.Errorf("`replies` entry %d: %w", i+1, err)
		}
	}
	for i, a := range s.Approvals {
		if a.Decision == "" {
			return fmt.Errorf("`approvals` entry %d has no `decision`", i+1)
		}
	}
	if s.Cancel != nil && s.Cancel.TaskType == "" {
		return errors.New("`cancel` has no `task_type`: it names the task during which the cancel comes")
	}
	return nil
}

func (r Reply) check() error {
	if r.TaskType == "" {
		return errors.New("no `task_type`")
	}
	if r.Times < 0 {
		return fmt.Errorf("`times` is %d; it must be 1 or more", r.Times)
	}
	_, err := r.Reply.outcome()
	return err
}

// outcome turns the scenario's words into what a worker's result becomes in the engine.
func (r Result) outcome() (engine.Outcome, error) {
	o := engine.Outcome{Status: r.Status, Data: r.Data}
	if o.Status == "" {
		o.Status = "success"
	}
	if len(r.Error) > 0 && string(r.Error) != "null" {
		o.Error = &job.Error{Code: r.ErrorType}
		var text string
		if json.Unmarshal(r.Error, &text) == nil {
			o.Error.Message = text
		} else if err := json.Unmarshal(r.Error, o.Error); err != nil {
			return o, errors.New("`error` must be {\"code\", \"message\"} or a text with `error_type` beside it")
		}
	} else if r.ErrorType != "" {
		o.Error = &job.Error{Code: r.ErrorType}
	}
	if o.Status == "failure" {
		if o.Error == nil {
			o.Error = &job.Error{Message: "the worker gave no error"}
		}
		if o.Error.Code == "" {
			o.Error.Code = job.CodeTransient
		}
	}
	return o, nil
}

// replies deals out the scripted results of every task type.
type replies struct {
	left map[string][]Reply
}

func newReplies(list []Reply) *replies {
	r := &replies{left: map[string][]Reply{}}
	for _, e := range list {
		e.Times = max(e.Times, 1)
		r.left[e.TaskType] = append(r.left[e.TaskType], e)
	}
	return r
}

// next gives the result for a task of the type; ok is false when none was ever scripted.
func (r *replies) next(taskType string) (o engine.Outcome, ok bool) {
	list := r.left[taskType]
	if len(list) == 0 {
		return o, false
	}
	o, _ = list[0].Reply.outcome() // checked when it was read
	if list[0].Times--; list[0].Times <= 0 && len(list) > 1 {
		r.left[taskType] = list[1:]
	}
	return o, true
}

// take finds and removes the first decision for the state.
func take(list *[]Approval, state string) (decision string, ok bool) {
	for i, a := range *list {
		if a.State == "" || a.State == state {
			*list = slices.Delete(slices.Clone(*list), i, i+1)
			return a.Decision, true
		}
	}
	return "", false
}

func isObject(raw json.RawMessage) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal(raw, &m) == nil && m != nil
}

// explain puts a JSON error in the words of the file's reader.
func explain(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return fmt.Sprintf("`%s` is a JSON %s, which it can not be", kind.Field, kind.Value)
	case errors.As(err, &syntax):
		return fmt.Sprintf("%v at byte %d", err, syntax.Offset)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}
