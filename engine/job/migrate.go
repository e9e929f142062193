package job

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file moves a waiting job to another revision of its blueprint. A job that waits has
// run its handler; what the other revision must have are the states that the wait can lead
// to, and the one where the job stands, for a person may run that again.

// Gap is a state that keeps a job from going on in another revision.
type Gap struct {
	State string `json:"state"`
	Why   string `json:"why"`
}

// Gaps lists, in order of states, what keeps a waiting job with the given open tasks from
// going on in a chart; nothing does when the list is empty.
func Gaps(j *Job, open []Task, c Chart) []Gap {
	gaps := map[string]string{}
	need := func(state, why string, aggregator bool) {
		p, ok := c.Place(state)
		switch {
		case gaps[state] != "":
		case !ok:
			gaps[state] = fmt.Sprintf("%s, and the revision has no such state%s", why, didYouMean(c.Suggest(state)))
		case aggregator && !p.Aggregator:
			gaps[state] = why + ", and there it is no aggregator"
		case !aggregator && p.Aggregator && state != j.State:
			gaps[state] = why + ", and there it is an aggregator, which only branches lead to"
		case state == j.State && p.End:
			gaps[state] = why + ", and there it is an end state"
		}
	}
	need(j.State, "the job stands there", j.atAggregator(c))
	if v := j.Wait; v != nil {
		if v.Into != "" {
			need(v.Into, "the wait leads there", v.For == WaitingParallel)
		}
		for _, key := range slices.Sorted(maps.Keys(v.Transitions)) {
			need(v.Transitions[key], fmt.Sprintf("%q leads there", key), false)
		}
	}
	for _, t := range open {
		for _, key := range slices.Sorted(maps.Keys(t.Transitions)) {
			need(t.Transitions[key], fmt.Sprintf("%q of its task %s leads there", key, t.Type), t.Branch && t.Transitions[key] == t.Into)
		}
	}
	var out []Gap
	for _, state := range slices.Sorted(maps.Keys(gaps)) {
		out = append(out, Gap{state, gaps[state]})
	}
	return out
}

// atAggregator is what the chart itself says of the job's state: either is right there.
func (j *Job) atAggregator(c Chart) bool {
	p, _ := c.Place(j.State)
	return p.Aggregator
}

// GapsText says in one line what is missing.
func GapsText(gaps []Gap) string {
	all := make([]string, len(gaps))
	for i, g := range gaps {
		all[i] = fmt.Sprintf("state %q: %s", g.State, g.Why)
	}
	return strings.Join(all, "; ")
}

func (w *move) migrated(e Migrated) error {
	j := &w.c.Job
	refuse := func(format string, args ...any) error {
		return &Illegal{Event: string(e.event()), Status: j.Status, Why: fmt.Sprintf(format, args...)}
	}
	switch {
	case j.Revision == e.Revision:
		return refuse("the job runs on that revision already")
	case j.CancelAsked != nil:
		return refuse("the job is being cancelled")
	}
	if gaps := Gaps(j, e.Tasks, e.Chart); len(gaps) > 0 {
		return refuse("the job does not fit the revision: %s", GapsText(gaps))
	}
	from := j.Revision
	j.Revision = e.Revision
	w.record(Record{Kind: RecMigrated, By: e.By, Detail: fmt.Sprintf("from revision %.12s to %.12s", from, e.Revision)})
	return nil
}
