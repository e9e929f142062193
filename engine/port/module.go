package port

import (
	"fmt"
	"strings"
)

// This file goes through the top level of a file: what is kept, what belongs to the
// application part and is dropped, and in which order things come out.

// file converts the whole source and gives the unformatted text.
func (c *converter) file() string {
	body := c.src.tree.List("body")
	c.survey(body)
	if len(c.order) == 0 && !c.hasHandlers && !c.set.loaded[c.src.name] {
		if made := c.madeInside(); made != nil {
			c.refuse(made, "the blueprint is made inside of a function", "make it at the top level of the file: there its handlers are registered and checked")
			return ""
		}
		c.other = true
		c.refuse(firstStatement(c.src), "no blueprint in this file", "workers run unchanged, with their own SDK; scripts stay scripts")
		return ""
	}
	c.firstCode = -1
	for _, n := range body {
		c.topLevel(n)
	}
	c.leading(len(c.src.text))
	if c.needsTurns {
		c.withTurns()
	}
	return strings.Join(c.lines, "\n") + "\n"
}

// madeInside finds a call that makes a blueprint below the top level.
func (c *converter) madeInside() *Node {
	var found *Node
	c.src.tree.walk(func(n *Node) bool {
		if found == nil && n.is("Call") && c.makes(n) {
			found = n
		}
		return found == nil
	})
	return found
}

// firstStatement stands for the file in a remark about all of it.
func firstStatement(src *source) *Node {
	for _, n := range src.tree.List("body") {
		if isDocstring(n) || n.is("Import", "ImportFrom") {
			continue
		}
		if d := n.List("decorator_list"); len(d) > 0 {
			n = d[0]
		}
		return &Node{Line: n.Line, text: n.text, Start: n.Start, End: n.Start + lineRest(n.text[n.Start:])}
	}
	return &Node{Line: 1, text: src.text, End: lineRest(src.text)}
}

// withTurns puts the constant that bounds loops before the first statement that is no load.
func (c *converter) withTurns() {
	constant := []string{"# The most turns that a loop without a bound of its own takes.", fmt.Sprintf("MAX_TURNS = %d", maxTurns), ""}
	at := max(0, c.firstCode)
	c.lines = append(c.lines[:at:at], append(constant, c.lines[at:]...)...)
}

// survey finds out what the names of the file are before anything is written.
func (c *converter) survey(body []*Node) {
	for _, n := range body {
		c.surveyImports(n)
	}
	c.src.tree.walk(func(n *Node) bool {
		switch {
		case n.is("Name") && n.Word("ctx") == "Store":
			c.assigned[n.Word("id")] = true
		case n.is("arg"):
			c.assigned[n.Word("arg")] = true
		case n.is("FunctionDef", "AsyncFunctionDef", "ClassDef"):
			c.assigned[n.Word("name")] = true
		}
		return true
	})
	for _, n := range body {
		switch {
		case n.is("FunctionDef", "AsyncFunctionDef"):
			c.functions[n.Word("name")] = append(c.functions[n.Word("name")], n)
		case n.is("ClassDef"):
			c.declare(n)
		}
		if name, value := moduleAssign(n); name != "" && value.is("Call") && c.makes(value) {
			b := &blueprint{variable: name, node: value, states: map[string]*Node{}}
			if a := argument(value, 0, "name"); a.is("Constant") {
				b.name = a.Word("v")
			}
			c.blueprints[name] = b
			c.order = append(c.order, b)
		}
	}
	c.findTuples(c.src.tree)
	c.surveyHandlers(body)
	c.surveyApplication(body)
	c.findShared()
	c.surveyRecursion()
}

// findTuples reports whether values of the file may be tuples: not those that are taken apart
// at once, by a loop with several names, or only looked into.
func (c *converter) findTuples(n *Node) {
	for _, x := range n.below() {
		over := n.is("For", "comprehension") && x == n.At("iter") && n.At("target").is("Tuple")
		asked := n.is("Compare") || n.is("Call") && contains([]string{"isinstance", "startswith", "endswith", "execute", "fetchrow"}, calledName(n)) || n.is("ExceptHandler")
		made := x.is("Tuple") && x.Word("ctx") == "" || x.is("Call") &&
			contains([]string{"zip", "enumerate", "items", "partition", "rpartition", "groups", "tuple", "divmod", "most_common", "product"}, calledName(x))
		if made && !over && !asked && !(n.is("Assign") && n.List("targets")[0].is("Tuple")) {
			c.tuples = true
		}
		if !x.is("Subscript") { // list[tuple[int, str]] is an annotation
			c.findTuples(x)
		}
	}
}

