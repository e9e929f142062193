package port

import (
	"strings"
)

// This file carries try over. A body that is one call is given to catch; any other becomes a
// local def, which catch calls. What the body leaves behind it (values, return, break) is
// what that def returns.

// attempt is a try body under way that has become a def.
type attempt struct {
	leaves  map[string]bool // return, break, continue: the ways by which it is left early
	out     []string        // names that are read after it
	marked  bool            // leaving early needs a marker, since statements follow
	mirrors map[string]bool // names whose values a handler may see although the body failed
	kept    string          // the dict that holds those
	before  map[string]bool // names that have a value before the try
	returns bool            // every way through the body returns
	preset  []string        // names that were given a value before the loop for its sake
}

func (c *converter) tryStmt(n *Node) {
	handlers, orelse, final := n.List("handlers"), n.List("orelse"), n.List("finalbody")
	if n.is("TryStar") {
		c.refuse(n, "except* has no counterpart", "use except")
		return
	}
	if c.fn == nil {
		c.refuse(n, "the top level of a blueprint has no try", "move it into a function")
		return
	}
	if len(final) > 0 && len(handlers) > 0 { // the finally stands around the rest
		inner := *n
		inner.lists = map[string][]*Node{"body": n.List("body"), "handlers": handlers, "orelse": orelse}
		inner.End = final[0].Start
		outer := *n
		outer.lists = map[string][]*Node{"body": {&inner}, "finalbody": final}
		c.tryStmt(&outer)
		return
	}
	a := c.newAttempt(n)
	result := c.fresh("attempt")
	c.fn.locals[result] = true
	target := c.run(n, a, result)
	c.cursor = max(c.cursor, endOf(n.List("body")))
	if len(final) > 0 {
		c.finally(n, final, result, a, target)
		return
	}
	c.afterTry(n, a, result, target)
}

func endOf(list []*Node) int {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1].End
}

// newAttempt finds out what a body leaves behind.
func (c *converter) newAttempt(n *Node) *attempt {
	a := &attempt{leaves: map[string]bool{}, mirrors: map[string]bool{}}
	body := n.List("body")
	set := map[string]bool{}
	inBody := &function{locals: map[string]bool{}, values: map[string][]*Node{}, kinds: map[string]string{}}
	inBody.collect(body)
	for name := range inBody.locals {
		if c.fn.locals[name] && !onlyCaught(body, name) {
			set[name] = true
		}
	}
	reads := map[string]bool{} // read in handlers, or anywhere outside of the body
	seen := map[string]bool{}  // read where the body may have failed halfway
	inside := func(x *Node) bool { return x.Start >= body[0].Start && x.End <= endOf(body) }
	c.fn.node.walk(func(x *Node) bool {
		if x.is("Name") && x.Word("ctx") != "Store" && set[x.Word("id")] && !inside(x) && (x.Start > n.Start || c.loop != nil) {
			reads[x.Word("id")] = true
		}
		return true
	})
	for name := range reads {
		if c.partial(n, name) {
			seen[name] = true
		}
	}
	for _, s := range body {
		c.findLeaves(s, a, 0)
	}
	a.before = c.setBefore(n)
	early := a.leaves["break"] || a.leaves["continue"]
	for _, name := range sortedNames(reads) {
		// What is left by break or continue may have its value or not; so may what the body
		// sets on some of its ways only.
		if seen[name] || early || !a.before[name] && !surelySet(body, name) {
			a.mirrors[name] = true
			c.presetInLoop(a, name)
		} else {
			a.out = append(a.out, name)
		}
	}
	a.returns = ends(body) && len(a.leaves) == 1 && a.leaves["return"] && len(a.out) == 0
	a.marked = len(a.leaves) > 0 && !a.returns && !c.lastInFunction(n)
	return a
}

// onlyCaught reports whether a name of the body is only that of caught errors, which are
// gone after their clause.
func onlyCaught(body []*Node, name string) bool {
	caught, stored := false, false
	for _, s := range body {
		s.walk(func(x *Node) bool {
			caught = caught || x.is("ExceptHandler") && x.Word("name") == name
			stored = stored || x.is("Name") && x.Word("ctx") == "Store" && x.Word("id") == name
			return !isScope(x)
		})
	}
	return caught && !stored
}

// surelySet reports whether a body that runs to its end has given the name a value.
func surelySet(body []*Node, name string) bool {
	for _, s := range body {
		found := false
		switch {
		case compound(s) && !s.is("With", "AsyncWith", "Try"):
			if s.is("If") && len(s.List("orelse")) > 0 {
				found = surelySet(s.List("body"), name) && surelySet(s.List("orelse"), name)
			}
		case s.is("With", "AsyncWith"):
			found = surelySet(s.List("body"), name)
		case s.is("Try"):
			found = surelySet(append(append([]*Node{}, s.List("body")...), s.List("orelse")...), name)
			for _, h := range s.List("handlers") {
				found = found && (ends(h.List("body")) || surelySet(h.List("body"), name))
			}
			found = found || surelySet(s.List("finalbody"), name)
		default:
			s.walk(func(x *Node) bool {
				found = found || x.is("Name") && x.Word("ctx") == "Store" && x.Word("id") == name
				return !isScope(x) && !isComprehension(x)
			})
		}
		if found {
			return true
		}
	}
	return false
}

