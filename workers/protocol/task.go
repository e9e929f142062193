// Tasks and commands: what the server sends to a worker.

package protocol

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// Task is a piece of work for a worker of any age.
type Task struct {
	JobID  string
	TaskID string
	Type   string
	// Params is one JSON object; nil means {}.
	Params json.RawMessage
	// Tracing holds W3C trace headers, texts only.
	Tracing map[string]string
	// Files describes files named in Params, by their key path; nil for none.
	Files    map[string]File
	Priority float64
	// DeadlineUnix is when the result is of no more use, seconds since 1970;
	// 0 leaves it out.
	DeadlineUnix int64
}

// File lets a worker check what it downloads. ETag "" is unknown.
type File struct {
	URI  string
	Size int64 // bytes
	ETag string
}

// wireTask has exactly the members and types that every age takes: C stops
// polling for good on a wrongly typed one, B loses a task without
// tracing_context. Priority is always a number, deadline a whole one.
type wireTask struct {
	JobID    string              `json:"job_id"`
	TaskID   string              `json:"task_id"`
	Type     string              `json:"type"`
	Params   json.RawMessage     `json:"params"`
	Tracing  map[string]string   `json:"tracing_context"`
	Files    map[string]wireFile `json:"params_metadata"`
	Priority float64             `json:"priority"`
	Deadline int64               `json:"deadline,omitempty"`
	Sig      string              `json:"sig,omitempty"`
}

type wireFile struct {
	URI  string  `json:"uri"`
	Size int64   `json:"size,omitempty"`
	ETag *string `json:"etag,omitempty"`
}

// EncodeTask writes a task in the one form that is safe for all ages. It fails
// only when Params is no JSON object, Priority is not finite, or an id or the
// type is missing.
func EncodeTask(t Task) ([]byte, error) { return encodeTask(t, "") }

func encodeTask(t Task, sig string) ([]byte, error) {
	for _, needed := range []struct{ field, value string }{{"job_id", t.JobID}, {"task_id", t.TaskID}, {"type", t.Type}} {
		if needed.value == "" {
			return nil, &Error{Code: CodeMissing, Field: needed.field, What: "a task needs it"}
		}
	}
	if math.IsNaN(t.Priority) || math.IsInf(t.Priority, 0) {
		return nil, &Error{Code: CodeBadField, Field: "priority", What: "must be a finite number"}
	}
	w := wireTask{
		JobID: t.JobID, TaskID: t.TaskID, Type: t.Type, Params: t.Params, Tracing: t.Tracing,
		Priority: t.Priority, Deadline: t.DeadlineUnix, Sig: sig,
	}
	if !present(w.Params) {
		w.Params = json.RawMessage("{}")
	}
	if bytes.TrimSpace(w.Params)[0] != '{' {
		return nil, &Error{Code: CodeBadField, Field: "params", What: "must be a JSON object"}
	}
	if w.Tracing == nil {
		w.Tracing = map[string]string{}
	}
	if len(t.Files) > 0 {
		w.Files = make(map[string]wireFile, len(t.Files))
		for path, f := range t.Files {
			wf := wireFile{URI: f.URI, Size: f.Size}
			if f.ETag != "" {
				wf.ETag = &f.ETag
			}
			w.Files[path] = wf
		}
	}
	if out, ok := w.plain(); ok {
		return out, nil
	}
	out, err := marshal(w)
	if err != nil {
		return nil, &Error{Code: CodeBadField, Field: "params", What: "must be valid JSON"}
	}
	return out, nil
}

// plain writes a task as encoding/json would, except that params keep their spaces, when it
// has nothing but simple texts and params: the long way was 2.5 % of the server's profile.
func (w *wireTask) plain() (out []byte, ok bool) {
	if len(w.Tracing) > 0 || len(w.Files) > 0 || w.Priority != math.Trunc(w.Priority) || math.Abs(w.Priority) > 1e9 || w.Sig != "" ||
		!isSimple(w.JobID) || !isSimple(w.TaskID) || !isSimple(w.Type) || !json.Valid(w.Params) {
		return nil, false
	}
	out = make([]byte, 0, 144+len(w.JobID)+len(w.TaskID)+len(w.Type)+len(w.Params))
	for _, m := range [...]struct{ name, value string }{{`{"job_id":"`, w.JobID}, {`","task_id":"`, w.TaskID}, {`","type":"`, w.Type}} {
		out = append(append(out, m.name...), m.value...)
	}
	out = append(append(out, `","params":`...), w.Params...)
	out = append(out, `,"tracing_context":{},"params_metadata":null,"priority":`...)
	out = strconv.AppendInt(out, int64(w.Priority), 10)
	if w.Deadline != 0 {
		out = strconv.AppendInt(append(out, `,"deadline":`...), w.Deadline, 10)
	}
	return append(out, '}'), true
}

// isSimple reports whether JSON writes a text as it is.
func isSimple(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}

// CancelFrame writes the WebSocket text that stops a task at a worker of any
// age: A reads "type", later ones "command".
func CancelFrame(taskID, jobID string) []byte {
	return mustMarshal(struct {
		Command string `json:"command"`
		Type    string `json:"type"`
		TaskID  string `json:"task_id"`
		JobID   string `json:"job_id"`
	}{"cancel_task", "cancel_task", taskID, jobID})
}

// marshal writes JSON without escaping <, > and &, and without a line end.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// mustMarshal is for values made of texts, numbers and lists of texts, which
// always have a JSON form.
func mustMarshal(v any) []byte {
	out, err := marshal(v)
	if err != nil {
		panic("protocol: a reply has no JSON form: " + err.Error())
	}
	return out
}
