package engine

import (
	"context"
	"encoding/json"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/starlib"
)

// This file is the world as a handler sees it: the parts of the engine that a step may read.

// hostFor gives a step of the job its view of stores, jobs, environment and time.
func (e *Engine) hostFor(j *job.Job, data store.Data, t *turn) starlib.Host {
	h := e.world
	h.Jobs, h.Files = jobsView{e, j, data}, e.filesOf(j.ID)
	if t != nil { // a nil *turn in the interface would not be nil
		h.Stores = t
	}
	return h
}

// worldOf gives what all steps see alike, made once.
func worldOf(e *Engine) starlib.Host {
	h := starlib.Host{Env: e.cfg.Env, Sleep: e.sleep, Now: e.cfg.Clock.Now}
	if e.cfg.Databases != nil { // a nil *Databases in the interface would not be nil
		h.Databases = e.cfg.Databases
	}
	return h
}

// jobsView reads jobs for context.storage.get_job_state.
type jobsView struct {
	e    *Engine
	own  *job.Job // as the step sees it; it may not be committed yet
	data store.Data
}

var _ starlib.Jobs = jobsView{}

// allResults are what a script sees of branches: all, or the name of the limit that they break.
func (v jobsView) allResults(ctx context.Context, j *job.Job) (object json.RawMessage, next string, err error) {
	all, err := v.e.gathered(ctx, j, v.e.cfg.Limits.Step.MemoryBytes)
	if err != nil || len(all) == 0 {
		return nil, "", err
	}
	object, err = resultsObject(all)
	return object, "", err
}

// JobState gives a job as the API shows it. The job's own status is the one that its end
// state will have when a failed task has decided it already (recipe 13).
func (v jobsView) JobState(ctx context.Context, id string) (json.RawMessage, error) {
	var view *View
	var err error
	if id == v.own.ID {
		view, err = v.e.viewWith(ctx, v.own, v.data, v.allResults)
	} else if j, data, fault := v.e.store.Load(ctx, id); fault == nil {
		view, err = v.e.viewWith(ctx, j, data, v.allResults)
	} else {
		err = faultFrom(fault, id)
	}
	if FaultCode(err) == NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if id == v.own.ID && v.own.Ending != "" {
		view.Status = v.own.Ending
	}
	return json.Marshal(view)
}