func calledName(n *Node) string {
	if fn := n.At("func"); fn.is("Attribute") {
		return fn.Word("attr")
	}
	return n.At("func").Word("id")
}

// surveyHandlers finds the defs that are handlers, and gives second ones of a name another.
func (c *converter) surveyHandlers(body []*Node) {
	for _, n := range body {
		if n.is("FunctionDef", "AsyncFunctionDef") {
			if regs, _ := c.registrations(n); len(regs) > 0 {
				c.handlerDefs[n], c.hasHandlers = true, true
			}
		}
		if r, fn := c.applied(n); r != nil && fn.is("Name") {
			c.hasHandlers = true
			for _, def := range c.functions[fn.Word("id")] {
				if def.Start < n.Start {
					c.handlerDefs[def] = true
				}
			}
		}
	}
	for _, n := range body {
		name := n.Word("name")
		if !n.is("FunctionDef", "AsyncFunctionDef") || len(c.functions[name]) < 2 || c.functions[name][0] == n {
			continue
		}
		to := name + "_2"
		for i := 3; c.assigned[to]; i++ {
			to = fmt.Sprintf("%s_%d", name, i)
		}
		c.assigned[to] = true
		c.newNames[n] = to
		c.note(&Node{Line: n.Line, text: n.text, Start: n.Start, End: n.Start + lineRest(n.text[n.Start:])}, "a second function of this name: Starlark names are given once, so it is called "+to, "")
	}
}

// applied reads bp.handler_for("s")(fn) as a statement.
func (c *converter) applied(n *Node) (*registration, *Node) {
	v := n.At("value")
	if name, value := moduleAssign(n); name != "" {
		v = value
	}
	if !n.is("Expr", "Assign") || !v.is("Call") || len(v.List("args")) != 1 || !v.At("func").is("Call", "Attribute") {
		return nil, nil
	}
	if !v.At("func").is("Call") {
		if fn := v.At("func"); fn.Word("attr") != "handler" && fn.Word("attr") != "aggregator" || !v.List("args")[0].is("Name") {
			return nil, nil
		}
	}
	return c.registration(v.At("func")), v.List("args")[0]
}

// topLevel writes one statement of the module.
func (c *converter) topLevel(n *Node) {
	if c.firstCode < 0 && !n.is("Import", "ImportFrom") && !isDocstring(n) {
		c.firstCode = len(c.lines)
	}
	switch {
	case c.leftOut(n):
		c.skip(n)
		return
	case n.is("Import", "ImportFrom"):
		start := len(c.lines)
		c.leading(n.Start)
		c.importStmt(n)
		if len(c.lines) > start && hasCode(c.lines[start:]) {
			c.trailing(n.End, len(c.lines)-1)
		}
		c.cursor = max(c.cursor, n.End)
		return
	case n.is("ClassDef"):
		start := n.Start
		if d := n.List("decorator_list"); len(d) > 0 {
			start = d[0].Start - 1
		}
		c.leading(start)
		c.cursor = max(c.cursor, n.Start)
		at := len(c.lines)
		c.classStmt(n)
		c.rescue(n, at)
		c.cursor = max(c.cursor, n.End)
		return
	case n.is("Try", "With", "AsyncWith"):
		c.refuse(n, "the top level of a blueprint has no "+strings.ToLower(n.Kind), "move it into a function")
		return
	case n.is("AugAssign"):
		c.refuse(n, "Starlark gives a name of the top level its value once", "write the whole value at once")
		return
	}
	c.moduleStmt(n)
}

