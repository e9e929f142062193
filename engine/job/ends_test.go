package job

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// This file checks how ends of processes are counted.

// endings applies events one after another to a job that stands in its second step.
func endings(t *testing.T, j Job, events ...Event) Job {
	t.Helper()
	for _, e := range events {
		c, err := Machine{}.Next(j, e, time.Unix(1000, 0).UTC())
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		j = c.Job
	}
	return j
}

func ended(run string, step int64) ProcessEnded {
	return ProcessEnded{Run: run, Step: step, At: time.Unix(900, 0).UTC(), Most: 3, Place: Error{File: "x.star", Line: 7, Col: 1, Message: "handler boom at x.star:7"}}
}

func standing() Job {
	return Job{ID: "j", Version: 4, Blueprint: "b", State: "boom", Status: Running, Ready: true, Step: 1, Records: 2}
}

func TestTheThirdEndQuarantines(t *testing.T) {
	j := endings(t, standing(), ended("p1", 2), ended("p2", 2))
	if j.Ends == nil || j.Ends.Count != 2 || !j.Ready || j.Status != Running || j.Records != 4 {
		t.Fatalf("after two ends: %+v, %+v", j, j.Ends)
	}
	j = endings(t, j, ended("p3", 2))
	if j.Status != Quarantined || j.Ready || j.Ends != nil || j.Error == nil || j.Error.Code != CodeStepEnded {
		t.Fatalf("after three ends: %+v, %+v", j, j.Error)
	}
	for _, want := range []string{"3 times", "handler boom at x.star:7", "1970-01-01T00:15:00.000Z", "orrery jobs retry j"} {
		if !strings.Contains(j.Error.Message, want) {
			t.Errorf("the message %q lacks %q", j.Error.Message, want)
		}
	}
	if j.Error.File != "x.star" || j.Error.Line != 7 || j.Error.State != "boom" || j.Error.Attempts != 3 {
		t.Errorf("the error is %+v", j.Error)
	}
	if j = endings(t, j, Reopened{By: "ana"}); j.Ends != nil || !j.Ready {
		t.Errorf("a person runs it again, and it is %+v with %+v", j, j.Ends)
	}
}

func TestOneProcessIsCountedOnce(t *testing.T) {
	j := endings(t, standing(), ended("p1", 2))
	var illegal *Illegal
	for name, e := range map[string]Event{"the same process": ended("p1", 2), "a step that was kept": ended("p2", 1)} {
		if _, err := (Machine{}).Next(j, e, time.Now()); !errors.As(err, &illegal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACommittedStepIsNotToBlame(t *testing.T) {
	j := endings(t, standing(), ended("p1", 2))
	c, err := Machine{}.Next(j, Decided{Decision: Decision{Kind: Transition, Target: "next"}}, time.Now())
	if err != nil || c.Job.Ends != nil {
		t.Fatalf("%v, %+v", err, c.Job.Ends)
	}
	// The step that ended the process was run for the same commit as the one that is due.
	j = endings(t, standing(), ended("p1", 3))
	c, err = Machine{}.Next(j, Decided{Decision: Decision{Kind: Transition, Target: "next"}}, time.Now())
	if err != nil || c.Job.Ends == nil || c.Job.Ends.Count != 1 {
		t.Fatalf("%v, %+v", err, c.Job.Ends)
	}
}

// An event of a waiting job and the step that it makes due are one commit: its end comes to a
// job that waits.
func TestAnEndWhileTheJobWaits(t *testing.T) {
	due := time.Unix(950, 0).UTC()
	j := standing()
	j.Status, j.Ready, j.Wait = WaitingTimer, false, &Wait{For: WaitingTimer, Into: "boom", Until: &due}
	j.Due = &due
	first := ended("p1", 2)
	first.Most = 1
	if j = endings(t, j, first); j.Status != WaitingTimer || j.Ends == nil {
		t.Fatalf("it is %+v", j)
	}
	if j = endings(t, j, TimerFired{}); !j.Ready || j.Ends == nil {
		t.Fatalf("it is %+v", j)
	}
	if j = endings(t, j, first); j.Status != Quarantined || j.Error.Code != CodeStepEnded || !strings.Contains(j.Error.Message, "ended once") {
		t.Fatalf("it is %+v, %+v", j, j.Error)
	}
}
