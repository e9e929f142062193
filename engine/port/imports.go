package port

import (
	"sort"
	"strings"
)

// This file reads imports and finds the application part, which no blueprint has.

func sortedKeys(m map[string]*Node) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// surveyImports notes what names are imported, also in an if or try of the top level.
func (c *converter) surveyImports(n *Node) {
	n.walk(func(x *Node) bool {
		switch {
		case x.is("Import"):
			for _, a := range x.List("names") {
				c.importModule(x, a)
			}
		case x.is("ImportFrom"):
			for _, a := range x.List("names") {
				c.importName(x, a)
			}
		}
		return true
	})
}

func (c *converter) importModule(n, alias *Node) {
	path, as := alias.Word("name"), alias.Word("asname")
	if src := c.set.find(c.src, n, path); src != nil {
		name := as
		if name == "" {
			name, _, _ = strings.Cut(path, ".")
		}
		c.imports[name] = "load!." + path
		return
	}
	if as == "" {
		as, _, _ = strings.Cut(path, ".")
		path = as
	}
	c.imports[as] = path
}

func (c *converter) importName(n, alias *Node) {
	module, name, as := n.Word("module"), alias.Word("name"), alias.Word("asname")
	if as == "" {
		as = name
	}
	if c.set.find(c.src, n, join(module, name)) != nil {
		c.imports[as] = "load!." + as
		return
	}
	if c.set.find(c.src, n, module) != nil && name != "*" {
		c.imports[as] = "load:" + as
		return
	}
	if name == "*" {
		for _, x := range []string{"StateMachineBlueprint", "Blueprint", "F"} {
			if library(module) {
				c.imports[x] = module + "." + x
			}
		}
		return
	}
	if module == "" {
		module = strings.Repeat(".", max(1, len(n.Word("level"))))
	}
	c.imports[as] = module + "." + name
}

// join gives the dotted name of a module of a package.
func join(module, name string) string { return strings.Trim(module+"."+name, ".") }

// library reports whether a module is of the family whose blueprints are ported.
func library(module string) bool {
	root, _, _ := strings.Cut(module, ".")
	return root == "orchestrator" || root == "avtomatika"
}

// standard are modules of Python itself: a converted file of such a name is not what an
// import of it means.
var standard = strings.Fields(`abc argparse asyncio base64 collections concurrent contextlib copy csv dataclasses datetime decimal enum functools
glob hashlib io itertools json logging math operator os pathlib pickle random re shutil signal socket sqlite3 statistics string subprocess sys
tempfile textwrap threading time types typing typing_extensions unittest urllib uuid warnings`)

// find gives the converted file that an import names, or nil.
func (s *set) find(from *source, n *Node, module string) *source {
	level, _ := atoi(n.Word("level"))
	if root, _, _ := strings.Cut(module, "."); level == 0 && contains(standard, root) {
		return nil
	}
	if level == 0 {
		if src := s.modules[module]; src != nil {
			return src
		}
		// Beside the importing file, as when it is run as a script.
		if i := strings.LastIndexByte(from.name, '/'); i >= 0 {
			return s.modules[strings.ReplaceAll(from.name[:i], "/", ".")+"."+module]
		}
		return nil
	}
	parts := strings.Split(from.name, "/")
	if level > len(parts) {
		return nil
	}
	base := parts[:len(parts)-level]
	name := strings.Join(append(append([]string{}, base...), strings.Split(module, ".")...), ".")
	return s.modules[strings.Trim(name, ".")]
}

// importTargets gives the converted files that a statement imports from.
func (s *set) importTargets(from *source, n *Node) []*source {
	var out []*source
	if n.is("ImportFrom") {
		if src := s.find(from, n, n.Word("module")); src != nil {
			out = append(out, src)
		}
		for _, a := range n.List("names") {
			if src := s.find(from, n, join(n.Word("module"), a.Word("name"))); src != nil {
				out = append(out, src)
			}
		}
		return out
	}
	for _, a := range n.List("names") {
		if src := s.find(from, n, a.Word("name")); src != nil {
			out = append(out, src)
		}
	}
	return out
}

