package nodes

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"orrery/workers"
)

// This file tests what every node shows of the workers of all.

// workersAt gives the list of one node, and the nodes that it names as missing.
func (s *server) workersAt() (all []workers.View, missing string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/api/v1/workers", nil)
	s.check(err)
	r.Header.Set("X-Client-Token", clientToken)
	resp, err := s.cluster.http.Do(r)
	s.check(err)
	defer resp.Body.Close()
	s.check(json.NewDecoder(resp.Body).Decode(&all))
	return all, resp.Header.Get("X-Orrery-Missing-Nodes")
}

// numbers gives "workers/polling" and the like of a node's dashboard.
func (s *server) numbers() map[string]map[string]int64 {
	s.t.Helper()
	var out map[string]map[string]int64
	status, body := s.call("GET", "/api/v1/dashboard", nil)
	if err := json.Unmarshal(body, &out); err != nil || status != http.StatusOK {
		s.t.Fatalf("the dashboard of %s: %d %s %v", s.id, status, body, err)
	}
	return out
}

func TestEveryNodeShowsAllWorkers(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	a, b := c.nodes["a"], c.nodes["b"]
	a.register("w", "echo")
	a.register("v", "other")
	polled := make(chan task, 1)
	go func() {
		got, _, err := b.tryPoll(t.Context(), "w")
		if err != nil {
			t.Error(err)
		}
		polled <- got
	}()
	for _, s := range c.nodes {
		c.until("the poll at b is seen at "+s.id, func() bool {
			all, missing := s.workersAt()
			if missing != "" || len(all) != 2 || all[0].ID != "v" {
				t.Fatalf("at %s: %+v, without %q", s.id, all, missing)
			}
			return all[1].Polling && slices.Equal(all[1].Nodes, []string{"b"}) && len(all[0].Nodes) == 0 && s.numbers()["workers"]["polling"] == 1
		})
		if n := s.numbers(); n["workers"]["total"] != 2 {
			t.Errorf("at %s: %v", s.id, n)
		}
	}
	a.create("flow/work")
	got := <-polled
	for _, s := range c.nodes {
		all, _ := s.workersAt()
		if !slices.Equal(all[1].RunningTasks, []string{got.ID}) || all[1].Status != "busy" || s.numbers()["tasks"]["at_workers"] != 1 {
			t.Errorf("at %s: %+v, %v", s.id, all[1], s.numbers())
		}
		if _, page := s.call("GET", "/_public/metrics", nil); !strings.Contains(string(page), "\norrery_nodes 3\n") {
			t.Errorf("the metrics of %s: %s", s.id, page)
		}
	}
	a.accepted("w", got)
}

func TestANodeThatDoesNotAnswerIsNamed(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	a := c.nodes["a"]
	a.register("w", "echo")
	c.nodes["c"].kill()
	all, missing := a.workersAt()
	if missing != "c" || len(all) != 1 || all[0].ID != "w" {
		t.Errorf("%+v, without %q", all, missing)
	}
	c.until("c is forgotten", func() bool { _, missing := a.workersAt(); return missing == "" })
}
