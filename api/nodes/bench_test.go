package nodes

import (
	"slices"
	"testing"
	"time"
)

// This file measures how long a task takes to a poll that is open: from the start of the request
// that creates its job until the worker has it, when the poll is at the same node and when it
// is at another one.

func BenchmarkWakeUp(b *testing.B) {
	for name, at := range map[string]string{"same-node": "a", "other-node": "b"} {
		b.Run(name, func(b *testing.B) {
			c := newCluster(b, "a", "b", "c")
			from, to := c.nodes["a"], c.nodes[at]
			to.register("w", "echo")
			var took []time.Duration
			for b.Loop() {
				got := make(chan time.Time, 1)
				go func() {
					one, ok, err := to.tryPoll(b.Context(), "w")
					got <- time.Now()
					if err != nil || !ok {
						b.Errorf("a poll ends with %+v, %v", one, err)
						return
					}
					to.accepted("w", one)
					got <- time.Time{}
				}()
				to.until("the poll is open", func() bool { return to.hub.Stats().Polling == 1 })
				began := time.Now()
				from.create("flow/work")
				took = append(took, (<-got).Sub(began))
				<-got
			}
			slices.Sort(took)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
			b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
		})
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