// importStmt writes a load for names of another converted file; all else needs nothing.
func (c *converter) importStmt(n *Node) {
	if c.fn != nil {
		c.surveyImports(n)
		if len(c.set.importTargets(c.src, n)) > 0 {
			c.refuse(n, "load stands at the top level of a file", "move the import there")
		}
		return
	}
	if n.is("Import") {
		for _, a := range n.List("names") {
			if src := c.set.find(c.src, n, a.Word("name")); src != nil {
				c.loadModule(n, a, src)
			}
		}
		return
	}
	src := c.set.find(c.src, n, n.Word("module"))
	var names []string
	for _, a := range n.List("names") {
		if module := c.set.find(c.src, n, join(n.Word("module"), a.Word("name"))); module != nil {
			c.loadModule(n, a, module)
			continue
		}
		if src == nil {
			continue
		}
		name, as := a.Word("name"), a.Word("asname")
		switch {
		case name == "*":
			c.refuse(n, "load names what it loads", "import the names that are used")
			return
		case c.bindsType(src, name):
			continue // only annotations use it
		case as != "" && as != name:
			names = append(names, c.name(as)+" = "+quote(name))
		default:
			names = append(names, quote(name))
		}
	}
	if len(names) > 0 {
		c.line("load(" + quote("//"+StarName(src.name)) + ", " + strings.Join(names, ", ") + ")")
	}
}

// bindsType reports whether a name of another file is something that is not carried over.
func (c *converter) bindsType(src *source, name string) bool {
	for _, n := range src.tree.List("body") {
		if n.is("ClassDef") && n.Word("name") == name {
			for _, b := range n.List("bases") {
				if b.Word("id") == "TypedDict" || b.Word("id") == "Protocol" {
					return true
				}
			}
		}
	}
	return false
}

// loadModule loads those names of a whole imported module that are used.
func (c *converter) loadModule(n, alias *Node, src *source) {
	as := alias.Word("asname")
	if as == "" {
		as = alias.Word("name")
	}
	used := map[string]bool{}
	c.src.tree.walk(func(x *Node) bool {
		if x.is("Attribute") && x.At("value").Source() == as {
			used[x.Word("attr")] = true
		}
		return true
	})
	var names []string
	for _, name := range sortedNames(used) {
		if to := c.loadedName(as, name); to != name {
			names = append(names, to+" = "+quote(name))
		} else {
			names = append(names, quote(name))
		}
	}
	if len(names) > 0 {
		c.line("load(" + quote("//"+StarName(src.name)) + ", " + strings.Join(names, ", ") + ")")
	}
}

// loadedName is the name here of a name of a module: with the module's before it, where the
// file has such a name of its own.
func (c *converter) loadedName(module, name string) string {
	if c.assigned[name] || c.imports[name] != "" {
		return strings.ReplaceAll(module, ".", "_") + "_" + name
	}
	return name
}

// fromModule is module.name of a converted file.
func (c *converter) fromModule(n *Node, path string) string {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return c.refuse(n, "a module is no value in Starlark", "load the names that are used")
	}
	module := n.At("value").Source()
	return c.loadedName(module, path[i+1:])
}

// applicationModules are those of which only an application has use.
var applicationModules = []string{"aiohttp.web", "fastapi", "flask", "uvicorn", "dotenv", "argparse", "click", "signal", "redis", "sys", "graphviz", "uvloop"}

// surveyApplication finds the names of the application part, and those that stand for what
// only a handler can read.
func (c *converter) surveyApplication(body []*Node) {
	for _, n := range body {
		name, value := moduleAssign(n)
		switch {
		case name == "" || c.blueprints[name] != nil && c.blueprints[name].node == value:
		case c.application(value):
			c.dropped[name] = true
		case c.readsRun(value):
			c.inlined[name] = value
		}
	}
	// A function that only the application part calls belongs to it.
	reachable := map[string]bool{}
	var follow func(n *Node)
	follow = func(n *Node) {
		n.walk(func(x *Node) bool {
			if x.is("Name") && len(c.functions[x.Word("id")]) > 0 && !reachable[x.Word("id")] {
				reachable[x.Word("id")] = true
				for _, def := range c.functions[x.Word("id")] {
					follow(def)
				}
			}
			return true
		})
	}
	for _, n := range body {
		if c.handlerDefs[n] || n.is("Assign", "ClassDef", "AnnAssign") {
			follow(n)
		}
		if r, fn := c.applied(n); r != nil {
			follow(fn)
		}
	}
	for name, defs := range c.functions {
		for _, def := range defs {
			if !c.handlerDefs[def] && !reachable[name] && (c.application(def) || c.calledByMain(body, name)) {
				c.dropped[name] = true
			}
		}
	}
}

// calledByMain reports whether the part under `if __name__` calls a function.
func (c *converter) calledByMain(body []*Node, name string) bool {
	found := false
	for _, n := range body {
		if isMain(n) {
			n.walk(func(x *Node) bool {
				found = found || x.is("Name") && x.Word("id") == name
				return !found
			})
		}
	}
	return found
}