// presetInLoop gives a name that only a try in a loop sets a first value before the loop, so
// that a turn which does not set it leaves that of an earlier one.
func (c *converter) presetInLoop(a *attempt, name string) {
	if c.loop == nil || a.before[name] || c.loop.depth != c.attempts {
		return
	}
	root := c.loop
	for root.before != nil && root.before.depth == c.attempts {
		root = root.before
	}
	line := strings.Repeat("    ", root.indent) + c.name(name) + " = None"
	c.lines = append(c.lines[:root.line:root.line], append([]string{line}, c.lines[root.line:]...)...)
	for l := c.loop; l != nil; l = l.before {
		if l.line >= root.line {
			l.line++
		}
	}
	a.before[name] = true
	a.preset = append(a.preset, name)
}

// setBefore gives the names of the function that may have a value when the try begins.
func (c *converter) setBefore(n *Node) map[string]bool {
	body := n.List("body")
	before := map[string]bool{}
	for _, p := range params(c.fn.node) {
		before[p.Word("arg")] = true
	}
	c.fn.node.walk(func(x *Node) bool {
		if x.is("Name") && x.Word("ctx") == "Store" && (x.Start < n.Start || c.loop != nil && (x.Start < body[0].Start || x.Start > endOf(body))) {
			before[x.Word("id")] = true
		}
		return true
	})
	return before
}

// partial reports whether the value that a failed body gave to a name can be seen: it is set
// before the last statement that may fail, and read where a failure leads.
func (c *converter) partial(n *Node, name string) bool {
	body := n.List("body")
	early := false
	for i, s := range body {
		sets := false
		s.walk(func(x *Node) bool {
			sets = sets || x.is("Name") && x.Word("ctx") == "Store" && x.Word("id") == name
			return !isScope(x)
		})
		if sets && (i < len(body)-1 || compound(s)) {
			early = true
		}
	}
	if !early {
		return false
	}
	for _, h := range n.List("handlers") {
		fallsThrough := !ends(h.List("body"))
		sets, reads := false, false
		for _, s := range h.List("body") {
			s.walk(func(x *Node) bool {
				if x.is("Name") && x.Word("id") == name {
					if x.Word("ctx") == "Store" {
						sets = true
					} else if !sets {
						reads = true
					}
				}
				return true
			})
		}
		if reads || fallsThrough && !sets {
			return true
		}
	}
	reads := false
	for _, s := range n.List("finalbody") {
		s.walk(func(x *Node) bool {
			reads = reads || x.is("Name") && x.Word("id") == name
			return !reads
		})
	}
	return reads
}

// ends reports whether a block never runs on into what follows.
func ends(body []*Node) bool {
	if len(body) == 0 {
		return false
	}
	last := body[len(body)-1]
	if last.is("If") {
		return len(last.List("orelse")) > 0 && ends(last.List("body")) && ends(last.List("orelse"))
	}
	if last.is("Try") {
		all := ends(last.List("body")) || ends(last.List("orelse"))
		for _, h := range last.List("handlers") {
			all = all && ends(h.List("body"))
		}
		return all || ends(last.List("finalbody"))
	}
	return last.is("Return", "Raise", "Continue", "Break")
}

// findLeaves notes how a body is left early; loops counts loops inside of the body.
func (c *converter) findLeaves(n *Node, a *attempt, loops int) {
	switch {
	case isScope(n):
		return
	case n.is("Return"):
		a.leaves["return"] = true
	case n.is("Break", "Continue") && loops == 0:
		a.leaves[strings.ToLower(n.Kind)] = true
	}
	for _, x := range n.below() {
		inner := loops
		if n.is("For", "AsyncFor", "While") {
			inner++
		}
		c.findLeaves(x, a, inner)
	}
}

// lastInFunction reports whether a return in a try can just end the local def: only plain
// returns, and nothing of the function comes after.
func (c *converter) lastInFunction(n *Node) bool {
	if c.loop != nil || len(n.List("orelse")) > 0 || len(n.List("finalbody")) > 0 || c.attempts > 0 {
		return false
	}
	plain := true
	for _, s := range n.List("body") {
		s.walk(func(x *Node) bool {
			plain = plain && !(x.is("Return") && x.At("value") != nil && x.At("value").Word("id") != "actions")
			return !isScope(x)
		})
	}
	list := c.fn.node.List("body")
	return plain && len(list) > 0 && list[len(list)-1].End == n.End
}