// moduleStmt is stmt for what only the top level has.
func (c *converter) moduleStmt(n *Node) {
	if name, value := moduleAssign(n); name != "" {
		if b := c.blueprints[name]; b != nil && b.node == value {
			c.leading(n.Start)
			at := len(c.lines)
			c.makeBlueprint(n, value, name)
			c.rescue(n, at)
			c.trailing(n.End, len(c.lines)-1)
			return
		}
		c.once(n, name)
	}
	if r, fn := c.applied(n); r != nil {
		c.leading(n.Start)
		def := &Node{Kind: "FunctionDef", words: map[string]string{"name": fn.Word("id")}}
		c.register(r, def, c.ex(fn))
		c.trailing(n.End, len(c.lines)-1)
		return
	}
	if n.is("If") && len(n.List("orelse")) == 1 && len(n.List("body")) == 1 {
		name, yes := moduleAssign(n.List("body")[0])
		other, no := moduleAssign(n.List("orelse")[0])
		if name != "" && name == other {
			c.leading(n.Start)
			at := len(c.lines)
			c.line(c.name(name) + " = " + c.at(yes, bindOr) + " if " + c.at(n.At("test"), bindOr) + " else " + c.at(no, bindLambda))
			c.rescue(n, at)
			c.cursor = n.End
			return
		}
	}
	c.stmt(n)
}

// once refuses a second value of a module-level name.
func (c *converter) once(n *Node, name string) {
	if c.settled[name] {
		c.refuse(n, "Starlark gives a name of the top level its value once, and "+name+" has one already", "use two names")
	}
	c.settled[name] = true
}

// skip passes a statement over, with the comments in it; those before it stay.
func (c *converter) skip(n *Node) {
	start := n.Start
	if d := n.List("decorator_list"); len(d) > 0 {
		start = d[0].Start - 1
	}
	c.leading(start)
	end := n.End + lineRest(c.src.text[n.End:])
	for _, s := range c.commentsIn(start, end) {
		c.taken[s.start] = true
	}
	c.cursor = max(c.cursor, n.End)
}

// parameters writes the parameters of a def or lambda, without annotations.
func (c *converter) parameters(n *Node) string {
	a := n.At("args")
	positional := append(append([]*Node{}, a.List("posonlyargs")...), a.List("args")...)
	defaults := a.List("defaults")
	var out []string
	for i, p := range positional {
		name := p.Word("arg")
		if i == 0 && (name == "self" || name == "cls") && (c.fn == nil || !c.fn.caught["self"]) {
			continue
		}
		text := c.name(name)
		if d := i - (len(positional) - len(defaults)); d >= 0 {
			text += " = " + c.at(defaults[d], bindLambda)
		}
		out = append(out, text)
	}
	kwonly, kwDefaults := a.List("kwonlyargs"), a.List("kw_defaults")
	if v := a.At("vararg"); v != nil {
		out = append(out, "*"+c.name(v.Word("arg")))
	} else if len(kwonly) > 0 {
		out = append(out, "*")
	}
	for i, p := range kwonly {
		text := c.name(p.Word("arg"))
		if kwDefaults[i] != nil {
			text += " = " + c.at(kwDefaults[i], bindLambda)
		}
		out = append(out, text)
	}
	if v := a.At("kwarg"); v != nil {
		out = append(out, "**"+c.name(v.Word("arg")))
	}
	return strings.Join(out, ", ")
}

// funcDef writes a def, and after it the calls that its decorators become.
func (c *converter) funcDef(n *Node) {
	regs, others := c.registrations(n)
	for _, d := range others {
		c.decorator(n, d)
	}
	name := c.newNames[n]
	if name == "" {
		name = c.name(n.Word("name"))
	}
	leave := c.enter(n)
	c.fn.handler = c.handlerDefs[n]
	var extra []string
	if c.fn.handler {
		extra = c.extraParameters(n)
		c.ownState(n, regs)
	} else if names := c.sharedIn(n); len(names) > 0 && c.fn.parent == nil {
		c.refuse(n, "the function "+n.Word("name")+" uses "+strings.Join(names, ", ")+", which handlers change: values of the module are frozen when the file is loaded", "pass it as an argument")
	}
	list := c.parameters(n)
	for _, p := range extra {
		if list != "" {
			list += ", "
		}
		list += p
	}
	colon := c.colon(n)
	for _, s := range c.commentsIn(n.Start, colon) {
		c.put(c.comment(s))
	}
	c.line("def " + name + "(" + list + "):")
	c.trailing(colon+1, len(c.lines)-1)
	c.cursor = max(c.cursor, colon+1)
	loop, attempts, handling := c.loop, c.attempts, c.handling
	c.loop, c.attempts, c.handling = nil, 0, ""
	c.defBody(n)
	c.loop, c.attempts, c.handling = loop, attempts, handling
	leave()
	if len(regs) > 0 {
		c.blank()
		for _, r := range regs {
			c.register(r, n, name)
		}
	}
}

