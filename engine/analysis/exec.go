// This file interprets statements over values: both branches where a condition is not known, each round of a loop whose list is known.

package analysis

import (
	"go.starlark.net/syntax"
)

const (
	maxSteps      = 200_000 // statements and calls per module or handler; beyond it the rest counts as unknown
	maxCallDepth  = 40
	maxUnrolled   = 1024
	maxLoopRounds = 4 // rounds of a loop over an unknown list until its variables are taken to be unknown
)

// frame is the variables of a module, a function call or a comprehension.
type frame struct {
	vars   map[string]value
	parent *frame
}

func (f *frame) lookup(name string) value {
	for g := f; g != nil; g = g.parent {
		if v, ok := g.vars[name]; ok {
			return v
		}
	}
	return nil
}

// point is where execution stands: the variables of the present frame and the paths that lead here. Without paths, nothing leads here.
type point struct {
	vars  map[string]value
	paths pathSet
}

// loop collects where break and continue leave a loop's body.
type loop struct{ breaks, continues point }

// activation is one call of a function.
type activation struct {
	fn     *function
	result value
	exits  pathSet
	loops  []*loop
}

// interp interprets one module or one handler.
type interp struct {
	a         *analyzer
	paths     pathSet
	calls     []*activation
	uncertain int // how many branches are open that may not be taken
	steps     int
	depth     int         // of load(), of the module that is executed
	handler   *handlerRun // nil while a module is executed
}

func (in *interp) call() *activation { return in.calls[len(in.calls)-1] }

// step counts one unit of work and tells whether the budget is used up.
func (in *interp) step() bool {
	in.steps++
	return in.steps <= maxSteps
}

func (in *interp) save(f *frame) point {
	vars := make(map[string]value, len(f.vars))
	for k, v := range f.vars {
		vars[k] = v
	}
	return point{vars, in.paths.clone()}
}

func (in *interp) restore(f *frame, p point) {
	f.vars, in.paths = p.vars, p.paths
}

// meet joins two points; one that nothing leads to does not count.
func meet(a, b point) point {
	switch {
	case a.paths.empty() && b.vars != nil:
		return b
	case b.paths.empty():
		return a
	}
	vars := make(map[string]value, len(a.vars))
	for k, v := range a.vars {
		vars[k] = join(v, b.vars[k])
	}
	for k, v := range b.vars {
		if _, ok := vars[k]; !ok {
			vars[k] = v
		}
	}
	return point{vars, a.paths.union(b.paths)}
}

func (in *interp) block(f *frame, stmts []syntax.Stmt) {
	for _, s := range stmts {
		if in.paths.empty() || !in.step() {
			return
		}
		in.stmt(f, s)
	}
}

func (in *interp) stmt(f *frame, s syntax.Stmt) {
	switch s := s.(type) {
	case *syntax.ExprStmt:
		in.eval(f, s.X)
	case *syntax.AssignStmt:
		in.assignStmt(f, s)
	case *syntax.DefStmt:
		f.vars[s.Name.Name] = in.newFunction(f, s.Name.Name, s, s.Params, s.Body, nil)
	case *syntax.IfStmt:
		in.ifStmt(f, s)
	case *syntax.ForStmt:
		in.forStmt(f, s)
	case *syntax.ReturnStmt:
		var v value = none
		if s.Result != nil {
			v = in.eval(f, s.Result)
		}
		if call := in.call(); !in.paths.empty() {
			call.result = join(call.result, v)
			call.exits = call.exits.union(in.paths)
			in.noteIdle(s)
		}
		in.paths = nil
	case *syntax.BranchStmt:
		in.branchStmt(f, s)
	case *syntax.LoadStmt:
		in.loadStmt(f, s)
	}
}

func (in *interp) branchStmt(f *frame, s *syntax.BranchStmt) {
	loops := in.call().loops
	if s.Token == syntax.PASS || len(loops) == 0 {
		return
	}
	l := loops[len(loops)-1]
	if s.Token == syntax.BREAK {
		l.breaks = meet(l.breaks, in.save(f))
	} else {
		l.continues = meet(l.continues, in.save(f))
	}
	in.paths = nil
}

func (in *interp) assignStmt(f *frame, s *syntax.AssignStmt) {
	if s.Op == syntax.EQ {
		in.assign(f, s.LHS, in.eval(f, s.RHS))
		return
	}
	old, operand := in.eval(f, s.LHS), in.eval(f, s.RHS)
	// x += list changes the list in place, as in Starlark.
	if l, ok := old.(*listValue); ok && s.Op == syntax.PLUS_EQ {
		in.extend(l, operand)
		return
	}
	in.assign(f, s.LHS, in.binary(augmented[s.Op], old, operand))
}

// augmented gives the operator within an augmented assignment.
var augmented = map[syntax.Token]syntax.Token{
	syntax.PLUS_EQ: syntax.PLUS, syntax.MINUS_EQ: syntax.MINUS, syntax.STAR_EQ: syntax.STAR, syntax.PERCENT_EQ: syntax.PERCENT, syntax.PIPE_EQ: syntax.PIPE,
	syntax.SLASHSLASH_EQ: syntax.SLASHSLASH,
}

