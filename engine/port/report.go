package port

import (
	"fmt"
	"sort"
	"strings"
)

// This file holds the report: one entry for each thing that is not carried over one to one.

// Action says what was done with a piece of Python.
type Action string

// The actions. A file with a refused piece is not written.
const (
	Dropped   Action = "dropped"
	Rewritten Action = "rewritten"
	Refused   Action = "refused"
)

// Entry is one remark about a Python file.
type Entry struct {
	Action Action `json:"action"`
	File   string `json:"file"`
	Line   int    `json:"line"` // from 1
	Python string `json:"python"`
	Reason string `json:"reason"`
	Do     string `json:"do"` // what a person should do; empty: nothing
}

// String shows the entry as the command line does.
func (e Entry) String() string {
	s := fmt.Sprintf("%s:%d: %s: %s: %s", e.File, e.Line, e.Action, e.Python, e.Reason)
	if e.Do != "" {
		s += "\n    " + e.Do
	}
	return s
}

const maxQuote = 80 // characters of Python in an entry

// quotePython gives the first line of a piece of Python, shortened.
func quotePython(text string) string {
	line, more, _ := strings.Cut(strings.TrimSpace(text), "\n")
	r := []rune(strings.TrimSpace(line))
	if len(r) > maxQuote || strings.TrimSpace(more) != "" {
		return string(r[:min(len(r), maxQuote)]) + " ..."
	}
	return string(r)
}

func (c *converter) entry(action Action, n *Node, reason, do string) {
	e := Entry{Action: action, File: c.src.name, Line: max(1, n.Line), Python: quotePython(n.Source()), Reason: reason, Do: do}
	for _, old := range c.entries { // a piece may be rendered twice
		if old == e {
			return
		}
	}
	c.entries = append(c.entries, e)
}

// note tells of a piece that was written in another way, and may differ as reason says.
func (c *converter) note(n *Node, reason, do string) { c.entry(Rewritten, n, reason, do) }

// drop tells of a piece that has no place in a blueprint.
func (c *converter) drop(n *Node, reason, do string) { c.entry(Dropped, n, reason, do) }

// refuse tells of a piece that can not be carried over; the file is then not written. What
// it gives stands for the piece, so that the rest can be looked at too.
func (c *converter) refuse(n *Node, reason, do string) string {
	c.entry(Refused, n, reason, do)
	return "None"
}

func sortEntries(list []Entry) {
	sort.SliceStable(list, func(i, j int) bool { return list[i].Line < list[j].Line })
}