// ownState refuses a changing value of the module that handlers of several blueprints use:
// a data store belongs to one of them.
func (c *converter) ownState(n *Node, regs []*registration) {
	names := c.sharedIn(n)
	if len(names) == 0 || len(c.order) < 2 {
		return
	}
	if len(regs) == 0 || regs[0].bp != c.order[0] {
		head := *n
		head.End = n.Start + lineRest(n.text[n.Start:])
		c.refuse(&head, "it changes or reads "+strings.Join(names, ", ")+" of the module, and a data store belongs to one blueprint", "give each blueprint a file and a data store of its own")
	}
}

// defBody writes the body, with what must be read first after the docstring.
func (c *converter) defBody(n *Node) {
	body := n.List("body")
	if c.fn.handler && len(c.sharedIn(n)) > 0 {
		c.depth++
		if isDocstring(body[0]) {
			c.stmt(body[0])
			body = body[1:]
		}
		c.openShared(n)
		c.depth--
	}
	c.body(body)
}

// colon gives the place of the colon that ends a def's head.
func (c *converter) colon(n *Node) int {
	at := n.Start
	for _, p := range n.At("args").parts() {
		at = max(at, p.End)
	}
	if r := n.At("returns"); r != nil {
		at = max(at, r.End)
	}
	for i := at; i < len(n.text); i++ {
		switch n.text[i] {
		case '#':
			i += lineRest(n.text[i:])
		case ':':
			return i
		}
	}
	return at
}

// decorator says what becomes of a decorator that registers nothing.
func (c *converter) decorator(def, d *Node) {
	fn := d
	if d.is("Call") {
		fn = d.At("func")
	}
	path := c.dotted(fn)
	name := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case path == "functools.lru_cache" || path == "functools.cache":
		c.drop(d, "nothing is kept between two runs of a handler", "use a data store where it matters")
	case path == "functools.wraps" || strings.HasPrefix(path, "typing."):
		c.drop(d, "it only describes the function", "")
	case fn.is("Attribute") && fn.Word("attr") == "event" && c.blueprints[fn.At("value").Word("id")] != nil:
		c.drop(d, "events have no schemas here", "")
	case fn.is("Attribute") && c.blueprints[fn.At("value").Word("id")] != nil:
		c.refuse(d, "a blueprint has no decorator "+fn.Word("attr"), "use handler_for or aggregator_for")
	default:
		if name == "" {
			name = fn.Source()
		}
		c.refuse(d, "decorators other than the blueprint's have no counterpart: "+name+" would have to give the def's name a second value", "call "+name+" inside of the function, or give the wrapped function a name of its own")
	}
}

// surveyRecursion refuses functions that call themselves, directly or in a circle.
func (c *converter) surveyRecursion() {
	calls := map[*Node][]*Node{}
	all := map[string]*Node{}
	c.src.tree.walk(func(n *Node) bool {
		if n.is("FunctionDef", "AsyncFunctionDef") {
			all[n.Word("name")] = n
		}
		return !n.is("ClassDef")
	})
	for _, def := range all {
		def.walk(func(x *Node) bool {
			if fn := x.At("func"); x.is("Call") && fn.is("Name") && all[fn.Word("id")] != nil {
				calls[def] = append(calls[def], all[fn.Word("id")])
			}
			return true
		})
	}
	for _, name := range sortedKeys(all) {
		def := all[name]
		seen := map[*Node]bool{}
		var reach func(n *Node) bool
		reach = func(n *Node) bool {
			for _, next := range calls[n] {
				if next == def {
					return true
				}
				if !seen[next] {
					seen[next] = true
					if reach(next) {
						return true
					}
				}
			}
			return false
		}
		if reach(def) {
			head := *def
			head.End = def.Start + lineRest(def.text[def.Start:])
			c.refuse(&head, "Starlark has no recursion, and "+name+" comes back to itself", "write it as a loop over a list of what is still to be done")
		}
	}
}
