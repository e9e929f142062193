package port

import (
	"fmt"
	"strconv"
	"strings"
)

// This file carries calls and attributes over: Python's built-in functions and the methods
// of its values. Functions of modules are in library.go.

// argument gives a call's argument by its place or name; nil when it is not given.
func argument(n *Node, place int, name string) *Node {
	for _, k := range n.List("keywords") {
		if name != "" && k.Word("arg") == name {
			return k.At("value")
		}
	}
	args := n.List("args")
	if place < 0 || place >= len(args) {
		return nil
	}
	for _, a := range args[:place+1] {
		if a.is("Starred") {
			return nil
		}
	}
	return args[place]
}

// count gives the number of positional and named arguments.
func count(n *Node) int { return len(n.List("args")) + len(n.List("keywords")) }

func (c *converter) call(n *Node) (string, int) {
	fn := n.At("func")
	if c.makes(n) {
		return c.refuse(n, "the blueprint is made inside of a function", "make it at the top level of the file: there its handlers are registered and checked"), bindAtom
	}
	if path := c.dotted(fn); path != "" {
		return c.libraryCall(n, path)
	}
	switch {
	case fn.is("Name"):
		id := fn.Word("id")
		if text, bind, ok := c.builtinCall(n, id); ok && !c.local(id) && !c.assigned[id] {
			return text, bind
		}
		if cl := c.classes[id]; cl != nil && !c.local(id) {
			return c.construct(n, cl)
		}
	case fn.is("Attribute"):
		if text, bind, ok := c.methodCall(n, fn); ok {
			return text, bind
		}
	}
	return c.copyCall(n), bindAtom
}

// copyCall copies a call with its layout.
func (c *converter) copyCall(n *Node) string {
	c.starred(n)
	args := n.List("args")
	if len(args) == 1 && len(n.List("keywords")) == 0 && args[0].is("GeneratorExp") && args[0].End == n.End {
		return c.at(n.At("func"), bindAtom) + "(" + c.ex(args[0]) + ")"
	}
	if starredTarget(&Node{lists: map[string][]*Node{"elts": args}}) && len(n.List("keywords")) > 0 {
		return c.ordered(n)
	}
	return c.copied(n)
}

// ordered writes a call's arguments in the one order that the formatter knows: *args after
// the named ones.
func (c *converter) ordered(n *Node) string {
	var plain, last []string
	for _, a := range n.List("args") {
		if a.is("Starred") {
			last = append(last, c.ex(a))
		} else {
			plain = append(plain, c.ex(a))
		}
	}
	for _, k := range n.List("keywords") {
		if k.Word("arg") == "" {
			last = append(last, "**"+c.at(k.At("value"), bindAtom))
		} else {
			plain = append(plain, k.Word("arg")+" = "+c.ex(k.At("value")))
		}
	}
	return c.at(n.At("func"), bindAtom) + "(" + strings.Join(append(plain, last...), ", ") + ")"
}

// starred refuses what Starlark's calls can not take.
func (c *converter) starred(n *Node) {
	stars, doubles := 0, 0
	for i, a := range n.List("args") {
		if a.is("Starred") {
			stars++
			if i < len(n.List("args"))-1 {
				c.refuse(n, "in Starlark *args stands after all other positional arguments", "join the lists first")
			}
		}
	}
	for _, k := range n.List("keywords") {
		if k.Word("arg") == "" {
			doubles++
		}
	}
	if stars > 1 || doubles > 1 {
		c.refuse(n, "a Starlark call takes one *args and one **kwargs", "join the lists or dicts first")
	}
}

// list writes arguments with commas.
func (c *converter) list(nodes []*Node) string {
	parts := make([]string, len(nodes))
	for i, a := range nodes {
		parts[i] = c.ex(a)
	}
	return strings.Join(parts, ", ")
}

