package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/starlib"
	"orrery/starlib/guard"
)

// This file reads the results of parallel branches: a group may have ten thousand of them with
// a mebibyte each, so nobody reads them all into memory.

// resultsMost is how many branch results one answer holds at most; it holds no more after
// store.PageBytes of text either.
const resultsMost = 1000

// Results gives results of a job's last parallel group as scripts see them, an object by task
// id: those after the given one ("" at first) in order of task id, at most limit. next is the
// last of them when others follow, else "". Without any the object is nil.
func (e *Engine) Results(ctx context.Context, j *job.Job, after string, limit int) (object json.RawMessage, next string, err error) {
	if j.Group == 0 {
		return nil, "", nil
	}
	page, more, err := e.store.Results(ctx, j.ID, j.Group, after, min(max(limit, 1), resultsMost))
	if err != nil || len(page) == 0 {
		return nil, "", faultFrom(err, j.ID)
	}
	if more {
		next = page[len(page)-1].TaskID
	}
	object, err = resultsObject(page)
	return object, next, err
}

func resultsObject(results []job.Result) (json.RawMessage, error) {
	fields := make([]job.Field, len(results))
	for i, r := range results {
		body, err := json.Marshal(map[string]any{"status": r.Status, "data": r.Data, "task_type": r.Type})
		if err != nil {
			return nil, err
		}
		fields[i] = job.Field{Key: r.TaskID, Value: body}
	}
	return job.Object(fields), nil
}

// gathered gives all results of a group, for a script that may hold so many bytes of values.
// Where they are more, the error is a *starlib.LimitError.
func (e *Engine) gathered(ctx context.Context, j *job.Job, most int) ([]job.Result, error) {
	var all []job.Result
	bytes := 0
	for after, more := "", j.Group != 0; more; {
		var page []job.Result
		var err error
		if page, more, err = e.store.Results(ctx, j.ID, j.Group, after, resultsMost); err != nil {
			return nil, err
		}
		for i := range page {
			after, bytes = page[i].TaskID, bytes+len(page[i].Data)
		}
		if all = append(all, page...); bytes > most {
			return nil, &starlib.LimitError{Code: starlib.CodeMemory, Text: fmt.Sprintf(
				"the results of the branches have more than %s of text, and a run creates at most so much of values (%d were read until then); let workers write large results into files",
				guard.Size(most), len(all))}
		}
		if len(page) == 0 { // the job was removed meanwhile
			break
		}
	}
	return all, nil
}

// joined gives what a step of an aggregator sees of the branches; other steps see none.
func (e *Engine) joined(ctx context.Context, bp *blueprint.Blueprint, j *job.Job) (results []job.Result, tooMany *starlib.LimitError, err error) {
	if p, ok := bp.Place(j.State); !ok || !p.Aggregator {
		return nil, nil, nil
	}
	results, err = e.gathered(ctx, j, e.stepLimits(bp).MemoryBytes)
	if errors.As(err, &tooMany) { // the step says so, if its handler looks at them
		err = nil
	}
	return results, tooMany, err
}
