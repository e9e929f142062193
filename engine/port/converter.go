package port

import (
	"fmt"
	"sort"
	"strings"
)

// This file holds the converter of one file: what it knows while it goes through the tree,
// and how lines and comments come out.

// converter turns one source into Starlark text.
type converter struct {
	set     *set
	src     *source
	entries []Entry

	lines  []string
	depth  int
	cursor int          // everything of the source before it has been dealt with
	taken  map[int]bool // comments (by their start) that stand in the output
	pre    []string     // lines that must come before the statement under way

	imports    map[string]string     // local name -> dotted path of what was imported
	blueprints map[string]*blueprint // by the variable that holds it
	order      []*blueprint
	functions  map[string][]*Node // module-level defs by name, in order
	newNames   map[*Node]string   // defs that had to be renamed
	classes    map[string]*class
	inlined    map[string]*Node // module-level names that stand for an expression of a run
	dropped    map[string]bool  // module-level names of the application part
	shared     map[string]bool  // module-level names that handlers change
	tuples     bool             // the file makes tuples that could reach a %-format

	fn          *function
	maybe       int               // > 0: the expression under way is not always evaluated
	renames     map[string]string // names that would hide a module, and their new names
	emitted     map[string]bool   // modules and functions that the converter itself wrote
	assigned    map[string]bool   // names that the file gives values to
	needsTurns  bool              // a while was converted: MAX_TURNS is needed
	hasHandlers bool
	handlerDefs map[*Node]bool    // defs that handle a state
	settled     map[string]bool   // module-level names that have their value
	aliases     map[string]string // local names of things whose module is known
	loop        *loop
	attempts    int      // bodies of try around, that have become defs
	handling    string   // the error of the except clause under way
	held        []string // comments before an elif
	other       bool     // the file has no blueprint
	firstCode   int      // the line before which constants of the converter go
}

func newConverter(s *set, src *source) *converter {
	return &converter{set: s, src: src, taken: map[int]bool{}, imports: map[string]string{}, blueprints: map[string]*blueprint{},
		functions: map[string][]*Node{}, newNames: map[*Node]string{}, classes: map[string]*class{}, inlined: map[string]*Node{},
		dropped: map[string]bool{}, shared: map[string]bool{}, renames: map[string]string{}, emitted: map[string]bool{}, assigned: map[string]bool{},
		handlerDefs: map[*Node]bool{}, settled: map[string]bool{}, aliases: map[string]string{}}
}

// library notes that the converter wrote a predeclared name, and gives it.
func (c *converter) library(name string) string {
	module, _, _ := strings.Cut(name, ".")
	c.emitted[module] = true
	return name
}

// clashes are predeclared names that the converter wrote and the file hides.
func (c *converter) clashes() map[string]string {
	out := map[string]string{}
	for name := range c.emitted {
		if c.assigned[name] {
			out[name] = name + "_"
		}
	}
	return out
}

func (c *converter) collides() bool { return len(c.clashes()) > 0 }

// name gives the Starlark name of a Python name.
func (c *converter) name(id string) string {
	if to, ok := c.renames[id]; ok {
		return to
	}
	if id == "load" { // a keyword there
		return "load_"
	}
	return id
}

// line writes one statement line, after what must come before it.
func (c *converter) line(text string) {
	pre := c.pre
	c.pre = nil
	for _, p := range pre {
		c.put(p)
	}
	c.put(text)
}

func (c *converter) linef(format string, args ...any) { c.line(fmt.Sprintf(format, args...)) }

func (c *converter) put(text string) {
	if text != "" {
		text = strings.Repeat("    ", c.depth) + text
	}
	c.lines = append(c.lines, text)
}

// blank writes an empty line, but never two, and none at the start of a block.
func (c *converter) blank() {
	if n := len(c.lines); n > 0 && c.lines[n-1] != "" && !strings.HasSuffix(c.lines[n-1], ":") {
		c.lines = append(c.lines, "")
	}
}

// leading writes the comments between the cursor and a place, and one empty line where the
// author left some.
func (c *converter) leading(to int) {
	for _, s := range c.commentsIn(c.cursor, to) {
		if !s.alone {
			continue
		}
		c.gap(s.start)
		c.put(c.comment(s))
		c.cursor = s.end
	}
	c.gap(to)
	c.cursor = max(c.cursor, to)
}

// gap writes an empty line when there is one between the cursor and the place.
func (c *converter) gap(to int) {
	if to <= c.cursor || to > len(c.src.text) {
		return
	}
	text := c.src.text[c.cursor:to]
	for i, s := range strings.Split(text, "\n") {
		if i > 0 && i < strings.Count(text, "\n") && strings.TrimSpace(s) == "" {
			c.blank()
			return
		}
	}
}

// commentsIn gives the comments of a part that are not in the output yet.
func (c *converter) commentsIn(from, to int) []span {
	list := c.src.comments
	i := sort.Search(len(list), func(i int) bool { return list[i].start >= from })
	var out []span
	for ; i < len(list) && list[i].start < to; i++ {
		if !c.taken[list[i].start] {
			out = append(out, list[i])
		}
	}
	return out
}

// comment gives the text of a comment and takes it as written.
func (c *converter) comment(s span) string {
	c.taken[s.start] = true
	return strings.TrimRight(c.src.text[s.start:s.end], " \t")
}

// trailing adds the comment that stands on the rest of the line after a place to the line
// written at index at (of c.lines).
func (c *converter) trailing(end, at int) {
	rest := end + lineRest(c.src.text[end:])
	for _, s := range c.commentsIn(end, rest) {
		if at >= 0 && at < len(c.lines) {
			c.lines[at] += "  " + c.comment(s)
		}
	}
	c.cursor = max(c.cursor, end)
}

// lineRest is the length of the text up to its first line break.
func lineRest(text string) int {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}

// rescue writes comments inside a node that its new form has no place for, before it.
func (c *converter) rescue(n *Node, at int) {
	var lost []string
	for _, s := range c.commentsIn(n.Start, n.End) {
		lost = append(lost, strings.Repeat("    ", c.depth)+c.comment(s))
	}
	if len(lost) > 0 {
		c.lines = append(c.lines[:at:at], append(lost, c.lines[at:]...)...)
	}
}

// column is where a place stands on its line, in bytes.
func (c *converter) column(at int) int {
	return at - (strings.LastIndexByte(c.src.text[:at], '\n') + 1)
}

// endOfBlock writes the comments that still belong to a block of this indentation.
func (c *converter) endOfBlock(col int) {
	for _, s := range c.commentsIn(c.cursor, len(c.src.text)) {
		between := c.src.text[c.cursor:s.start]
		if !s.alone || strings.TrimSpace(between) != "" || c.column(s.start) < col {
			return
		}
		c.gap(s.start)
		c.put(c.comment(s))
		c.cursor = s.end
	}
}

// safe puts parentheses around an expression that breaks its line outside of brackets.
func safe(text string) string {
	depth, quote := 0, ""
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case quote != "":
			if text[i] == '\\' {
				i++
			} else if strings.HasPrefix(rest, quote) {
				i += len(quote) - 1
				quote = ""
			}
		case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, `'''`):
			quote = rest[:3]
			i += 2
		case text[i] == '"', text[i] == '\'':
			quote = rest[:1]
		case text[i] == '#':
			i += lineRest(rest) - 1
		case strings.IndexByte("([{", text[i]) >= 0:
			depth++
		case strings.IndexByte(")]}", text[i]) >= 0:
			depth--
		case text[i] == '\n' && depth == 0:
			return "(" + text + ")"
		}
	}
	return text
}
