package port

import (
	"fmt"
	"regexp"
	"strings"
)

// This file carries expressions over: what means the same is copied with its characters,
// the rest is written anew. Calls are in calls.go, text in text.go.

// How tightly an expression binds, loosest first, as in Python and Starlark.
const (
	bindLambda = iota
	bindOr
	bindAnd
	bindNot
	bindCompare
	bindPipe
	bindCaret
	bindAmp
	bindShift
	bindAdd
	bindMul
	bindUnary
	bindAtom
)

var operators = map[string]struct {
	text string
	bind int
}{
	"Add": {"+", bindAdd}, "Sub": {"-", bindAdd}, "Mult": {"*", bindMul}, "Div": {"/", bindMul}, "FloorDiv": {"//", bindMul},
	"Mod": {"%", bindMul}, "LShift": {"<<", bindShift}, "RShift": {">>", bindShift}, "BitOr": {"|", bindPipe},
	"BitXor": {"^", bindCaret}, "BitAnd": {"&", bindAmp}, "Pow": {"**", bindUnary},
}

// bindOf is how tightly the Python expression binds.
func bindOf(n *Node) int {
	switch n.Kind {
	case "Lambda", "IfExp", "NamedExpr", "Yield", "Starred", "Slice", "keyword":
		return bindLambda
	case "BoolOp":
		if n.Word("op") == "And" {
			return bindAnd
		}
		return bindOr
	case "Compare":
		return bindCompare
	case "BinOp":
		return operators[n.Word("op")].bind
	case "UnaryOp":
		if n.Word("op") == "Not" {
			return bindNot
		}
		return bindUnary
	}
	return bindAtom
}

// ex gives an expression for a place where any may stand (an argument, an element).
func (c *converter) ex(n *Node) string {
	text, _ := c.expr(n)
	return text
}

// at gives an expression for a place that needs one that binds at least so tightly.
func (c *converter) at(n *Node, bind int) string {
	text, b := c.expr(n)
	if b < bind {
		return "(" + text + ")"
	}
	return safe(text)
}

// whole gives an expression that stands alone in a statement.
func (c *converter) whole(n *Node) string { return safe(c.ex(n)) }

// expr gives an expression and how tightly it binds. It is a flat switch over the kinds.
func (c *converter) expr(n *Node) (string, int) {
	switch n.Kind {
	case "Name":
		return c.nameExpr(n)
	case "Constant":
		return c.constant(n)
	case "JoinedStr":
		return c.fstring(n)
	case "Attribute":
		return c.attribute(n)
	case "Call":
		return c.call(n)
	case "Await":
		return c.expr(n.At("value"))
	case "Compare":
		return c.compare(n)
	case "BinOp":
		return c.binary(n)
	case "BoolOp":
		return c.boolean(n)
	case "NamedExpr":
		return c.walrus(n), bindAtom
	case "IfExp":
		return c.conditional(n)
	case "Lambda":
		return c.lambda(n)
	case "GeneratorExp":
		return c.comprehension(n, "[", "]"), bindAtom
	case "ListComp":
		return c.comprehension(n, "", ""), bindAtom
	case "DictComp":
		return c.comprehension(n, "", ""), bindAtom
	case "SetComp":
		return "set(" + c.comprehension(n, "[", "]") + ")", bindAtom
	case "Set":
		return "set([" + c.between(n, 1, 1) + "])", bindAtom
	case "List", "Tuple":
		return c.sequence(n)
	case "Dict":
		return c.dict(n)
	case "Subscript":
		return c.subscript(n)
	case "UnaryOp":
		if n.Word("op") == "Not" {
			return "not " + c.at(n.At("operand"), bindNot), bindNot
		}
		return c.copied(n), bindUnary
	case "Starred":
		return "*" + c.at(n.At("value"), bindAtom), bindLambda
	case "Yield", "YieldFrom":
		return c.refuse(n, "Starlark has no generators", "build a list and return it"), bindAtom
	case "Slice", "keyword":
		return c.copied(n), bindLambda
	case "Fixed": // text that another part of the converter has made
		return n.Word("text"), bindAtom
	}
	return c.refuse(n, "this kind of expression ("+n.Kind+") has no counterpart", "write it in another way"), bindAtom
}

// copied copies a node's characters, with what is below it carried over.
func (c *converter) copied(n *Node) string { return c.between(n, 0, 0) }

// between copies a node without so many characters at its start and end.
func (c *converter) between(n *Node, head, tail int) string {
	return c.span(n, n.parts(), n.Start+head, n.End-tail)
}

