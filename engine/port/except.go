package port

import "strings"

// This file writes what follows a try's body: except, else and finally; and raise.

// afterTry writes the handlers and the else part. Where every handler leaves, what follows
// stands beside them; else in the branch of success.
func (c *converter) afterTry(n *Node, a *attempt, result, target string) {
	handlers, orelse := n.List("handlers"), n.List("orelse")
	c.restore(a)
	leave := true
	for _, h := range handlers {
		leave = leave && ends(h.List("body"))
	}
	rest := len(orelse) > 0 || target != "" || len(a.out) > 0 || a.marked || a.returns
	if leave || !rest {
		c.line("if not " + result + ".ok:")
		c.depth++
		c.handlers(handlers, result, false)
		c.depth--
		c.success(a, result, target)
		c.elseOfTry(orelse, false)
		return
	}
	c.line("if " + result + ".ok:")
	c.depth++
	before := len(c.lines)
	held := c.cursor
	c.success(a, result, target)
	if len(orelse) > 0 { // it stands after the handlers in Python, but before them here
		c.cursor = max(c.cursor, endOf(handlers[len(handlers)-1].List("body")))
		c.elseOfTry(orelse, true)
		c.cursor = held
	}
	if !hasCode(c.lines[before:]) {
		c.put("pass")
	}
	c.depth--
	c.handlers(handlers, result, true)
	c.cursor = max(c.cursor, n.End)
}

// elseOfTry writes the else part at the present depth.
func (c *converter) elseOfTry(orelse []*Node, early bool) {
	if len(orelse) == 0 {
		return
	}
	if at := c.keyword("else", orelse[0]); at >= 0 {
		c.leading(at)
		c.cursor = at + len("else:")
	}
	col := c.column(orelse[0].Start)
	for _, s := range orelse {
		c.stmt(s)
	}
	if !early {
		c.endOfBlock(col)
	}
}

// success takes the values of a body that did not fail.
func (c *converter) success(a *attempt, result, target string) {
	switch {
	case target != "" && !a.returns:
		c.line(target + " = " + result + ".value")
		c.wrote(target)
	case a.returns:
		c.returnText(result + ".value")
		return
	}
	if a.marked {
		for _, how := range []string{"return", "break", "continue"} {
			if !a.leaves[how] {
				continue
			}
			c.line("if " + result + ".value.left == " + quote(how) + ":")
			c.depth++
			if how == "return" {
				c.returnText(result + ".value.value")
			} else {
				c.leaveLoop(&Node{Kind: strings.ToUpper(how[:1]) + how[1:]})
			}
			c.depth--
		}
	}
	c.unpack(a, result)
}

// returnText returns a value that the converter made.
func (c *converter) returnText(value string) {
	if c.fn.attempt != nil {
		c.leaveAttempt("return", &Node{Kind: "Fixed", words: map[string]string{"text": value}})
		return
	}
	if c.fn.handler {
		c.line("return")
		return
	}
	c.line("return " + value)
}

// handlers writes the except clauses as a chain of tests of the error's kind; chained goes
// on from an if that is there already.
func (c *converter) handlers(list []*Node, result string, chained bool) {
	word, all := "if ", false
	if chained {
		word = "elif "
	}
	for _, h := range list {
		if all {
			break // never reached in Python either
		}
		types := h.At("type")
		test := "True"
		if types != nil {
			elts := []*Node{types}
			if types.is("Tuple") {
				elts = types.List("elts")
			}
			test = c.kindTest(result+".error.kind", elts)
		}
		all = test == "True"
		if len(list) == 1 && !chained && !all {
			c.guarded(h, types, result)
			return
		}
		c.leading(h.Start)
		switch {
		case !all:
			c.line(word + test + ":")
			c.depth++
		case word == "elif ":
			c.line("else:")
			c.depth++
		}
		c.handler(h, types, result)
		if !all || word == "elif " {
			c.depth--
		}
		word = "elif "
	}
	if !all {
		c.line("else:")
		c.depth++
		c.raiseAgain(result + ".error")
		c.depth--
	}
}

