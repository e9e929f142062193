package port

import (
	"strings"
)

// This file carries statements over. try, loops and match have files of their own.

// body writes a block one level deeper; an empty one gets a pass.
func (c *converter) body(list []*Node) {
	c.depth++
	defer func() { c.depth-- }()
	col := -1
	before := len(c.lines)
	for _, s := range list {
		if s.text == c.src.text {
			col = c.column(s.Start)
		}
		c.stmt(s)
	}
	if col >= 0 {
		c.endOfBlock(col)
	}
	if !hasCode(c.lines[before:]) {
		c.put("pass")
	}
}

func hasCode(lines []string) bool {
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			return true
		}
	}
	return false
}

// stmt writes a statement with the comments before and beside it.
func (c *converter) stmt(n *Node) {
	start := n.Start
	if d := n.List("decorator_list"); len(d) > 0 {
		start = d[0].Start - 1
	}
	c.leading(start)
	at := len(c.lines)
	c.cursor = max(c.cursor, n.Start)
	c.statement(n)
	if len(c.pre) > 0 { // a statement of no line of its own still had something taken out
		pre := c.pre
		c.pre = nil
		for _, p := range pre {
			c.put(p)
		}
	}
	if !compound(n) {
		c.rescue(n, at)
		c.trailing(n.End, len(c.lines)-1)
		c.writeBack(n)
	}
	c.cursor = max(c.cursor, n.End)
}

func compound(n *Node) bool {
	return n.is("FunctionDef", "AsyncFunctionDef", "ClassDef", "If", "For", "AsyncFor", "While", "With", "AsyncWith", "Try", "TryStar", "Match")
}

// statement is a flat switch over the kinds of statements.
func (c *converter) statement(n *Node) {
	switch n.Kind {
	case "Expr":
		c.exprStmt(n)
	case "Assign":
		c.assign(n)
	case "AnnAssign":
		c.annotatedAssign(n)
	case "AugAssign":
		c.augmented(n)
	case "Return":
		c.returnStmt(n)
	case "If":
		c.ifStmt(n, "if ")
	case "For", "AsyncFor":
		c.forStmt(n)
	case "While":
		c.whileStmt(n)
	case "With", "AsyncWith":
		c.withStmt(n)
	case "Try", "TryStar":
		c.tryStmt(n)
	case "Match":
		c.matchStmt(n)
	case "Raise":
		c.raiseStmt(n)
	case "Assert":
		c.assertStmt(n)
	case "Pass":
		c.line("pass")
	case "Break", "Continue":
		c.leaveLoop(n)
	case "Delete":
		c.deleteStmt(n)
	case "Global": // the names became a data store's, see state.go
	case "Nonlocal":
		c.refuse(n, "a nested function can not give a name of the function around it a new value", "keep the value in a dict, or return it")
	case "FunctionDef", "AsyncFunctionDef":
		c.funcDef(n)
	case "ClassDef":
		c.refuse(n, "Starlark has no classes", "move the class to the top level of the file")
	case "Import", "ImportFrom":
		c.importStmt(n)
	default:
		c.refuse(n, "this kind of statement ("+n.Kind+") has no counterpart", "write it in another way")
	}
}

// exprStmt writes an expression statement; several calls become statements of another kind.
func (c *converter) exprStmt(n *Node) {
	v := n.At("value")
	if v.is("Await") && actionName(v.At("value")) != "" {
		c.note(n, "actions are not awaited: in Python this await fails on None", "")
	}
	if defs := c.functions[v.At("func").Word("id")]; v.is("Call") && len(defs) > 0 && defs[0].is("AsyncFunctionDef") && !c.local(v.At("func").Word("id")) {
		c.note(n, "this coroutine is never awaited, so Python never runs it; here it runs", "take the call out if it is not meant")
	}
	for v.is("Await") {
		v = v.At("value")
	}
	switch {
	case v.is("Constant") && v.Word("t") == "ellipsis":
		c.line("pass")
		return
	case v.is("Call") && c.callStmt(n, v):
		return
	case v.is("Yield", "YieldFrom"):
		c.refuse(n, "Starlark has no generators", "build a list and return it")
		return
	}
	c.line(c.whole(v))
}