// builtinCall carries over what is called by Python's own names; ok is false
// for what is the same in Starlark.
func (c *converter) builtinCall(n *Node, id string) (text string, bind int, ok bool) {
	if c.local(id) || c.assigned[id] {
		return "", 0, false
	}
	args := n.List("args")
	first := argument(n, 0, "")
	switch id {
	case "isinstance":
		if len(args) == 2 {
			return c.isInstance(n, args[0], args[1])
		}
	case "print":
		return c.print(n), bindAtom, true
	case "list", "tuple", "set", "frozenset":
		return c.collection(n, id, first)
	case "map", "filter":
		text, ok = c.mapped(n, id)
		return text, bindAtom, ok
	case "next":
		return c.next(n)
	case "round", "format":
		c.library(id)
	case "pow":
		c.library("pow")
	case "divmod", "hex", "oct", "bin":
		return c.numberCall(n, id)
	case "min", "max":
		if d := argument(n, -1, "default"); d != nil && first != nil {
			return c.extreme(n, id, first, d), bindAtom, true
		}
	case "str":
		switch {
		case len(args) == 1 && c.caughtName(first):
			return c.ex(first) + ".message", bindAtom, true
		case len(args) == 1:
			c.printed(n, first, "%s")
		}
	case "repr", "ascii":
		if first != nil {
			c.printed(n, first, "%r")
			if id == "ascii" {
				return "repr(" + c.ex(first) + ")", bindAtom, true
			}
		}
	case "len":
		if k := first; k != nil && c.kind(k) == "str" && !k.is("Attribute") && !k.is("Constant") {
			c.note(n, "len of text counts bytes in Starlark, not characters", "use len(list(text.codepoints())) where other than ASCII text may come")
		}
	case "zip", "enumerate", "range", "sorted", "reversed", "any", "all", "dict", "int", "float", "bool", "getattr", "hasattr", "type", "sum", "abs", "ord", "chr":
		return c.sharedCall(n, id)
	}
	return "", 0, false
}

// numberCall is for what Python says of numbers and Starlark in other words.
func (c *converter) numberCall(n *Node, id string) (text string, bind int, ok bool) {
	args, first := n.List("args"), argument(n, 0, "")
	switch id {
	case "divmod":
		if len(args) == 2 && pure(args[0]) && pure(args[1]) {
			a, b := c.at(args[0], bindMul), c.at(args[1], bindUnary)
			return fmt.Sprintf("(%s // %s, %s %% %s)", a, b, a, b), bindAtom, true
		}
		return c.refuse(n, "Starlark has no divmod", "use // and %"), bindAtom, true
	case "hex":
		return `"0x%x" % ` + c.at(first, bindUnary), bindMul, true
	case "oct":
		return `"0o%o" % ` + c.at(first, bindUnary), bindMul, true
	case "bin":
		return c.library("format") + "(" + c.ex(first) + `, "#b")`, bindAtom, true
	}
	return "", 0, false
}

// sharedCall is for names that both languages have, in the forms in which they differ.
func (c *converter) sharedCall(n *Node, id string) (text string, bind int, ok bool) {
	args, first := n.List("args"), argument(n, 0, "")
	if id == "dict" && first.is("GeneratorExp") {
		return "dict(" + c.ex(first) + ")", bindAtom, true
	}
	if contains([]string{"zip", "enumerate", "sorted", "reversed", "any", "all"}, id) && c.kind(first) == "str" && len(args) == 1 {
		c.note(first, "text can not be iterated in Starlark; .elems() gives its bytes as text, which are its characters only in ASCII", "")
		return id + "(" + c.at(first, bindAtom) + ".elems()" + prefixed(", ", c.keywords(n, "")) + ")", bindAtom, true
	}
	if start := argument(n, -1, "start"); id == "enumerate" && start != nil {
		return "enumerate(" + c.ex(first) + ", " + c.ex(start) + ")", bindAtom, true
	}
	if id == "type" && len(args) == 1 {
		return c.typeOf(n, first), bindAtom, true
	}
	for _, k := range n.List("keywords") {
		if k.Word("arg") == "strict" {
			c.note(n, "zip in Starlark always stops with the shortest list", "")
			return "zip(" + c.list(args) + ")", bindAtom, true
		}
	}
	return "", 0, false
}

