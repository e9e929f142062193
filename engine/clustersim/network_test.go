package clustersim

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// This file is the network between clients, workers and nodes: it delays, loses and repeats.

// errLost is all that the sender of a request knows when no answer comes.
var errLost = errors.New("no answer")

// call sends a request to a node and waits for the answer.
func (w *world) call(r *rand.Rand, n *node, o *order) ([]byte, error) {
	if o.Op == opRetry || o.Op == opDecide {
		defer w.onItsWay()()
	}
	faults := w.weather
	if w.isCalm() {
		faults = weather{}
	}
	w.wait(latency(r))
	if r.Float64() < faults.lost { // on the way there
		w.wait(time.Duration(r.Int64N(int64(5 * time.Second))))
		return nil, errLost
	}
	if r.Float64() < faults.doubled {
		late, arrived := latency(r)*time.Duration(1+r.IntN(200)), w.onItsWay()
		w.actors.Go(func() {
			defer arrived()
			w.wait(late)
			_, _ = w.arrive(n, o, 0) // whoever sent it twice hears the first answer
		})
	}
	got, err := w.arrive(n, o, time.Duration(1+r.Int64N(int64(10*time.Second))))
	w.wait(latency(r))
	if r.Float64() < faults.lost { // on the way back
		return nil, errLost
	}
	return got, err
}

// onItsWay counts a request that may change a job though nobody waits for it, be it one of people, who
// are never done, or the second of two; done ends that. A world is not settled before.
func (w *world) onItsWay() (done func()) {
	w.orders.Add(1)
	return func() { w.orders.Add(-1) }
}

// arrive lets the server handle a request; one that ends meanwhile gives no answer. A stopped
// process reads it when it goes on: the sender has given up by then.
func (w *world) arrive(n *node, o *order, patience time.Duration) ([]byte, error) {
	s := n.up()
	if s == nil {
		return nil, errLost
	}
	if s.link.isPaused() {
		arrived := w.onItsWay()
		w.actors.Go(func() {
			defer arrived()
			s.link.halt()
			_, _ = n.handle(s, o)
		})
		w.wait(patience)
		return nil, errLost
	}
	return n.handle(s, o)
}

func (n *node) handle(s *server, o *order) ([]byte, error) {
	if s.ctx.Err() != nil {
		return nil, errLost
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	got, err := s.serve(ctx, o, nil)
	s.link.halt()
	if s.ctx.Err() != nil || n.up() != s {
		return nil, errLost
	}
	return got, err
}

func latency(r *rand.Rand) time.Duration {
	d := time.Duration(r.ExpFloat64()*float64(5*time.Millisecond)) + 1
	if r.IntN(50) == 0 {
		d *= 100
	}
	return min(d, 2*time.Second)
}
