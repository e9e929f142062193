package lsp

import (
	"slices"
	"sort"
	"strings"

	"orrery/engine/analysis"
	"orrery/starlib/stub"
)

// This file completes what is being written. It uses the last analysis as it is: a text that is being written seldom parses, and waiting would be felt.

type items struct {
	list []completionItem
	seen map[string]bool
}

func (it *items) add(c completionItem) {
	if it.seen[c.Label] {
		return
	}
	it.seen[c.Label] = true
	it.list = append(it.list, c)
}

func (it *items) words(kind int, detail string, words ...string) {
	for _, w := range words {
		it.add(completionItem{Label: w, Kind: kind, Detail: detail})
	}
}

func (it *items) member(m *stub.Member) {
	c := completionItem{Label: m.Name, Kind: itemField, Detail: m.Type, Documentation: &markup{"markdown", memberText(m)}}
	if m.Function {
		c.Kind, c.Detail = itemFunction, m.Signature()
		if m.Page != stub.Predeclared && m.Page != stub.TestNames {
			c.Kind = itemMethod
		}
	}
	it.add(c)
}

func (it *items) page(p *stub.Page) {
	if p == nil {
		return
	}
	for _, m := range p.Members {
		it.member(m)
	}
}

// complete answers what may stand at a place.
func (s *Server) complete(p *place, name string) (any, error) {
	text := s.ws.text(name)
	at := offset(text, p.Position)
	c := cursorAt(text, at)
	it := &items{seen: map[string]bool{}, list: []completionItem{}}
	switch {
	case c.comment:
		s.completeComment(it, text, at)
	case c.inText:
		s.completeText(it, name, text, &c)
	case strings.Contains(c.chain, "."):
		it.page(receiverAt(text, c.chain, at))
		s.stores(it, name, c.chain)
	default:
		s.completeName(it, name, text, &c, at)
	}
	return map[string]any{"isIncomplete": false, "items": it.list}, nil
}

// completeComment offers rules within "# orrery: ignore[".
func (s *Server) completeComment(it *items, text string, at int) {
	line := text[strings.LastIndexByte(text[:at], '\n')+1 : at]
	if i := strings.LastIndex(line, "ignore["); i >= 0 && !strings.Contains(line[i:], "]") {
		for _, r := range analysis.Rules() {
			it.add(completionItem{Label: r.Name, Kind: itemEnum, Detail: r.Summary})
		}
	}
}

// stores offers the names of data stores after context.data_stores.
func (s *Server) stores(it *items, name, chain string) {
	if receiver := chain[:strings.LastIndexByte(chain, '.')]; receiver != "context.data_stores" && receiver != "data_stores" {
		return
	}
	for _, g := range s.ws.graphs(name) {
		for store := range g.DataStores {
			it.words(itemField, "data store of "+g.Name, store)
		}
	}
	sort.Slice(it.list, func(i, j int) bool { return it.list[i].Label < it.list[j].Label })
}

// completeName offers keywords of the call that is open, then names.
func (s *Server) completeName(it *items, name, text string, c *cursor, at int) {
	top := c.top()
	if top.bracket == '(' && c.keyword == "" {
		before := strings.TrimRight(text[:max(0, top.start-1-len(top.callee))], " \t")
		if strings.HasSuffix(before, "def") {
			it.words(itemValue, "the handler's context", "context")
			for _, fixed := range analysis.FixedParameters() {
				if m := stub.Get("context").Member(fixed); m != nil {
					it.member(m)
				}
			}
			return
		}
		if m := memberOf(text, top.callee); m != nil && m.Function {
			for _, q := range m.Params {
				if !strings.HasPrefix(q.Name, "*") {
					it.add(completionItem{Label: q.Name + " = ", Kind: itemProperty, Detail: q.Type, Documentation: &markup{"markdown", q.Doc}, SortText: "0" + q.Name})
				}
			}
		}
	}
	if i := strings.LastIndex(text[:at], "\ndef "); i >= 0 { // parameters of the function around
		if m := definition.FindStringSubmatch(text[i:]); m != nil {
			for _, q := range strings.Split(m[2], ",") {
				if q, _, _ = strings.Cut(strings.TrimLeft(strings.TrimSpace(q), "*"), " "); q != "" {
					it.words(itemValue, "parameter of "+m[1], q)
				}
			}
		}
	}
	for _, m := range definition.FindAllStringSubmatch(text, -1) {
		it.words(itemFunction, "function of this file", m[1])
	}
	for _, m := range assigned.FindAllStringSubmatch(text, -1) {
		it.words(itemValue, "name of this file", m[1])
	}
	it.page(stub.Get(stub.Predeclared))
	if strings.HasSuffix(name, analysis.TestSuffix) {
		it.page(stub.Get(stub.TestNames))
	}
	for _, module := range analysis.Predeclared() {
		if p := stub.Get(module); p != nil {
			it.add(completionItem{Label: module, Kind: itemModule, Documentation: &markup{"markdown", p.Doc}})
		}
	}
	it.words(itemKeyword, "", "def", "for", "if", "elif", "else", "in", "not", "and", "or", "return", "load", "lambda", "pass", "break", "continue")
	it.words(itemFunction, "of the language", universe...)
}

