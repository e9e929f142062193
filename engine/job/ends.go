package job

import "fmt"

// This file counts the processes that ended while they ran a step of the job. A step that ends
// its process is due again at the next start, and would end that one too.

func (w *move) processEnded(e ProcessEnded) error {
	j := &w.c.Job
	if e.Step <= j.Step {
		return &Illegal{Event: "process ended", Status: j.Status, Why: fmt.Sprintf("step %d was kept before the process ended", e.Step)}
	}
	ends := Ends{Count: 1, Step: e.Step, Run: e.Run, At: e.At}
	counted := false
	if j.Ends != nil { // a pointer that the row before shares: never changed
		counted = j.Ends.Run == e.Run
		ends.Count, ends.Step = j.Ends.Count+1, max(e.Step, j.Ends.Step)
	}
	if counted {
		ends = *j.Ends
	}
	j.Ends = &ends
	switch over := j.Ready && ends.Count >= e.Most; {
	case over && j.Step+1 >= ends.Step:
	case counted:
		return &Illegal{Event: "process ended", Status: j.Status, Why: "this process is counted already"}
	default:
		w.record(Record{Kind: RecEnded, Detail: fmt.Sprintf(
			"the server's process ended while step %d ran; end %d of the %d after which it is not run again", e.Step, ends.Count, e.Most)})
		return nil
	}
	err := e.Place
	err.Code, err.Attempts = CodeStepEnded, ends.Count
	err.Message = Cut(fmt.Sprintf("the server's process ended %s while this step ran (%s), the last time after %s; it is not run again. "+
		"Look at the end of the server's log before that for the cause, correct the blueprint or give the process what it needs, then: orrery jobs retry %s --revision latest",
		times(ends.Count), e.Place.Message, Time{e.At}, j.ID))
	w.fail(&err, Quarantined, Record{Kind: RecEnded})
	return nil
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