// guarded writes a single except clause: other errors go on, then comes its body.
func (c *converter) guarded(h, types *Node, result string) {
	elts := []*Node{types}
	if types.is("Tuple") {
		elts = types.List("elts")
	}
	test := c.kindTest(result+".error.kind", elts)
	other := strings.Replace(strings.Replace(test, " == ", " != ", 1), " in (", " not in (", 1)
	held := c.hold(h.Start)
	c.line("if " + other + ":")
	c.depth++
	c.raiseAgain(result + ".error")
	c.depth--
	for _, text := range held {
		c.put(text)
	}
	if body := h.List("body"); len(body) == 1 && body[0].is("Pass") && len(c.commentsIn(h.Start, body[0].End)) == 0 {
		c.cursor = max(c.cursor, body[0].End)
		c.trailing(body[0].End, len(c.lines)-1)
		return
	}
	c.handler(h, types, result)
}

// handler writes one except clause's body at the present depth.
func (c *converter) handler(h, types *Node, result string) {
	head := h.Start + len("except")
	if types != nil {
		head = types.End
	}
	c.trailing(head, len(c.lines)-1)
	name := h.Word("name")
	used := false
	for _, s := range h.List("body") {
		s.walk(func(x *Node) bool {
			used = used || name != "" && x.is("Name") && x.Word("id") == name
			return !used
		})
	}
	if used && c.foreign(types) {
		c.note(types, "the text of an error that the language itself raises is not Python's", "do not rely on its words")
	}
	if used {
		c.line(c.name(name) + " = " + result + ".error")
	}
	before, was := c.handling, c.fn.caught[name]
	c.handling = result + ".error"
	if name != "" {
		c.fn.caught[name] = true
	}
	c.depth--
	c.body(h.List("body"))
	c.depth++
	c.handling = before
	if name != "" {
		c.fn.caught[name] = was
	}
}

// foreign reports whether an except clause takes errors that are not of the file's classes.
func (c *converter) foreign(types *Node) bool {
	list := []*Node{types}
	if types.is("Tuple") {
		list = types.List("elts")
	}
	for _, t := range list {
		if cl := c.classes[t.Word("id")]; cl == nil || !cl.exception {
			return true
		}
	}
	return false
}

func (c *converter) raiseAgain(e string) { c.line(c.library("fail_with") + "(" + e + ")") }

// finally writes a finally part: it runs, then an error goes on, or the function does.
func (c *converter) finally(n *Node, final []*Node, result string, a *attempt, target string) {
	c.restore(a)
	if at := c.keyword("finally", final[0]); at >= 0 {
		c.leading(at)
		c.cursor = at + len("finally:")
	}
	col := c.column(final[0].Start)
	for _, s := range final {
		c.stmt(s)
	}
	c.endOfBlock(col)
	c.line("if not " + result + ".ok:")
	c.depth++
	c.raiseAgain(result + ".error")
	c.depth--
	c.success(a, result, target)
}

// raiseStmt fails with the class's name as the kind.
func (c *converter) raiseStmt(n *Node) {
	exc := n.At("exc")
	if cause := n.At("cause"); cause != nil && !(cause.is("Constant") && cause.Word("v") == "None") {
		c.note(n, "an error keeps no cause in Starlark", "put what matters of it into the message")
	}
	if exc == nil {
		if c.handling == "" {
			c.refuse(n, "there is no error under way here that could be raised again", "raise one of its own")
			return
		}
		c.raiseAgain(c.handling)
		return
	}
	if c.caughtName(exc) {
		c.raiseAgain(c.ex(exc))
		return
	}
	class, call := exc, exc
	if exc.is("Call") {
		class = exc.At("func")
	} else {
		call = nil
	}
	name := class.Word("id")
	if class.is("Attribute") {
		name = class.Word("attr")
	}
	if name == "" || c.local(name) || strings.ToLower(name[:1]) == name[:1] {
		c.refuse(n, "what is raised here can not be seen", "raise a class by its name")
		return
	}
	own := c.classes[name]
	if own != nil && own.init != nil {
		args := ""
		if call != nil {
			args = c.list(call.List("args"))
			args = c.keywords(call, args)
		}
		if own.init.Start >= own.node.Start && own.init.End <= own.node.End {
			c.line(own.raiser() + "(" + args + ")")
			return
		}
		c.inheritedRaise(n, own, args)
		return
	}
	c.line(c.library("fail_with") + "(" + quote(name) + ", " + c.raised(n, name, call) + ")")
}

