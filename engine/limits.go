package engine

import (
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/sandbox"
	"orrery/starlib"
	"orrery/starlib/guard"
)

// This file holds the limits of jobs, and the table of all limits that an operator may set.

// Limits bounds jobs and, in Step, a single step. The zero value is not usable:
// DefaultLimits.
type Limits struct {
	Streak int   // transitions in a row without a wait
	Steps  int64 // steps in a job's life
	Depth  int   // sub-blueprints in sub-blueprints
	Step   sandbox.Limits
	Load   LoadLimits

	StepEnds int // processes in a row that may end while they run one step, or load one file
}

// LoadLimits bounds what is loaded; see guard.LoadLimits for the meaning.
type LoadLimits struct {
	FileBytes, Depth, Files int
	Time                    time.Duration
}

// DefaultLimits are those of the contract.
func DefaultLimits() Limits {
	l := guard.DefaultLoad()
	return Limits{
		Streak: 1000, Steps: 100_000, Depth: 10, StepEnds: 3, Step: sandbox.DefaultLimits(),
		Load: LoadLimits{FileBytes: l.FileBytes, Depth: l.Depth, Files: l.Files, Time: l.Time},
	}
}

// Loading gives the limits of loading: what the top level of a file makes is bounded as
// what a handler makes.
func (l Limits) Loading() guard.LoadLimits {
	return guard.LoadLimits{FileBytes: l.Load.FileBytes, Depth: l.Load.Depth, Files: l.Load.Files, Time: l.Load.Time, Values: l.Step.Guard()}
}

// LimitTable lists every limit of jobs, steps and loading, those of a step first.
func LimitTable() []starlib.Limit[Limits] {
	table := make([]starlib.Limit[Limits], 0, len(starlib.StepLimits)+8)
	for _, f := range starlib.StepLimits {
		table = append(table, starlib.Limit[Limits]{
			Key: f.Key, Code: f.Code, Help: f.Help,
			Get: func(l *Limits) float64 { return f.Get(&l.Step) }, Set: func(l *Limits, n float64) { f.Set(&l.Step, n) },
		})
	}
	return append(table,
		starlib.CountLimit("transitions", job.CodeTransitionLimit, "transitions of a job in a row without a wait", func(l *Limits) *int { return &l.Streak }),
		starlib.CountLimit("job_steps", job.CodeStepLimit, "steps in a job's life", func(l *Limits) *int64 { return &l.Steps }),
		starlib.CountLimit("sub_depth", job.CodeSubJobDepth, "sub-blueprints in each other", func(l *Limits) *int { return &l.Depth }),
		starlib.CountLimit("step_ends", job.CodeStepEnded, "ends of the server's process, one after another, while it ran one step; then the step is not run again", func(l *Limits) *int { return &l.StepEnds }),
		starlib.KiBLimit("source_kib", guard.CodeSource, "one blueprint file", func(l *Limits) *int { return &l.Load.FileBytes }),
		starlib.CountLimit("load_depth", guard.CodeLoadDepth, "files that load each other", func(l *Limits) *int { return &l.Load.Depth }),
		starlib.CountLimit("load_files", guard.CodeLoadFiles, "a file and all that it loads", func(l *Limits) *int { return &l.Load.Files }),
		starlib.SecondsLimit("load_seconds", guard.CodeTime, "the top level of a file", func(l *Limits) *time.Duration { return &l.Load.Time }),
	)
}

// stepLimits are those of a step of a blueprint.
func (e *Engine) stepLimits(bp *blueprint.Blueprint) sandbox.Limits {
	if bp == nil {
		return e.cfg.Limits.Step
	}
	return e.cfg.Limits.Step.Lowered(bp.Limits)
}