// span copies the part of a node's text from start to end; parts are the nodes in it.
func (c *converter) span(n *Node, parts []*Node, start, end int) string {
	out := ""
	pos := start
	for _, p := range parts {
		if p.Start < pos || p.End > end {
			continue
		}
		gap := c.copyGap(n, pos, p.Start)
		text, bind := c.expr(p)
		pos = p.End
		after := strings.TrimLeft(n.text[p.End:end], " \t\n")
		enclosed := strings.HasSuffix(strings.TrimRight(out+gap, " \t\n"), "(") && strings.HasPrefix(after, ")") && !n.is("Call")
		switch {
		case enclosed && p.is("NamedExpr"): // only the name is left, which needs no parentheses
			gap = strings.TrimSuffix(strings.TrimRight(gap, " \t\n"), "(")
			pos = p.End + strings.IndexByte(n.text[p.End:end], ')') + 1
		case bind < needed(n, p) && !enclosed:
			text = "(" + text + ")"
		}
		out += gap + text
	}
	return out + c.copyGap(n, pos, end)
}

// needed is how tightly a node must bind where it stands below another.
func needed(n, p *Node) int {
	switch n.Kind {
	case "BinOp":
		op := operators[n.Word("op")].bind
		if p == n.At("right") {
			return op + 1
		}
		return op
	case "UnaryOp":
		return bindOf(n)
	case "Compare":
		return bindCompare + 1
	case "BoolOp":
		return bindOf(n) + 1
	case "IfExp":
		if p == n.At("orelse") {
			return bindLambda
		}
		return bindOr
	case "Attribute", "Subscript", "Call":
		if p == n.At("value") || p == n.At("func") {
			return bindAtom
		}
	}
	return bindLambda
}

// copyGap copies what stands between nodes; comments in it are then in the output.
func (c *converter) copyGap(n *Node, from, to int) string {
	text := n.text[from:to]
	if n.text == c.src.text {
		for _, s := range c.commentsIn(from, to) {
			c.taken[s.start] = true
		}
	}
	return text
}

func (c *converter) nameExpr(n *Node) (string, int) {
	id := n.Word("id")
	if c.local(id) {
		return c.name(id), bindAtom
	}
	if value, ok := c.inlined[id]; ok && n.Word("ctx") == "" {
		return c.expr(value)
	}
	if defs := c.functions[id]; len(defs) > 0 {
		if to := c.newNames[defs[len(defs)-1]]; to != "" {
			return to, bindAtom
		}
	}
	if id == "__name__" {
		return quote(moduleName(c.src.name)), bindAtom
	}
	if c.imports[id] != "" {
		return c.imported(n, c.imports[id])
	}
	if c.dropped[id] {
		return c.refuse(n, id+" belongs to the application part, which has no place in a blueprint", "take it out of the handler"), bindAtom
	}
	if instead, gone := missingBuiltins[id]; gone && !c.assigned[id] {
		return c.refuse(n, "Starlark has no "+id, instead), bindAtom
	}
	return c.name(id), bindAtom
}

// missingBuiltins are Python's functions that have no counterpart as a value, and what to
// do instead.
var missingBuiltins = map[string]string{
	"open": "handlers read and write files by task_files, which belong to the job", "input": "ask by actions.await_human_approval",
	"eval": "parse the text, for example with json.loads", "exec": "write the code out", "compile": "write the code out",
	"globals": "pass the values as arguments", "locals": "pass the values as arguments", "vars": "name the attributes",
	"setattr": "use a dict", "delattr": "use a dict", "iter": "use the list itself", "next": "index the list",
	"object": "use a struct or a dict", "property": "use a function", "classmethod": "use a function", "staticmethod": "use a function",
	"super": "write the call out", "memoryview": "use text or a list of integers", "bytearray": "use a list of integers",
	"complex": "use two floats", "id": "compare with ==", "callable": `compare type(x) with "function"`, "__file__": "a blueprint has no file of its own",
	"__import__": "load the name from another file", "breakpoint": "use print", "exit": "use fail or a transition", "quit": "use fail or a transition",
	"NotImplemented": "use None", "aiter": "use the list itself", "anext": "index the list",
}

var plainNumber = regexp.MustCompile(`^(0[xXoObB])?[0-9a-fA-F_]+$`)

func (c *converter) constant(n *Node) (string, int) {
	switch n.Word("t") {
	case "str":
		return c.text(n)
	case "bytes":
		return n.Source(), bindAtom
	case "int":
		text := n.Source()
		if !plainNumber.MatchString(text) { // the middle of something else
			text = n.Word("v")
		}
		return strings.ReplaceAll(text, "_", ""), bindAtom
	case "float":
		return strings.ReplaceAll(n.Source(), "_", ""), bindAtom
	case "bool", "NoneType":
		return n.Word("v"), bindAtom
	case "ellipsis":
		return "None", bindAtom
	}
	return c.refuse(n, "Starlark has no "+n.Word("t")+" numbers", "use two floats"), bindAtom
}