// callStmt writes calls that are statements in Starlark, or nothing.
func (c *converter) callStmt(n, call *Node) bool {
	fn := call.At("func")
	path := c.dotted(fn)
	switch path {
	case "logging.basicConfig", "logging.disable", "random.seed", "logging.config.dictConfig", "warnings.filterwarnings", "warnings.simplefilter":
		reason := "the server decides how logs are written"
		if path == "random.seed" {
			reason = "random numbers follow from the step, so that a step that runs again draws the same"
		}
		c.drop(n, reason, "")
		return true
	}
	if !fn.is("Attribute") {
		return false
	}
	value, name := fn.At("value"), fn.Word("attr")
	switch name {
	case "setLevel", "addHandler":
		c.drop(n, "the server decides how logs are written", "")
		return true
	case "sort", "reverse":
		if c.kind(value) == "list" || value.is("Name", "Subscript") {
			c.sortStmt(call, value, name)
			return true
		}
	case "commit":
		if len(call.List("args")) == 0 && !value.is("Attribute") {
			c.drop(n, "every call of sql is a transaction of its own", "several in one: db.tx(fn)")
			return true
		}
	case "update_context":
		if actionName(call) != "" {
			c.line(c.history() + ".update" + c.span(call, append(append([]*Node{}, call.List("args")...), call.List("keywords")...), fn.End, call.End))
			return true
		}
	case "send_event":
		if actionName(call) != "" {
			c.sendEvent(n, call)
			return true
		}
	}
	return false
}

