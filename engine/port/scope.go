package port

import "strconv"

// This file holds what is known of names: which are local to a function, and what kind of
// value they hold.

// function is the def under way.
type function struct {
	node    *Node
	parent  *function
	locals  map[string]bool
	values  map[string][]*Node // what a local name is given; nil entries are not known
	kinds   map[string]string  // by annotation
	caught  map[string]bool    // names bound by `except ... as name`
	used    map[string]bool    // all names that appear, so that new ones differ
	handler bool
	shared  map[string]bool // module-level values that it reads from a data store
	fields  map[string]bool // in the maker of a class: what self.name means a local by
	attempt *attempt        // the try body under way
}

// scopeOf collects the local names of a def or lambda; nested defs have their own.
func scopeOf(n *Node, parent *function) *function {
	f := &function{node: n, parent: parent, locals: map[string]bool{}, values: map[string][]*Node{}, kinds: map[string]string{},
		caught: map[string]bool{}, used: map[string]bool{}, shared: map[string]bool{}}
	for _, a := range params(n) {
		f.locals[a.Word("arg")] = true
		f.values[a.Word("arg")] = append(f.values[a.Word("arg")], nil)
		if kind := annotated(a.At("annotation")); kind != "" {
			f.kinds[a.Word("arg")] = kind
		}
	}
	n.walk(func(x *Node) bool {
		if x.is("Name") {
			f.used[x.Word("id")] = true
		}
		return true
	})
	if !n.is("Lambda") {
		f.collect(n.List("body"))
	}
	n.walk(func(x *Node) bool {
		if x.is("Global", "Nonlocal") {
			for _, w := range x.List("names") {
				delete(f.locals, w.Word("v"))
			}
		}
		return x == n || !isScope(x)
	})
	return f
}

func isScope(n *Node) bool { return n.is("FunctionDef", "AsyncFunctionDef", "Lambda", "ClassDef") }

func isComprehension(n *Node) bool { return n.is("ListComp", "SetComp", "DictComp", "GeneratorExp") }

// params gives all parameters of a def or lambda.
func params(n *Node) []*Node {
	a := n.At("args")
	var out []*Node
	for _, field := range []string{"posonlyargs", "args"} {
		out = append(out, a.List(field)...)
	}
	if v := a.At("vararg"); v != nil {
		out = append(out, v)
	}
	out = append(out, a.List("kwonlyargs")...)
	if v := a.At("kwarg"); v != nil {
		out = append(out, v)
	}
	return out
}

func (f *function) set(name string, value *Node) {
	f.locals[name] = true
	f.values[name] = append(f.values[name], value)
}

// collect notes the names that statements give values to.
func (f *function) collect(body []*Node) {
	for _, s := range body {
		s.walk(func(x *Node) bool {
			switch {
			case x.is("FunctionDef", "AsyncFunctionDef", "ClassDef"):
				f.set(x.Word("name"), nil)
				return false
			case x.is("Lambda"), isComprehension(x):
				f.collectWalrus(x)
				return false
			case x.is("Assign"):
				for _, t := range x.List("targets") {
					if t.is("Name") {
						f.set(t.Word("id"), x.At("value"))
					}
				}
			case x.is("AnnAssign"):
				if t := x.At("target"); t.is("Name") {
					f.set(t.Word("id"), x.At("value"))
					f.kinds[t.Word("id")] = annotated(x.At("annotation"))
				}
			case x.is("NamedExpr"):
				f.set(x.At("target").Word("id"), x.At("value"))
			case x.is("ExceptHandler") && x.Word("name") != "":
				f.set(x.Word("name"), nil)
			case x.is("MatchAs", "MatchStar") && x.Word("name") != "":
				f.set(x.Word("name"), nil)
			case x.is("MatchMapping") && x.Word("rest") != "":
				f.set(x.Word("rest"), nil)
			case x.is("Name") && x.Word("ctx") == "Store":
				if f.values[x.Word("id")] == nil {
					f.set(x.Word("id"), nil)
				}
			}
			return true
		})
	}
}

// collectWalrus finds := inside comprehensions, whose names belong to the function.
func (f *function) collectWalrus(n *Node) {
	n.walk(func(x *Node) bool {
		if x.is("NamedExpr") {
			f.set(x.At("target").Word("id"), x.At("value"))
		}
		return true
	})
}

// local reports whether a name is local to the def under way or one around it.
func (c *converter) local(name string) bool {
	for f := c.fn; f != nil; f = f.parent {
		if f.locals[name] {
			return true
		}
	}
	return false
}

// fresh gives a name that the function does not use yet, and takes it.
func (c *converter) fresh(want string) string {
	used := c.assigned
	if c.fn != nil {
		used = c.fn.used
	}
	name := want
	for i := 2; used[name] || c.assigned[name] || c.emitted[name]; i++ {
		name = want + "_" + strconv.Itoa(i)
	}
	used[name] = true
	return name
}

