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
func call[T any](w *world, r *rand.Rand, n *node, do func(context.Context, *server) (T, error)) (T, error) {
	var nothing T
	faults := w.weather
	if w.isCalm() {
		faults = weather{}
	}
	w.wait(latency(r))
	if r.Float64() < faults.lost { // on the way there
		w.wait(time.Duration(r.Int64N(int64(5 * time.Second))))
		return nothing, errLost
	}
	if r.Float64() < faults.doubled {
		late := latency(r) * time.Duration(1+r.IntN(200))
		w.actors.Go(func() {
			w.wait(late)
			_, _ = arrive(n, do) // whoever sent it twice hears the first answer
		})
	}
	got, err := arrive(n, do)
	w.wait(latency(r))
	if r.Float64() < faults.lost { // on the way back
		return nothing, errLost
	}
	return got, err
}

// arrive lets the server handle a request; one that ends meanwhile gives no answer.
func arrive[T any](n *node, do func(context.Context, *server) (T, error)) (T, error) {
	var nothing T
	s := n.up()
	if s == nil {
		return nothing, errLost
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	got, err := do(ctx, s)
	if s.ctx.Err() != nil || n.up() != s {
		return nothing, errLost
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