// completeText offers what a text literal may hold, by where it stands.
func (s *Server) completeText(it *items, name, text string, c *cursor) {
	top := c.top()
	callee := last(top.callee)
	keyword := c.keyword
	positional := top.bracket == '(' && keyword == "" && top.first
	switch {
	case top.bracket == '{' && top.keyword == "transitions" && c.isKey:
		it.words(itemEnum, "status of a task", "success", "failure", "cancelled")
		if _, ok := c.within("await_human_approval"); ok {
			it.words(itemEnum, "nobody decides in time", "timeout")
		}
		it.words(itemEnum, "used in this workspace", s.labels()...)
	case top.bracket == '{' && top.keyword == "transitions",
		callee == "transition_to" && (keyword == "state" || positional),
		slices.Contains([]string{"aggregate_into", "failure", "cancelled"}, keyword) && callee == "dispatch_parallel",
		(callee == "handler_for" || callee == "aggregator_for") && (keyword == "state" || positional):
		s.states(it, name)
	case callee == "dispatch_task" && (keyword == "task_type" || positional), top.bracket == '{' && (c.key == "task_type" || c.key == "type"):
		it.words(itemEnum, "task type", s.taskTypes()...)
	case keyword == "blueprint_name", callee == "run_blueprint" && positional, keyword == "blueprint":
		for _, g := range s.ws.graphs("") {
			it.words(itemEnum, g.Description, g.Name)
		}
	case keyword == "dispatch_strategy":
		it.words(itemEnum, "strategy", "default", "round_robin", "least_connections", "cheapest", "best_value")
	case keyword == "status" && callee == "handler_for":
		it.words(itemEnum, "status of a job", "finished", "failed", "cancelled")
	case callee == "when":
		if chain := chainBefore(c.text, len(c.text)); strings.Contains(chain, ".") {
			it.page(pageOf(text, chain[:strings.LastIndexByte(chain, '.')]))
		} else {
			it.words(itemValue, "the job's context", "context")
		}
	case callee == "load" && positional:
		for _, file := range s.ws.files() {
			if file != name && !strings.HasSuffix(file, analysis.TestSuffix) {
				it.words(itemValue, "file", "//"+file)
			}
		}
	}
}

// states offers the states of the file's blueprints, and those that are always there.
func (s *Server) states(it *items, name string) {
	for _, g := range s.ws.graphs(name) {
		for _, st := range g.States {
			it.add(completionItem{Label: st.Name, Kind: itemEnum, Detail: strings.TrimSpace(st.Kind + " " + st.Status + " of " + g.Name), Documentation: &markup{"markdown", stateText(g, st)}})
		}
	}
	it.words(itemEnum, "supplied end state", "finished", "failed")
}

func (s *Server) labels() []string {
	return s.fromEdges(func(e *analysis.Edge) string {
		if e.Label == "aggregate" {
			return ""
		}
		return e.Label
	})
}

func (s *Server) taskTypes() []string {
	return s.fromEdges(func(e *analysis.Edge) string {
		if e.Kind != analysis.EdgeTask && e.Kind != analysis.EdgeParallel {
			return ""
		}
		return e.TaskType
	})
}

// fromEdges collects words of all edges of the workspace, sorted.
func (s *Server) fromEdges(word func(*analysis.Edge) string) []string {
	var all []string
	for _, g := range s.ws.graphs("") {
		for _, e := range g.Edges {
			for _, w := range strings.Split(word(e), ", ") {
				if w != "" && !slices.Contains(all, w) {
					all = append(all, w)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}
