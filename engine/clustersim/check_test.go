package clustersim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file checks a world after its end: the invariants I1 to I8, against what the outside
// did and was told, and every job's way against the model.

// found is a job as it stands at the end.
type found struct {
	job     *job.Job
	data    store.Data
	key     string
	history map[string]json.RawMessage
	records []job.Record
	walk    *walk
}

func (w *world) check() {
	all, err := w.read()
	if err != nil {
		w.fault("the jobs can not be read: %v", err)
		return
	}
	for _, id := range sortedKeys(all) {
		w.checkJob(all[id])
	}
	for _, id := range sortedKeys(all) {
		w.checkTold(all, all[id])
	}
	w.checkRequests(all)
	w.checkNumbers(all)
	w.checkAnswers(all)
	for _, id := range sortedKeys(all) {
		w.checkForeseen(all, all[id])
	}
}

// read collects all jobs by id.
func (w *world) read() (map[string]*found, error) {
	ctx := context.Background()
	page, err := w.below.List(ctx, store.Query{Limit: 1000})
	if err != nil {
		return nil, err
	}
	all := map[string]*found{}
	for _, row := range page.Jobs {
		f := &found{}
		if f.job, f.data, err = w.below.Load(ctx, row.ID); err != nil {
			return nil, err
		}
		if f.records, err = w.below.Records(ctx, row.ID, 0, 100_000); err != nil {
			return nil, err
		}
		if err = json.Unmarshal(f.data.History, &f.history); err != nil {
			return nil, err
		}
		f.key = keyOf(f.data.Initial)
		all[row.ID] = f
	}
	return all, nil
}

// checkJob holds one job's history, rows and way.
func (w *world) checkJob(f *found) {
	j := f.job
	wrong := func(format string, args ...any) {
		w.fault("%s (%s, %s): %s", j.ID, j.Blueprint, f.key, fmt.Sprintf(format, args...))
	}
	if !j.Status.Terminal() {
		wrong("I1: it is %s in state %q", j.Status, j.State)
	}
	k := &walk{p: w.plan(j.Blueprint), key: f.key, l: w.ledger, id: j.ID, fences: map[string]int{}, failures: map[string]int{}}
	f.walk = k
	folded := map[string]json.RawMessage{}
	for i := range f.records {
		r := &f.records[i]
		if r.N != int64(i+1) {
			wrong("I3: record %d where %d is due", r.N, i+1)
		}
		maps.Copy(folded, r.Set)
		for _, key := range r.Unset {
			delete(folded, key)
		}
		if err := k.follow(r); err != nil {
			wrong("record %d (%s): %v", r.N, r.Kind, err)
			return
		}
	}
	if j.Records != int64(len(f.records)) || j.Step != k.steps || j.State != k.state || j.Status != k.status {
		wrong("its row says %d records, step %d, %s in %q; the model %d, %d, %s in %q",
			j.Records, j.Step, j.Status, j.State, len(f.records), k.steps, k.status, k.state)
	}
	if !sameObject(folded, f.history) {
		wrong("I8: its history folds to %v, its state_history is %s", folded, f.data.History)
	}
	w.checkHistory(f, k, wrong)
	w.checkRows(f, k, wrong)
}

// checkHistory holds state_history against the model's walk and the taken results.
func (w *world) checkHistory(f *found, k *walk, wrong func(string, ...any)) {
	var visits []string
	var numbers []int
	if err := errors.Join(into(f.history["visits"], &visits), into(f.history["numbers"], &numbers)); err != nil {
		wrong("state_history can not be read: %v", err)
	}
	if !slices.Equal(visits, k.visits) {
		wrong("it visited %v, the model %v", visits, k.visits)
	}
	if len(numbers) != k.numbers {
		wrong("I7: it drew %d numbers, the model %d", len(numbers), k.numbers)
	}
	for key, value := range f.history {
		var fences []string
		switch {
		case strings.HasPrefix(key, "result_") || key == "fence":
			fences = append(fences, "")
			if err := into(value, &fences[0]); err != nil {
				wrong("%s: %v", key, err)
			}
		case strings.HasPrefix(key, "joined_"):
			if err := into(value, &fences); err != nil {
				wrong("%s: %v", key, err)
			}
		}
		for _, fence := range fences {
			if k.fences[fence] != 1 {
				wrong("I4: %s holds the data of %q, whose result was taken %d times", key, fence, k.fences[fence])
			}
		}
	}
}

func into(text json.RawMessage, v any) error {
	if text == nil {
		return nil
	}
	return json.Unmarshal(text, v)
}

// checkRows holds that nothing is left of a job that ended, and its children.
func (w *world) checkRows(f *found, k *walk, wrong func(string, ...any)) {
	ctx := context.Background()
	open, _, err := w.below.OpenTasks(ctx, f.job.ID, 0, 1000)
	if err != nil || len(open) > 0 {
		wrong("it has open tasks: %v %v", open, err)
	}
	children, err := w.below.Children(ctx, f.job.ID)
	if err != nil || len(children) != k.children || k.resumed > k.children {
		wrong("I6: it has %d children (%v), started %d, and was resumed %d times", len(children), err, k.children, k.resumed)
	}
}

