package nodes

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orrery/api"
)

// This file tests that what is bounded is bounded over all nodes.

func newBoundCluster(t *testing.T, rates api.Rates, quota *int64, ids ...string) *cluster {
	t.Helper()
	c := newCluster(t)
	c.rates, c.quota = rates, quota
	for _, id := range ids {
		c.start(id)
	}
	return c
}

// through sends requests to all nodes at once and counts those that come through.
func (c *cluster) through(tries int, method, path string, body any, want int) int64 {
	var n atomic.Int64
	var busy sync.WaitGroup
	for _, s := range c.nodes {
		for range tries {
			busy.Go(func() {
				switch status, out, err := s.try(c.t.Context(), method, path, body); {
				case err != nil:
					c.t.Errorf("%s %s: %v", method, path, err)
				case status == want:
					n.Add(1)
				case status != http.StatusTooManyRequests:
					c.t.Errorf("%s %s: %d %s", method, path, status, out)
				}
			})
		}
	}
	busy.Wait()
	return n.Load()
}

func TestARateHoldsOverAllNodes(t *testing.T) {
	c := newBoundCluster(t, api.Rates{Per: 24 * time.Hour, Requests: 40}, nil, "a", "b", "c")
	n := c.through(30, "GET", "/api/v1/nodes", nil, http.StatusOK)
	if n < 40-3*4 || n > 40 {
		t.Errorf("%d of 90 requests came through, the limit is 40, and each node may keep 4", n)
	}
	for _, s := range c.nodes { // what a node has drawn and not used is there for who asks it
		for range 40 {
			if status, _ := s.call("GET", "/api/v1/nodes", nil); status == http.StatusOK {
				n++
			}
		}
	}
	if n != 40 {
		t.Errorf("%d requests came through in all, the limit is 40", n)
	}
}

// While the store is away each of three nodes holds a third of the limit.
func TestARateWithoutTheStore(t *testing.T) {
	c := newBoundCluster(t, api.Rates{Per: 24 * time.Hour, Requests: 30}, nil, "a", "b", "c")
	c.until("the nodes know each other", func() bool {
		for _, s := range c.nodes {
			if len(s.node.All()) != 3 {
				return false
			}
		}
		return true
	})
	for _, s := range c.nodes {
		s.rows.shut(false)
		defer s.rows.open()
	}
	if n := c.through(25, "GET", "/api/v1/nodes", nil, http.StatusOK); n != 30 {
		t.Errorf("%d of 75 requests came through without the store, three shares of 10 are 30", n)
	}
}

func TestAQuotaHoldsOverAllNodes(t *testing.T) {
	quota := int64(25)
	c := newBoundCluster(t, api.Rates{}, &quota, "a", "b", "c")
	if n := c.through(20, "POST", "/api/v1/flow/straight", `{"n": 1}`, http.StatusAccepted); n != quota {
		t.Errorf("%d of 60 jobs were taken, the quota is %d", n, quota)
	}
}