func isMain(n *Node) bool {
	return n.is("If") && n.At("test").is("Compare") && strings.Contains(n.At("test").Source(), "__name__")
}

// application reports whether a piece uses what belongs to the application part.
func (c *converter) application(n *Node) bool {
	found := false
	n.walk(func(x *Node) bool {
		if !x.is("Name") || found {
			return !found
		}
		id := x.Word("id")
		path := c.imports[id]
		switch {
		case c.dropped[id]:
			found = true
		case library(path) && !contains([]string{"StateMachineBlueprint", "Blueprint", "F", "AsyncDictStore", "ActionFactory", "JobContext"}, path[strings.LastIndexByte(path, '.')+1:]):
			found = true
		default:
			for _, m := range applicationModules {
				found = found || path == m || strings.HasPrefix(path, m+".")
			}
		}
		return !found
	})
	return found
}

// readsRun reports whether a value can only be read while a handler runs.
func (c *converter) readsRun(n *Node) bool {
	found := false
	n.walk(func(x *Node) bool {
		if x.is("Attribute", "Name") {
			if path := c.dotted(x); strings.HasPrefix(path, "os.environ") || path == "os.getenv" {
				found = true
			}
		}
		found = found || x.is("Name") && c.inlined[x.Word("id")] != nil
		return !found
	})
	return found
}

// leftOut reports whether a statement is dropped, and says so.
func (c *converter) leftOut(n *Node) bool {
	head := *n
	head.End = n.Start + lineRest(n.text[n.Start:])
	name, _ := moduleAssign(n)
	switch {
	case n.is("Import", "ImportFrom"):
		return false
	case isMain(n):
		do := "start jobs with orrery run, serve or jobs start"
		if strings.Contains(n.Source(), "render_graph") {
			do = "draw it with orrery render FILE"
		}
		c.drop(&head, "the application part: a blueprint is not run as a script", do)
	case n.is("If") && strings.Contains(n.At("test").Source(), "TYPE_CHECKING"):
	case name != "" && c.shared[name]:
		c.note(n, "handlers change this value, and values of the module are frozen when the file is loaded: it became a key of the data store "+sharedStore,
			"it is now shared by all jobs of the blueprint and kept over restarts")
	case name != "" && c.dropped[name], n.is("FunctionDef", "AsyncFunctionDef") && c.dropped[n.Word("name")]:
		c.drop(&head, "the application part: the server does this", "")
	case name != "" && c.inlined[name] != nil:
		c.note(n, "variables of the environment are read when a handler runs, so "+name+" stands where it is used", "allow the variable by BLUEPRINT_ENV")
	case n.is("Expr") && n.At("value").is("Call") && c.blueprintCall(n, &head):
	case n.is("Expr", "Assign", "AugAssign", "If", "Try", "For") && c.application(n):
		c.drop(&head, "the application part: the server does this", "")
	case n.is("Try") && onlyImports(n):
		c.drop(&head, "modules are predeclared or not there: nothing is tried at load", "")
	case n.is("Assign", "AnnAssign") && name != "" && c.typeAlias(n):
	case n.is("AnnAssign") && n.At("value") == nil:
	default:
		return false
	}
	return true
}

// typeAlias reports whether an assignment only names a type.
func (c *converter) typeAlias(n *Node) bool {
	_, v := moduleAssign(n)
	if v.is("Subscript") && annotated(v) != "" && c.dotted(v.At("value")) == "" || strings.HasSuffix(c.dotted(n.At("annotation")), ".TypeAlias") {
		return true // dict[str, int]
	}
	for v.is("Subscript") {
		v = v.At("value")
	}
	path := c.dotted(v)
	if v.is("Call") {
		path = c.dotted(v.At("func"))
	}
	return strings.HasPrefix(path, "typing.")
}

func onlyImports(n *Node) bool {
	for _, s := range n.List("body") {
		if !s.is("Import", "ImportFrom") {
			return false
		}
	}
	return true
}

// blueprintCall drops calls of a blueprint that a file here does not need.
func (c *converter) blueprintCall(n, head *Node) bool {
	fn := n.At("value").At("func")
	if !fn.is("Attribute") || !fn.At("value").is("Name") || c.blueprints[fn.At("value").Word("id")] == nil {
		return false
	}
	switch fn.Word("attr") {
	case "validate":
		c.drop(head, "a blueprint is checked when it is loaded", "check it before with orrery check")
	case "render_graph":
		c.drop(head, "a graph is drawn from the text, by the command line", "draw it with orrery render FILE")
	case "event":
		c.drop(head, "events have no schemas here", "")
	default:
		return false
	}
	return true
}
