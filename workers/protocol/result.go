// Results: how a task ended, from nested, flat and oldest spellings.

package protocol

import (
	"bytes"
	"encoding/json"
)

// Statuses of a result with a meaning of their own. Any other is a custom
// status, which picks a transition of the blueprint.
const (
	ResultSuccess   = "success"
	ResultFailure   = "failure"
	ResultCancelled = "cancelled"
)

// Error codes that workers send. An unknown code counts as ErrTransient.
const (
	ErrTransient         = "TRANSIENT_ERROR"
	ErrPermanent         = "PERMANENT_ERROR"
	ErrInvalidInput      = "INVALID_INPUT_ERROR"
	ErrSecurity          = "SECURITY_ERROR"
	ErrDependency        = "DEPENDENCY_ERROR"
	ErrContractViolation = "CONTRACT_VIOLATION_ERROR"
	ErrIntegrityMismatch = "INTEGRITY_MISMATCH_ERROR"
	ErrTimeout           = "TIMEOUT_ERROR"
	ErrResourceExhausted = "RESOURCE_EXHAUSTED_ERROR"
	ErrInternal          = "INTERNAL_ERROR"
)

// TaskError is why a task failed, as the worker says.
type TaskError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Details json.RawMessage `json:"details,omitempty"`
}

// Result is how a worker says a task ended.
type Result struct {
	JobID    string // may be empty: the task id is the fence
	TaskID   string
	WorkerID string // may be empty in hand-written workers
	Status   string // success when the worker left it out
	// Data is what the handler returned: an object by the SDKs' rules, though
	// some let any JSON value through. Nil when absent.
	Data json.RawMessage
	// Error is never nil with status failure; with others only when sent.
	Error *TaskError
	// DataMetadata describes files named in Data; Metadata and Costs are C's.
	DataMetadata json.RawMessage
	Metadata     json.RawMessage
	Costs        json.RawMessage
}

// ParseResult reads a result of any age. It is lenient, because B loses a
// result that is refused: only a body that is no object or names no task is an
// error. A status that is no text becomes its JSON text, which no blueprint
// knows, so that the job says what came.
func ParseResult(body []byte) (Result, error) {
	top, err := decodeObject(body)
	mended, hasNaN := withoutNaN(body, err)
	if hasNaN {
		top, err = decodeObject(mended)
	}
	if err != nil {
		return Result{}, err
	}
	r := Result{
		JobID:    looseText(top.raw("job_id")),
		TaskID:   looseText(top.raw("task_id")),
		WorkerID: looseText(top.raw("worker_id")),
	}
	if r.TaskID == "" {
		return Result{}, &Error{Code: CodeMissing, Field: "task_id", What: "is needed; send back the task_id that came with the task"}
	}
	if r.WorkerID != "" && !ValidID(r.WorkerID) {
		return Result{}, &Error{Code: CodeBadWorkerID, Field: "worker_id", What: "a worker id is 1 to 128 letters, digits, _ or -"}
	}
	inner, whole := top.unwrapResult()
	r.Status = looseText(inner.raw("status"))
	if r.Status == "" {
		r.Status = ResultSuccess
	}
	r.Data = bytes.Clone(inner.raw("data"))
	if whole != nil {
		r.Data = bytes.Clone(whole)
	}
	r.Error = readTaskError(inner, top)
	if r.Error == nil && r.Status == ResultFailure {
		r.Error = &TaskError{Code: ErrTransient, Message: "the worker gave no reason"}
	}
	r.DataMetadata = bytes.Clone(firstRaw("data_metadata", inner, top))
	r.Metadata = bytes.Clone(firstRaw("metadata", inner, top))
	r.Costs = bytes.Clone(firstRaw("costs", inner, top))
	if hasNaN {
		r.Status, r.Data = ResultFailure, nil
		r.Error = &TaskError{Code: ErrContractViolation, Message: "the result holds NaN or Infinity, which JSON can not say: return None or a text in its place"}
	}
	return r, nil
}

// withoutNaN puts null for the words that Python's json writes for floats that are no
// numbers, in a body that could not be decoded. Refusing such a result would lose it, and
// leave its job to wait for a deadline without knowing why.
func withoutNaN(body []byte, failed error) (mended []byte, found bool) {
	if failed == nil {
		return nil, false
	}
	inText := false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inText && c == '\\' && i+1 < len(body):
			mended = append(mended, c)
			i++
		case c == '"':
			inText = !inText
		case !inText:
			if n := lenNaN(body[i:]); n > 0 {
				mended, found = append(mended, "null"...), true
				i += n - 1
				continue
			}
		}
		mended = append(mended, body[i])
	}
	return mended, found
}

// lenNaN gives the length of such a word at the beginning of text, 0 when there is none.
func lenNaN(text []byte) int {
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(text, []byte(word)) {
			return len(word)
		}
	}
	return 0
}

// unwrapResult finds the object that holds status and data. A nests it in
// "result"; later ages are flat. whole is set when an A handler returned
// something that is no object, which then is the data.
func (o object) unwrapResult() (inner object, whole json.RawMessage) {
	nested := o.raw("result")
	if nested == nil || o.has("status") {
		return o, nil
	}
	if nested[0] != '{' {
		return o, nested
	}
	inner, err := o.child("result")
	if err != nil {
		return o, nil
	}
	return inner, nil
}

func firstRaw(name string, from ...object) json.RawMessage {
	for _, o := range from {
		if raw := o.raw(name); raw != nil {
			return raw
		}
	}
	return nil
}

// readTaskError reads the error as an object, as a text, and in the oldest
// form, where error_type stands beside the text.
func readTaskError(from ...object) *TaskError {
	raw := firstRaw("error", from...)
	kind := looseText(firstRaw("error_type", from...))
	if raw == nil {
		raw = firstRaw("error_message", from...)
	}
	if raw == nil && kind == "" {
		return nil
	}
	e := &TaskError{Code: kind}
	if len(raw) > 0 && raw[0] == '{' {
		var fields struct {
			Code    json.RawMessage `json:"code"`
			Message json.RawMessage `json:"message"`
			Details json.RawMessage `json:"details"`
		}
		// raw is part of a body that was decoded already, so it is valid JSON.
		if err := json.Unmarshal(raw, &fields); err != nil {
			return &TaskError{Code: ErrTransient, Message: looseText(raw)}
		}
		if code := looseText(fields.Code); code != "" {
			e.Code = code
		}
		e.Message = looseText(fields.Message)
		if present(fields.Details) {
			e.Details = bytes.Clone(fields.Details)
		}
	} else {
		e.Message = looseText(raw)
	}
	if e.Code == "" {
		e.Code = ErrTransient
	}
	return e
}
