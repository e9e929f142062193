package engine

import "sync"

// This file tells whoever watches a job that it has changed.

type watchers struct {
	mu   sync.Mutex
	byID map[string]map[chan struct{}]struct{}
}

// Watch gives a channel with a token after each commit of the job since the last read.
// stop must be called; the channel is never closed.
func (e *Engine) Watch(id string) (changed <-chan struct{}, stop func()) {
	w := &e.watch
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = map[string]map[chan struct{}]struct{}{}
	}
	if w.byID[id] == nil {
		w.byID[id] = map[chan struct{}]struct{}{}
	}
	w.byID[id][c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byID[id], c)
		if len(w.byID[id]) == 0 {
			delete(w.byID, id)
		}
	}
}

func (w *watchers) changed(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.byID[id] {
		nudge(c)
	}
}

// nudge leaves a token in a channel of capacity one.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
