// This file interprets calls: it binds arguments, follows the blueprint's own functions, and knows when a value slips out of sight.

package analysis

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"
)

// arguments are the evaluated arguments of one call.
type arguments struct {
	node  *syntax.CallExpr
	pos   []value
	nodes []syntax.Expr // of pos
	names []namedArgument
	open  bool // there may be more, from *args or **kwargs that are not known
}

type namedArgument struct {
	name  string
	v     value
	node  syntax.Expr // of the value
	where syntax.Position
}

// at returns a positional argument, or nil.
func (a *arguments) at(i int) value {
	if i < len(a.pos) {
		return a.pos[i]
	}
	return nil
}

// named returns a keyword argument, or nil.
func (a *arguments) named(name string) value {
	for _, n := range a.names {
		if n.name == name {
			return n.v
		}
	}
	return nil
}

func (in *interp) arguments(f *frame, call *syntax.CallExpr) *arguments {
	args := &arguments{node: call}
	for _, e := range call.Args {
		switch x := e.(type) {
		case *syntax.BinaryExpr:
			if id, ok := x.X.(*syntax.Ident); ok && x.Op == syntax.EQ {
				args.names = append(args.names, namedArgument{id.Name, in.eval(f, x.Y), x.Y, id.NamePos})
				continue
			}
		case *syntax.UnaryExpr:
			if x.Op == syntax.STAR || x.Op == syntax.STARSTAR {
				in.spread(f, args, x)
				continue
			}
		}
		args.pos = append(args.pos, in.eval(f, e))
		args.nodes = append(args.nodes, e)
	}
	return args
}

// spread adds what *list or **dict gives.
func (in *interp) spread(f *frame, args *arguments, x *syntax.UnaryExpr) {
	v := in.eval(f, x.X)
	if d, ok := v.(*dictValue); ok && x.Op == syntax.STARSTAR {
		for _, k := range d.keys {
			name, isText := k.v.(string)
			if !isText {
				args.open = true
				continue
			}
			node := syntax.Expr(x)
			if e, ok := d.at[k].(syntax.Expr); ok {
				node = e
			}
			args.names = append(args.names, namedArgument{name, d.vals[k], node, syntax.Start(x)})
		}
		args.open = args.open || d.rest != nil || d.maybe
		return
	}
	if l, ok := v.(*listValue); ok && x.Op == syntax.STAR && l.exact {
		for _, e := range l.elems {
			args.pos = append(args.pos, e)
			args.nodes = append(args.nodes, x)
		}
		return
	}
	args.open = true
}

func (in *interp) callExpr(f *frame, call *syntax.CallExpr) value {
	if !in.step() {
		return unknown{}
	}
	fn := in.eval(f, call.Fn)
	args := in.arguments(f, call)
	if in.paths.empty() {
		return unknown{}
	}
	return in.callValue(fn, args)
}

// callValue calls each alternative from the same point, as branches of an if would be.
func (in *interp) callValue(fn value, args *arguments) value {
	alts := alternatives(fn)
	if len(alts) == 1 {
		return in.callOne(fn, args, true)
	}
	in.uncertain++
	defer func() { in.uncertain-- }()
	before := in.paths
	var after pathSet
	var result value
	for _, alt := range alts {
		in.paths = before
		result = join(result, in.callOne(alt, args, false))
		after = after.union(in.paths)
	}
	in.paths = after
	return result
}

func (in *interp) callOne(fn value, args *arguments, certain bool) value {
	switch x := fn.(type) {
	case *function:
		return in.callFunction(x, args, certain)
	case *method:
		switch recv := x.recv.(type) {
		case actionsValue:
			return in.action(x.name, args)
		case *blueprintInfo:
			return in.blueprintMethod(recv, x.name, args)
		case *registration:
			return in.registrationMethod(recv, x.name, args)
		}
		return in.callMethod(x, args)
	case *registration:
		return in.apply(x, args)
	case builtin:
		if module, _, _ := strings.Cut(x.name, "."); module == "random" || module == "http" {
			in.checkPlace(x.name, args)
		}
		return in.callNamed(x.name, args)
	}
	in.escape(args)
	return unknown{}
}

// callNamed handles the built-in functions that matter to the flow of a handler; callBuiltin knows the others.
func (in *interp) callNamed(name string, args *arguments) value {
	switch name {
	case "StateMachineBlueprint", "blueprint":
		return in.newBlueprint(args)
	case "sleep", "time.now", "time.time", "env.get", "uuid.uuid4":
		in.checkPlace(name, args)
	case "fail", "fail_with":
		in.paths = nil
		return unknown{}
	case "catch":
		if len(args.pos) == 0 {
			return unknown{}
		}
		before := in.paths
		inner := &arguments{node: args.node, pos: args.pos[1:], nodes: args.nodes[1:], names: args.names, open: args.open}
		v := in.callValue(args.pos[0], inner)
		if in.handler != nil && !in.paths.equal(before) {
			in.handler.lost = true // whether it acted is then only known by r.ok
		}
		// What fails inside is caught, so the way on is open from any point within.
		in.paths = before.union(in.paths)
		return &structValue{map[string]value{"ok": unknown{}, "value": join(v, none), "error": unknown{}}}
	}
	return in.callBuiltin(name, args)
}