// typeOf is type(x); of a caught error it is the error's kind.
func (c *converter) typeOf(n, x *Node) string {
	if c.caughtName(x) {
		return c.ex(x) + ".kind"
	}
	c.note(n, `the names of types differ: text is "string" and None "NoneType"`, "")
	return "type(" + c.ex(x) + ")"
}

// starTypes are Starlark's names of Python's types. A Boolean is an int in Python.
var starTypes = map[string][]string{
	"str": {"string"}, "int": {"int", "bool"}, "float": {"float"}, "bool": {"bool"}, "list": {"list"}, "dict": {"dict"}, "tuple": {"tuple"},
	"set": {"set"}, "frozenset": {"set"}, "bytes": {"bytes"}, "Mapping": {"dict"}, "Sequence": {"list", "tuple"}, "Number": {"int", "float", "bool"},
	"Real": {"int", "float", "bool"}, "Callable": {"function", "builtin_function_or_method"}, "NoneType": {"NoneType"},
}

// isInstance writes a test of a type's name.
func (c *converter) isInstance(n, x, types *Node) (string, int, bool) {
	list := []*Node{types}
	if types.is("Tuple") {
		list = types.List("elts")
	}
	for types.is("BinOp") && types.Word("op") == "BitOr" {
		list = append(list[:len(list)-1], types.At("right"), types.At("left"))
		types = types.At("left")
	}
	if c.caughtName(x) {
		return c.kindTest(c.ex(x)+".kind", list), bindCompare, true
	}
	var names []string
	for _, t := range list {
		name := t.Word("id")
		if t.is("Attribute") {
			name = t.Word("attr")
		}
		if t.is("Constant") {
			name = "NoneType"
		}
		known := starTypes[name]
		if known == nil {
			return c.refuse(n, "Starlark has no classes to test for", "test for a field with hasattr"), bindAtom, true
		}
		for _, k := range known {
			if !contains(names, k) {
				names = append(names, k)
			}
		}
	}
	return typeIn("type("+c.ex(x)+")", names), bindCompare, true
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func typeIn(value string, names []string) string {
	if len(names) == 1 {
		return value + " == " + quote(names[0])
	}
	quoted := make([]string, len(names))
	for i, x := range names {
		quoted[i] = quote(x)
	}
	return value + " in (" + strings.Join(quoted, ", ") + ")"
}

// typeTest carries `type(x) is dict` and `type(x).__name__ == "dict"` over.
func (c *converter) typeTest(n *Node) (string, bool) {
	ops := n.List("ops")
	if len(ops) != 1 {
		return "", false
	}
	left, right := n.At("left"), n.List("comparators")[0]
	of := left
	if of.is("Attribute") && of.Word("attr") == "__name__" {
		of = of.At("value")
	}
	if !of.is("Call") || !of.At("func").is("Name") || of.At("func").Word("id") != "type" || len(of.List("args")) != 1 || c.local("type") {
		return "", false
	}
	name := right.Word("id")
	if right.is("Constant") && right.Word("t") == "str" {
		name = right.Word("v")
	}
	negated := ops[0].Kind == "IsNot" || ops[0].Kind == "NotEq"
	if !negated && ops[0].Kind != "Is" && ops[0].Kind != "Eq" {
		return "", false
	}
	x := of.List("args")[0]
	op := " == "
	if negated {
		op = " != "
	}
	if c.caughtName(x) {
		return c.ex(x) + ".kind" + op + quote(name), true
	}
	known := starTypes[name]
	if known == nil {
		return "", false
	}
	return "type(" + c.ex(x) + ")" + op + quote(known[0]), true
}

// print drops what a job's log has no use for.
func (c *converter) print(n *Node) string {
	plain := true
	for _, k := range n.List("keywords") {
		switch k.Word("arg") {
		case "sep":
		case "flush":
			plain = false
		default:
			plain = false
			c.drop(k, "a job's log has whole lines and one place", "")
		}
	}
	for _, a := range n.List("args") {
		plain = plain && !c.caughtName(a)
		c.printed(n, a, "%s")
	}
	if plain {
		return c.copyCall(n)
	}
	var parts []string
	for _, a := range n.List("args") {
		if c.caughtName(a) {
			parts = append(parts, c.ex(a)+".message")
			continue
		}
		parts = append(parts, c.ex(a))
	}
	for _, k := range n.List("keywords") {
		if k.Word("arg") == "sep" {
			parts = append(parts, "sep = "+c.ex(k.At("value")))
		}
	}
	return "print(" + strings.Join(parts, ", ") + ")"
}

// collection is list(), tuple() or set() of something; text must be taken apart first.
func (c *converter) collection(n *Node, id string, first *Node) (string, int, bool) {
	if id == "frozenset" {
		id = "set"
	}
	switch {
	case first == nil:
		return id + "()", bindAtom, true
	case c.kind(first) == "str":
		return id + "(" + c.at(first, bindAtom) + ".elems())", bindAtom, true
	case id == "list" && first.is("GeneratorExp"):
		return c.ex(first), bindAtom, true
	case id == "list" && first.is("Call") && contains([]string{"map", "filter", "sorted"}, first.At("func").Word("id")):
		return c.ex(first), bindAtom, true
	}
	return id + "(" + c.ex(first) + ")", bindAtom, true
}

// mapped writes map and filter as a list.
func (c *converter) mapped(n *Node, id string) (string, bool) {
	args := n.List("args")
	if len(args) != 2 {
		return c.refuse(n, "Starlark has no map and filter", "write a list comprehension"), true
	}
	fn, over := args[0], c.at(args[1], bindOr)
	item := c.item()
	value := ""
	switch {
	case fn.is("Lambda") && len(params(fn)) == 1:
		item = params(fn)[0].Word("arg")
		leave := c.enter(fn)
		value = c.at(fn.At("body"), bindOr)
		leave()
	case fn.is("Constant"): // filter(None, xs)
		value = item
	default:
		call := &Node{Kind: "Call", text: n.text, Start: n.Start, End: n.End, Line: n.Line, words: map[string]string{}, nodes: map[string]*Node{"func": fn},
			lists: map[string][]*Node{"args": {{Kind: "Fixed", words: map[string]string{"text": item}}}}}
		if text, _, ok := c.builtinCall(call, fn.Word("id")); ok && fn.is("Name") {
			value = text
		} else {
			value = c.at(fn, bindAtom) + "(" + item + ")"
		}
	}
	if id == "map" {
		return fmt.Sprintf("[%s for %s in %s]", value, item, over), true
	}
	return fmt.Sprintf("[%s for %s in %s if %s]", item, item, over, value), true
}

// next is next(x for x in xs if ...): the first of a list.
func (c *converter) next(n *Node) (string, int, bool) {
	args := n.List("args")
	if len(args) == 0 || !args[0].is("GeneratorExp") {
		return "", 0, false
	}
	if len(args) == 1 {
		return c.ex(args[0]) + "[0]", bindAtom, true
	}
	return "(" + c.ex(args[0]) + " + [" + c.ex(args[1]) + "])[0]", bindAtom, true
}

// extreme is min or max with a default for an empty list.
func (c *converter) extreme(n *Node, id string, list, none *Node) string {
	key := ""
	if k := argument(n, -1, "key"); k != nil {
		key = ", key = " + c.ex(k)
	}
	return fmt.Sprintf("%s(%s or [%s]%s)", id, c.at(list, bindAnd), c.ex(none), key)
}

// caughtName reports whether the node is the name of an error that is being handled.
func (c *converter) caughtName(n *Node) bool {
	if !n.is("Name") {
		return false
	}
	for f := c.fn; f != nil; f = f.parent {
		if f.caught[n.Word("id")] {
			return true
		}
	}
	return false
}

// attribute copies an attribute, but for those of modules, errors and enums.
func (c *converter) attribute(n *Node) (string, int) {
	if path := c.dotted(n); path != "" {
		return c.imported(n, path)
	}
	value, attr := n.At("value"), n.Word("attr")
	if c.caughtName(value) {
		return c.errorField(n, value, attr), bindAtom
	}
	if value.is("Call") && value.At("func").is("Name") && value.At("func").Word("id") == "type" && attr == "__name__" {
		if x := argument(value, 0, ""); x != nil {
			return c.typeOf(n, x), bindAtom
		}
	}
	if c.enumOf(value) != "" || value.is("Name") && c.classes[value.Word("id")] != nil && !c.local(value.Word("id")) {
		return c.classAttribute(n, value, attr)
	}
	if value.is("Attribute") && attr == "name" && c.plainEnum(value.At("value")) {
		return quote(value.Word("attr")), bindAtom
	}
	if attr == "value" && c.plainValue(n, value) {
		return c.expr(value)
	}
	if value.is("Name") && value.Word("id") == "self" {
		if text, ok := c.selfField(attr); ok {
			return text, bindAtom
		}
	}
	if strings.HasPrefix(attr, "__") {
		return c.refuse(n, "Starlark has no "+attr, "name what is meant"), bindAtom
	}
	if attr == "total_seconds" {
		return c.at(value, bindAtom) + ".seconds", bindAtom
	}
	text, bind := c.expr(value) // what stands around the whole chain keeps its lines together
	if bind < bindAtom {
		text = "(" + text + ")"
	}
	return text + c.dot(n, value) + attr, bindAtom
}

// plainEnum reports whether a node names an enum whose entries are plain values.
func (c *converter) plainEnum(n *Node) bool {
	return c.enumOf(n) != "" && c.classes[n.Word("id")].plain
}

// plainValue reports whether x.value is x itself: an entry of such an enum.
func (c *converter) plainValue(n, value *Node) bool {
	if value.is("Attribute") && c.enumOf(value.At("value")) != "" {
		return c.plainEnum(value.At("value"))
	}
	plain := false
	for _, cl := range c.classes {
		if cl.enum && !cl.plain || contains(cl.fields, "value") {
			return false
		}
		plain = plain || cl.plain
	}
	if plain {
		c.note(n, "entries of the file's enums are plain values here, so .value is left out", "")
	}
	return plain
}

// dot copies what stands between a value and its attribute, comments and line breaks too.
func (c *converter) dot(n, value *Node) string {
	gap := n.text[value.End : n.End-len(n.Word("attr"))]
	if strings.Contains(gap, ")") || !strings.Contains(gap, "\n") || strings.Contains(gap, "#") {
		return "."
	}
	return strings.TrimRight(gap, " \t\n\\")
}

// errorField is an attribute of a caught error.
func (c *converter) errorField(n, value *Node, attr string) string {
	e := c.ex(value)
	switch attr {
	case "args":
		return "(" + e + ".message,)"
	case "message", "kind", "details":
		if !c.hasField(attr) {
			return e + "." + attr
		}
	case "__class__":
		return c.refuse(n, "an error has a kind, not a class", "use type(e).__name__")
	case "__traceback__", "__cause__", "__context__":
		return c.refuse(n, "an error has no "+attr+" in Starlark", "the job's history shows where a step failed")
	}
	return e + ".details[" + quote(attr) + "]"
}

// hasField reports whether an own exception of the file keeps a field of this name.
func (c *converter) hasField(attr string) bool {
	for _, cl := range c.classes {
		if cl.exception && contains(cl.fields, attr) {
			return true
		}
	}
	return false
}

func atoi(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil
}
