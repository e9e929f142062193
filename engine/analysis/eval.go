// This file interprets expressions over values.

package analysis

import (
	"math/big"

	"go.starlark.net/syntax"
)

func (in *interp) eval(f *frame, e syntax.Expr) value {
	switch x := e.(type) {
	case *syntax.Literal:
		return literal(x)
	case *syntax.Ident:
		return in.ident(f, x)
	case *syntax.ParenExpr:
		return in.eval(f, x.X)
	case *syntax.ListExpr:
		return in.evalList(f, x.List)
	case *syntax.TupleExpr:
		return in.evalList(f, x.List)
	case *syntax.DictExpr:
		return in.evalDict(f, x)
	case *syntax.CondExpr:
		return in.cond(f, x)
	case *syntax.BinaryExpr:
		return in.evalBinary(f, x)
	case *syntax.UnaryExpr:
		return unary(x.Op, in.eval(f, x.X))
	case *syntax.DotExpr:
		return in.attr(in.eval(f, x.X), x)
	case *syntax.IndexExpr:
		recv, key := in.eval(f, x.X), in.eval(f, x.Y)
		in.readHistory(recv, key, x)
		return index(recv, key)
	case *syntax.SliceExpr:
		return in.slice(f, x)
	case *syntax.LambdaExpr:
		return in.newFunction(f, "lambda", x, x.Params, nil, x.Body)
	case *syntax.Comprehension:
		return in.comprehension(f, x)
	case *syntax.CallExpr:
		return in.callExpr(f, x)
	}
	return unknown{}
}

func literal(x *syntax.Literal) value {
	switch v := x.Value.(type) {
	case string, int64, float64:
		return constant{v}
	case *big.Int:
		return unknown{}
	}
	return unknown{}
}

func (in *interp) ident(f *frame, x *syntax.Ident) value {
	if v := f.lookup(x.Name); v != nil {
		return v
	}
	switch x.Name {
	case "None":
		return none
	case "True":
		return constant{true}
	case "False":
		return constant{false}
	}
	if isModule, ok := predeclared[x.Name]; ok && isModule {
		return moduleValue{x.Name}
	} else if ok || isUniversal(x.Name) {
		return builtin{x.Name}
	}
	return unknown{}
}

func (in *interp) evalList(f *frame, exprs []syntax.Expr) value {
	l := &listValue{exact: true, depth: in.uncertain}
	for _, e := range exprs {
		l.elems = append(l.elems, in.eval(f, e))
	}
	return l
}

func (in *interp) evalDict(f *frame, x *syntax.DictExpr) value {
	d := newDict()
	d.depth = in.uncertain
	for _, e := range x.List {
		entry := e.(*syntax.DictEntry)
		key := in.eval(f, entry.Key)
		d.set(key, in.eval(f, entry.Value), true)
		if k, ok := key.(constant); ok {
			d.at[k] = entry.Value
		}
	}
	return d
}

func (in *interp) cond(f *frame, x *syntax.CondExpr) value {
	if t, known := truth(in.eval(f, x.Cond)); known {
		if t {
			return in.eval(f, x.True)
		}
		return in.eval(f, x.False)
	}
	in.uncertain++
	defer func() { in.uncertain-- }()
	before, original := in.save(f), in.save(f).vars
	in.narrow(f, x.Cond, true)
	then := in.eval(f, x.True)
	afterThen := in.paths
	in.restore(f, before)
	in.narrow(f, x.Cond, false)
	otherwise := in.eval(f, x.False)
	in.paths = afterThen.union(in.paths)
	f.vars = original
	return join(then, otherwise)
}

func (in *interp) evalBinary(f *frame, x *syntax.BinaryExpr) value {
	left := in.eval(f, x.X)
	if x.Op != syntax.AND && x.Op != syntax.OR {
		return in.binary(x.Op, left, in.eval(f, x.Y))
	}
	if t, known := truth(left); known {
		if t == (x.Op == syntax.OR) {
			return left
		}
		return in.eval(f, x.Y)
	}
	in.uncertain++
	defer func() { in.uncertain-- }()
	before := in.paths
	right := in.eval(f, x.Y)
	in.paths = before.union(in.paths)
	return join(left, right)
}

// attr gives a member of a value, and finds misspelt ones of actions, context and blueprints.
func (in *interp) attr(recv value, x *syntax.DotExpr) value {
	var result value
	for _, alt := range alternatives(recv) {
		result = join(result, in.attrOf(alt, x))
	}
	return result
}

func (in *interp) attrOf(recv value, x *syntax.DotExpr) value {
	name := x.Name.Name
	switch r := recv.(type) {
	case contextValue:
		switch name {
		case "actions":
			return actionsValue{}
		case "state_history":
			return historyValue{}
		}
		in.checkAttr(x, "context", contextAttrs)
		return unknown{}
	case actionsValue:
		if _, ok := actionSignatures[name]; !ok {
			in.checkAttr(x, "actions", actionNames())
			if in.handler != nil {
				in.handler.lost = true // what was meant is an action
			}
			return unknown{}
		}
		return &method{r, name}
	case *blueprintInfo:
		in.checkAttr(x, "a blueprint", blueprintAttrs)
		switch name {
		case "name":
			return constant{r.name}
		case "api_endpoint", "api_version", "description":
			return unknown{}
		}
		return &method{r, name}
	case *structValue:
		if v, ok := r.fields[name]; ok {
			return v
		}
		return unknown{}
	case moduleValue:
		in.checkMember(x, r.name)
		return builtin{r.name + "." + name}
	case unknown, builtin:
		return unknown{}
	}
	return &method{recv, name}
}