// item gives a name for the variable of a comprehension, which nobody else sees.
func (c *converter) item() string {
	for _, name := range []string{"x", "item", "entry"} {
		if !c.assigned[name] {
			return name
		}
	}
	return c.fresh("item")
}

// annotated gives the kind that an annotation names, or "".
func annotated(n *Node) string {
	switch {
	case n.is("Name"):
		switch id := n.Word("id"); id {
		case "str", "int", "float", "bool", "list", "dict", "tuple", "set":
			return id
		case "List":
			return "list"
		case "Dict":
			return "dict"
		}
	case n.is("Subscript"):
		return annotated(n.At("value"))
	}
	return ""
}

// kind gives what kind of value an expression surely has, in Python's words, or "".
func (c *converter) kind(n *Node) string { return c.kindOf(n, 0) }

func (c *converter) kindOf(n *Node, depth int) string {
	if n == nil || depth > 8 {
		return ""
	}
	switch n.Kind {
	case "Constant":
		return n.Word("t")
	case "JoinedStr":
		return "str"
	case "List", "ListComp":
		return "list"
	case "Dict", "DictComp":
		return "dict"
	case "Set", "SetComp":
		return "set"
	case "Tuple":
		return "tuple"
	case "Compare":
		return "bool"
	case "Await":
		return c.kindOf(n.At("value"), depth+1)
	case "IfExp":
		if a := c.kindOf(n.At("body"), depth+1); a == c.kindOf(n.At("orelse"), depth+1) {
			return a
		}
	case "BinOp":
		a, b := c.kindOf(n.At("left"), depth+1), c.kindOf(n.At("right"), depth+1)
		if a == "str" && n.Word("op") == "Mod" || a == b && n.Word("op") == "Add" {
			return a
		}
	case "Call":
		return c.callKind(n, depth)
	case "Attribute":
		switch n.Word("attr") {
		case "state_history", "initial_data", "aggregation_results":
			return "dict"
		case "job_id", "step_id", "current_state":
			return "str"
		}
	case "Name":
		return c.nameKind(n.Word("id"), depth)
	}
	return ""
}

func (c *converter) callKind(n *Node, depth int) string {
	fn := n.At("func")
	if fn.is("Name") && !c.local(fn.Word("id")) {
		switch id := fn.Word("id"); id {
		case "str", "int", "float", "list", "dict", "set", "tuple", "bool":
			return id
		case "repr", "format", "input", "chr":
			return "str"
		case "sorted":
			return "list"
		case "len", "ord", "hash":
			return "int"
		}
	}
	if fn.is("Attribute") {
		switch fn.Word("attr") {
		case "strip", "lstrip", "rstrip", "upper", "lower", "title", "capitalize", "join", "replace", "format", "zfill", "ljust", "rjust", "isoformat", "strftime":
			return "str"
		case "split", "rsplit", "splitlines", "findall":
			return "list"
		case "copy":
			return c.kindOf(fn.At("value"), depth+1)
		}
		if c.dotted(fn) == "json.dumps" {
			return "str"
		}
	}
	return ""
}

func (c *converter) nameKind(id string, depth int) string {
	for f := c.fn; f != nil; f = f.parent {
		if !f.locals[id] {
			continue
		}
		if f.handler {
			switch id {
			case "state_history", "initial_data", "aggregation_results":
				return "dict"
			case "job_id":
				return "str"
			}
		}
		if k := f.kinds[id]; k != "" {
			return k
		}
		kind := ""
		for i, v := range f.values[id] {
			k := c.kindOf(v, depth+1)
			if k == "" || i > 0 && k != kind {
				return ""
			}
			kind = k
		}
		return kind
	}
	return ""
}

// mayBeTuple reports whether a value could be a tuple, which a %-format would take apart.
func (c *converter) mayBeTuple(n *Node) bool {
	if !c.tuples {
		return false
	}
	switch n.Kind {
	case "Constant", "JoinedStr", "Attribute", "Compare", "List", "ListComp", "Dict", "DictComp", "BoolOp", "BinOp", "UnaryOp":
		return n.is("BinOp", "BoolOp") && c.kind(n) == ""
	case "Subscript":
		return !n.At("value").is("Attribute")
	}
	if k := c.kind(n); k != "" {
		return k == "tuple"
	}
	if n.is("Name") && c.fn != nil && c.fn.handler && c.fn.locals[n.Word("id")] && len(c.fn.values[n.Word("id")]) == 1 {
		for _, p := range params(c.fn.node) {
			if p.Word("arg") == n.Word("id") {
				return false // filled from JSON
			}
		}
	}
	return true
}

// dotted gives the path of an imported thing, such as "os.environ.get", or "".
func (c *converter) dotted(n *Node) string {
	switch {
	case n.is("Name"):
		if path := c.aliases[n.Word("id")]; path != "" {
			return path
		}
		if c.local(n.Word("id")) {
			return ""
		}
		return c.imports[n.Word("id")]
	case n.is("Attribute"):
		if base := c.dotted(n.At("value")); base != "" {
			return base + "." + n.Word("attr")
		}
	}
	return ""
}
