package api

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// This file holds the description to the table of routes.

func TestEveryRouteIsDescribed(t *testing.T) {
	b := newBench(t)
	lines := map[string]bool{}
	for _, line := range b.s.lines {
		if !line.isTold() {
			continue
		}
		lines[line.name()] = true
		if tale := tales[line.name()]; tale.summary == "" || tale.answer == "" {
			t.Errorf("%s is not in tales", line.name())
		}
	}
	for name := range tales {
		if !lines[name] {
			t.Errorf("tales has %s, which is no route", name)
		}
	}
}

func TestOpenAPI(t *testing.T) {
	b := newBench(t)
	got := b.do("GET", "/_public/openapi.json", "")
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			ID         string                      `json:"operationId"`
			Parameters []struct{ Name, In string } `json:"parameters"`
			Security   []map[string][]string       `json:"security"`
			Responses  map[string]json.RawMessage  `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil || got.status != http.StatusOK {
		t.Fatalf("status %d, %v", got.status, err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("it is of OpenAPI %q", doc.OpenAPI)
	}
	ids := map[string]string{}
	for path, ops := range doc.Paths {
		for method, op := range ops {
			where := method + " " + path
			if other := ids[op.ID]; other != "" || op.ID == "" {
				t.Errorf("%s has the id %q, as %q has", where, op.ID, other)
			}
			ids[op.ID] = where
			named := map[string]bool{}
			for _, p := range op.Parameters {
				named[p.In+" "+p.Name] = true
			}
			for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !named["path "+m[1]] {
					t.Errorf("%s does not describe its parameter %s", where, m[1])
				}
			}
			if len(op.Responses) < 2 {
				t.Errorf("%s has the answers %v", where, op.Responses)
			}
			if public := strings.HasPrefix(path, "/_public/"); !public && len(op.Security) == 0 {
				t.Errorf("%s seems to be open to all", where)
			}
		}
	}
	if jobs := doc.Paths["/api/v1/jobs/{id}"]["get"]; jobs.ID == "" || len(doc.Paths) < 40 {
		t.Errorf("%d paths, and /api/v1/jobs/{id} is %+v", len(doc.Paths), jobs)
	}
	page := b.do("GET", "/_public/docs", "")
	if page.status != http.StatusOK || !strings.Contains(page.body, "<code>GET /api/v1/jobs/{id}/why</code>") || page.header.Get("Content-Security-Policy") == "" {
		t.Errorf("the page: status %d, %.200s", page.status, page.body)
	}
}
