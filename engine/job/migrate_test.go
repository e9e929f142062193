package job

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// This file tests which jobs may move to another revision.

// without is the usual chart as another revision has it: less some states, or other ones.
func without(states ...string) chart {
	c := chart{}
	for name, p := range machine().Chart.(chart) {
		c[name] = p
	}
	for _, s := range states {
		delete(c, s)
	}
	return c
}

func TestWaitingJobsMoveToAnotherRevision(t *testing.T) {
	for _, s := range legal["migrated"] {
		j, task := inStatus(t, s)
		c := after(t, j, Migrated{By: "op", Revision: "r2", Chart: without(), Tasks: []Task{task}})
		moved := c.Job
		if moved.Revision != "r2" || moved.State != j.State || moved.Status != s || moved.Step != j.Step || moved.Wait != j.Wait {
			t.Errorf("%s: moved to %+v", s, moved)
		}
		last := c.Records[len(c.Records)-1]
		if len(c.Records) != 1 || last.Kind != RecMigrated || last.By != "op" || last.Next != "" || !strings.Contains(last.Detail, "r2") {
			t.Errorf("%s: history says %+v", s, c.Records)
		}
		if len(c.Tasks)+len(c.Outbox) > 0 || c.CloseTasks || c.StateHistory != nil {
			t.Errorf("%s: more than the revision was changed: %+v", s, c)
		}
		if _, err := machine().Next(moved, Migrated{Revision: "r2", Chart: without()}, noon.Add(time.Minute)); err == nil {
			t.Errorf("%s: a job was moved to where it is", s)
		}
	}
}

// Every state that the wait can lead to is needed, not only the one that is likely.
func TestAJobThatDoesNotFitStays(t *testing.T) {
	single, tasks := dispatched(t, toDone())
	join := spec(map[string]string{"success": "join", "failure": "undo"})
	group, branches := dispatched(t, join, join)
	timer, _ := inStatus(t, WaitingTimer)
	human, _ := inStatus(t, WaitingHuman)
	noJoin, endStart, joinDone := without(), without(), without()
	noJoin["join"], endStart["start"], joinDone["done"] = Place{}, Place{End: true, Status: Finished}, Place{Aggregator: true}
	for name, c := range map[string]struct {
		j     Job
		tasks []Task
		chart chart
		want  string
	}{
		"where it stands":             {single, tasks, without("start"), "the job stands there"},
		"where the result leads":      {single, tasks, without("done"), `"success" of its task echo leads there`},
		"where a failure leads":       {single, tasks, without("failed"), `"failure" of its task echo`},
		"the aggregator":              {group, branches, without("join"), "the wait leads there"},
		"an aggregator no more":       {group, branches, noJoin, "no aggregator"},
		"the way out of a branch":     {group, branches, without("undo"), `"failure" of its task echo`},
		"the timer's target":          {timer, nil, without("work"), "the wait leads there"},
		"what nobody decides":         {human, nil, without("failed"), `"timeout" leads there`},
		"an end where it stands":      {single, tasks, endStart, "an end state"},
		"an aggregator at the end":    {single, tasks, joinDone, "only branches lead to"},
		"a misspelt one is suggested": {single, tasks, without("done"), "no such state"},
	} {
		_, err := machine().Next(c.j, Migrated{Revision: "r2", Chart: c.chart, Tasks: c.tasks}, noon)
		var illegal *Illegal
		if !errors.As(err, &illegal) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	if gaps := Gaps(&single, tasks, without("done", "failed", "start")); len(gaps) != 3 || gaps[0].State != "done" || gaps[2].State != "start" {
		t.Errorf("not all gaps at once, in order: %+v", gaps)
	}
}

func TestAJobThatIsBeingCancelledStays(t *testing.T) {
	j, tasks := dispatched(t, toDone())
	j = after(t, j, CancelAsked{AtWorkers: 1}).Job
	if _, err := machine().Next(j, Migrated{Revision: "r2", Chart: without(), Tasks: tasks}, noon); err == nil || !strings.Contains(err.Error(), "being cancelled") {
		t.Errorf("moved while it is cancelled: %v", err)
	}
}

// After the move the new chart counts: a task's result finds its state there.
func TestAMovedJobGoesOn(t *testing.T) {
	j, tasks := dispatched(t, toDone())
	j = after(t, j, Migrated{Revision: "r2", Chart: without(), Tasks: tasks}).Job
	c := after(t, j, Returned{Task: tasks[0], Status: "success"})
	if c.Job.State != "done" || !c.Job.Ready || c.Job.Revision != "r2" {
		t.Errorf("after the result: %+v", c.Job)
	}
}
