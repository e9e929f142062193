package port

import (
	"strconv"
	"strings"
	"unicode"
)

// This file carries small classes over: an exception becomes a function that fails with its
// kind, a data class a function that gives a struct, an enum a struct of its values.

// class is what is known of one class of the file.
type class struct {
	name      string
	node      *Node
	base      string // the own class it inherits from, or ""
	exception bool
	enum      bool
	plain     bool // its entries are texts or numbers themselves (class X(str, Enum))
	typed     bool // a TypedDict: its values are dicts
	data      bool // its fields are declared, not set by __init__
	fields    []string
	methods   map[string]*Node // those that take self
	statics   map[string]*Node // those that do not
	init      *Node
}

// methodName is the function that stands for a method of an exception, or a static one.
func (cl *class) methodName(method string) string { return snake(cl.name) + "_" + method }

// raiser is the function that raises an exception with fields.
func (cl *class) raiser() string { return "raise_" + snake(cl.name) }

// snake writes CamelCase as snake_case.
func snake(name string) string {
	var b strings.Builder
	r := []rune(name)
	for i, x := range r {
		if unicode.IsUpper(x) && i > 0 && (!unicode.IsUpper(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])) && r[i-1] != '_' {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(x))
	}
	return b.String()
}

// builtinErrors are Python's exceptions with the kinds that catch gives them here. A kind
// that a host call has ("unavailable") stands for those of connections.
var builtinErrors = map[string][]string{
	"Exception": nil, "BaseException": nil,
	"ValueError": {"ValueError"}, "TypeError": {"TypeError"}, "KeyError": {"KeyError"}, "IndexError": {"IndexError"}, "AttributeError": {"AttributeError"},
	"LookupError": {"LookupError", "KeyError", "IndexError"}, "ZeroDivisionError": {"ZeroDivisionError"},
	"ArithmeticError": {"ArithmeticError", "ZeroDivisionError", "OverflowError"}, "OverflowError": {"OverflowError"}, "RuntimeError": {"RuntimeError", "NotImplementedError", "RecursionError"},
	"NotImplementedError": {"NotImplementedError"}, "AssertionError": {"AssertionError"}, "StopIteration": {"StopIteration"}, "UnicodeError": {"UnicodeError"},
	"PermissionError": {"PermissionError"}, "OSError": {"OSError", "FileNotFoundError", "PermissionError", "ConnectionError", "TimeoutError", "unavailable"},
	"IOError":         {"OSError", "FileNotFoundError", "PermissionError", "ConnectionError", "TimeoutError", "unavailable"},
	"ConnectionError": {"ConnectionError", "ConnectionRefusedError", "ConnectionResetError", "unavailable"}, "TimeoutError": {"TimeoutError", "unavailable"},
	"ConnectionRefusedError": {"ConnectionRefusedError", "unavailable"}, "ConnectionResetError": {"ConnectionResetError", "unavailable"},
	"FileNotFoundError": {"FileNotFoundError", "unavailable"}, "RecursionError": {"RecursionError"}, "EOFError": {"EOFError"}, "NameError": {"NameError"},
}

// declare notes the classes of the module, so that they can be used before they stand there.
func (c *converter) declare(n *Node) {
	cl := &class{name: n.Word("name"), node: n, methods: map[string]*Node{}, statics: map[string]*Node{}}
	for _, b := range n.List("bases") {
		name := b.Word("id")
		if b.is("Attribute") {
			name = b.Word("attr")
		}
		_, known := builtinErrors[name]
		switch own := c.classes[name]; {
		case known || strings.HasSuffix(name, "Error") && own == nil || strings.HasSuffix(name, "Exception") && own == nil:
			cl.exception = true
		case own != nil:
			cl.base, cl.exception = name, own.exception
			if own.exception {
				cl.fields, cl.init = append(cl.fields, own.fields...), own.init
				for k, m := range own.methods {
					cl.methods[k] = m
				}
			}
		case strings.HasSuffix(name, "Enum"):
			cl.enum = true
			cl.plain = cl.plain || name == "StrEnum" || name == "IntEnum"
		case name == "str" || name == "int":
			cl.plain = true
		case name == "TypedDict":
			cl.typed = true
		case name == "NamedTuple":
			cl.data = true
		}
	}
	for _, d := range n.List("decorator_list") {
		if d.is("Call") {
			d = d.At("func")
		}
		cl.data = cl.data || c.dotted(d) == "dataclasses.dataclass"
	}
	for _, s := range n.List("body") {
		c.declareMember(cl, s)
	}
	c.classes[cl.name] = cl
}

