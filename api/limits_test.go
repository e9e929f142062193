package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"orrery/engine/job"
)

// This file tests that every limit of requests holds, and that whoever breaks one is told its
// name, its value and what was asked for.

// breaks is a request that asks for more than a limit, which the operator has set to value.
type breaks struct {
	set    func(*Limits)
	value  float64
	asked  float64 // 0: that is not known
	status int
	code   string
	by     func(b *bench) answer
}

// A frame breaks its limit without a request: TestFramesThatAreTooLarge.
var broke = map[string]breaks{
	LimitBody: {func(l *Limits) { l.Body = 100 }, 100, 101, http.StatusRequestEntityTooLarge, "too_large",
		func(b *bench) answer { return b.as("client", "POST", start, wide(101)) }},
	LimitBody + " in chunks": {func(l *Limits) { l.Body = 100 }, 100, 0, http.StatusRequestEntityTooLarge, "too_large",
		func(b *bench) answer {
			b.listen()
			return b.send("POST", start, io.MultiReader(strings.NewReader(wide(200))), "X-Client-Token", "t-client")
		}},
	LimitBody + " unpacked": {func(l *Limits) { l.Body = 2000 }, 2000, 0, http.StatusRequestEntityTooLarge, "too_large",
		func(b *bench) answer {
			return b.as("client", "POST", start, packed(b.t, wide(2001)), "Content-Encoding", "gzip")
		}},
	LimitBody + " of a worker": {func(l *Limits) { l.Body = 100 }, 100, 101, http.StatusRequestEntityTooLarge, "too_large",
		func(b *bench) answer { return b.worker("POST", "/_worker/workers/register", wide(101)) }},
	LimitStrange: {func(l *Limits) { l.Strange = 50 }, 50, 51, http.StatusRequestEntityTooLarge, "too_large",
		func(b *bench) answer { return b.do("POST", "/_public/approvals/x", wide(51)) }},
	LimitBodies: {func(l *Limits) { l.Bodies = 70_000 }, 70_000, 0, http.StatusServiceUnavailable, "overloaded",
		func(b *bench) answer { return b.as("client", "POST", start, wide(100_000)) }},
	LimitDepth: {func(l *Limits) { l.Depth = 3 }, 3, 4, http.StatusBadRequest, "bad_json",
		func(b *bench) answer { return b.as("client", "POST", start, `{"a":[[[1]]]}`) }},
	LimitDepth + " of a worker": {func(l *Limits) { l.Depth = 3 }, 3, 4, http.StatusBadRequest, "bad_json",
		func(b *bench) answer { return b.worker("POST", "/_worker/tasks/result", `{"data":{"a":[[1]]}}`) }},
	LimitUploads: {func(l *Limits) { l.Uploads = 1 }, 1, 0, http.StatusServiceUnavailable, "overloaded",
		func(b *bench) answer {
			b.s.uploads.enter(1) // another one is on its way
			id := b.engine.add(job.Job{Client: job.Client{ID: "ann"}})
			return b.as("client", "PUT", "/api/v1/jobs/"+id+"/files/content/f", "x")
		}},
	LimitCreates: {func(l *Limits) { l.Creates = 1 }, 1, 0, http.StatusServiceUnavailable, "overloaded",
		func(b *bench) answer {
			b.s.creates.enter(1) // another one is being started
			return b.as("client", "POST", start, `{}`)
		}},
	LimitBacklog: {func(l *Limits) { l.Backlog = 1 }, 1, 0, http.StatusServiceUnavailable, "overloaded",
		func(b *bench) answer {
			b.engine.add(job.Job{Status: job.Running})
			b.s.release() // a start is held while the server runs: see TestABacklogHoldsStartsBack
			return b.as("client", "POST", start, `{}`)
		}},
}

// wide is JSON of so many bytes.
func wide(bytes int) string { return `{"a":"` + strings.Repeat("x", bytes-8) + `"}` }

func packed(t *testing.T, text string) string {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestABrokenLimitIsNamed(t *testing.T) {
	for what, br := range broke {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, func(c *Config) { br.set(&c.Limits) })
			got := br.by(b)
			got.want(t, br.status, br.code)
			var p struct {
				Limit        string
				Value, Asked float64
				Detail       string
			}
			if err := json.Unmarshal([]byte(got.body), &p); err != nil {
				t.Fatal(err)
			}
			name, _, _ := strings.Cut(what, " ")
			if p.Limit != name || p.Value != br.value || p.Asked != br.asked {
				t.Errorf("limit %q, value %v, asked %v; want %q, %v, %v", p.Limit, p.Value, p.Asked, name, br.value, br.asked)
			}
			for _, want := range []string{"ORRERY_LIMIT_" + strings.ToUpper(name), strconv.FormatFloat(br.value, 'f', -1, 64)} {
				if !strings.Contains(p.Detail, want) {
					t.Errorf("no %q in %q", want, p.Detail)
				}
			}
			if br.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

// What keeps to a limit is let in: the limits above are no closer than they say.
func TestWhatKeepsToTheLimits(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Limits = Limits{Body: 100, Strange: 50, Depth: 3, Bodies: 1, Creates: 1, Uploads: 1}
	})
	b.as("client", "POST", start, wide(100)).ok(t, http.StatusAccepted, nil)
	b.as("client", "POST", start, `{"a":[[1]]}`).ok(t, http.StatusAccepted, nil)
	b.as("client", "POST", start, packed(t, wide(100)), "Content-Encoding", "gzip").ok(t, http.StatusAccepted, nil)
	id := b.engine.add(job.Job{Client: job.Client{ID: "ann"}})
	b.as("client", "PUT", "/api/v1/jobs/"+id+"/files/content/f", strings.Repeat("x", 200)).ok(t, http.StatusOK, nil)
	if got := b.do("POST", "/_public/approvals/x", wide(50)); got.status == http.StatusRequestEntityTooLarge {
		t.Errorf("a stranger's body of the size that is allowed: %s", got)
	}
}

func TestFramesThatAreTooLarge(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Frame, c.Limits.Depth = 300, 2 })
	b.listen()
	b.register("w1", `"echo"`)
	id := b.offer("echo")
	fence := b.take("w1")
	conn, _, err := websocket.Dial(t.Context(), b.base+"/_worker/ws/w1", &websocket.DialOptions{HTTPHeader: http.Header{"X-Worker-Token": {"w-shared"}}})
	if err != nil {
		t.Fatal(err)
	}
	say := func(more string) {
		t.Helper()
		frame := `{"event":"progress_update","task_id":"` + fence + `","job_id":"` + id + `","progress":0.5` + more + `}`
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	say(`,"message":"deep","extra":[[1]]`) // is not heard
	say(`,"message":"flat","extra":[1]`)
	if p := <-b.desk.progress; p.Message != "flat" {
		t.Errorf("a frame that nests too deep was heard: %+v", p)
	}
	say(`,"message":"` + strings.Repeat("x", 300) + `"`)
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("after a frame of over 300 bytes: %v", err)
	}
}

func TestZeroLimitsAreTheDefaults(t *testing.T) {
	if got := (Limits{}).orDefault(); got != DefaultLimits() {
		t.Errorf("%+v", got)
	}
	if got := (Limits{Body: 10}).orDefault(); got.Strange != 10 {
		t.Errorf("a stranger may send %d bytes, a client 10", got.Strange)
	}
}
