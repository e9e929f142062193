package port

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// This file carries over what declares a blueprint: its maker, the decorators of both ages
// of the library, and conditions.

// blueprint is one blueprint of the file.
type blueprint struct {
	variable string
	name     string
	node     *Node
	states   map[string]*Node // registered without a condition
}

// registration is one decorator, or call, that gives a state its handler.
type registration struct {
	node      *Node
	bp        *blueprint
	unknown   string // the variable, when nothing makes that blueprint
	state     *Node  // nil: the function's name
	aggregate bool
	options   []*Node // is_start and is_end
	condition *Node
	text      string // the state as text, when it is a constant
}

// makes reports whether a call makes a blueprint.
func (c *converter) makes(n *Node) bool {
	path := c.dotted(n.At("func"))
	if !n.is("Call") {
		return false
	}
	if id := n.At("func").Word("id"); path == "" { // an excerpt that leaves the import out
		return (id == "StateMachineBlueprint" || id == "Blueprint") && c.classes[id] == nil && len(c.functions[id]) == 0
	}
	return strings.HasSuffix(path, ".StateMachineBlueprint") || strings.HasSuffix(path, ".Blueprint") && !strings.HasPrefix(path, "flask") && !strings.HasPrefix(path, "sanic")
}

func (c *converter) blueprintNames() []string {
	out := []string{}
	for _, b := range c.order {
		out = append(out, b.name)
	}
	return out
}

// makeBlueprint writes the maker of a blueprint.
func (c *converter) makeBlueprint(n, call *Node, variable string) {
	fn := call.At("func")
	var dropped = map[*Node]bool{}
	parts := append([]*Node{}, call.List("args")...)
	for i, k := range call.List("keywords") {
		switch k.Word("arg") {
		case "name", "api_endpoint", "api_version", "description":
		case "data_stores":
			copied := *k
			copied.Kind = "Fixed"
			copied.words = map[string]string{"text": "data_stores = " + c.storeDict(k.At("value"))}
			call.List("keywords")[i] = &copied
			k = &copied
		default:
			c.drop(k, "a blueprint has no "+k.Word("arg")+" here", "")
			dropped[k] = true
		}
		parts = append(parts, k)
	}
	text := ""
	if len(dropped) > 0 {
		text = c.without(call, fn.End, dropped)
	} else {
		text = c.span(call, parts, fn.End, call.End)
	}
	c.line(c.name(variable) + " = StateMachineBlueprint" + text)
	if len(c.shared) > 0 && len(c.order) > 0 && c.order[0].node == call {
		c.trailing(n.End, len(c.lines)-1)
		c.linef("%s.add_data_store(%s, %s)", c.name(variable), quote(sharedStore), c.sharedInitial())
	}
}

