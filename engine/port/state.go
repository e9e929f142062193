package port

import (
	"sort"
	"strings"
)

// This file carries over what Python keeps in places that Starlark does not have: values
// of the module that handlers change, and the later family's context updates and events.

// sharedStore is the data store that holds the module's changing values.
const sharedStore = "module_state"

// findShared finds module-level names that functions give new values or change in place.
func (c *converter) findShared() {
	top := map[string]*Node{}
	for _, n := range c.src.tree.List("body") {
		target, value := moduleAssign(n)
		if target != "" {
			top[target] = value
		}
	}
	for _, defs := range c.functions {
		for _, def := range defs {
			scope := scopeOf(def, nil)
			def.walk(func(x *Node) bool {
				for _, name := range changedNames(x) {
					if top[name] != nil && !scope.locals[name] {
						c.shared[name] = true
					}
				}
				return true
			})
		}
	}
}

// moduleAssign gives the name and value of a plain assignment.
func moduleAssign(n *Node) (string, *Node) {
	switch {
	case n.is("Assign") && len(n.List("targets")) == 1 && n.List("targets")[0].is("Name"):
		return n.List("targets")[0].Word("id"), n.At("value")
	case n.is("AnnAssign") && n.At("target").is("Name") && n.At("value") != nil:
		return n.At("target").Word("id"), n.At("value")
	}
	return "", nil
}

// changing are methods that change their value in place.
var changing = " append extend insert remove pop clear update setdefault add discard popitem sort reverse appendleft popleft "

// changedNames gives the names whose values a node changes.
func changedNames(n *Node) []string {
	root := func(x *Node) []string {
		for x.is("Subscript", "Attribute") {
			x = x.At("value")
		}
		if x.is("Name") {
			return []string{x.Word("id")}
		}
		return nil
	}
	switch {
	case n.is("Global"):
		var out []string
		for _, w := range n.List("names") {
			out = append(out, w.Word("v"))
		}
		return out
	case n.is("Subscript") && n.Word("ctx") != "":
		return root(n)
	case n.is("Call") && n.At("func").is("Attribute") && strings.Contains(changing, " "+n.At("func").Word("attr")+" "):
		v := n.At("func").At("value")
		if v.is("Attribute") { // a field of something else: context.state_history.update
			return nil
		}
		return root(v)
	}
	return nil
}

// sharedIn gives the shared names that a def uses, sorted.
func (c *converter) sharedIn(def *Node) []string {
	if len(c.shared) == 0 {
		return nil
	}
	scope := scopeOf(def, nil)
	used := map[string]bool{}
	def.walk(func(x *Node) bool {
		if x.is("Name") && c.shared[x.Word("id")] && !scope.locals[x.Word("id")] {
			used[x.Word("id")] = true
		}
		return true
	})
	return sortedNames(used)
}

