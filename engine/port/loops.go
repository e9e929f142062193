package port

import "strings"

// This file carries loops over: for with its else, while as a bounded for.

// maxTurns is what a while may turn before it fails loudly; a person changes it in the file.
const maxTurns = 100_000

// loop is one loop under way.
type loop struct {
	broke  string // the name that tells the else part of a break, or ""
	before *loop
	depth  int // of attempts around it: a break from inside of one must leave it first
	line   int // where it begins in the output
	indent int
}

func (c *converter) openLoop(n *Node, orelse []*Node) *loop {
	l := &loop{before: c.loop, depth: c.attempts, line: len(c.lines), indent: c.depth}
	if len(orelse) > 0 && breaks(n.List("body")) {
		l.broke = c.fresh("stopped")
		c.line(l.broke + " = False")
	}
	c.loop = l
	return l
}

// closeLoop writes the else part: it runs unless a break came.
func (c *converter) closeLoop(l *loop, orelse []*Node) {
	c.loop = l.before
	if len(orelse) == 0 {
		return
	}
	if l.broke == "" {
		for _, s := range orelse {
			c.stmt(s)
		}
		return
	}
	c.line("if not " + l.broke + ":")
	c.skipElse(orelse[0])
	c.body(orelse)
}

// skipElse moves over the word else, which stands between two blocks.
func (c *converter) skipElse(first *Node) {
	if at := c.keyword("else", first); at >= 0 {
		held := c.hold(at)
		c.cursor += len("else")
		c.trailing(c.cursor, len(c.lines)-1)
		c.release(held)
	}
}

// breaks reports whether a body leaves its loop by break.
func breaks(body []*Node) bool {
	found := false
	for _, s := range body {
		s.walk(func(x *Node) bool {
			if x.is("For", "AsyncFor", "While") {
				found = found || breaks(x.List("orelse"))
				return false
			}
			found = found || x.is("Break")
			return !found && !isScope(x)
		})
	}
	return found
}

func (c *converter) forStmt(n *Node) {
	if n.is("AsyncFor") {
		c.note(n, "a loop over something asynchronous is written over a list", "gather the values in a list first")
	}
	it := n.At("iter")
	over := c.whole(it)
	switch {
	case c.kind(it) == "str":
		c.note(it, "text can not be iterated in Starlark; .elems() gives its bytes as text, which are its characters only in ASCII", "")
		over = c.at(it, bindAtom) + ".elems()"
	case it.is("Call") && c.dotted(it.At("func")) == "itertools.count":
		start := "0"
		if s := argument(it, 0, "start"); s != nil {
			start = c.ex(s)
		}
		over = "range(" + start + ", " + start + " + MAX_TURNS)"
		c.needsTurns = true
		c.note(n, "a loop without an end is bounded here", "see MAX_TURNS")
	}
	l := c.openLoop(n, n.List("orelse"))
	c.line("for " + strings.Trim(c.target(n.At("target")), "()") + " in " + over + ":")
	c.header(n)
	c.body(n.List("body"))
	c.closeLoop(l, n.List("orelse"))
}

// whileStmt writes a bounded for: the test comes first, then the limit, then the body.
func (c *converter) whileStmt(n *Node) {
	c.needsTurns = true
	c.note(n, "Starlark has no while: this is a for that fails after MAX_TURNS turns", "set MAX_TURNS where more are meant")
	l := c.openLoop(n, nil)
	orelse := n.List("orelse")
	if len(orelse) > 0 && breaks(n.List("body")) {
		l.broke = c.fresh("stopped")
		c.line(l.broke + " = False")
	}
	turn := c.fresh("turn")
	c.line("for " + turn + " in range(MAX_TURNS + 1):")
	c.header(n)
	c.depth++
	if test := n.At("test"); !test.is("Constant") || test.Word("v") == "False" || test.Word("v") == "0" {
		condition := ""
		if test.is("UnaryOp") && test.Word("op") == "Not" {
			condition = c.at(test.At("operand"), bindNot)
		} else {
			condition = c.negated(test)
		}
		c.line("if " + condition + ":")
		c.depth++
		c.line("break")
		c.depth--
	}
	c.line("if " + turn + " == MAX_TURNS:")
	c.depth++
	c.line(`fail("the loop has not ended after %d turns" % MAX_TURNS)`)
	c.depth -= 2
	c.body(n.List("body"))
	c.closeLoop(l, orelse)
}

// negated writes the opposite of a test: of one comparison, the other comparison.
func (c *converter) negated(test *Node) string {
	opposite := map[string]string{"Eq": "!=", "NotEq": "==", "In": "not in", "NotIn": "in", "Is": "!=", "IsNot": "=="}
	if test.is("Compare") && len(test.List("ops")) == 1 {
		left, right := test.At("left"), test.List("comparators")[0]
		if op := opposite[test.List("ops")[0].Kind]; op != "" {
			return c.at(left, bindPipe) + " " + op + " " + c.at(right, bindPipe)
		}
		return "not " + c.at(test, bindCompare)
	}
	return "not " + c.at(test, bindCompare)
}

// leaveLoop is break or continue; out of an attempt it is carried by a marker.
func (c *converter) leaveLoop(n *Node) {
	word := strings.ToLower(n.Kind)
	if c.loop != nil && c.loop.depth < c.attempts {
		c.leaveAttempt(word, nil)
		return
	}
	if word == "break" && c.loop != nil && c.loop.broke != "" {
		c.line(c.loop.broke + " = True")
	}
	c.line(word)
}