// checkTold holds that parents were told true ends of their own children. A child may be
// reopened in the moment in which its parent is told, so an earlier end counts too.
func (w *world) checkTold(all map[string]*found, f *found) {
	for i := range f.records {
		if r := &f.records[i]; r.Kind == job.RecChild {
			id, status, _ := strings.Cut(r.Detail, " ")
			if c := all[id]; c == nil || c.job.Parent == nil || c.job.Parent.JobID != f.job.ID || !slices.Contains(c.walk.ended, job.Status(status)) {
				w.fault("I6: job %s was told that child %s ended %s", f.job.ID, id, status)
			}
		}
	}
}

// checkRequests holds that every accepted job is there, once, and no other.
func (w *world) checkRequests(all map[string]*found) {
	roots := map[string][]string{}
	spared := int64(0)
	for id, f := range all {
		if f.job.Parent != nil {
			continue
		}
		roots[f.key] = append(roots[f.key], id)
		if f.job.Client.ID == sparing {
			spared++
		}
		if w.ledger.requests[f.key] == nil {
			w.fault("I2: nobody asked for job %s (%s)", id, f.key)
		}
	}
	if spared > attempts {
		w.fault("I7: a client with %d attempts has %d jobs", attempts, spared)
	}
	for _, key := range sortedKeys(w.ledger.requests) {
		q, n := w.ledger.requests[key], len(roots[key])
		switch {
		case q.accepted != "" && !slices.Contains(roots[key], q.accepted):
			w.fault("I2: %s was accepted as %s, and there is %v", key, q.accepted, roots[key])
		case q.keyed && n > 1, n > q.arrived:
			w.fault("I2: %s has %d jobs of %d requests (idempotent: %v)", key, n, q.arrived, q.keyed)
		}
	}
}

// checkNumbers holds that a shared counter counted each step exactly once.
func (w *world) checkNumbers(all map[string]*found) {
	for _, p := range w.plans {
		var drawn []int
		for _, f := range all {
			var own []int
			if f.job.Blueprint == p.name && into(f.history["numbers"], &own) == nil {
				drawn = append(drawn, own...)
			}
		}
		slices.Sort(drawn)
		for i, n := range drawn {
			if n != i+1 {
				w.fault("I7: the jobs of %s drew the numbers %v", p.name, drawn)
				break
			}
		}
		value, _, err := w.below.Value(context.Background(), p.name, "kept", "n")
		if stands := 0; err != nil || into(value, &stands) != nil || stands != len(drawn) {
			w.fault("I7: the counter of %s stands at %s (%v) after %d numbers", p.name, value, err, len(drawn))
		}
	}
}

// checkAnswers holds what workers, clients and people were told.
func (w *world) checkAnswers(all map[string]*found) {
	fences, failures := map[string]int{}, map[string]int{}
	cancels, decisions, reopened := map[string]int{}, map[string]int{}, map[string]int{}
	for id, f := range all {
		for fence, n := range f.walk.fences {
			fences[fence] += n
		}
		maps.Copy(failures, f.walk.failures)
		for i := range f.records {
			switch f.records[i].Kind {
			case job.RecCancelAsk, job.RecCancelled:
				cancels[id]++
			case job.RecApproval:
				decisions[id]++
			case job.RecReopened:
				reopened[id]++
			}
		}
	}
	for _, fence := range sortedKeys(w.ledger.taken) {
		a := w.ledger.taken[fence]
		if fences[fence] == 0 && (a.status != "failure" || failures[fence] == 0) {
			w.fault("the result of %s was answered \"accepted\", and is nowhere", fence)
		}
	}
	for _, id := range sortedKeys(w.ledger.cancels) {
		if a := w.ledger.cancels[id]; a.granted > 0 && cancels[id] == 0 {
			w.fault("the cancel of job %s was accepted, and is nowhere", id)
		}
	}
	for _, id := range sortedKeys(w.ledger.chosen) {
		if n := w.ledger.chosen[id]; n > decisions[id] {
			w.fault("%d decisions for job %s were accepted, and it has %d", n, id, decisions[id])
		}
	}
	for _, id := range sortedKeys(w.ledger.retries) {
		if a := w.ledger.retries[id]; a.granted > reopened[id] {
			w.fault("job %s was told %d times that it runs again, and did %d times", id, a.granted, reopened[id])
		}
	}
}

// checkForeseen holds jobs that nobody disturbed to the way that follows from their plan.
func (w *world) checkForeseen(all map[string]*found, f *found) {
	visits, status, sure := foresee(w.plan(f.job.Blueprint), f.key)
	if !sure || w.disturbed(all, f) {
		return
	}
	w.foreseen++
	if f.job.Status != status || !slices.Equal(f.walk.visits, visits) {
		w.fault("%s (%s, %s) went %v and ended %s; it was to go %v and end %s", f.job.ID, f.job.Blueprint, f.key, f.walk.visits, f.job.Status, visits, status)
	}
}

// disturbed reports whether somebody cancelled or reopened the job or one below it, or time decided there.
func (w *world) disturbed(all map[string]*found, f *found) bool {
	if f.walk.disturbed || f.walk.chances {
		return true
	}
	for _, c := range all {
		if c.job.Parent != nil && c.job.Parent.JobID == f.job.ID && w.disturbed(all, c) {
			return true
		}
	}
	return false
}

// sameObject compares two objects by the text of their members.
func sameObject(a, b map[string]json.RawMessage) bool {
	return maps.EqualFunc(a, b, func(x, y json.RawMessage) bool {
		var p, q bytes.Buffer
		return json.Compact(&p, x) == nil && json.Compact(&q, y) == nil && bytes.Equal(p.Bytes(), q.Bytes())
	})
}
