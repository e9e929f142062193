package stub

import (
	"slices"
	"strings"
	"testing"
)

// This file tests that every stub is whole. That it is true is tested where the real members are (starlib, engine/startest), and that its examples run in engine/startest.

func TestEveryMemberIsWhole(t *testing.T) {
	kinds := []string{Describes, Reads, Acts, Pure, Declares, Test}
	functions := 0
	for _, p := range All() {
		if len(p.Members) == 0 {
			t.Errorf("%s has no members", p.Name)
		}
		for _, m := range p.Members {
			if m.Summary == "" {
				t.Errorf("%s has no summary", m.Full())
			}
			if !m.Function {
				if m.Type == "" {
					t.Errorf("%s has no type", m.Full())
				}
				continue
			}
			functions++
			if !slices.Contains(kinds, m.Kind) {
				t.Errorf("%s has the kind %q", m.Full(), m.Kind)
			}
			for _, q := range m.Params {
				if q.Doc == "" || q.Type == "" && !strings.HasPrefix(q.Name, "*") {
					t.Errorf("%s: parameter %s has no type or no words", m.Full(), q.Name)
				}
			}
			if m.Example == "" && m.Page != "http" { // needs another side
				t.Errorf("%s has no example", m.Full())
			}
		}
	}
	if functions < 100 {
		t.Errorf("%d functions, there are more", functions)
	}
}

func TestFind(t *testing.T) {
	if _, m := Find("actions.dispatch_task"); m == nil || m.Required() != 1 || !strings.HasPrefix(m.Signature(), "dispatch_task(task_type, params = {}, ") || m.Kind != Describes {
		t.Errorf("%+v", m)
	}
	if p, m := Find("json"); p == nil || m != nil {
		t.Errorf("%v %v", p, m)
	}
	if p, m := Find("catch"); p == nil || m == nil || m.Full() != "catch" {
		t.Errorf("%v %v", p, m)
	}
	if p, m := Find("nothing.at_all"); p != nil || m != nil {
		t.Errorf("%v %v", p, m)
	}
	if _, m := Find("actions.await_human_approval"); !m.Open() || slices.Contains(m.Keywords(), "more") {
		t.Errorf("%+v", m)
	}
	if got := Search("encode"); !slices.Equal(got, []string{"json.encode"}) {
		t.Errorf("%v", got)
	}
}