func sortedNames(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for name, yes := range m {
		if yes {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// storesExpr is how the def under way reaches its data stores.
func (c *converter) storesExpr() string {
	for _, p := range params(c.fn.node) {
		switch p.Word("arg") {
		case "data_stores":
			return "data_stores"
		case "context":
			return "context.data_stores"
		}
	}
	return "data_stores"
}

// openShared reads the shared values that a handler uses, at its start.
func (c *converter) openShared(def *Node) {
	for _, name := range c.sharedIn(def) {
		c.fn.shared[name] = true
		c.fn.locals[name] = true
		c.fn.values[name] = append(c.fn.values[name], nil)
		c.linef("%s = %s.%s.get(%s)", c.name(name), c.storesExpr(), sharedStore, quote(name))
	}
}

// writeBack keeps what a statement has changed where others find it: in the data store, and
// of a try's body that may fail halfway, in its dict.
func (c *converter) writeBack(n *Node) {
	if c.fn == nil {
		return
	}
	changed := map[string]bool{}
	n.walk(func(x *Node) bool {
		if x.is("Name") && (x.Word("ctx") == "Store" || x.Word("ctx") == "Del") {
			changed[x.Word("id")] = true
		}
		for _, name := range changedNames(x) {
			changed[name] = true
		}
		return !isScope(x)
	})
	if n.is("Global") {
		return
	}
	for _, name := range sortedNames(changed) {
		c.wrote(name)
	}
}

// wrote keeps the value that a name was just given, or that was changed.
func (c *converter) wrote(name string) {
	if c.fn.shared[name] {
		c.linef("%s.%s.set(%s, %s)", c.storesExpr(), sharedStore, quote(name), c.name(name))
	}
	if a := c.fn.attempt; a != nil && a.mirrors[name] {
		c.linef("%s[%s] = %s", a.kept, quote(name), c.name(name))
	}
}

// sharedInitial writes the initial values of the shared names as a data store's.
func (c *converter) sharedInitial() string {
	var parts []string
	for _, n := range c.src.tree.List("body") {
		name, value := moduleAssign(n)
		if !c.shared[name] {
			continue
		}
		if value.is("Set", "SetComp") || value.is("Call") && value.At("func").Word("id") == "set" {
			c.refuse(n, "the set "+name+" is changed by handlers, and a data store holds JSON, which has no sets", "use a dict or a list")
		}
		parts = append(parts, quote(name)+": "+c.ex(value))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// actionName gives the name of the action that a call is, or "".
func actionName(n *Node) string {
	fn := n.At("func")
	if !n.is("Call") || !fn.is("Attribute") {
		return ""
	}
	if v := fn.At("value"); v.is("Name") && v.Word("id") == "actions" || v.is("Attribute") && v.Word("attr") == "actions" {
		return fn.Word("attr")
	}
	return ""
}

// history is how the def under way reaches state_history.
func (c *converter) history() string {
	for _, p := range params(c.fn.node) {
		switch p.Word("arg") {
		case "state_history":
			return "state_history"
		case "context":
			return "context.state_history"
		}
	}
	return "state_history"
}

// extraParameters are those that a handler needs beside its own: they are filled by name.
func (c *converter) extraParameters(def *Node) []string {
	has := map[string]bool{}
	for _, p := range params(def) {
		has[p.Word("arg")] = true
	}
	updates := false
	def.walk(func(x *Node) bool {
		updates = updates || actionName(x) == "update_context"
		return true
	})
	var out []string
	if updates && !has["context"] && !has["state_history"] {
		out = append(out, "state_history")
	}
	if len(c.sharedIn(def)) > 0 && !has["context"] && !has["data_stores"] {
		out = append(out, "data_stores")
	}
	return out
}

// sendEvent writes an event of the later family to the job's log.
func (c *converter) sendEvent(n, call *Node) {
	name, payload := argument(call, 0, "event_type"), argument(call, 1, "payload")
	if name == nil || payload == nil {
		c.refuse(n, "this event can not be read", "write a log line")
		return
	}
	c.note(n, "events have no channel of their own here: the event becomes a line of the job's log, which the page and the API show as it comes", "")
	c.linef("%s(\"event %%s: %%s\", %s, %s(%s))", c.library("logging.info"), c.ex(name), c.library("json.encode"), c.ex(payload))
}

// leftOutKeywords are keywords of the later family that have no counterpart.
var leftOutKeywords = map[string]string{
	"skill_version": "tasks are matched by their type", "event_transitions": "events of a worker do not lead to states here",
	"resource_hint": "resource_requirements say what a worker must have",
}

// actionCall carries the actions' other names and keywords over.
func (c *converter) actionCall(n, fn *Node) (string, bool) {
	name := actionName(n)
	if name == "" {
		return "", false
	}
	switch name {
	case "go_to":
		name = "transition_to"
	case "update_context", "send_event":
		return c.refuse(n, name+" stands inside of an expression", "make it a statement of its own"), true
	case "dispatch_task":
		if len(n.List("args")) > 3 {
			return c.refuse(n, "the fourth argument of dispatch_task differs between the ages of the library", "name the arguments"), true
		}
	}
	parts := append([]*Node{}, n.List("args")...)
	left := map[*Node]bool{}
	for _, k := range n.List("keywords") {
		if why, ok := leftOutKeywords[k.Word("arg")]; ok && name == "dispatch_task" {
			c.drop(k, why, "")
			left[k] = true
			continue
		}
		parts = append(parts, k)
	}
	target := c.at(fn.At("value"), bindAtom) + "." + name
	if len(left) == 0 {
		return target + c.span(n, parts, fn.End, n.End), true
	}
	return target + c.without(n, fn.End, left), true
}

// without copies the rest of a call or dict from a place on, less some of its parts.
func (c *converter) without(n *Node, from int, left map[*Node]bool) string {
	var b strings.Builder
	pos := from
	for _, p := range n.parts() {
		if p.Start < from {
			continue
		}
		if !left[p] {
			b.WriteString(c.copyGap(n, pos, p.Start))
			b.WriteString(c.ex(p))
			pos = p.End
			continue
		}
		// The part goes with the comma after it, or before it when it is the last.
		rest := n.text[p.End:n.End]
		after := p.End
		if trimmed := strings.TrimLeft(rest, " \t\n"); strings.HasPrefix(trimmed, ",") {
			after += strings.IndexByte(rest, ',') + 1
		}
		b.WriteString(strings.TrimRight(c.copyGap(n, pos, p.Start), " \t\n"))
		b.WriteString("\n")
		pos = after
	}
	b.WriteString(c.copyGap(n, pos, n.End))
	return b.String()
}