func (in *interp) checkAttr(x *syntax.DotExpr, owner string, names []string) {
	name := x.Name.Name
	for _, n := range names {
		if n == name {
			return
		}
	}
	in.a.reportSpan(ruleAttribute, x.Name.NamePos, len([]rune(name)), owner+" has no "+quote(name), didYouMean(name, names))
}

// checkMember does the same for a module, and says what to write for what Python has and we have not.
func (in *interp) checkMember(x *syntax.DotExpr, module string) {
	name, names := x.Name.Name, moduleAttrs[module]
	if containsName(names, name) {
		return
	}
	suggestion := pythonMembers[module+"."+name]
	if suggestion == "" {
		suggestion = didYouMeanOr(name, names, "it has")
	}
	in.a.reportSpan(ruleAttribute, x.Name.NamePos, len([]rune(name)), "the module "+module+" has no "+quote(name), suggestion)
}

func index(recv, key value) value {
	var result value
	for _, r := range alternatives(recv) {
		for _, k := range alternatives(key) {
			result = join(result, indexOne(r, k))
		}
	}
	return result
}

func indexOne(recv, key value) value {
	k, isConst := key.(constant)
	switch r := recv.(type) {
	case *dictValue:
		if isConst {
			if v, ok := r.vals[k]; ok {
				return joinRest(v, r.rest)
			}
			return orUnknown(r.rest)
		}
		// An unknown key of a known dict gives one of its values: a table of transitions chosen by data.
		return orUnknown(r.any())
	case *listValue:
		i, ok := k.v.(int64)
		if !isConst || !ok || !r.exact {
			return orUnknown(r.element())
		}
		if i < 0 {
			i += int64(len(r.elems))
		}
		if i >= 0 && i < int64(len(r.elems)) {
			return r.elems[i]
		}
	case constant:
		s, isText := r.v.(string)
		i, ok := k.v.(int64)
		if i < 0 {
			i += int64(len(s))
		}
		if isText && ok && i >= 0 && i < int64(len(s)) {
			return constant{s[i : i+1]}
		}
	}
	return unknown{}
}

func joinRest(v, rest value) value {
	if rest == nil {
		return v
	}
	return join(v, rest)
}

func (in *interp) slice(f *frame, x *syntax.SliceExpr) value {
	recv := in.eval(f, x.X)
	bound := func(e syntax.Expr, missing int64) (int64, bool) {
		if e == nil {
			return missing, true
		}
		c, ok := in.eval(f, e).(constant)
		i, isInt := c.v.(int64)
		return i, ok && isInt
	}
	lo, okLo := bound(x.Lo, 0)
	hi, okHi := bound(x.Hi, 1<<40)
	clamp := func(i int64, n int) int {
		if i < 0 {
			i += int64(n)
		}
		return int(max(0, min(i, int64(n))))
	}
	known := okLo && okHi && x.Step == nil
	if s, ok := text(recv); ok && known {
		a, b := clamp(lo, len(s)), clamp(hi, len(s))
		return constant{s[a:max(a, b)]}
	}
	if l, ok := recv.(*listValue); ok {
		if known && l.exact {
			a, b := clamp(lo, len(l.elems)), clamp(hi, len(l.elems))
			return &listValue{elems: append([]value(nil), l.elems[a:max(a, b)]...), exact: true, depth: in.uncertain}
		}
		return &listValue{elems: append([]value(nil), l.elems...), rest: l.rest, depth: in.uncertain}
	}
	return unknown{}
}

// comprehension evaluates its body in a frame of its own, once for each element.
func (in *interp) comprehension(f *frame, x *syntax.Comprehension) value {
	inner := &frame{vars: map[string]value{}, parent: f}
	l := &listValue{exact: true, depth: in.uncertain}
	d := newDict()
	d.depth = in.uncertain
	entry, isDict := x.Body.(*syntax.DictEntry)
	in.clauses(inner, x.Clauses, func() {
		if isDict {
			d.set(in.eval(inner, entry.Key), in.eval(inner, entry.Value), in.uncertain <= d.depth)
		} else {
			l.add(in.eval(inner, x.Body), in.uncertain <= l.depth)
		}
	})
	if isDict {
		return d
	}
	return l
}

func (in *interp) clauses(f *frame, clauses []syntax.Node, body func()) {
	if !in.step() || in.paths.empty() {
		return
	}
	if len(clauses) == 0 {
		body()
		return
	}
	switch c := clauses[0].(type) {
	case *syntax.ForClause:
		in.iterate(f, in.eval(f, c.X), func(v value) {
			in.assign(f, c.Vars, v)
			in.clauses(f, clauses[1:], body)
		})
	case *syntax.IfClause:
		t, known := truth(in.eval(f, c.Cond))
		if known && t {
			in.clauses(f, clauses[1:], body)
		} else if !known {
			in.uncertain++
			before := in.paths
			in.clauses(f, clauses[1:], body)
			in.paths = before.union(in.paths)
			in.uncertain--
		}
	}
}
