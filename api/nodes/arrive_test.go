package nodes

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"orrery/api/peers"
	"orrery/engine/job"
)

// This file tests what becomes of a task between its owner and a worker at another node.

func newArriving(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t)
	c.arrive = time.Second
	for _, id := range []string{"a", "b"} {
		c.start(id)
	}
	return c
}

// A node takes a task for its worker, which is of an age that lists no tasks, and dies with it.
func TestATaskThatDiesWithItsRelayIsHandedOutAgain(t *testing.T) {
	c := newArriving(t)
	a, b := c.nodes["a"], c.nodes["b"]
	a.register("w", "echo")
	id := a.create("flow/work")
	owner, ok := b.node.Owner(job.ShardOf(id))
	if !ok || owner.ID != "a" {
		t.Fatalf("the owner is %+v", owner)
	}
	got, err := b.peers.Relay(t.Context(), owner, peers.Request{Method: "GET", Target: "/_worker/workers/w/tasks/next",
		Header: http.Header{"X-Worker-Token": {workerToken}, "X-Worker-Id": {"w"}, "X-Orrery-Arrives": {"1"}}})
	if err != nil || got.Status != http.StatusOK {
		t.Fatalf("the relayed poll: %+v, %v", got, err)
	}
	var lost task
	if err := json.Unmarshal(got.Body, &lost); err != nil || got.Header.Get("X-Orrery-Task") != lost.ID {
		t.Fatalf("the task %s: %v", got.Body, err)
	}
	again := b.take("w") // a long poll, which gets it as soon as it is back
	if again.Job != id || again.ID == lost.ID {
		t.Fatalf("it got %+v after %+v", again, lost)
	}
	if status, said := b.answer("w", lost); status != http.StatusOK || said == "accepted" {
		t.Errorf("the result of the lost hand-out: %d %s", status, said)
	}
	b.accepted("w", again)
	a.is(id, job.Finished)
}

// A task that has arrived stays where it is, however long it takes.
func TestATaskThatArrivedStays(t *testing.T) {
	c := newArriving(t)
	a, b := c.nodes["a"], c.nodes["b"]
	b.register("w", "echo")
	a.register("v", "echo")
	id := a.create("flow/work")
	got := b.take("w")
	status, body := a.call("GET", "/_worker/workers/v/tasks/next?timeout=4", nil, "X-Worker-Token", workerToken, "X-Worker-ID", "v")
	if status != http.StatusNoContent {
		t.Fatalf("it was given to another worker: %d %s", status, body)
	}
	b.accepted("w", got)
	a.is(id, job.Finished)
}
