package workers

import (
	"fmt"
	"strings"
	"testing"

	"orrery/workers/protocol"
)

// A worker of age A or B only adds skills, heartbeat by heartbeat: the list ends somewhere, and
// what was known stays.
func TestSkillsShownByHeartbeatsEndSomewhere(t *testing.T) {
	for name, x := range map[string]struct{ letters, want int }{
		"many": {1, protocol.MaxNames},
		"long": {100, skillBytes/108 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.register(callB7, "w", "echo")
			for beat := range 4 {
				var list strings.Builder
				for i := range protocol.MaxNames / 2 {
					fmt.Fprintf(&list, `"%s%08d",`, strings.Repeat("s", x.letters), beat*protocol.MaxNames/2+i)
				}
				r.beatBody(callB7, "w", `{"status":"idle","supported_skills":[`+strings.TrimSuffix(list.String(), ",")+`]}`)
			}
			r.mu.Lock()
			w := r.workers["w"]
			n, crowded := len(w.reg.Skills), w.crowded
			_, echo := r.skilled["echo"][w]
			r.mu.Unlock()
			if n > x.want || n < x.want*9/10 || !crowded || !echo {
				t.Errorf("%d skills are kept, want about %d; crowded %v, the first is known %v", n, x.want, crowded, echo)
			}
			r.beatBody(callB7, "w", `{"status":"idle","supported_skills":["echo"]}`)
			r.offer(1, "echo")
			r.mustTake(callB7, "w")
		})
	}
}
