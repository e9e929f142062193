//go:build killpoints

package killtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
)

// This file runs servers with a step that ends their process, and starts them again and again.

// poisonScript has a state whose handler ends the process, one whose condition does, and one
// that does it after a call of the outside. They are reached by a timer, so that the job is kept.
const poisonScript = `
bp = blueprint(name = "poison", api_version = "v1", api_endpoint = "jobs/poison")

def start(context, actions):
    actions.transition_to(context.initial_data["into"], after_seconds = 0.01)

def harmless(context, actions):
    context.state_history["passed"] = True
    actions.transition_to("finished")

def deadly(context, actions):
    actions.transition_to("finished")

def calls(context, actions):
    sleep(0.001)
    actions.transition_to("deadly")

def long(context, actions):
    x = 0
    for i in range(300000):
        x += i
    actions.transition_to("deadly")

bp.handler_for("start", is_start = True)(start)
bp.handler_for("harmless")(harmless)
bp.handler_for("deadly")(deadly)
bp.handler_for("calls")(calls)
bp.handler_for("long")(long)
bp.handler_for("asked").when("context.initial_data.into == 'asked'")(harmless)
`

// poisoned is a server over a folder with the script, and what its processes die of.
type poisoned struct {
	*server
	ends int
}

func newPoisoned(t *testing.T) *poisoned {
	t.Helper()
	p := &poisoned{server: newServer(t, program(t, "killpoints"))}
	p.blueprints = t.TempDir()
	if err := os.WriteFile(filepath.Join(p.blueprints, "poison.star"), []byte(poisonScript), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// supervise starts the server, and again whenever it has ended by itself, until the function
// that it gives is called.
func (p *poisoned) supervise(t *testing.T, env ...string) (stop func()) {
	t.Helper()
	if err := p.launch(env...); err != nil {
		t.Fatal(err)
	}
	asked, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-p.died:
			case <-asked:
				return
			}
			if p.ends++; p.ends > 20 {
				p.cmd = nil
				t.Error("the server ends again and again")
				return
			}
			if err := p.launch(env...); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	return func() { close(asked); <-done }
}

// allEnded waits until all jobs have ended.
func (p *poisoned) allEnded(ctx context.Context, t *testing.T, ids []string) map[string]jobView {
	t.Helper()
	ended := map[string]jobView{}
	for _, id := range ids {
		for {
			var v jobView
			if code, err := p.call(ctx, http.MethodGet, "/api/v1/jobs/"+id, "", nil, &v); err == nil && code == http.StatusOK && v.Status.Terminal() {
				ended[id] = v
				break
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("job %s has not ended: %v", id, ctx.Err())
			}
		}
	}
	return ended
}

func TestAStepThatEndsTheProcess(t *testing.T) {
	for _, c := range []struct{ into, named, says string }{
		{"deadly", "step:deadly", "handler deadly at poison.star:11"},
		{"calls", "step:calls", "handler calls at poison.star:14"},
		{"asked", "when:asked", "handler harmless at poison.star:7 when context.initial_data.into == 'asked'"},
	} {
		t.Run(c.into, func(t *testing.T) {
			t.Parallel()
			p := newPoisoned(t)
			ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second) // the build is not in it
			defer cancel()
			env := []string{"ORRERY_KILLNAMED=" + c.named}
			stop := p.supervise(t, env...)
			var ids []string
			for i := range 8 { // half of them before the deadly one
				into := "harmless"
				if i == 4 {
					into = c.into
				}
				id, err := p.submit(ctx, "jobs/poison", fmt.Sprintf("%s-%d", c.into, i), map[string]any{"into": into})
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
			ended := p.allEnded(ctx, t, ids)
			stop()
			for i, id := range ids {
				v := ended[id]
				if i != 4 {
					if v.Status != job.Finished {
						t.Errorf("job %d ended %s: %v", i, v.Status, v.Error)
					}
					continue
				}
				if v.Status != job.Quarantined || v.Error == nil || v.Error.Code != job.CodeStepEnded {
					t.Fatalf("the deadly job ended %s: %v", v.Status, v.Error)
				}
				for _, want := range []string{"3 times", c.says, "orrery jobs retry " + id} {
					if !strings.Contains(v.Error.Message, want) {
						t.Errorf("the message %q lacks %q", v.Error.Message, want)
					}
				}
				if v.Error.File != "poison.star" || v.Error.Line == 0 || v.Error.Attempts != 3 {
					t.Errorf("the error's place is %s:%d, its attempts %d", v.Error.File, v.Error.Line, v.Error.Attempts)
				}
			}
			if p.ends < 3 || p.ends > 4 {
				t.Errorf("%d processes ended, want 3 that are counted, and 1 at most that ended before anything was noted", p.ends)
			}
		})
	}
}

// A file whose loading ends the process is left out after the third end, and what loads it runs
// on its last good revision.
func TestAFileThatEndsTheProcess(t *testing.T) {
	p := newPoisoned(t)
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	p.start()
	before, err := p.submit(ctx, "jobs/poison", "before", map[string]any{"into": "harmless"})
	if err != nil {
		t.Fatal(err)
	}
	p.allEnded(ctx, t, []string{before})
	p.kill()
	for name, text := range map[string]string{"deadly.star": "x = 1\n", "poison.star": `load("//deadly.star", "x")` + poisonScript} {
		if err := os.WriteFile(filepath.Join(p.blueprints, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stop := p.supervise(t, "ORRERY_KILLNAMED=load:deadly.star")
	after, err := p.submit(ctx, "jobs/poison", "after", map[string]any{"into": "harmless"})
	if err != nil {
		t.Fatal(err)
	}
	ended := p.allEnded(ctx, t, []string{before, after})
	stop()
	if ended[after].Status != job.Finished || p.ends != 3 {
		t.Errorf("%d processes ended, want 3; the job is %s", p.ends, ended[after].Status)
	}
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ended 3 times while it loaded this text", "its last good revision is in force"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}