// inheritedRaise raises a class whose constructor is that of its base.
func (c *converter) inheritedRaise(n *Node, own *class, args string) {
	base := own
	for base.base != "" && c.classes[base.base] != nil && (base.init.Start < base.node.Start || base.init.End > base.node.End) {
		base = c.classes[base.base]
	}
	result := c.fresh("raised")
	c.note(n, "the constructor is that of "+base.name+", so the error is made by it and its kind replaced", "")
	c.line(result + " = " + c.library("catch") + "(" + base.raiser() + prefixed(", ", args) + ").error")
	c.line(c.library("fail_with") + "(" + quote(own.name) + ", " + result + ".message, " + result + ".details)")
}

// raised writes the message of a raise.
func (c *converter) raised(n *Node, name string, call *Node) string {
	if call == nil || count(call) == 0 {
		return `""`
	}
	args := call.List("args")
	if len(args) != 1 || len(call.List("keywords")) > 0 {
		c.note(n, "the message of an error is one text; of several arguments the first is taken", "give the others to fail_with as details")
	}
	if len(args) == 0 {
		return "str(" + c.ex(call.List("keywords")[0].At("value")) + ")"
	}
	m := args[0]
	text := c.ex(m)
	if c.caughtName(m) {
		text += ".message"
	}
	switch {
	case name == "KeyError" && m.is("Constant") && m.Word("t") == "str":
		return quote("'" + m.Word("v") + "'") // as Python prints it
	case name == "KeyError" && c.kind(m) == "str":
		return `"'%s'" % ` + c.at(m, bindUnary)
	case c.kind(m) == "str" || c.caughtName(m):
		return text
	}
	return "str(" + text + ")"
}

// withStmt carries the few contexts over that have a meaning here.
func (c *converter) withStmt(n *Node) {
	items := n.List("items")
	if len(items) == 1 {
		x := items[0].At("context_expr")
		for x.is("Await") {
			x = x.At("value")
		}
		if path := c.dotted(x.At("func")); path == "contextlib.suppress" {
			c.suppress(n, x)
			return
		}
	}
	for _, item := range items {
		c.withItem(n, item)
	}
	c.header(n)
	col := -1
	for _, s := range n.List("body") {
		if s.text == c.src.text {
			col = c.column(s.Start)
		}
		c.stmt(s)
	}
	if col >= 0 {
		c.endOfBlock(col)
	}
}

// suppress is a try whose handler does nothing.
func (c *converter) suppress(n, call *Node) {
	pass := &Node{Kind: "Pass", Start: n.End, End: n.End, Line: n.Line, text: n.text, placed: true}
	types := &Node{Kind: "Tuple", Start: call.Start, End: call.End, Line: n.Line, text: n.text, placed: true, lists: map[string][]*Node{"elts": call.List("args")}}
	handler := &Node{Kind: "ExceptHandler", Start: n.End, End: n.End, Line: n.Line, text: n.text, placed: true, words: map[string]string{},
		nodes: map[string]*Node{"type": types}, lists: map[string][]*Node{"body": {pass}}}
	try := *n
	try.Kind = "Try"
	try.lists = map[string][]*Node{"body": n.List("body"), "handlers": {handler}}
	c.tryStmt(&try)
}

// withItem opens one context: of an HTTP client nothing is left but its name.
func (c *converter) withItem(n, item *Node) {
	x, as := item.At("context_expr"), item.At("optional_vars")
	path := c.dotted(x.At("func"))
	module, _, _ := strings.Cut(path, ".")
	last := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case contains([]string{"AsyncClient", "Client", "ClientSession", "Session"}, last) && contains([]string{"httpx", "aiohttp", "requests"}, module):
		if as.is("Name") {
			c.aliases[as.Word("id")] = module
		}
		if count(x) > 0 {
			c.drop(x, "the http module has no client with settings of its own", "give each request its headers and its timeout")
		}
	case contains([]string{"httpx", "aiohttp", "requests"}, module):
		if as.is("Name") {
			c.line(c.ex(as) + " = " + c.whole(x))
		} else {
			c.line(c.whole(x))
		}
	case module == "asyncio" || strings.Contains(strings.ToLower(x.Source()), "lock"):
		c.drop(x, "handlers run alone: there is nothing to lock", "")
	case last == "connect" && as.is("Name"):
		c.line(c.ex(as) + " = " + c.whole(x))
	default:
		do := "open and close what it stands for in the handler"
		if x.is("Call") && x.At("func").Word("id") == "open" {
			do = missingBuiltins["open"]
		}
		if strings.HasSuffix(x.Source(), ".transaction()") {
			do = "put the block into a function and call db.tx(fn)"
		}
		c.refuse(x, "Starlark has no with, and this context has no counterpart", do)
	}
}
