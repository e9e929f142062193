package port

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
)

// This file holds the Python tree as the reader script gives it.

// Node is one node of the tree, named as CPython's ast names it. Fields are reached by
// their names there; a field that is not set gives nil or "".
type Node struct {
	Kind       string
	Start, End int // byte offsets in the text the node was read from
	Line       int // from 1, in the file
	text       string
	words      map[string]string
	nodes      map[string]*Node
	lists      map[string][]*Node
	placed     bool // it has a position of its own
}

// At gives the node of a field.
func (n *Node) At(field string) *Node {
	if n == nil {
		return nil
	}
	return n.nodes[field]
}

// List gives the nodes of a field; entries may be nil (the key of `**x` in a dict).
func (n *Node) List(field string) []*Node {
	if n == nil {
		return nil
	}
	return n.lists[field]
}

// Word gives a name, an operator or the text of a constant.
func (n *Node) Word(field string) string {
	if n == nil {
		return ""
	}
	return n.words[field]
}

// Source gives the Python text of the node.
func (n *Node) Source() string { return n.text[n.Start:n.End] }

// is reports whether the node is there and of one of the kinds.
func (n *Node) is(kinds ...string) bool {
	if n == nil {
		return false
	}
	for _, k := range kinds {
		if n.Kind == k {
			return true
		}
	}
	return false
}

// parts gives the placed nodes directly below, in the order of the text.
func (n *Node) parts() []*Node {
	var out []*Node
	add := func(x *Node) {
		switch {
		case x == nil:
		case x.placed:
			out = append(out, x)
		default:
			out = append(out, x.parts()...)
		}
	}
	for _, x := range n.nodes {
		add(x)
	}
	for _, l := range n.lists {
		for _, x := range l {
			add(x)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Start < out[j].Start })
	return out
}

// walk visits the node and all below, parents first; visit says whether to go down.
func (n *Node) walk(visit func(*Node) bool) {
	if n == nil || !visit(n) {
		return
	}
	for _, x := range n.below() {
		x.walk(visit)
	}
}

// below gives all nodes directly below, in the order of the text where they have places.
func (n *Node) below() []*Node {
	var out []*Node
	for _, x := range n.nodes {
		out = append(out, x)
	}
	for _, l := range n.lists {
		for _, x := range l {
			if x != nil {
				out = append(out, x)
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].first() < out[j].first() })
	return out
}

// first is the start of the node, or of the first placed node below it.
func (n *Node) first() int {
	if n.placed {
		return n.Start
	}
	if p := n.parts(); len(p) > 0 {
		return p[0].Start
	}
	return 1 << 30
}

// decode makes nodes of the reader's JSON.
func decode(raw json.RawMessage, text string) (*Node, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	n := &Node{text: text, words: map[string]string{}, nodes: map[string]*Node{}, lists: map[string][]*Node{}}
	if own, ok := fields["text"]; ok {
		if err := json.Unmarshal(own, &text); err != nil {
			return nil, err
		}
		n.words["text"] = text
		delete(fields, "text")
	}
	for name, value := range fields {
		if err := n.field(name, value, text); err != nil {
			return nil, err
		}
	}
	if n.placed && (n.Start < 0 || n.End < n.Start || n.End > len(n.text)) {
		return nil, fmt.Errorf("a %s at %d to %d does not fit a text of %d bytes", n.Kind, n.Start, n.End, len(n.text))
	}
	return n, nil
}

func (n *Node) field(name string, value json.RawMessage, text string) (err error) {
	if name != "own" { // its positions are those of the text inside an f-string
		text = n.text
	}
	switch {
	case name == "k":
		return json.Unmarshal(value, &n.Kind)
	case name == "s", name == "e", name == "l":
		at, err := strconv.Atoi(string(value))
		n.placed = true
		switch name {
		case "s":
			n.Start = at
		case "e":
			n.End = at
		default:
			n.Line = at
		}
		return err
	case value[0] == '{':
		n.nodes[name], err = decode(value, text)
		return err
	case value[0] == '[':
		var list []json.RawMessage
		if err := json.Unmarshal(value, &list); err != nil {
			return err
		}
		out := make([]*Node, len(list))
		for i, x := range list {
			if string(x) == "null" {
				continue
			}
			if out[i], err = decode(x, text); err != nil {
				return err
			}
		}
		n.lists[name] = out
		return nil
	}
	var word string
	err = json.Unmarshal(value, &word)
	n.words[name] = word
	return err
}

// lineOwn gives the expressions inside f-strings the line of their f-string.
func (n *Node) lineOwn() {
	n.walk(func(x *Node) bool {
		if x.Kind == "FormattedValue" {
			x.At("own").walk(func(y *Node) bool {
				y.Line = x.Line
				return true
			})
		}
		return true
	})
}