// storeDict writes data_stores: names and initial values.
func (c *converter) storeDict(n *Node) string {
	if !n.is("Dict") {
		return c.ex(n)
	}
	var parts []string
	for i, k := range n.List("keys") {
		if k == nil {
			return c.refuse(n, "the data stores can not be seen", "write them out")
		}
		parts = append(parts, c.ex(k)+": "+c.storeValue(n.List("values")[i]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (c *converter) storeValue(v *Node) string {
	if v.is("Call") {
		if path := c.dotted(v.At("func")); strings.HasSuffix(path, "AsyncDictStore") {
			if count(v) == 0 {
				return "{}"
			}
			return c.ex(v.List("args")[0])
		}
	}
	if v.is("Dict") || v.is("Name") && !c.dropped[v.Word("id")] {
		return c.ex(v)
	}
	c.note(v, "a data store is kept by this server, not by a client of another one; what was in there is not taken over", "load what is needed with a first job")
	return "{}"
}

// registrations reads the decorators of a def; others are those that are something else.
func (c *converter) registrations(def *Node) (list []*registration, others []*Node) {
	decorators := def.List("decorator_list")
	for i := len(decorators) - 1; i >= 0; i-- { // the lowest is applied first
		if r := c.registration(decorators[i]); r != nil {
			list = append(list, r)
		} else {
			others = append(others, decorators[i])
		}
	}
	return list, others
}

var registrars = map[string]bool{"handler_for": true, "handler": true, "aggregator_for": true, "aggregator": true}

// registration reads one decorator: bp.handler_for(...), with or without .when(...),
// bp.handler, bp.handler(...), bp.aggregator and their like; nil when it is none.
func (c *converter) registration(d *Node) *registration {
	r := &registration{node: d}
	call := d
	if d.is("Call") && d.At("func").is("Attribute") && d.At("func").Word("attr") == "when" {
		r.condition = argument(d, 0, "")
		for _, k := range d.List("keywords") {
			r.condition = k.At("value")
		}
		call = d.At("func").At("value")
	}
	fn := call
	if call.is("Call") {
		fn = call.At("func")
	}
	if !fn.is("Attribute") || !registrars[fn.Word("attr")] || !fn.At("value").is("Name") {
		return nil
	}
	variable := fn.At("value").Word("id")
	if r.bp = c.blueprints[variable]; r.bp == nil {
		if path := c.imports[variable]; path != "" && !strings.HasPrefix(path, "load:") {
			return nil
		}
		r.unknown = variable
	}
	r.aggregate = strings.HasPrefix(fn.Word("attr"), "aggregator")
	if call.is("Call") {
		for _, a := range call.List("args") {
			switch {
			case r.state == nil && (a.is("Constant", "Name", "Attribute") && !c.fromF(a)):
				r.state = a
			case len(call.List("args")) > 1 && strings.HasSuffix(fn.Word("attr"), "_for"):
				r.options = append(r.options, a)
			default:
				r.condition = a
			}
		}
		for _, k := range call.List("keywords") {
			switch k.Word("arg") {
			case "state", "state_name", "name":
				r.state = k.At("value")
			case "condition":
				r.condition = k.At("value")
			default:
				r.options = append(r.options, k)
			}
		}
	}
	return r
}

// register writes the call that gives a state its handler.
func (c *converter) register(r *registration, def *Node, function string) {
	state := quote(def.Word("name"))
	r.text = def.Word("name")
	if r.state != nil {
		state = c.ex(r.state)
		r.text = r.state.Word("v")
	}
	if r.unknown != "" {
		c.refuse(r.node, "nothing in this file makes the blueprint "+r.unknown+": this is a fragment", "give the whole file, or add "+r.unknown+" = StateMachineBlueprint(name = ...)")
		return
	}
	if r.condition == nil && r.text != "" {
		if before := r.bp.states[r.text]; before != nil {
			c.refuse(r.node, fmt.Sprintf("the state %q is registered twice, first in line %d", r.text, before.Line), "decide for one of the two handlers, or give them conditions")
			return
		}
		r.bp.states[r.text] = r.node
	}
	method := "handler_for"
	if r.aggregate {
		method = "aggregator_for"
	}
	args := []string{state}
	for _, o := range r.options {
		if o.is("keyword") {
			if o.Word("arg") != "is_start" && o.Word("arg") != "is_end" && o.Word("arg") != "status" {
				c.drop(o, method+" has no "+o.Word("arg"), "")
				continue
			}
			args = append(args, o.Word("arg")+" = "+c.ex(o.At("value")))
			continue
		}
		args = append(args, c.ex(o))
	}
	text := c.name(r.bp.variable) + "." + method + "(" + strings.Join(args, ", ") + ")"
	if r.condition != nil {
		text += ".when(" + c.condition(r.condition) + ")"
	}
	c.line(text + "(" + function + ")")
}

// fromF reports whether an expression begins with the F of conditions.
func (c *converter) fromF(n *Node) bool {
	for n.is("Attribute", "Subscript", "Call") {
		if n.is("Call") {
			n = n.At("func")
			continue
		}
		n = n.At("value")
	}
	return n.is("Name") && strings.HasSuffix(c.imports[n.Word("id")], ".F")
}

// condition writes what .when takes: text stays text, F expressions become text.
func (c *converter) condition(n *Node) string {
	if n.is("Constant") && n.Word("t") == "str" {
		return c.conditionText(n)
	}
	if n.is("Lambda") {
		return c.ex(n)
	}
	text, ok := c.filter(n)
	if !ok {
		return c.refuse(n, "this condition has no counterpart", "give .when a function of context")
	}
	if strings.HasPrefix(text, "not ") {
		c.note(n, "a comparison with a missing key is false, so its opposite is true, as with ~F", "")
	}
	return quote(text)
}

var oldCondition = regexp.MustCompile(`^\s*context\.(\w+)\.(\w+)\s*(>=|<=|==|!=|>|<)\s*(.*?)\s*$`)

// conditionText carries a condition of the form `context.area.field op value` over. The
// library reads the value as a number where it is one, else as text, quoted or not.
func (c *converter) conditionText(n *Node) string {
	text := n.Word("v")
	m := oldCondition.FindStringSubmatch(text)
	if m == nil {
		c.note(n, "the library understands only context.area.field with one comparison; this is kept as it stands, and means here what it says", "look whether it is what was meant")
		return quote(text)
	}
	raw := m[4]
	bare := strings.Trim(raw, `'"`)
	value := "'" + strings.ReplaceAll(bare, "'", `\'`) + "'"
	_, err := strconv.ParseFloat(bare, 64)
	switch {
	case err == nil && bare == raw:
		value = bare
	case err == nil:
		c.note(n, "a quoted number is a number to the library, never text: written as a number", "quote it again if text is meant")
		value = bare
	case bare == "True" || bare == "False" || bare == "None":
		if bare == raw {
			c.note(n, "the library compares with the text '"+bare+"'; here it means the value, which is surely what was meant", "")
			value = bare
		}
	case bare == raw:
		c.note(n, "the library takes a word without quotes as text: written with quotes", "")
	}
	if value == raw || raw == `"`+bare+`"` && err != nil {
		return c.ex(n) // as the author wrote it
	}
	return quote(fmt.Sprintf("context.%s.%s %s %s", m[1], m[2], m[3], value))
}

// filter writes an F expression as the text of a condition.
func (c *converter) filter(n *Node) (string, bool) {
	switch {
	case n.is("Compare") && len(n.List("ops")) == 1:
		left, ok1 := c.filterTerm(n.At("left"))
		right, ok2 := c.filterTerm(n.List("comparators")[0])
		return left + " " + comparisons[n.List("ops")[0].Kind] + " " + right, ok1 && ok2
	case n.is("BinOp") && (n.Word("op") == "BitAnd" || n.Word("op") == "BitOr"):
		word := map[string]string{"BitAnd": "and", "BitOr": "or"}[n.Word("op")]
		left, ok1 := c.filterPart(n.At("left"), word)
		right, ok2 := c.filterPart(n.At("right"), word)
		return left + " " + word + " " + right, ok1 && ok2
	case n.is("UnaryOp") && n.Word("op") == "Invert":
		inner, ok := c.filter(n.At("operand"))
		if n.At("operand").is("Compare", "BinOp") {
			inner = "(" + inner + ")"
		}
		return "not " + inner, ok
	case n.is("Call") && n.At("func").is("Attribute"):
		word := map[string]string{"in_": "in", "not_in": "not in"}[n.At("func").Word("attr")]
		if word == "" || len(n.List("args")) != 1 {
			return "", false
		}
		left, ok1 := c.filterTerm(n.At("func").At("value"))
		right, ok2 := c.filterTerm(n.List("args")[0])
		return left + " " + word + " " + right, ok1 && ok2
	}
	return c.filterTerm(n)
}

// filterPart puts parentheses where and and or are mixed.
func (c *converter) filterPart(n *Node, word string) (string, bool) {
	text, ok := c.filter(n)
	if n.is("BinOp") && map[string]string{"BitAnd": "and", "BitOr": "or"}[n.Word("op")] != word {
		text = "(" + text + ")"
	}
	return text, ok
}

var plainKey = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// filterTerm writes a path that begins with F, or a constant.
func (c *converter) filterTerm(n *Node) (string, bool) {
	switch {
	case n.is("Name") && strings.HasSuffix(c.imports[n.Word("id")], ".F"):
		return "context", true
	case n.is("Attribute"):
		base, ok := c.filterTerm(n.At("value"))
		return base + "." + n.Word("attr"), ok
	case n.is("Subscript") && n.At("slice").is("Constant"):
		base, ok := c.filterTerm(n.At("value"))
		key := n.At("slice")
		if key.Word("t") == "str" && plainKey.MatchString(key.Word("v")) {
			return base + "." + key.Word("v"), ok
		}
		k, ok2 := c.filterTerm(key)
		return base + "[" + k + "]", ok && ok2
	case n.is("Constant") && n.Word("t") == "str":
		return "'" + strings.ReplaceAll(strings.ReplaceAll(n.Word("v"), `\`, `\\`), "'", `\'`) + "'", true
	case n.is("Constant"):
		text, _ := c.constant(n)
		return text, n.Word("t") != "bytes"
	case n.is("UnaryOp") && n.Word("op") == "USub":
		text, ok := c.filterTerm(n.At("operand"))
		return "-" + text, ok
	case n.is("List", "Tuple"):
		var parts []string
		for _, e := range n.List("elts") {
			text, ok := c.filterTerm(e)
			if !ok {
				return "", false
			}
			parts = append(parts, text)
		}
		return "[" + strings.Join(parts, ", ") + "]", true
	case n.is("Name") && c.constantOf(n.Word("id")) != nil:
		return c.filterTerm(c.constantOf(n.Word("id")))
	}
	return "", false
}

// constantOf gives the value of a module-level name that is set once, to a constant.
func (c *converter) constantOf(id string) *Node {
	var found *Node
	for _, n := range c.src.tree.List("body") {
		if name, value := moduleAssign(n); name == id {
			if found != nil || !value.is("Constant", "List", "Tuple") {
				return nil
			}
			found = value
		}
	}
	return found
}
