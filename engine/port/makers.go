package port

import "strings"

// This file writes the functions that classes become.

// exception writes what raises an own exception: nothing where its name and message are all
// there is, else a function with the constructor's parameters.
func (c *converter) exception(cl *class) {
	n := cl.node
	for name, m := range cl.methods {
		if strings.HasPrefix(name, "__") && name != "__str__" && name != "__init__" {
			c.refuse(m, "an error has no "+name+" in Starlark", "use its kind, message and details")
		}
	}
	if cl.init == nil || cl.init.Start < n.Start || cl.init.End > n.End {
		c.docComment(cl)
		if cl.init == nil {
			c.note(n, "Starlark has no exception classes: "+cl.name+" is the kind that fail_with and catch use", "")
		}
	}
	if cl.init != nil {
		c.raiserDef(cl)
	}
	for _, s := range n.List("body") {
		if name := s.Word("name"); s.is("FunctionDef", "AsyncFunctionDef") && name != "__init__" && name != "__str__" {
			c.blank()
			c.methodDef(s, cl.methodName(name), func(f *function) { f.caught["self"] = true })
		}
	}
}

// raiserDef writes def raise_x(fields): fail_with("X", message, {...}).
func (c *converter) raiserDef(cl *class) {
	init := cl.init
	defer c.enter(init)()
	c.fn.fields = map[string]bool{}
	for _, f := range cl.fields {
		c.fn.fields[f] = true
	}
	c.line("def " + cl.raiser() + "(" + c.parameters(init) + "):")
	c.depth++
	c.docstringOf(cl)
	message := ""
	for _, s := range init.List("body") {
		if call := s.At("value"); s.is("Expr") && call.is("Call") && superInit(call) {
			message = c.list(call.List("args"))
			if len(call.List("args")) > 1 {
				c.note(s, "the message of an error is one text; of several arguments the first is taken", "")
				message = c.ex(call.List("args")[0])
			}
			continue
		}
		c.initStmt(s)
	}
	if m := cl.methods["__str__"]; m != nil {
		if body := m.List("body"); len(body) == 1 && body[0].is("Return") {
			message = c.ex(body[0].At("value"))
		} else {
			c.refuse(m, "__str__ of an error must be one return", "give the message to super().__init__")
		}
	}
	if message == "" {
		message = `""`
		if p := params(init); len(p) > 1 {
			message = "str(" + p[1].Word("arg") + ")"
			if annotated(p[1].At("annotation")) == "str" {
				message = p[1].Word("arg")
			}
		}
	}
	details := make([]string, len(cl.fields))
	for i, f := range cl.fields {
		details[i] = quote(f) + ": " + c.name(f)
	}
	text := c.library("fail_with") + "(" + quote(cl.name) + ", " + message
	if len(details) > 0 {
		text += ", {" + strings.Join(details, ", ") + "}"
	}
	c.line(text + ")")
	c.depth--
}

// superInit reports whether a call is super().__init__(...).
func superInit(call *Node) bool {
	fn := call.At("func")
	if !fn.is("Attribute") || fn.Word("attr") != "__init__" {
		return false
	}
	v := fn.At("value")
	return v.is("Call") && v.At("func").Word("id") == "super" || v.is("Name")
}

// initStmt writes a statement of __init__ with fields as locals.
func (c *converter) initStmt(s *Node) {
	if isDocstring(s) {
		return
	}
	targets := s.List("targets")
	if s.is("AnnAssign") {
		targets = []*Node{s.At("target")}
	}
	if len(targets) == 1 && targets[0].is("Attribute") && targets[0].At("value").Word("id") == "self" {
		name := c.name(targets[0].Word("attr"))
		c.leading(s.Start)
		if v := s.At("value"); !v.is("Name") || v.Word("id") != targets[0].Word("attr") {
			c.line(name + " = " + c.whole(v))
		}
		c.trailing(s.End, len(c.lines)-1)
		return
	}
	c.stmt(s)
}

// docstringOf writes the class's docstring as that of its function.
func (c *converter) docstringOf(cl *class) {
	for _, body := range [][]*Node{cl.node.List("body"), cl.init.List("body")} {
		if len(body) > 0 && isDocstring(body[0]) {
			c.line(c.ex(body[0].At("value")))
			return
		}
	}
}

// methodDef writes a method as a function; prepare sets its scope up.
func (c *converter) methodDef(m *Node, name string, prepare func(*function)) {
	defer c.enter(m)()
	prepare(c.fn)
	c.line("def " + name + "(" + c.parameters(m) + "):")
	c.cursor = max(c.cursor, m.List("body")[0].Start)
	c.body(m.List("body"))
}

