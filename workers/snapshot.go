package workers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"orrery/engine/job"
	"orrery/workers/protocol"
)

// This file shows workers and queues to people.

// View is a worker as /api/v1/workers shows it.
type View struct {
	ID              string              `json:"id"`
	WorkerID        string              `json:"worker_id"` // the same, as the original names it
	Type            string              `json:"worker_type"`
	Status          string              `json:"status"` // idle, busy, full, offline
	Skills          []string            `json:"skills"`
	AvailableSkills []string            `json:"available_skills"`
	HotSkills       []string            `json:"hot_skills,omitempty"`
	HotCache        []string            `json:"hot_cache,omitempty"`
	RunningTasks    []string            `json:"running_tasks"` // fences
	LastSeen        job.Time            `json:"last_seen"`
	Age             string              `json:"age"` // of its SDK
	Version         string              `json:"rxon_version,omitempty"`
	Emulated        bool                `json:"emulated"`
	Polling         bool                `json:"polling"`         // a poll is open now
	Nodes           []string            `json:"nodes,omitempty"` // where it polls or is connected now, of several
	WebSocket       bool                `json:"websocket"`       // says that it opens one
	Connected       bool                `json:"connected"`       // one is open and known to be its own
	Reputation      float64             `json:"reputation"`
	Results         int                 `json:"results"` // that the reputation is made from, at most 100
	Load            *float64            `json:"load,omitempty"`
	Usage           json.RawMessage     `json:"usage,omitempty"`
	Resources       protocol.Resources  `json:"resources"`
	InstalledModels []protocol.Artifact `json:"installed_models,omitempty"`
	Software        map[string]string   `json:"installed_software,omitempty"`
	Extra           map[string]any      `json:"extra,omitempty"`
	MaxConcurrent   int                 `json:"max_concurrent_tasks,omitempty"`
	Hostname        string              `json:"hostname,omitempty"`
	IPAddress       string              `json:"ip_address,omitempty"`
	protocol.Costs
}

// Snapshot gives all workers of the registry and the emulated ones, in order of id.
func (h *Hub) Snapshot() []View {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock.Now()
	connected := map[string]bool{}
	for l := range h.links {
		connected[cmp.Or(l.id, l.worker)] = true
	}
	out := make([]View, 0, len(h.workers))
	for _, w := range h.workers {
		if !w.known && !w.emulated {
			continue
		}
		out = append(out, View{
			ID: w.id, WorkerID: w.id, Type: w.reg.Type, Status: h.statusAt(w, now),
			Skills: listOf(w.reg.Skills), AvailableSkills: listOf(w.available), HotSkills: w.hotSkills, HotCache: w.hotCache,
			RunningTasks: w.leaseIDs(), LastSeen: job.Time{Time: w.seen}, Age: w.age.String(), Version: w.version, Emulated: w.emulated,
			Polling: w.poll != nil, WebSocket: w.reg.WebSockets, Connected: connected[w.id],
			Reputation: w.results.share(), Results: w.results.Count, Load: w.load, Usage: w.usage,
			Resources: w.reg.Resources, InstalledModels: w.reg.InstalledModels, Software: w.reg.InstalledSoftware, Extra: w.reg.Extra,
			MaxConcurrent: w.reg.MaxConcurrent, Hostname: w.reg.Hostname, IPAddress: w.reg.IPAddress, Costs: w.reg.Costs,
		})
	}
	slices.SortFunc(out, func(a, b View) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// listOf gives a list that is never null in JSON.
func listOf(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// Queue says what a task type waits for, for `why`.
type Queue struct {
	Type    string    `json:"task_type"`
	Queued  int       `json:"queued"`
	Workers []Chances `json:"workers"` // that have the type, in order of id; at most 100
	Known   int       `json:"known"`   // all workers of the type
	Live    int       `json:"live"`    // of these: seen within the TTL
}

// Chances says whether a worker takes tasks of a type now.
type Chances struct {
	ID       string   `json:"id"`
	LastSeen job.Time `json:"last_seen"`
	Live     bool     `json:"live"`
	Why      string   `json:"why"` // why it takes none now; "" when it would
}

// maxChances bounds the workers that an answer lists.
const maxChances = 100

// QueueInfo tells how many tasks of the type wait and what its workers do.
func (h *Hub) QueueInfo(taskType string) Queue {
	return h.queueInfo(taskType, &class{taskType: taskType})
}

// QueueFor is QueueInfo for one task: a worker that may not do it says why not.
func (h *Hub) QueueFor(t job.Task) Queue {
	return h.queueInfo(t.Type, &class{taskType: t.Type, judge: judge{req: parseRequirement(&t)}})
}

// Explain says in words why a queued task has no worker; the engine's `why` shows it.
func (h *Hub) Explain(t job.Task) []string {
	const shown = 5
	q := h.QueueFor(t)
	if len(q.Workers) == 0 {
		return []string{fmt.Sprintf("no worker has registered for task type %q yet", t.Type)}
	}
	words := []string{fmt.Sprintf("%d of %d workers of the type were heard of lately", q.Live, q.Known)}
	for i, w := range q.Workers {
		if i == shown {
			return append(words, fmt.Sprintf("and %d more workers", q.Known-shown))
		}
		words = append(words, "worker "+w.ID+" "+cmp.Or(w.Why, "is free"))
	}
	return words
}

func (h *Hub) queueInfo(taskType string, c *class) Queue {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := Queue{Type: taskType, Workers: []Chances{}}
	if q := h.queues[taskType]; q != nil {
		out.Queued = q.waiting
	}
	now := h.clock.Now()
	for w := range h.skilled[taskType] {
		live := h.live(w, now) || w.poll != nil
		if live {
			out.Live++
		}
		out.Workers = append(out.Workers, Chances{ID: w.id, LastSeen: job.Time{Time: w.seen}, Live: live, Why: h.whyNot(c, w, live)})
	}
	slices.SortFunc(out.Workers, func(a, b Chances) int { return cmp.Compare(a.ID, b.ID) })
	out.Known = len(out.Workers)
	out.Workers = out.Workers[:min(len(out.Workers), maxChances)]
	return out
}

func (h *Hub) whyNot(c *class, w *worker, live bool) string {
	switch {
	case w.offline:
		return "said goodbye"
	case !live:
		return "was not heard of lately"
	}
	if why := c.unmet(w); why != "" {
		return why
	}
	if !slices.Contains(w.available, c.taskType) {
		return "does not take this type now"
	}
	switch {
	case w.poll != nil:
		return ""
	case h.neighbors != nil: // a poll at another node is known to that one alone
		return "does not poll at this node now"
	}
	return "does not poll now"
}