// escape notes that actions or a blueprint are given to something that can not be followed.
func (in *interp) escape(args *arguments) {
	all := append([]value(nil), args.pos...)
	for _, n := range args.names {
		all = append(all, n.v)
	}
	for _, v := range all {
		for _, alt := range alternatives(v) {
			switch x := alt.(type) {
			case historyValue:
				in.historySlips()
			case contextValue, actionsValue:
				in.historySlips()
				in.slipped(args.node)
			case *method:
				if x.recv == (actionsValue{}) {
					in.slipped(args.node)
				}
			case *blueprintInfo:
				x.open = true
				in.a.reportNode(ruleDynamicState, args.node, "the blueprint is given to a function that is not known here, so its states may be more than are seen", "")
			}
		}
	}
}

func (in *interp) newFunction(f *frame, name string, node syntax.Node, params []syntax.Expr, body []syntax.Stmt, expr syntax.Expr) *function {
	fn := &function{name: name, node: node, params: params, body: body, expr: expr, closure: f, defaults: map[string]value{}}
	for _, p := range params {
		if b, ok := p.(*syntax.BinaryExpr); ok {
			fn.defaults[b.X.(*syntax.Ident).Name] = in.eval(f, b.Y)
		}
	}
	return fn
}

// callFunction follows a call into a def or lambda.
func (in *interp) callFunction(fn *function, args *arguments, certain bool) value {
	for _, c := range in.calls {
		if c.fn != nil && c.fn.node == fn.node {
			if certain {
				in.a.reportNode(ruleRecursion, args.node, fmt.Sprintf("%s calls itself, which Starlark refuses at run time", fn.name), "write it as a loop with a limit")
			}
			return unknown{}
		}
	}
	if len(in.calls) > maxCallDepth {
		in.escape(args)
		return unknown{}
	}
	f := &frame{vars: bindParameters(fn, args), parent: fn.closure}
	return in.run(fn, f)
}

// run interprets a function's body and leaves the paths that come out of it.
func (in *interp) run(fn *function, f *frame) value {
	act := &activation{fn: fn}
	in.calls = append(in.calls, act)
	defer func() { in.calls = in.calls[:len(in.calls)-1] }()
	if fn.expr != nil {
		return in.eval(f, fn.expr)
	}
	in.block(f, fn.body)
	if !in.paths.empty() {
		act.result = join(act.result, none)
		in.noteIdle(nameNode(fn))
	}
	in.paths = act.exits.union(in.paths)
	return orUnknown(act.result)
}

// bindParameters gives each parameter its argument, its default, or an unknown value.
func bindParameters(fn *function, args *arguments) map[string]value {
	vars := map[string]value{}
	next := 0
	keywordOnly := false
	rest := newDict()
	for _, n := range args.names {
		rest.put(constant{n.name}, n.v, true)
	}
	for _, p := range fn.params {
		switch x := p.(type) {
		case *syntax.UnaryExpr:
			id, named := x.X.(*syntax.Ident)
			if x.Op == syntax.STARSTAR {
				vars[id.Name] = rest
				continue
			}
			keywordOnly = true
			if named {
				l := &listValue{exact: !args.open, rest: args.open}
				l.elems = append(l.elems, args.pos[min(next, len(args.pos)):]...)
				vars[id.Name] = l
			}
			continue
		}
		name := parameterName(p)
		v := args.named(name)
		if v == nil && !keywordOnly && next < len(args.pos) {
			v = args.pos[next]
		}
		if !keywordOnly {
			next++
		}
		if v == nil {
			v = fn.defaults[name]
			if v != nil && args.open {
				v = join(v, unknown{})
			}
		}
		vars[name] = orUnknown(v)
		rest.drop(constant{name})
	}
	return vars
}

func parameterName(p syntax.Expr) string {
	switch x := p.(type) {
	case *syntax.Ident:
		return x.Name
	case *syntax.BinaryExpr:
		return x.X.(*syntax.Ident).Name
	}
	return ""
}

// bound is the argument of one parameter of a known signature.
type bound struct {
	v    value // nil when it is not given
	node syntax.Node
}

// bind checks a call against a signature and gives its arguments by name. A parameter that is not given has the whole call as its node.
func (in *interp) bind(what string, sig signature, args *arguments) map[string]bound {
	out := map[string]bound{}
	for i, v := range args.pos {
		if i >= len(sig.params) {
			in.a.reportNode(ruleBadArgument, args.nodes[i], fmt.Sprintf("%s takes at most %d arguments", what, len(sig.params)), "")
			break
		}
		out[sig.params[i]] = bound{v, args.nodes[i]}
	}
	for _, n := range args.names {
		if !containsName(sig.params, n.name) {
			suggestion := didYouMean(n.name, sig.params)
			if !sig.open || suggestion != "" {
				suggestion = didYouMeanOr(n.name, sig.params, "it knows")
				in.a.reportSpan(ruleUnknownKeyword, n.where, len([]rune(n.name)), fmt.Sprintf("%s has no keyword %s", what, quote(n.name)), suggestion)
			}
			continue
		}
		out[n.name] = bound{n.v, n.node}
	}
	for i, p := range sig.params {
		if _, ok := out[p]; ok {
			continue
		}
		if i < sig.required && !args.open {
			in.a.reportNode(ruleMissingArgument, args.node, fmt.Sprintf("%s needs %s", what, p), "")
		}
		out[p] = bound{nil, args.node}
		if args.open {
			out[p] = bound{unknown{}, args.node}
		}
	}
	return out
}

func containsName(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// drop removes a key.
func (d *dictValue) drop(k constant) {
	if _, ok := d.vals[k]; !ok {
		return
	}
	delete(d.vals, k)
	for i := range d.keys {
		if d.keys[i] == k {
			d.keys = append(d.keys[:i], d.keys[i+1:]...)
			return
		}
	}
}
