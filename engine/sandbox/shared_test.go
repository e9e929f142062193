package sandbox

import (
	"context"
	"sync"
	"testing"
	"time"
)

// TestSharedFunctionsKnowTheirRun: what a top level makes is used by many runs at once, also
// functions that were made by functions. Each run's operations are charged to that run
// (the race detector looks on), and one run's limit is no other's.
func TestSharedFunctionsKnowTheirRun(t *testing.T) {
	src := `
def make(n):
    def inner(x):
        total = [n] + [x]
        for i in range(20):
            total.append(i + n)
            total[0] += x * 2 if x != n else 0
        return total
    return inner
def keep():
    kept = [1]
    return kept.append
makers = {k: make(k) for k in range(3)}
double = lambda x: x + x
append = keep()
bp = blueprint(name = "shared")
def start(context, actions):
    x = [makers[i % 3](i) for i in range(50)]
    y = [double(v) for v in x]
    if len(y) != 50 or y[4][0] != y[4][22] or catch(append, 1).ok:
        fail("wrong", y[4], catch(append, 1))
    if context.initial_data["n"] > 3:
        x = [y] * 100000
        z = x * 20
    actions.transition_to("finished")
bp.handler_for("start", is_start = True)(start)
`
	b := load(t, src)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 20 {
				st := step(b, "start")
				st.Limits = DefaultLimits()
				st.Limits.Time = time.Minute // of a machine that does other things
				want := ""
				if i%2 == 1 {
					st.Initial, want = []byte(`{"n": 9}`), "ELEMENTS_LIMIT"
				}
				d := Run(context.Background(), st)
				if d.Failure == nil && want != "" || d.Failure != nil && d.Failure.Code != want {
					t.Errorf("run %d: %v, want %q", i, d.Failure, want)
					return
				}
			}
		})
	}
	group.Wait()
}
