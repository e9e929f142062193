package lsp

import (
	"fmt"
	"strings"

	"orrery/engine/analysis"
	"orrery/starlib/stub"
)

// This file tells what a place means.

// memberText is the reference of a member, for editors.
func memberText(m *stub.Member) string {
	var b strings.Builder
	fmt.Fprintf(&b, "```python\n%s%s\n```\n%s\n", m.Full(), strings.TrimPrefix(m.Signature(), m.Name), m.Summary)
	for i, q := range m.Params {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "- `%s` %s: %s\n", q.Name, q.Type, q.Doc)
	}
	if m.Returns != "" && m.Returns != "None" {
		fmt.Fprintf(&b, "\nGives %s\n", m.Returns)
	}
	if m.Errors != "" && m.Errors != "none" {
		fmt.Fprintf(&b, "\nFails on: %s\n", m.Errors)
	}
	if m.Example != "" {
		fmt.Fprintf(&b, "\n```python\n%s\n```\n", m.Example)
	}
	return b.String()
}

// stateText tells what a state is, where jobs come from and go to.
func stateText(g *analysis.Graph, st *analysis.State) string {
	var b strings.Builder
	kind := st.Kind
	if st.IsEnd {
		kind = "end, jobs are then " + st.Status
	}
	if st.Supplied {
		kind += " (supplied)"
	}
	fmt.Fprintf(&b, "**%s**: %s, of `%s`\n", st.Name, kind, g.Name)
	if len(st.Handlers) > 0 {
		fmt.Fprintf(&b, "\nhandled by `%s`\n", strings.Join(st.Handlers, "`, `"))
	}
	for _, c := range st.Conditions {
		fmt.Fprintf(&b, "\nwhen `%s`\n", c)
	}
	for _, e := range g.Edges {
		label := ""
		if e.Label != "" {
			label = " by " + e.Label
		}
		if e.TaskType != "" {
			label += " of " + e.TaskType
		}
		switch {
		case e.To == st.Name && !e.Dynamic:
			fmt.Fprintf(&b, "\n- from `%s`%s", e.From, label)
		case e.From == st.Name && e.Dynamic:
			fmt.Fprintf(&b, "\n- to a state known when it runs%s", label)
		case e.From == st.Name:
			fmt.Fprintf(&b, "\n- to `%s`%s", e.To, label)
		}
	}
	return b.String()
}

func (s *Server) hover(p *place, name string) (any, error) {
	text := s.ws.text(name)
	at := offset(text, p.Position)
	if r := s.refAt(name, p.Position); r != nil {
		for _, g := range s.ws.result.Graphs {
			if st := g.State(r.State); st != nil && g.Name == r.Blueprint {
				at := s.ws.span(r.File, r.Line, r.Col, r.EndCol)
				return hover{markup{"markdown", stateText(g, st)}, &at}, nil
			}
		}
	}
	if c := cursorAt(text, at); c.comment || c.inText {
		return nil, nil
	}
	chain, from, to := chainAround(text, at)
	if chain == "" {
		return nil, nil
	}
	where := &span{positionAt(text, from), positionAt(text, to)}
	m := memberOf(text, chain)
	if page := receiverAt(text, chain, to); page != nil {
		m = page.Member(last(chain))
	}
	if m != nil {
		return hover{markup{"markdown", memberText(m)}, where}, nil
	}
	if page := pageOf(text, chain); page != nil {
		return hover{markup{"markdown", "**" + page.Name + "**\n\n" + page.Doc}, where}, nil
	}
	if c := cursorAt(text, from); c.top().bracket == '(' { // a keyword of a call
		if call := memberOf(text, c.top().callee); call != nil {
			for _, q := range call.Params {
				if q.Name == chain {
					return hover{markup{"markdown", fmt.Sprintf("`%s` %s: %s", q.Name, q.Type, q.Doc)}, where}, nil
				}
			}
		}
	}
	return nil, nil
}