func (in *interp) assign(f *frame, lhs syntax.Expr, v value) {
	switch x := lhs.(type) {
	case *syntax.Ident:
		f.vars[x.Name] = v
	case *syntax.ParenExpr:
		in.assign(f, x.X, v)
	case *syntax.TupleExpr:
		in.assignAll(f, x.List, v)
	case *syntax.ListExpr:
		in.assignAll(f, x.List, v)
	case *syntax.IndexExpr:
		recv := in.eval(f, x.X)
		key := in.eval(f, x.Y)
		in.assignIndex(recv, key, v)
		if recv == (historyValue{}) {
			in.checkJSON("state_history["+describe(key)+"]", bound{v, lhs})
		}
	case *syntax.DotExpr:
		in.eval(f, x.X)
	}
}

func (in *interp) assignAll(f *frame, targets []syntax.Expr, v value) {
	for i, target := range targets {
		var part value
		for _, alt := range alternatives(v) {
			if l, ok := alt.(*listValue); ok && l.exact && len(l.elems) == len(targets) {
				part = join(part, l.elems[i])
			} else if ok {
				part = join(part, orUnknown(l.element()))
			} else {
				part = join(part, unknown{})
			}
		}
		in.assign(f, target, part)
	}
}

func (in *interp) assignIndex(recv, key, v value) {
	alts := alternatives(recv)
	for _, alt := range alts {
		switch x := alt.(type) {
		case *dictValue:
			x.set(key, v, len(alts) == 1 && in.uncertain <= x.depth)
		case *listValue:
			c, ok := key.(constant)
			i, isInt := c.v.(int64)
			if ok && isInt && x.exact && in.uncertain <= x.depth && i >= 0 && i < int64(len(x.elems)) {
				x.elems[i] = v
			} else {
				x.add(v, false)
			}
		case historyValue:
			in.wroteHistory(key)
		}
	}
}

func orUnknown(v value) value {
	if v == nil {
		return unknown{}
	}
	return v
}

func (in *interp) ifStmt(f *frame, s *syntax.IfStmt) {
	cond := in.eval(f, s.Cond)
	if in.paths.empty() {
		return
	}
	if t, known := truth(cond); known {
		if t {
			in.block(f, s.True)
		} else {
			in.block(f, s.False)
		}
		return
	}
	in.uncertain++
	before := in.save(f)
	in.narrow(f, s.Cond, true)
	in.block(f, s.True)
	then := point{f.vars, in.paths}
	in.restore(f, before)
	in.narrow(f, s.Cond, false)
	in.block(f, s.False)
	in.uncertain--
	in.restore(f, meet(then, point{f.vars, in.paths}))
}

func (in *interp) forStmt(f *frame, s *syntax.ForStmt) {
	in.iterate(f, in.eval(f, s.X), func(v value) {
		in.assign(f, s.Vars, v)
		in.block(f, s.Body)
	})
}

// iterate runs body once for each element of a known list; of an unknown one, as often as its variables still change.
func (in *interp) iterate(f *frame, over value, body func(element value)) {
	elems, exact := in.elements(over)
	l := &loop{}
	call := in.call()
	call.loops = append(call.loops, l)
	defer func() { call.loops = call.loops[:len(call.loops)-1] }()
	round := func(v value) {
		l.continues = point{}
		body(v)
		in.restore(f, meet(point{f.vars, in.paths}, l.continues))
	}
	if exact && len(elems) <= maxUnrolled {
		for _, v := range elems {
			if in.paths.empty() || !in.step() {
				break
			}
			round(v)
		}
		in.restore(f, meet(point{f.vars, in.paths}, l.breaks))
		return
	}
	var element value
	for _, e := range elems {
		element = join(element, e)
	}
	in.uncertain++
	in.unknownRounds(f, func() { round(orUnknown(element)) })
	in.uncertain--
	in.restore(f, meet(point{f.vars, in.paths}, l.breaks))
}

// unknownRounds runs a loop's body until its variables and paths are those of the round before; then it may have run any number of times, none included.
func (in *interp) unknownRounds(f *frame, round func()) {
	for i := 0; i < maxLoopRounds; i++ {
		before := in.save(f)
		if before.paths.empty() {
			return
		}
		round()
		after := meet(before, point{f.vars, in.paths})
		stable := after.paths.equal(before.paths) && sameVars(before.vars, after.vars)
		if !stable && i == maxLoopRounds-1 {
			for name, v := range after.vars {
				if !same(v, before.vars[name]) {
					after.vars[name] = unknown{}
				}
			}
		}
		in.restore(f, after)
		if stable {
			return
		}
	}
}

func sameVars(a, b map[string]value) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		w, ok := b[k]
		if !ok || !same(v, w) {
			return false
		}
	}
	return true
}

// elements lists what a loop over v meets; exact tells whether that is all, each once and in order.
func (in *interp) elements(v value) (elems []value, exact bool) {
	switch x := v.(type) {
	case *listValue:
		elems = append(elems, x.elems...)
		if x.rest {
			elems = append(elems, unknown{})
		}
		return elems, x.exact && !x.rest
	case *dictValue:
		for _, k := range x.keys {
			elems = append(elems, k)
		}
		if x.rest != nil {
			elems = append(elems, unknown{})
		}
		return elems, !x.maybe && x.rest == nil
	case *union:
		for _, alt := range x.of {
			part, _ := in.elements(alt)
			elems = append(elems, part...)
		}
		return elems, false
	}
	return []value{unknown{}}, false
}