func (c *converter) binary(n *Node) (string, int) {
	op := operators[n.Word("op")]
	left, right := n.At("left"), n.At("right")
	switch {
	case op.text == "":
		return c.refuse(n, "the operator @ has no counterpart", "write the sum out"), bindAtom
	case op.text == "**":
		return fmt.Sprintf("%s(%s, %s)", c.library("pow"), c.ex(left), c.ex(right)), bindAtom
	case op.text == "%" && left.is("Constant") && left.Word("t") == "str":
		return c.percent(n)
	}
	return c.copied(n), op.bind
}

// boolean copies and and or; all but the first operand are not always evaluated.
func (c *converter) boolean(n *Node) (string, int) {
	values := n.List("values")
	out := c.span(n, values[:1], n.Start, values[0].End)
	c.maybe++
	out += c.span(n, values[1:], values[0].End, n.End)
	c.maybe--
	return out, bindOf(n)
}

func (c *converter) conditional(n *Node) (string, int) {
	c.maybe++
	defer func() { c.maybe-- }()
	return c.copied(n), bindLambda
}

var comparisons = map[string]string{
	"Eq": "==", "NotEq": "!=", "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=", "In": "in", "NotIn": "not in", "Is": "==", "IsNot": "!=",
}

// compare writes chains as conjunctions, and `is` as equality where that is the same.
func (c *converter) compare(n *Node) (string, int) {
	ops, terms := n.List("ops"), append([]*Node{n.At("left")}, n.List("comparators")...)
	if text, ok := c.typeTest(n); ok {
		return text, bindCompare
	}
	var parts []string
	for i, op := range ops {
		left, right := terms[i], terms[i+1]
		word := op.Kind
		if (word == "Is" || word == "IsNot") && !left.is("Constant") && !right.is("Constant") {
			c.note(n, "Starlark has no identity: `is` is written as ==, which is also true of equal copies", "")
		}
		if (word == "Eq" || word == "NotEq") && (isBool(left) || isBool(right)) {
			c.note(n, "in Starlark 1 == True is False; only a Boolean equals a Boolean", "compare with the number where numbers are meant")
		}
		if len(ops) == 1 && word != "Is" && word != "IsNot" {
			return c.copied(n), bindCompare
		}
		if i > 0 && !pure(left) {
			if c.maybe > 0 {
				c.refuse(n, "the middle of this chained comparison would be evaluated twice", "give the middle part a name of its own first")
			} else {
				name := c.fresh("middle")
				c.pre = append(c.pre, name+" = "+c.whole(left))
				parts[i-1] = strings.TrimSuffix(parts[i-1], c.at(left, bindPipe)) + name
				parts = append(parts, name+" "+comparisons[word]+" "+c.at(right, bindPipe))
				continue
			}
		}
		parts = append(parts, c.at(left, bindPipe)+" "+comparisons[word]+" "+c.at(right, bindPipe))
	}
	if len(parts) == 1 {
		return parts[0], bindCompare
	}
	return strings.Join(parts, " and "), bindAnd
}

func isBool(n *Node) bool { return n.is("Constant") && n.Word("t") == "bool" }

// pure reports whether an expression may be evaluated twice without anybody noticing.
func pure(n *Node) bool {
	ok := true
	n.walk(func(x *Node) bool {
		switch {
		case x.is("Call"):
			fn := x.At("func")
			known := fn.is("Name") && strings.Contains(" len abs int float str min max sum bool ", " "+fn.Word("id")+" ") ||
				fn.is("Attribute") && strings.Contains(" get lower upper strip items keys values ", " "+fn.Word("attr")+" ")
			ok = ok && known
		case x.is("Await", "NamedExpr", "Yield", "YieldFrom"):
			ok = false
		}
		return ok
	})
	return ok
}

// walrus takes the assignment out, before the statement.
func (c *converter) walrus(n *Node) string {
	name := c.name(n.At("target").Word("id"))
	if c.maybe > 0 {
		return c.refuse(n, "Starlark has no :=, and here it is not always evaluated, so it can not stand before the statement", "assign in a statement of its own")
	}
	c.pre = append(c.pre, name+" = "+c.whole(n.At("value")))
	return name
}

func (c *converter) lambda(n *Node) (string, int) {
	defer c.enter(n)()
	c.maybe++
	defer func() { c.maybe-- }()
	args := c.parameters(n)
	if args != "" {
		args = " " + args
	}
	return "lambda" + args + ": " + c.at(n.At("body"), bindLambda), bindLambda
}

// enter opens the scope of a def or lambda; what it gives closes it.
func (c *converter) enter(n *Node) func() {
	before := c.fn
	c.fn = scopeOf(n, before)
	return func() { c.fn = before }
}