func (c *converter) declareMember(cl *class, s *Node) {
	switch {
	case s.is("FunctionDef", "AsyncFunctionDef"):
		for _, d := range s.List("decorator_list") {
			if contains([]string{"staticmethod", "classmethod"}, d.Word("id")) {
				cl.statics[s.Word("name")] = s
				return
			}
		}
		if s.Word("name") == "__init__" {
			cl.init = s
			cl.fields = nil
			s.walk(func(x *Node) bool {
				if x.is("Attribute") && x.Word("ctx") == "Store" && x.At("value").Word("id") == "self" && !contains(cl.fields, x.Word("attr")) {
					cl.fields = append(cl.fields, x.Word("attr"))
				}
				return true
			})
			return
		}
		cl.methods[s.Word("name")] = s
	case s.is("AnnAssign") && cl.data:
		cl.fields = append(cl.fields, s.At("target").Word("id"))
	}
}

// kinds gives the kinds that `except name` takes; nil is all of them.
func (c *converter) kinds(t *Node) ([]string, bool) {
	name := t.Word("id")
	if t.is("Attribute") {
		name = t.Word("attr")
	}
	if cl := c.classes[name]; cl != nil {
		out := []string{name}
		for _, other := range c.src.tree.List("body") { // in the order of the file
			if o := c.classes[other.Word("name")]; other.is("ClassDef") && o != nil && c.inherits(o, name) && o.name != name {
				out = append(out, o.name)
			}
		}
		return out, false
	}
	if known, ok := builtinErrors[name]; ok {
		var out []string
		for i, kind := range known { // only what the language, a host or this file raises
			if i == 0 || contains([]string{"KeyError", "IndexError", "ZeroDivisionError", "unavailable"}, kind) || strings.Contains(c.src.text, kind) {
				out = append(out, kind)
			}
		}
		for _, n := range c.src.tree.List("body") {
			cl := c.classes[n.Word("name")]
			if !n.is("ClassDef") || cl == nil || !cl.exception || known == nil {
				continue
			}
			for _, b := range cl.node.List("bases") {
				if contains(known, b.Word("id")) {
					out = append(out, cl.name)
				}
			}
		}
		return out, known == nil
	}
	switch path := c.dotted(t); path {
	case "json.JSONDecodeError":
		return []string{"ValueError"}, false
	case "asyncio.TimeoutError":
		return builtinErrors["TimeoutError"], false
	}
	return []string{name}, false
}

func (c *converter) inherits(cl *class, name string) bool {
	for depth := 0; cl != nil && depth < 20; depth++ {
		if cl.name == name {
			return true
		}
		cl = c.classes[cl.base]
	}
	return false
}

