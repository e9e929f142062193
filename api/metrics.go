package api

import (
	"fmt"
	"maps"
	runtimemetrics "runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"

	"orrery/engine/job"
)

// This file counts, and writes the counts as Prometheus text.

type metrics struct {
	classes [6]atomic.Uint64 // answers by the first digit of their status

	mu      sync.Mutex
	created map[string]uint64 // jobs accepted since the start, by blueprint
}

func (m *metrics) answered(status int) {
	if class := status / 100; class > 0 && class < len(m.classes) {
		m.classes[class].Add(1)
	}
}

func (m *metrics) accepted(blueprint string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.created == nil {
		m.created = map[string]uint64{}
	}
	m.created[blueprint]++
}

// metricsText keeps the original's names where they mean the same; new ones say orrery_. Each node
// tells of itself, for whoever collects them adds up; jobs, workers and nodes are those of all.
func (s *Server) metricsText(c *fiber.Ctx, _ *Client) error {
	counts, err := s.jobs.Counts(c.UserContext())
	if err != nil {
		return err
	}
	stats := s.hub.Stats()
	var b strings.Builder
	family := func(name, kind, help string) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	family("orchestrator_jobs_total", "counter", "Jobs accepted over HTTP since the start of this process.")
	s.metrics.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(s.metrics.created)) {
		fmt.Fprintf(&b, "orchestrator_jobs_total{blueprint=\"%s\"} %d\n", label(name), s.metrics.created[name])
	}
	s.metrics.mu.Unlock()
	family("orchestrator_active_workers", "gauge", "Workers heard of within their time to live.")
	fmt.Fprintf(&b, "orchestrator_active_workers %d\n", stats.Workers)
	family("orchestrator_task_queue_length", "gauge", "Tasks that wait for a worker.")
	fmt.Fprintf(&b, "orchestrator_task_queue_length %d\n", stats.Queued)
	family("orrery_tasks_at_workers", "gauge", "Tasks that a worker has now.")
	fmt.Fprintf(&b, "orrery_tasks_at_workers %d\n", stats.Leased)
	family("orrery_open_polls", "gauge", "Polls held open now.")
	fmt.Fprintf(&b, "orrery_open_polls %d\n", stats.Polling)
	if s.peers != nil {
		family("orrery_nodes", "gauge", "Nodes of the store that are alive, as this one knows.")
		fmt.Fprintf(&b, "orrery_nodes %d\n", len(s.peers.All()))
		family("orrery_node_shards", "gauge", "Shards that this node has, of 256.")
		fmt.Fprintf(&b, "orrery_node_shards %d\n", s.shards())
	}
	family("orrery_jobs", "gauge", "Jobs in the store by status.")
	for _, status := range job.Statuses {
		fmt.Fprintf(&b, "orrery_jobs{status=\"%s\"} %d\n", status, counts[status])
	}
	family("orrery_http_responses_total", "counter", "Answers by class of status since the start of this process.")
	for class := 1; class < len(s.metrics.classes); class++ {
		fmt.Fprintf(&b, "orrery_http_responses_total{class=\"%dxx\"} %d\n", class, s.metrics.classes[class].Load())
	}
	family("orrery_creates_in_flight", "gauge", "Requests that are starting a job now.")
	fmt.Fprintf(&b, "orrery_creates_in_flight %d\n", s.creates.now.Load())
	family("orrery_overloaded_total", "counter", "Requests refused for load since the start of this process.")
	fmt.Fprintf(&b, "orrery_overloaded_total %d\n", s.creates.refused.Load()+s.bodies.refused.Load())
	if s.peers != nil {
		family("orrery_late_commits_total", "counter", "Commits refused since the start of this process because another node had taken the job over.")
		fmt.Fprintf(&b, "orrery_late_commits_total %d\n", s.peers.Refused())
	}
	family("orrery_unreadable_rows", "gauge", "Rows of the store that could not be read since the start of this process, and were passed over; the log names them.")
	fmt.Fprintf(&b, "orrery_unreadable_rows %d\n", s.jobs.Unreadable())
	family("orrery_blueprint_faults", "gauge", "What the last load of the blueprints found wrong.")
	fmt.Fprintf(&b, "orrery_blueprint_faults %d\n", len(s.prints.Faults()))
	for _, f := range process {
		family(f.name, "gauge", f.help)
		fmt.Fprintf(&b, "%s %d\n", f.name, figure(f.of))
	}
	c.Set(fiber.HeaderContentType, "text/plain; version=0.0.4; charset=utf-8")
	return c.SendString(b.String())
}

// shards is how many this node has.
func (s *Server) shards() int {
	for _, p := range s.peers.All() {
		if p.Self {
			return p.Shards
		}
	}
	return 0
}

// process are figures of this process, under the names that the Prometheus client for Go gives
// them; of says where the runtime has them.
var process = []struct{ name, of, help string }{
	{"go_goroutines", "/sched/goroutines:goroutines", "Goroutines of this process."},
	{"go_memstats_heap_alloc_bytes", "/memory/classes/heap/objects:bytes", "Bytes of the heap that are in use, garbage included."},
	{"go_memstats_sys_bytes", "/memory/classes/total:bytes", "Bytes that the runtime has from the system; memory of SQLite and code are not among them."},
}

func figure(of string) uint64 {
	sample := []runtimemetrics.Sample{{Name: of}}
	runtimemetrics.Read(sample)
	return sample[0].Value.Uint64()
}

// label escapes the value of a label as the text format asks.
func label(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
}