// comprehension copies one; open and shut, when given, stand for its own brackets.
func (c *converter) comprehension(n *Node, open, shut string) string {
	c.maybe++
	defer func() { c.maybe-- }()
	before := c.fn
	scope := &function{node: n, parent: before, locals: map[string]bool{}, values: map[string][]*Node{}, kinds: map[string]string{}, used: map[string]bool{}, caught: map[string]bool{}, shared: map[string]bool{}}
	if before != nil {
		scope.used = before.used
	}
	for _, g := range n.List("generators") {
		if g.Word("is_async") == "1" {
			c.refuse(n, "Starlark has no async iteration", "gather the values in a list first")
		}
		g.At("target").walk(func(x *Node) bool {
			if x.is("Name") {
				scope.set(x.Word("id"), nil)
			}
			return true
		})
	}
	c.fn = scope
	defer func() { c.fn = before }()
	parts := n.parts()
	for _, g := range n.List("generators") { // iterating text needs .elems()
		if it := g.At("iter"); c.kind(it) == "str" {
			c.note(it, "text can not be iterated in Starlark; .elems() gives its bytes as text, which are its characters only in ASCII", "")
			parts = replacePart(parts, it, c.at(it, bindAtom)+".elems()")
		}
	}
	head := 0
	if open != "" { // also a generator that is the only argument has its call's parentheses
		head = 1
	}
	return open + c.span(n, parts, n.Start+head, n.End-head) + shut
}

// replacePart gives the parts with one of them standing for fixed text.
func replacePart(parts []*Node, old *Node, text string) []*Node {
	out := make([]*Node, len(parts))
	for i, p := range parts {
		out[i] = p
		if p == old {
			out[i] = &Node{Kind: "Fixed", Start: p.Start, End: p.End, Line: p.Line, text: p.text, words: map[string]string{"text": text}, placed: true}
		}
	}
	return out
}

// sequence copies lists and tuples; more than one star in them becomes a sum.
func (c *converter) sequence(n *Node) (string, int) {
	elts, stars := n.List("elts"), 0
	for _, e := range elts {
		if e.is("Starred") {
			stars++
		}
	}
	if stars == 0 {
		if n.is("Tuple") && n.text[n.Start] != '(' {
			return c.copied(n), bindLambda
		}
		return c.copied(n), bindAtom
	}
	var terms, run []string
	flush := func() {
		if len(run) > 0 {
			terms = append(terms, "["+strings.Join(run, ", ")+"]")
			run = nil
		}
	}
	for _, e := range elts {
		if !e.is("Starred") {
			run = append(run, c.ex(e))
			continue
		}
		flush()
		if v := e.At("value"); c.kind(v) == "list" {
			terms = append(terms, c.at(v, bindAdd))
		} else {
			terms = append(terms, "list("+c.ex(v)+")")
		}
	}
	flush()
	text, bind := strings.Join(terms, " + "), bindAdd
	if len(terms) == 1 {
		bind = bindAtom
		if v := elts[0].At("value"); c.kind(v) == "list" { // a copy is meant
			text = "list(" + text + ")"
		}
	}
	if n.is("Tuple") {
		return "tuple(" + text + ")", bindAtom
	}
	return text, bind
}

// dict copies a dict; ** in it becomes a union.
func (c *converter) dict(n *Node) (string, int) {
	keys, values := n.List("keys"), n.List("values")
	var terms, run []string
	spread := false
	flush := func() {
		if len(run) > 0 {
			terms = append(terms, "{"+strings.Join(run, ", ")+"}")
			run = nil
		}
	}
	for _, k := range keys {
		spread = spread || k == nil
	}
	if !spread {
		return c.copied(n), bindAtom
	}
	for i, k := range keys {
		if k != nil {
			run = append(run, c.ex(k)+": "+c.ex(values[i]))
			continue
		}
		flush()
		terms = append(terms, c.at(values[i], bindPipe))
	}
	flush()
	if len(terms) == 1 {
		return "dict(" + terms[0] + ")", bindAtom
	}
	return strings.Join(terms, " | "), bindPipe
}

func (c *converter) subscript(n *Node) (string, int) {
	value := n.At("value")
	if c.dotted(value) == "os.environ" {
		c.note(n, "a variable that is not set gives None, not a KeyError", "the operator allows it by BLUEPRINT_ENV")
		return c.library("env.get") + "(" + c.ex(n.At("slice")) + ")", bindAtom
	}
	if value.is("Name") && n.Word("ctx") == "" {
		if text, ok := c.counted(value, n.At("slice")); ok {
			return text, bindAtom
		}
	}
	if value.is("Attribute") && value.Word("attr") == "args" && c.caughtName(value.At("value")) {
		return c.ex(value.At("value")) + ".message", bindAtom
	}
	if name := c.enumOf(value); name != "" {
		c.note(n, "enums are structs of their values; looking one up by its name needs getattr", "")
		return "getattr(" + name + ", " + c.ex(n.At("slice")) + ")", bindAtom
	}
	return c.copied(n), bindAtom
}