// run writes the call of catch; target is the name that takes its value, when the body is
// one call whose result has a name.
func (c *converter) run(n *Node, a *attempt, result string) (target string) {
	body := n.List("body")
	if call, name, ok := c.single(n, a, body); ok {
		at := len(c.lines)
		c.leading(body[0].Start)
		c.line(result + " = catch(" + call + ")")
		c.rescue(body[0], at)
		c.trailing(body[0].End, len(c.lines)-1)
		if a.out = nil; len(a.mirrors) > 0 { // one call sets all or nothing
			a.mirrors = map[string]bool{}
		}
		return name
	}
	if len(a.mirrors) > 0 {
		a.kept = c.fresh("kept")
		c.line(a.kept + " = {}")
	}
	name := c.fresh("body")
	given := c.given(n, a)
	c.line("def " + name + "(" + strings.Join(given, ", ") + "):")
	c.inAttempt(a, body)
	c.blank()
	args := append([]string{name}, given...)
	c.line(result + " = " + c.library("catch") + "(" + strings.Join(args, ", ") + ")")
	return ""
}

// single reports whether the body is one call that catch can make itself: its arguments can
// not fail.
func (c *converter) single(n *Node, a *attempt, body []*Node) (call, name string, ok bool) {
	if len(body) != 1 || !body[0].is("Assign", "Expr", "Return") || body[0].is("Return") && !a.returns {
		return "", "", false
	}
	s := body[0]
	if t := s.List("targets"); s.is("Assign") {
		if len(t) != 1 || !t[0].is("Name") {
			return "", "", false
		}
		name = c.ex(t[0])
	}
	v := s.At("value")
	for v.is("Await") {
		v = v.At("value")
	}
	fn := v.At("func")
	if !v.is("Call") || !(fn.is("Name") || fn.is("Attribute") && harmless(fn.At("value"))) {
		return "", "", false
	}
	lookups := c.lookups(n)
	for _, x := range v.List("args") {
		if !harmless(x) && !(lookups && c.lookup(x)) {
			return "", "", false
		}
	}
	for _, k := range v.List("keywords") {
		if k.Word("arg") == "" || !harmless(k.At("value")) && !(lookups && c.lookup(k.At("value"))) {
			return "", "", false
		}
	}
	text, _ := c.expr(v)
	open := strings.IndexByte(text, '(')
	if !strings.HasSuffix(text, ")") || open < 0 || len(c.pre) > 0 || !plainCallee(text[:open]) || balanced(text[open:]) != len(text)-open {
		return "", "", false
	}
	c.library("catch")
	args := strings.TrimSpace(text[open+1 : len(text)-1])
	return text[:open] + prefixed(", ", args), name, true
}

// plainCallee reports whether a text is a dotted name.
func plainCallee(text string) bool {
	return text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == ""
}