// structMaker writes a data class: a function of its fields that gives a struct. Methods
// are functions inside of it, so that calls stay as they are.
func (c *converter) structMaker(cl *class) {
	c.mutations(cl)
	fake := cl.init
	if fake == nil {
		fake = cl.node
	}
	leave := c.enter(fake)
	c.fn.fields = map[string]bool{}
	for _, f := range cl.fields {
		c.fn.fields[f], c.fn.locals[f] = true, true
	}
	for name := range cl.methods {
		c.fn.fields[name] = true
	}
	list, late := "", []string(nil)
	if cl.init != nil {
		list = c.parameters(cl.init)
	} else {
		list, late = c.fieldParameters(cl)
	}
	c.line("def " + c.name(cl.name) + "(" + list + "):")
	c.depth++
	c.docstringOf(cl)
	for _, l := range late {
		c.line(l)
	}
	members := c.members(cl)
	c.line("return " + c.library("struct") + "(" + strings.Join(members, ", ") + ")")
	c.depth--
	leave()
}

// members writes the body of a struct's maker and gives its arguments.
func (c *converter) members(cl *class) []string {
	var members []string
	for _, f := range cl.fields {
		members = append(members, f+" = "+c.name(f))
	}
	for _, init := range []*Node{cl.init, cl.methods["__post_init__"]} {
		for _, s := range init.List("body") {
			c.initStmt(s)
		}
	}
	for _, s := range cl.node.List("body") {
		name := s.Word("name")
		if !s.is("FunctionDef", "AsyncFunctionDef") || cl.methods[name] != s || name == "__post_init__" {
			continue
		}
		if strings.HasPrefix(name, "__") {
			c.refuse(s, "a struct has no "+name, "write it as a function")
			continue
		}
		if len(s.List("decorator_list")) > 0 && s.List("decorator_list")[0].Word("id") == "property" {
			body := s.List("body")
			if len(body) == 1 && body[0].is("Return") {
				c.note(s, "a property becomes a field, reckoned when the struct is made", "")
				c.line(name + " = " + c.whole(body[0].At("value")))
				members = append(members, name+" = "+name)
				continue
			}
			c.refuse(s, "a property of more than one return can not become a field", "write it as a method")
			continue
		}
		c.blank()
		c.methodDef(s, name, func(*function) {})
		c.blank()
		members = append(members, name+" = "+name)
	}
	return members
}

// fieldParameters are a data class's declared fields as parameters; defaults that are made
// anew for each value are set in the body.
func (c *converter) fieldParameters(cl *class) (string, []string) {
	var list, late []string
	for _, s := range cl.node.List("body") {
		if !s.is("AnnAssign") {
			continue
		}
		name, v := c.name(s.At("target").Word("id")), s.At("value")
		switch {
		case v == nil:
			list = append(list, name)
		case v.is("Call") && c.dotted(v.At("func")) == "dataclasses.field":
			if f := argument(v, -1, "default_factory"); f != nil {
				list = append(list, name+" = None")
				late = append(late, name+" = "+c.missing(f)+" if "+name+" == None else "+name)
			} else if d := argument(v, -1, "default"); d != nil {
				list = append(list, name+" = "+c.ex(d))
			} else {
				list = append(list, name)
			}
		default:
			list = append(list, name+" = "+c.ex(v))
		}
	}
	return strings.Join(list, ", "), late
}

// mutations refuses methods that change their object: a struct is not changed.
func (c *converter) mutations(cl *class) {
	for name, m := range cl.methods {
		if name == "__post_init__" {
			continue
		}
		m.walk(func(x *Node) bool {
			if x.is("Attribute") && x.Word("ctx") == "Store" && x.At("value").Word("id") == "self" {
				c.refuse(x, "the method "+name+" changes its object, and a struct is not changed", "use a dict and functions over it")
			}
			return true
		})
	}
}

// staticMethods writes methods without self as functions of the file.
func (c *converter) staticMethods(cl *class) {
	for _, s := range cl.node.List("body") {
		if name := s.Word("name"); s.is("FunctionDef", "AsyncFunctionDef") && cl.statics[name] == s {
			c.blank()
			before := c.renames["cls"]
			c.renames["cls"] = c.name(cl.name)
			c.methodDef(s, cl.methodName(name), func(f *function) {})
			if delete(c.renames, "cls"); before != "" {
				c.renames["cls"] = before
			}
		}
	}
}

// asDict is dataclasses.asdict(x), when it can be seen what x is.
func (c *converter) asDict(n, x *Node) (string, int) {
	var one *class
	for _, cl := range c.classes {
		if cl.data {
			if one != nil {
				return c.refuse(n, "the file has several data classes, and which one this is can not be seen", "write the dict out"), bindAtom
			}
			one = cl
		}
	}
	if one == nil || !pure(x) {
		return c.refuse(n, "what is turned into a dict here can not be seen", "write the dict out"), bindAtom
	}
	parts := make([]string, len(one.fields))
	for i, f := range one.fields {
		parts[i] = quote(f) + ": " + c.at(x, bindAtom) + "." + f
	}
	return "{" + strings.Join(parts, ", ") + "}", bindAtom
}