// kindTest writes the test that an error is of one of the given classes.
func (c *converter) kindTest(kind string, types []*Node) string {
	var names []string
	for _, t := range types {
		list, all := c.kinds(t)
		if all {
			return "True"
		}
		for _, name := range list {
			if !contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return typeIn(kind, names)
}

// construct is a call of a class of the file.
func (c *converter) construct(n *Node, cl *class) (string, int) {
	switch {
	case cl.exception:
		return c.refuse(n, "an exception is no value in Starlark: it is only raised", "raise it here, or give its kind and message to who raises it"), bindAtom
	case cl.enum && cl.plain:
		c.note(n, "an enum of texts is a struct of texts here: a value is not checked by calling the enum", "test it with `in` where it matters")
		return c.expr(argument(n, 0, ""))
	case cl.enum:
		return c.refuse(n, "an enum is a struct here, and is not looked up by a value", "keep the values in a dict"), bindAtom
	case cl.typed:
		return "dict(" + c.list(n.List("args")) + strings.TrimPrefix(c.keywords(n, ""), ", ") + ")", bindAtom
	}
	return c.copyCall(n), bindAtom
}

// keywords writes the named arguments of a call after what stands before them.
func (c *converter) keywords(n *Node, before string) string {
	for _, k := range n.List("keywords") {
		if before != "" || k != n.List("keywords")[0] {
			before += ", "
		}
		if k.Word("arg") == "" {
			before += "**" + c.ex(k.At("value"))
		} else {
			before += k.Word("arg") + " = " + c.ex(k.At("value"))
		}
	}
	return before
}

// enumOf gives the name of the enum that a node names, or "".
func (c *converter) enumOf(n *Node) string {
	if n.is("Name") && !c.local(n.Word("id")) {
		if cl := c.classes[n.Word("id")]; cl != nil && cl.enum {
			return c.name(cl.name)
		}
	}
	return ""
}

// classAttribute is Class.name: a constant, a value of an enum, or a static method.
func (c *converter) classAttribute(n, value *Node, attr string) (string, int) {
	cl := c.classes[value.Word("id")]
	if cl.statics[attr] != nil {
		return cl.methodName(attr), bindAtom
	}
	if strings.HasPrefix(attr, "__") {
		return c.refuse(n, "Starlark has no "+attr, "list the names yourself"), bindAtom
	}
	return c.name(cl.name) + "." + attr, bindAtom
}

// selfField is self.name inside of a class that becomes a function: a plain local.
func (c *converter) selfField(attr string) (string, bool) {
	for f := c.fn; f != nil; f = f.parent {
		if f.fields[attr] {
			return c.name(attr), true
		}
	}
	return "", false
}

// classStmt writes a class of the module.
func (c *converter) classStmt(n *Node) {
	cl := c.classes[n.Word("name")]
	for _, d := range n.List("decorator_list") {
		if fn := d; !cl.data || cl.enum {
			c.refuse(fn, "a decorator of a class has no counterpart", "write what it does")
		}
	}
	switch {
	case cl.exception:
		c.exception(cl)
	case cl.enum:
		c.constants(cl)
	case cl.typed:
		c.drop(n, "a TypedDict only describes a dict", "")
	case len(n.List("bases")) > 0 && !cl.data:
		c.refuse(n, "the class "+cl.name+" inherits, and Starlark has no classes", "use functions over dicts or structs")
	case cl.init == nil && !cl.data && len(cl.methods) == 0:
		c.constants(cl)
		c.staticMethods(cl)
	default:
		c.structMaker(cl)
		c.staticMethods(cl)
	}
}

// constants writes a class that only holds values.
func (c *converter) constants(cl *class) {
	if cl.enum && len(cl.methods)+len(cl.statics) > 0 {
		c.refuse(cl.node, "the enum "+cl.name+" has methods", "write them as functions")
	}
	c.docComment(cl)
	at := len(c.lines)
	c.line(c.name(cl.name) + " = struct(")
	c.depth++
	number := 0
	for _, s := range cl.node.List("body") {
		value, target := s.At("value"), s.At("target")
		if s.is("Assign") && len(s.List("targets")) == 1 {
			target = s.List("targets")[0]
		}
		switch {
		case s.is("Assign", "AnnAssign") && target.is("Name") && value != nil:
			c.leading(s.Start)
			text := c.ex(value)
			if number++; value.is("Call") && value.At("func").Word("id") == "auto" {
				text = strconv.Itoa(number)
			}
			if cl.enum && !cl.plain {
				text = "struct(name = " + quote(target.Word("id")) + ", value = " + text + ")"
			}
			c.line(target.Word("id") + " = " + text + ",")
			c.trailing(s.End, len(c.lines)-1)
		case s.is("Pass"), isDocstring(s), s.is("FunctionDef"):
		default:
			c.refuse(s, "a class of constants holds plain assignments", "write it as a struct or functions")
		}
	}
	c.depth--
	c.line(")")
	c.library("struct")
	c.rescue(cl.node, at)
}

func isDocstring(n *Node) bool {
	return n.is("Expr") && n.At("value").is("Constant") && n.At("value").Word("t") == "str"
}

// docComment writes a class's docstring as a comment, where there is no def to hold it.
func (c *converter) docComment(cl *class) {
	if body := cl.node.List("body"); len(body) > 0 && isDocstring(body[0]) {
		for i, l := range strings.Split(strings.TrimSpace(body[0].At("value").Word("v")), "\n") {
			if l = strings.TrimSpace(l); i == 0 {
				l = cl.name + ": " + l
			}
			c.put(strings.TrimSpace("# " + l))
		}
	}
}
