package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// This file tests recipe 16: an update of one field, at both paths, leaves all others alone.

// workerAsJSON is a worker as the API shows it, without the date that every sign of life moves.
func (b *bench) workerAsJSON(id string) map[string]any {
	b.t.Helper()
	var all []map[string]any
	b.as("viewer", "GET", "/api/v1/workers", "").ok(b.t, http.StatusOK, &all)
	for _, w := range all {
		if w["worker_id"] == id {
			delete(w, "last_seen")
			return w
		}
	}
	b.t.Fatalf("there is no worker %s", id)
	return nil
}

func TestOneFieldAtATime(t *testing.T) {
	b := newBench(t)
	headers := []string{"X-Worker-Token", "w-own", "X-RXON-Version", "1.0b17", "X-Worker-ID", "own"}
	b.do("POST", "/_worker/workers/register", `{"worker_id": "own", "worker_type": "gpu", "supported_skills": [{"name": "echo", "type": "echo"}],
		"available_skills": ["echo"], "capabilities": {"cost_per_skill": {"echo": 0.5}, "extra": {"region": "eu"}, "hostname": "rack7"},
		"resources": {"max_concurrent_tasks": 4, "devices": [{"id": "0", "type": "gpu", "model": "NVIDIA T4", "properties": {"memory_gb": 16}}]},
		"installed_artifacts": [{"name": "sd", "version": "1.5"}], "hot_skills": ["echo"]}`, headers...).ok(t, http.StatusOK, nil)
	for turn, path := range []string{"/_worker/workers/own/status", "/_worker/workers/own"} {
		for i, c := range []struct{ body, field string }{
			{`{"load": %d}`, "load"},
			{`{"status": "busy"}`, "status"},
			{`{"status": "idle"}`, "status"},
			{`{"hot_cache": ["m%d"]}`, "hot_cache"},
			{`{"hot_skills": []}`, "hot_skills"},
			{`{"hot_skills": ["echo"]}`, "hot_skills"},
			{`{"usage": {"cpu_load_percent": %d}}`, "usage"},
			{`{"max_concurrent_tasks": %d}`, "max_concurrent_tasks"},
			{`{"cost_per_skill": {"echo": %d}}`, "cost_per_skill"},
			{`{"available_skills": []}`, "available_skills"},
			{`{"available_skills": ["echo"]}`, "available_skills"},
			{`{}`, ""},
			{``, ""},
		} {
			body := c.body
			if strings.Contains(body, "%d") {
				body = fmt.Sprintf(body, 10+i+50*turn)
			}
			before := b.workerAsJSON("own")
			b.do("PATCH", path, body, headers...).ok(t, http.StatusOK, nil)
			after := b.workerAsJSON("own")
			var want []string
			if c.field != "" {
				want = []string{c.field}
			}
			if changed := changes(t, before, after); !slices.Equal(changed, want) {
				t.Errorf("PATCH %s %s changed %v, want %v", path, body, changed, want)
			}
		}
	}
	b.do("PATCH", "/_worker/workers/nobody/status", `{"load": 1}`, "X-Worker-Token", "w-shared", "X-RXON-Version", "1.0b17", "X-Worker-ID", "nobody").want(t, http.StatusNotFound, "not_found")
	b.do("PATCH", "/_worker/workers/own/status", `{"load": 1}`, "X-Worker-Token", "w-shared").want(t, http.StatusUnauthorized, "unauthorized")
	b.do("PATCH", "/_worker/workers/own/status", `{"load": "much"}`, headers...).want(t, http.StatusBadRequest, "bad_request")
}

// changes names the members that differ.
func changes(t *testing.T, a, b map[string]any) (names []string) {
	t.Helper()
	text := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if text(a[name]) != text(b[name]) {
			names = append(names, name)
		}
	}
	return names
}
