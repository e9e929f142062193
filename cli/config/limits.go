package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"orrery/api"
	"orrery/engine"
	"orrery/engine/job"
	"orrery/starlib"
	"orrery/workers"
)

// This file makes settings of the limits: ORRERY_LIMIT_MEMORY_MIB in the environment, or in
// orrery.toml
//
//	[limits]
//	memory_mib = 128

// limitPrefix begins the name of every limit's variable.
const limitPrefix = "ORRERY_LIMIT_"

// limitsTable is the table of orrery.toml that holds the limits.
const limitsTable = "limits"

// Limits are all bounds that the operator may set.
type Limits struct {
	Job         engine.Limits
	HeapBytes   int        // of the process; above it running handlers are ended, the largest first
	CallSteps   int        // steps under way at once that call stores, files, SQL or HTTP
	Requests    api.Limits // what requests bring, and how much of it is in work at once
	Workers     workers.Limits
	HeaderTime  time.Duration // a request's first line and headers
	BodyTime    time.Duration // a request's body
	AnswerTime  time.Duration // taking the answer
	BetweenTime time.Duration // between two requests of a connection
}

// defaultLimits are those of design/contract.md, and for what it does not name those that
// were measured.
func defaultLimits() Limits {
	return Limits{
		Job: engine.DefaultLimits(), HeapBytes: 2 << 30, CallSteps: 256,
		Requests: api.DefaultLimits(), Workers: workers.DefaultLimits(),
		HeaderTime: 15 * time.Second, BodyTime: time.Minute, AnswerTime: time.Minute, BetweenTime: 2 * time.Minute,
	}
}

// limitRows lists all limits: those of jobs, and those of the process.
func limitRows() []starlib.Limit[Limits] {
	var rows []starlib.Limit[Limits]
	for _, f := range engine.LimitTable() {
		rows = append(rows, starlib.Limit[Limits]{
			Key: f.Key, Code: f.Code, Help: f.Help,
			Get: func(l *Limits) float64 { return f.Get(&l.Job) }, Set: func(l *Limits, n float64) { f.Set(&l.Job, n) },
		})
	}
	return append(rows,
		starlib.MiBLimit("heap_mib", starlib.CodeWatchdog, "the process's heap; above it running handlers are ended, the largest first", func(l *Limits) *int { return &l.HeapBytes }),
		starlib.CountLimit("calling_steps", "", "steps at once that call stores, files, SQL or HTTP; more wait", func(l *Limits) *int { return &l.CallSteps }),
		starlib.CountLimit(api.LimitCreates, "overloaded", "starts of jobs in flight; more are answered 503", func(l *Limits) *int { return &l.Requests.Creates }),
		starlib.CountLimit(api.LimitBacklog, "overloaded", "jobs whose next step waits; with more, starts are held and then answered 503", func(l *Limits) *int { return &l.Requests.Backlog }),
		starlib.MiBLimit(api.LimitBody, "too_large", "a request's body, packed and unpacked", func(l *Limits) *int { return &l.Requests.Body }),
		starlib.KiBLimit(api.LimitStrange, "too_large", "a body from somebody who has shown no token", func(l *Limits) *int { return &l.Requests.Strange }),
		starlib.MiBLimit(api.LimitBodies, "overloaded", "all larger bodies of clients at once; more are answered 503", func(l *Limits) *int { return &l.Requests.Bodies }),
		starlib.CountLimit(api.LimitUploads, "overloaded", "files on their way in at once; more are answered 503", func(l *Limits) *int { return &l.Requests.Uploads }),
		starlib.CountLimit(api.LimitDepth, "bad_json", "objects and lists in each other, in a body; scripts and workers' messages hold 100 at most", func(l *Limits) *int { return &l.Requests.Depth }),
		starlib.KiBLimit(api.LimitFrame, "", "one WebSocket frame of a worker; with a larger one its connection is closed (1009)", func(l *Limits) *int { return &l.Requests.Frame }),
		starlib.KiBLimit(workers.LimitData, job.CodeContract, "data of a task's result; with more the task has failed", func(l *Limits) *int { return &l.Workers.Data }),
		starlib.KiBLimit(workers.LimitDetails, "", "details of a worker's error; longer ones are left out", func(l *Limits) *int { return &l.Workers.Details }),
		starlib.CountLimit(workers.LimitProgress, "", "reports of one task in a second; more are dropped", func(l *Limits) *int { return &l.Workers.Progress }),
		starlib.SecondsLimit("header_seconds", "", "a request's first line and headers", func(l *Limits) *time.Duration { return &l.HeaderTime }),
		starlib.SecondsLimit("body_seconds", "", "a request's body", func(l *Limits) *time.Duration { return &l.BodyTime }),
		starlib.SecondsLimit("answer_seconds", "", "taking an answer", func(l *Limits) *time.Duration { return &l.AnswerTime }),
		starlib.SecondsLimit("idle_seconds", "", "between two requests of a connection", func(l *Limits) *time.Duration { return &l.BetweenTime }),
	)
}

// limitSettings makes a row of the table of settings of each limit.
func limitSettings() []setting {
	var out []setting
	for _, f := range limitRows() {
		usual := defaultLimits()
		def := limitText(f.Get(&usual))
		out = append(out, setting{
			name: limitPrefix + strings.ToUpper(f.Key), def: def, example: def, help: "limit: " + f.Help,
			set: func(c *Config, v string) error {
				n, err := strconv.ParseFloat(v, 64)
				if err != nil || math.IsNaN(n) || n <= 0 || n > 1e12 {
					return fmt.Errorf("%q is no number above 0 and up to 1e12", v)
				}
				f.Set(&c.Limits, n)
				return nil
			},
			show: func(c *Config) string { return limitText(f.Get(&c.Limits)) },
		})
	}
	return out
}

// EnvLimits reads the limits of the environment alone, for commands without a server: what an
// operator allows must load and run there too.
func EnvLimits(lookup func(string) (string, bool)) (Limits, error) {
	c := &Config{Limits: defaultLimits()}
	var faults Faults
	for _, s := range limitSettings() {
		v, _ := lookup(s.name)
		if v == "" {
			continue
		}
		if err := s.set(c, v); err != nil {
			faults = append(faults, Fault{Name: s.name, Problem: err.Error(), Example: s.name + "=" + s.example})
		}
	}
	if len(faults) > 0 {
		return c.Limits, faults
	}
	return c.Limits, nil
}

// unknownLimits refuses variables that look like a limit and are none: a limit that was
// meant to hold and does not is worse than none.
func (l *loader) unknownLimits() {
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		if strings.HasPrefix(name, limitPrefix) && !slices.ContainsFunc(settings, func(s setting) bool { return s.name == name }) {
			hint := ""
			if n := nearest(name, settingNames()); n != "" {
				hint = "; did you mean " + n + "?"
			}
			l.fault(name, limitPrefix+"MEMORY_MIB=128", "is no limit%s; the README lists them", hint)
		}
	}
}

func limitText(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
