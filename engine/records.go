package engine

import (
	"context"
	"fmt"

	"orrery/engine/job"
)

// This file reads the records of jobs for those who need a part of each: a record may hold
// over a megabyte, and a job a hundred thousand of them.

const (
	tasksPage   = 1000     // open tasks that are read at once, fewer where they are long
	newestFirst = 8        // records that are looked at first for the newest
	newestBytes = 8 << 20  // of records; where they hold more, fewer are given
	shortBytes  = 16 << 10 // of what a handler logged and did, in a short record
	shortTasks  = 100      // dispatched by a step, in a short record
)

// eachOpen calls fn for the open tasks of a job in order, with no more than a page of them in
// memory: there may be ten thousand, and their params are long.
func (e *Engine) eachOpen(ctx context.Context, id string, fn func(*job.Task) error) error {
	for after, more := 0, true; more; {
		page, further, err := e.store.OpenTasks(ctx, id, after, tasksPage)
		if err != nil {
			return err
		}
		for i := range page {
			if err := fn(&page[i]); err != nil {
				return err
			}
			after = page[i].N
		}
		more = further && len(page) > 0
	}
	return nil
}

// Ways gives all records of a job with no more than what tells where it went. Fault: not_found.
func (e *Engine) Ways(ctx context.Context, id string) (all []job.Record, err error) {
	err = e.eachRecord(ctx, id, 0, func(r *job.Record) (bool, error) {
		way := job.Record{N: r.N, Kind: r.Kind, State: r.State, Next: r.Next, Status: r.Status, Handler: job.Clip(r.Handler, job.MaxText), Detail: job.Clip(r.Detail, job.MaxText)}
		if r.Task != nil {
			way.Task = &job.TaskNote{Status: r.Task.Status}
		}
		if r.Error != nil {
			way.Error = &job.Error{Code: r.Error.Code}
		}
		all = append(all, way)
		return true, nil
	})
	return all, err
}

// Newest gives the last records of a job for people, in order: at most so many, fewer where
// they are long. state_history is left out of them, and of what was logged and done what is
// too long, which they say.
func (e *Engine) Newest(ctx context.Context, j *job.Job, most int) ([]job.Record, error) {
	return e.newest(ctx, j, most, shortened)
}

// newest reads windows that grow from the end of the history backwards, until there are
// enough records or their bytes are. keep makes each small before the next page is read.
func (e *Engine) newest(ctx context.Context, j *job.Job, most int, keep func(*job.Record) job.Record) ([]job.Record, error) {
	var out []job.Record
	before, oldest, bytes := j.Records+1, max(j.Records-int64(most), 0), 0 // records above oldest and below before
	for window := int64(newestFirst); before-1 > oldest && bytes < newestBytes; window *= 2 {
		from := max(before-1-window, oldest)
		var part []job.Record
		err := e.eachRecord(ctx, j.ID, from, func(r *job.Record) (bool, error) {
			if r.N >= before {
				return false, nil
			}
			bytes += recordBytes(r)
			part = append(part, keep(r))
			return true, nil
		})
		if err != nil {
			return nil, err
		}
		out, before = append(part, out...), from+1
	}
	return out, nil
}

// recordBytes is about how many bytes a record has.
func recordBytes(r *job.Record) int {
	n := 256 + len(r.Detail) + len(r.Handler) + 128*len(r.Tasks)
	for key, value := range r.Set {
		n += len(key) + len(value)
	}
	for _, key := range r.Unset {
		n += len(key)
	}
	for i := range r.Log {
		n += 64 + len(r.Log[i].Message)
	}
	for i := range r.Acts {
		n += 64 + len(r.Acts[i].Detail)
	}
	if r.Task != nil {
		n += len(r.Task.Files)
	}
	if r.Error != nil {
		n += len(r.Error.Message) + len(r.Error.Trace)
	}
	return n
}

// shortened is a record as a page shows it.
func shortened(r *job.Record) job.Record {
	s := *r
	s.Set, s.Unset, s.Log, s.Acts = nil, nil, nil, nil
	left := shortBytes
	for i, line := range r.Log {
		if left -= 64 + len(line.Message); left < 0 {
			s.Log = append(s.Log, job.LogLine{Level: "info", Message: leftOut(len(r.Log)-i, "lines of log")})
			break
		}
		s.Log = append(s.Log, line)
	}
	for i, act := range r.Acts {
		if left -= 64 + len(act.Detail); left < 0 {
			s.Acts = append(s.Acts, job.Act{What: leftOut(len(r.Acts)-i, "acts")})
			break
		}
		s.Acts = append(s.Acts, act)
	}
	if len(r.Tasks) > shortTasks {
		s.Tasks = r.Tasks[:shortTasks:shortTasks]
		s.Detail = leftOut(len(r.Tasks)-shortTasks, "dispatched tasks") + " " + r.Detail
	}
	return s
}

func leftOut(n int, what string) string {
	return fmt.Sprintf("… %d more %s are left out here; the job's history holds them", n, what)
}
