package workers

import (
	"slices"
	"testing"
	"time"

	"orrery/engine/job"
)

// This file tests what is made of the views that several nodes have of one worker.

func TestViewsOfSeveralNodes(t *testing.T) {
	at := func(s int) job.Time { return job.Time{Time: time.Unix(int64(s), 0)} }
	got := Together(map[string][]View{
		"b": {{ID: "w", Status: "idle", LastSeen: at(9), Polling: true, RunningTasks: []string{}, Type: "new", Results: 1, Reputation: 0.5}, {ID: "x", Status: "offline", LastSeen: at(1)}},
		"a": {{ID: "w", Status: "busy", LastSeen: at(5), RunningTasks: []string{"t2", "t1"}, Type: "old", Results: 7, Reputation: 0.9}, {ID: "x", Status: "offline", LastSeen: at(2)}},
		"c": {{ID: "w", Status: "idle", LastSeen: at(8), Connected: true, RunningTasks: []string{"t1"}}, {ID: "a", Status: "full", LastSeen: at(1)}},
	})
	if len(got) != 3 || got[0].ID != "a" || got[1].ID != "w" || got[2].ID != "x" {
		t.Fatalf("workers: %+v", got)
	}
	w := got[1]
	if w.Type != "new" || w.LastSeen != at(9) || !w.Polling || !w.Connected || w.Status != "busy" || w.Results != 7 || w.Reputation != 0.9 {
		t.Errorf("the worker is %+v", w)
	}
	if !slices.Equal(w.RunningTasks, []string{"t1", "t2"}) || !slices.Equal(w.Nodes, []string{"b", "c"}) {
		t.Errorf("tasks %v at %v", w.RunningTasks, w.Nodes)
	}
	if got[0].Status != "full" || got[2].Status != "offline" || got[2].LastSeen != at(2) || len(got[2].Nodes) != 0 {
		t.Errorf("the others are %+v, %+v", got[0], got[2])
	}
	sum := Stats{Workers: 3, Polling: 1, Queued: 2, Leased: 4}.Together(Stats{Workers: 5, Polling: 2, Queued: 1, Leased: 1})
	if sum.Workers != 5 || sum.Polling != 3 || sum.Queued != 3 || sum.Leased != 5 {
		t.Errorf("together: %+v", sum)
	}
}
