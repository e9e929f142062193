package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"orrery/engine/job"
)

// This file holds what all drivers agree on: how a row is written as text, and which
// changes no driver takes.

// Format is the number that every stored row carries beside its text. A reader takes the
// present number and the one before; raise it when a row's JSON changes its meaning.
const Format = 1

// texts are used again: rows are many and small.
var texts = sync.Pool{New: func() any { return new(text) }}

// Encode gives the JSON text of a row. Unlike json.Marshal it leaves <, > and & alone, so
// that what people wrote is found in the store as they wrote it.
func Encode(v any) (string, error) {
	t := texts.Get().(*text)
	t.b, t.err = t.b[:0], nil
	switch v := v.(type) {
	case *job.Job:
		t.job(v)
	case *job.Task:
		t.task(v)
	case *job.Record:
		t.record(v)
	case []job.Record:
		t.array(len(v), func(i int) { t.record(&v[i]) })
	default:
		t.any(v)
	}
	if t.err != nil {
		return "", fmt.Errorf("encode %T: %w", v, t.err)
	}
	row := string(t.b)
	if cap(t.b) <= 64<<10 && cap(t.names) <= 1<<10 { // a rare large row must not stay in memory
		clear(t.names[:cap(t.names)])
		texts.Put(t)
	}
	return row, nil
}

// Decode reads what Encode wrote, with the format number it was stored with.
func Decode(format int64, text string, v any) error {
	if err := CheckFormat(format); err != nil {
		return fmt.Errorf("decode %T: %w: %w", v, ErrUnreadable, err)
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("decode %T: %w: %w", v, ErrUnreadable, err)
	}
	return nil
}

// CheckFormat refuses rows that only another Orrery can read.
func CheckFormat(format int64) error {
	if format > Format || format < Format-1 {
		return fmt.Errorf("the row has format %d, this Orrery reads %d and %d; start the Orrery that wrote it", format, Format-1, Format)
	}
	return nil
}

// Check refuses a Change that breaks the rules of its own fields. Every driver calls it
// first, so that a mistake of a caller shows on all stores alike.
func Check(c *job.Change) error {
	if _, ok := job.ParseID(c.Job.ID); !ok {
		return fmt.Errorf("commit: %q is no job id (want a lower-case UUID)", c.Job.ID)
	}
	if c.Job.Version != c.Base+1 {
		return fmt.Errorf("commit job %s: version %d does not follow base %d", c.Job.ID, c.Job.Version, c.Base)
	}
	first := c.Job.Records - int64(len(c.Records)) + 1
	for i := range c.Records {
		if c.Records[i].N != first+int64(i) {
			return fmt.Errorf("commit job %s: record %d stands where %d belongs", c.Job.ID, c.Records[i].N, first+int64(i))
		}
	}
	for i := range c.Tasks {
		if c.Tasks[i].JobID != c.Job.ID || c.Tasks[i].N < 1 {
			return fmt.Errorf("commit job %s: task %d of job %s does not belong to it", c.Job.ID, c.Tasks[i].N, c.Tasks[i].JobID)
		}
	}
	return nil
}

// Object gives raw, or an empty object when there is none.
func Object(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

// PageSize is the number of rows a Query asks for: 100 when it does not say, at most 1000.
func (q Query) PageSize() int {
	switch {
	case q.Limit <= 0:
		return 100
	case q.Limit > 1000:
		return 1000
	}
	return q.Limit
}

// workerBytes is the most that a worker's registration may take.
const workerBytes = 256 << 10

// ErrTooLarge refuses what would never fit.
var ErrTooLarge = errors.New("too large to be kept")

// CheckWorker refuses a registration that is too large or nameless.
func CheckWorker(id string, body json.RawMessage) error {
	if id == "" {
		return fmt.Errorf("keep worker: the worker has no id")
	}
	if len(body) > workerBytes {
		return fmt.Errorf("keep worker %s: its registration has %d bytes, at most %d are kept: %w", id, len(body), workerBytes, ErrTooLarge)
	}
	return nil
}