// sortStmt is xs.sort() or xs.reverse(): the sorted list takes the name.
func (c *converter) sortStmt(call, value *Node, name string) {
	target := c.ex(value)
	if value.is("Name") && c.aliased(value.Word("id")) {
		c.note(call, "the name now holds a new list; another name of the old one keeps the old order", "")
	}
	if name == "reverse" {
		c.line(target + " = list(reversed(" + target + "))")
		return
	}
	c.line(target + " = sorted(" + target + prefixed(", ", c.keywords(call, "")) + ")")
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// aliased reports whether a list might have another name.
func (c *converter) aliased(id string) bool {
	if c.fn == nil || !c.fn.locals[id] {
		return true
	}
	for _, v := range c.fn.values[id] {
		if !v.is("List", "ListComp", "Call") {
			return true
		}
	}
	return false
}

// assign writes an assignment; several targets take their turns.
func (c *converter) assign(n *Node) {
	targets, value := n.List("targets"), n.At("value")
	for _, t := range targets {
		c.settable(t)
	}
	if len(targets) == 1 && !starredTarget(targets[0]) {
		c.line(c.target(targets[0]) + " = " + c.whole(value))
		return
	}
	if len(targets) == 1 {
		c.starredAssign(targets[0], value)
		return
	}
	// a = b = value: the value is made once.
	first := c.target(targets[0])
	from := first
	if !targets[0].is("Name") {
		from = c.fresh("value")
		c.line(from + " = " + c.whole(value))
		c.line(first + " = " + from)
	} else {
		c.line(first + " = " + c.whole(value))
	}
	if value.is("Constant") || value.is("Name") {
		from = c.ex(value)
	}
	for _, t := range targets[1:] {
		c.line(c.target(t) + " = " + from)
	}
}

// target writes the left side of an assignment.
func (c *converter) target(t *Node) string {
	if t.is("Subscript") {
		return c.at(t.At("value"), bindAtom) + t.text[t.At("value").End:t.At("slice").Start] + c.ex(t.At("slice")) + t.text[t.At("slice").End:t.End]
	}
	return c.ex(t)
}

// settable refuses targets that Starlark does not have.
func (c *converter) settable(t *Node) {
	switch {
	case t.is("Attribute"):
		c.refuse(t, "values here have no attributes that can be set", "use a dict, or state_history")
	case t.is("Subscript") && t.At("slice").is("Slice"):
		c.refuse(t, "Starlark has no assignment to slices", "build a new list")
	case t.is("Tuple", "List"):
		for _, e := range t.List("elts") {
			c.settable(e)
		}
	}
}

func starredTarget(t *Node) bool {
	for _, e := range t.List("elts") {
		if e.is("Starred") {
			return true
		}
	}
	return false
}

// starredAssign is a, *b = xs.
func (c *converter) starredAssign(t, value *Node) {
	from := c.at(value, bindAtom)
	if !value.is("Name") || c.kind(value) != "list" {
		from = c.fresh("parts")
		c.line(from + " = list(" + c.ex(value) + ")")
	}
	elts, star := t.List("elts"), 0
	for i, e := range elts {
		if e.is("Starred") {
			star = i
		}
	}
	for i, e := range elts {
		switch {
		case i < star:
			c.linef("%s = %s[%d]", c.target(e), from, i)
		case i > star:
			c.linef("%s = %s[%d]", c.target(e), from, i-len(elts))
		case i == star && star == len(elts)-1:
			c.linef("%s = %s[%d:]", c.ex(e.At("value")), from, i)
		default:
			c.linef("%s = %s[%d:%d]", c.ex(e.At("value")), from, i, star+1-len(elts))
		}
	}
}

func (c *converter) annotatedAssign(n *Node) {
	if n.At("value") == nil {
		return // an annotation alone does nothing
	}
	c.settable(n.At("target"))
	c.line(c.target(n.At("target")) + " = " + c.whole(n.At("value")))
}

// augmented writes x += y; entries that a defaultdict makes must be there first.
func (c *converter) augmented(n *Node) {
	t, op := n.At("target"), operators[n.Word("op")]
	c.settable(t)
	if t.is("Subscript") && t.At("value").is("Name") {
		if path, made := c.maker(t.At("value").Word("id")); path == "collections.defaultdict" || path == "collections.Counter" {
			none := "0"
			if path == "collections.defaultdict" {
				none = c.missing(argument(made, 0, ""))
			}
			left := c.target(t)
			c.linef("%s = %s.get(%s, %s) %s %s", left, c.ex(t.At("value")), c.ex(t.At("slice")), none, op.text, c.at(n.At("value"), op.bind+1))
			return
		}
	}
	if op.text == "**" || op.text == "" {
		left := c.target(t)
		c.linef("%s = %s(%s, %s)", left, c.library("pow"), left, c.ex(n.At("value")))
		return
	}
	c.linef("%s %s= %s", c.target(t), op.text, c.whole(n.At("value")))
}

func (c *converter) returnStmt(n *Node) {
	v := n.At("value")
	if c.fn != nil && c.fn.attempt != nil {
		c.returnFromAttempt(v)
		return
	}
	if list := c.fn.node.List("body"); c.fn.handler && v.is("Name") && v.Word("id") == "actions" && len(list) > 1 && list[len(list)-1] == n {
		return // what a handler gives back means nothing here
	}
	switch {
	case v == nil, c.fn != nil && c.fn.handler && v.is("Name") && v.Word("id") == "actions":
		c.line("return")
	default:
		c.line("return " + c.whole(v))
	}
}

// ifStmt writes if and elif; a := that is not always evaluated splits the test.
func (c *converter) ifStmt(n *Node, word string) {
	test, orelse := n.At("test"), n.List("orelse")
	if word == "if " && len(orelse) == 0 && test.is("BoolOp") && test.Word("op") == "And" {
		if vs := test.List("values"); hasWalrus(vs[1:]) {
			c.line("if " + c.whole(vs[0]) + ":")
			c.header(n)
			rest := vs[1]
			if len(vs) > 2 {
				copied := *test
				copied.Start = vs[1].Start
				copied.lists = map[string][]*Node{"values": vs[1:]}
				rest = &copied
			}
			inner := *n
			inner.nodes = map[string]*Node{"test": rest}
			c.depth++
			c.ifStmt(&inner, "if ")
			c.depth--
			return
		}
	}
	held := c.held
	c.held = nil
	c.line(word + c.whole(test) + ":")
	c.header(n)
	c.release(held)
	c.body(n.List("body"))
	if len(orelse) == 0 {
		return
	}
	if len(orelse) == 1 && orelse[0].is("If") && !needsLine(orelse[0].At("test")) && c.elif(orelse[0]) {
		c.held = c.hold(orelse[0].Start)
		c.ifStmt(orelse[0], "elif ")
		return
	}
	c.orElse(orelse)
}

// elif reports whether an if in an else is written as elif in Python.
func (c *converter) elif(n *Node) bool {
	return n.text != c.src.text || strings.HasPrefix(n.text[n.Start:], "elif")
}

func hasWalrus(list []*Node) bool {
	found := false
	for _, n := range list {
		n.walk(func(x *Node) bool {
			found = found || x.is("NamedExpr")
			return !found
		})
	}
	return found
}

// needsLine reports whether a test needs a line before it, which an elif has no place for.
func needsLine(test *Node) bool {
	found := hasWalrus([]*Node{test})
	test.walk(func(x *Node) bool {
		if x.is("Compare") && len(x.List("ops")) > 1 {
			for _, m := range x.List("comparators")[:len(x.List("comparators"))-1] {
				found = found || !pure(m)
			}
		}
		return !found
	})
	return found
}

// orElse writes the else part of a statement.
func (c *converter) orElse(list []*Node) {
	at := c.keyword("else", list[0])
	if at < 0 {
		c.line("else:")
		c.body(list)
		return
	}
	before := c.hold(at)
	c.line("else:")
	c.cursor = at + len("else")
	c.trailing(c.cursor, len(c.lines)-1)
	c.release(before)
	c.body(list)
}

// keyword finds the word that begins a further part of a statement, between the cursor and
// the part's first statement; -1 when it is not in the text.
func (c *converter) keyword(word string, first *Node) int {
	if first.text != c.src.text || first.Start <= c.cursor {
		return -1
	}
	for at := c.cursor; at < first.Start; at += lineRest(c.src.text[at:]) + 1 {
		line := c.src.text[at:min(first.Start, at+lineRest(c.src.text[at:]))]
		if rest := strings.TrimLeft(line, " \t"); strings.HasPrefix(rest, word) {
			return at + len(line) - len(rest)
		}
	}
	return -1
}

// hold takes the comments before a further part of a statement (an elif, an else): the
// formatter knows no place for them there, so they go to the start of its block.
func (c *converter) hold(to int) []string {
	var out []string
	for _, s := range c.commentsIn(c.cursor, to) {
		out = append(out, c.comment(s))
	}
	c.cursor = max(c.cursor, to)
	return out
}

// release writes comments that were held, one level deeper.
func (c *converter) release(list []string) {
	c.depth++
	for _, text := range list {
		c.put(text)
	}
	c.depth--
}

// header takes the comment beside the first line of a compound statement.
func (c *converter) header(n *Node) {
	if n.text != c.src.text {
		return
	}
	last := n.Start
	for _, field := range []string{"test", "iter", "subject"} {
		if x := n.At(field); x != nil {
			last = x.End
		}
	}
	for _, item := range n.List("items") {
		last = max(last, item.At("context_expr").End)
	}
	if last <= n.Start && n.is("If") {
		return
	}
	body := n.List("body")
	if len(body) == 0 && n.is("Match") {
		return
	}
	end := last + lineRest(c.src.text[last:])
	if len(body) > 0 {
		end = min(end, body[0].Start)
	}
	for _, s := range c.commentsIn(n.Start, end) {
		c.lines[len(c.lines)-1] += "  " + c.comment(s)
	}
	c.cursor = max(c.cursor, last)
}

// deleteStmt is del d[k]: pop, whose result is not used.
func (c *converter) deleteStmt(n *Node) {
	for _, t := range n.List("targets") {
		switch {
		case t.is("Subscript") && !t.At("slice").is("Slice"):
			c.line(c.at(t.At("value"), bindAtom) + ".pop(" + c.ex(t.At("slice")) + ")")
		case t.is("Name"):
			c.drop(n, "Starlark names are not deleted", "")
		default:
			c.refuse(n, "Starlark has no del", "build a new value without it")
		}
	}
}

// assertStmt is an if and a failure.
func (c *converter) assertStmt(n *Node) {
	message := `""`
	if m := n.At("msg"); m != nil {
		message = c.ex(m)
		if c.kind(m) != "str" {
			message = "str(" + message + ")"
		}
	}
	test := n.At("test")
	condition := "not " + c.at(test, bindNot)
	if test.is("UnaryOp") && test.Word("op") == "Not" {
		condition = c.at(test.At("operand"), bindNot)
	}
	c.line("if " + condition + ":")
	c.depth++
	c.line(c.library("fail_with") + `("AssertionError", ` + message + ")")
	c.depth--
}
