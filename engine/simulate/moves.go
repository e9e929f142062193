package simulate

import (
	"strings"

	"orrery/engine/job"
)

// This file reads from a job's history which ways of its graph it took.

// Move is one step from state to state. Label is the key in transitions, "" for
// transition_to; Handler is the function that led there.
type Move struct {
	From, To, Label, Handler string
}

// Trace reads from a job's records the states that it entered and the ways that it took, in order.
func Trace(records []job.Record) (path []string, ways []Move) {
	for _, r := range records {
		path = append(path, entered(r)...)
	}
	return path, moves(records)
}

// moves gives the ways that a job's records show, in order.
func moves(records []job.Record) []Move {
	var all []Move
	handler, cancelling := "", false
	for _, r := range records {
		switch r.Kind {
		case job.RecStep:
			handler, cancelling = r.Handler, false
		case job.RecCancelAsk:
			cancelling = true
		}
		into := entered(r) // also the state that it stood in, once more
		if len(into) == 0 || r.Kind == job.RecCreated || r.Kind == job.RecReopened || r.Kind == job.RecMigrated {
			continue
		}
		m := Move{From: r.State, To: into[0], Label: label(r), Handler: handler}
		if cancelling { // whatever the last task said
			m.Label = "cancelled"
		}
		all = append(all, m)
	}
	return all
}

// label gives the key that a record's move was listed under.
func label(r job.Record) string {
	switch r.Kind {
	case job.RecTaskEnd:
		return r.Task.Status
	case job.RecTaskFail:
		return "failure"
	case job.RecApproval:
		return r.Detail
	case job.RecChild:
		if strings.HasSuffix(r.Detail, " "+string(job.Finished)) {
			return "success"
		}
		return "failure"
	case job.RecCancelled:
		return "cancelled"
	case job.RecTimer:
		if r.Error != nil { // an approval that nobody took in time
			return "timeout"
		}
	}
	return ""
}
