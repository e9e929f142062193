package held

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// This file tests the order and the dates of what is held, on virtual time.

type write struct {
	place Place[string]
	n     int
}

func (w *write) Place() *Place[string] { return &w.place }

type line = Line[string, *write]

func add(h *line, job string, n int) *write {
	w := &write{n: n}
	h.Add(job, w)
	return w
}

func numbers(ws []*write) (ns []int) {
	for _, w := range ws {
		ns = append(ns, w.n)
	}
	return ns
}

func want(t *testing.T, what string, got []*write, ns ...int) {
	t.Helper()
	if !slices.Equal(numbers(got), ns) {
		t.Errorf("%s are %v, want %v", what, numbers(got), ns)
	}
}

func empty(t *testing.T, h *line) {
	t.Helper()
	if _, any := h.Wait(); any || len(h.jobs) != 0 || len(h.line) != 0 {
		t.Errorf("something is still held: %d in line, of %d jobs", len(h.line), len(h.jobs))
	}
}

func TestDueInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &line{}
		empty(t, h)
		add(h, "a", 1)
		<-time.After(For / 2) // virtual
		add(h, "b", 2)
		if d, any := h.Wait(); !any || d != For/2 {
			t.Errorf("the wait is %v (%v), want %v", d, any, For/2)
		}
		want(t, "those due at once", h.Due(nil, false))
		<-time.After(For / 2)
		if d, any := h.Wait(); !any || d != 0 {
			t.Errorf("the wait for one that is due is %v (%v)", d, any)
		}
		before := []*write{{n: 9}}
		want(t, "those due after a while", h.Due(before, false), 9, 1)
		add(h, "a", 3)
		want(t, "all", h.Due(nil, true), 2, 3)
		empty(t, h)
	})
}

func TestAChangeTakesWhatItWasBuiltOn(t *testing.T) {
	h := &line{}
	add(h, "a", 1)
	add(h, "b", 2)
	add(h, "a", 3)
	want(t, "those of a", h.Of("a"), 1, 3)
	batch, spare := h.Take([]*write{{n: 9}}, "a", func(w *write) bool { return w.n == 1 })
	want(t, "the batch", batch, 9, 3)
	want(t, "those replaced", spare, 1)
	want(t, "those of a afterwards", h.Of("a"))
	batch, spare = h.Take(nil, "none", func(*write) bool { return true })
	want(t, "the batch of a job without any", batch)
	want(t, "its spare ones", spare)
	want(t, "the rest", h.Due(nil, true), 2)
	empty(t, h)
}

func TestADroppedOneIsPassedOver(t *testing.T) {
	h := &line{}
	first := add(h, "a", 1)
	second := add(h, "a", 2)
	third := add(h, "a", 3)
	held := h.Of("a")
	h.Drop(second)
	want(t, "those of a", h.Of("a"), 1, 3)
	want(t, "a list given before", held, 1, 2, 3)
	h.Drop(first)
	want(t, "all", h.Due(nil, true), 3)
	h.Drop(third) // again: it is written already
	empty(t, h)
}