// balanced gives the length of the bracketed text at the start.
func balanced(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// lookups reports whether the handlers of a try take no error that looking something up in a
// dict or list can raise: then it makes no difference where that is done.
func (c *converter) lookups(n *Node) bool {
	for _, h := range n.List("handlers") {
		types := []*Node{h.At("type")}
		if types[0] == nil {
			return false
		}
		if types[0].is("Tuple") {
			types = types[0].List("elts")
		}
		for _, t := range types {
			kinds, all := c.kinds(t)
			for _, k := range kinds {
				all = all || contains([]string{"KeyError", "IndexError", "LookupError", "TypeError", "AttributeError", "NameError", "unavailable"}, k)
			}
			if all {
				return false
			}
		}
	}
	return len(n.List("handlers")) > 0
}

// lookup reports whether an expression does nothing but look up.
func (c *converter) lookup(n *Node) bool {
	switch {
	case n.is("Subscript"):
		return c.lookup(n.At("value")) && !n.At("slice").is("Slice") && c.lookup(n.At("slice"))
	case n.is("Call") && n.At("func").is("Attribute") && n.At("func").Word("attr") == "get" && actionName(n) == "":
		for _, a := range n.List("args") {
			if !c.lookup(a) {
				return false
			}
		}
		return len(n.List("keywords")) == 0 && c.kind(n.At("func").At("value")) == "dict"
	}
	return harmless(n)
}

// harmless reports whether an expression can not fail.
func harmless(n *Node) bool {
	switch {
	case n.is("Constant", "Name"):
		return true
	case n.is("Attribute"):
		return harmless(n.At("value"))
	case n.is("List", "Tuple", "Dict"):
		for _, x := range n.below() {
			if !harmless(x) {
				return false
			}
		}
		return true
	}
	return false
}

// given are the names that a body reads before it sets them; a def takes them as parameters,
// since names that it sets are its own.
func (c *converter) given(n *Node, a *attempt) []string {
	body := n.List("body")
	inBody := &function{locals: map[string]bool{}, values: map[string][]*Node{}, kinds: map[string]string{}}
	inBody.collect(body)
	var out []string
	before := a.before
	for _, name := range sortedNames(inBody.locals) {
		if c.fn.locals[name] && before[name] && (contains(a.out, name) || readFirst(body, name)) && !onlyCaught(body, name) {
			out = append(out, c.name(name))
		}
	}
	return out
}

// readFirst reports whether a body may read a name before it sets it.
func readFirst(body []*Node, name string) bool {
	for i, s := range body {
		reads, sets := false, false
		s.walk(func(x *Node) bool {
			if x.is("Name") && x.Word("id") == name {
				sets = sets || x.Word("ctx") == "Store"
				reads = reads || x.Word("ctx") != "Store"
			}
			return true
		})
		if s.is("AugAssign") && s.At("target").Word("id") == name {
			reads = true
		}
		switch {
		case !reads && !sets:
			continue
		case s.is("For", "AsyncFor") && s.At("target").Word("id") == name && !reads:
			continue
		case s.is("For", "AsyncFor") && s.At("target").Word("id") == name:
			outside := readFirst(append([]*Node{{Kind: "Expr", nodes: map[string]*Node{"value": s.At("iter")}}}, body[i+1:]...), name)
			return outside
		case s.is("Try", "If", "With", "AsyncWith"):
			parts := [][]*Node{s.List("body"), s.List("orelse"), s.List("finalbody")}
			for _, h := range s.List("handlers") {
				parts = append(parts, h.List("body"))
			}
			if s.At("test") != nil && readsName(s.At("test"), name) {
				return true
			}
			for _, part := range parts {
				if readFirst(part, name) {
					return true
				}
			}
			if surelySet([]*Node{s}, name) {
				return false
			}
			continue
		case s.is("Assign", "AnnAssign") && sets && !reads, s.is("Assign") && sets && !readsName(s.At("value"), name):
			return false
		}
		return reads || compound(s)
	}
	return false
}

// readsName reports whether an expression reads a name.
func readsName(n *Node, name string) bool {
	found := false
	n.walk(func(x *Node) bool {
		found = found || x.is("Name") && x.Word("id") == name
		return !found
	})
	return found
}

// inAttempt writes the body of the def, and what it returns at its end.
func (c *converter) inAttempt(a *attempt, body []*Node) {
	before, loop := c.fn, c.loop
	inner := *before
	inner.attempt = a
	c.fn = &inner
	c.attempts++
	c.body(body)
	c.depth++
	switch {
	case ends(body):
	case a.marked:
		c.line("return " + c.library("struct") + "(" + strings.Join(append([]string{"left = None"}, c.named(a.out)...), ", ") + ")")
	case len(a.out) > 0:
		c.line("return " + strings.Join(c.names(a.out), ", "))
	}
	c.depth--
	c.attempts--
	c.fn, c.loop = before, loop
}

// named writes names as the fields of a struct.
func (c *converter) named(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n + " = " + c.name(n)
	}
	return out
}

func (c *converter) names(list []string) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = c.name(n)
	}
	return out
}

// returnFromAttempt is return inside of a body that has become a def.
func (c *converter) returnFromAttempt(v *Node) { c.leaveAttempt("return", v) }

// leaveAttempt leaves the def early; a marker tells how to go on.
func (c *converter) leaveAttempt(how string, v *Node) {
	switch a := c.fn.attempt; {
	case a.returns && v != nil:
		c.line("return " + c.whole(v))
		return
	case !a.marked:
		c.line("return")
		return
	}
	value := ""
	if v != nil && !(c.fn.handler && v.Word("id") == "actions") {
		value = ", value = " + c.ex(v)
	} else if how == "return" {
		value = ", value = None"
	}
	c.line("return " + c.library("struct") + "(left = " + quote(how) + value + ")")
}

// unpack gives the names that the def returned their values again.
func (c *converter) unpack(a *attempt, result string) {
	switch {
	case a.marked:
		for _, name := range a.out {
			c.line(c.name(name) + " = " + result + ".value." + name)
		}
	case len(a.out) > 0:
		c.line(strings.Join(c.names(a.out), ", ") + " = " + result + ".value")
	}
	for _, name := range a.out {
		c.wrote(name)
	}
}

// restore gives names their values of a body that may have failed halfway.
func (c *converter) restore(a *attempt) {
	for _, name := range sortedNames(a.mirrors) {
		if a.before[name] {
			c.line(c.name(name) + " = " + a.kept + ".get(" + quote(name) + ", " + c.name(name) + ")")
		} else {
			c.line(c.name(name) + " = " + a.kept + ".get(" + quote(name) + ")")
		}
		c.wrote(name)
	}
}
