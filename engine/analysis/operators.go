// This file evaluates operators over constants, as far as names of states and tables of transitions are computed with them.

package analysis

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"
)

// binary applies an operator to each pair of alternatives.
func (in *interp) binary(op syntax.Token, left, right value) value {
	var result value
	for _, l := range alternatives(left) {
		for _, r := range alternatives(right) {
			result = join(result, in.binaryOne(op, l, r))
		}
	}
	return result
}

func (in *interp) binaryOne(op syntax.Token, left, right value) value {
	if op == syntax.IN || op == syntax.NOT_IN {
		in.testHistory(left, right)
		if found, known := contains(right, left); known {
			return constant{found == (op == syntax.IN)}
		}
		return unknown{}
	}
	if s, ok := text(left); ok && op == syntax.PERCENT {
		return formatPercent(s, right)
	}
	switch l := left.(type) {
	case *listValue:
		if r, ok := right.(*listValue); ok && op == syntax.PLUS {
			if len(l.elems)+len(r.elems) > maxElements {
				return &listValue{elems: l.elems, rest: true, depth: in.uncertain}
			}
			both := append(append([]value(nil), l.elems...), r.elems...)
			return &listValue{elems: both, exact: l.exact && r.exact, rest: l.rest || r.rest, depth: in.uncertain}
		}
	case *dictValue:
		if r, ok := right.(*dictValue); ok && op == syntax.PIPE {
			d := l.clone()
			d.depth = in.uncertain
			d.merge(r, true)
			return d
		}
	case constant:
		if r, ok := right.(constant); ok {
			return constants(op, l, r)
		}
	}
	return unknown{}
}

// contains tells whether a constant is in a known collection or text.
func contains(collection, v value) (found, known bool) {
	c, ok := v.(constant)
	if !ok {
		return false, false
	}
	switch x := collection.(type) {
	case *dictValue:
		_, found = x.vals[c]
		return found, !x.maybe && (found || x.rest == nil)
	case *listValue:
		for _, e := range x.elems {
			k, ok := e.(constant)
			if !ok {
				return false, false
			}
			if k == c {
				return true, x.exact
			}
		}
		return false, x.exact && !x.rest
	case constant:
		s, okS := x.v.(string)
		t, okT := c.v.(string)
		return strings.Contains(s, t), okS && okT
	}
	return false, false
}

func constants(op syntax.Token, l, r constant) value {
	switch op {
	case syntax.EQL:
		return constant{equalConstants(l, r)}
	case syntax.NEQ:
		return constant{!equalConstants(l, r)}
	}
	switch a := l.v.(type) {
	case string:
		if b, ok := r.v.(string); ok {
			return texts(op, a, b)
		}
		if n, ok := r.v.(int64); ok && op == syntax.STAR && n >= 0 && n*int64(len(a)) <= maxText && n <= maxText {
			return constant{strings.Repeat(a, int(n))}
		}
	case int64:
		if b, ok := r.v.(int64); ok {
			return integers(op, a, b)
		}
	}
	return unknown{}
}

func equalConstants(l, r constant) bool {
	switch a := l.v.(type) {
	case int64:
		if b, ok := r.v.(float64); ok {
			return float64(a) == b
		}
	case float64:
		if b, ok := r.v.(int64); ok {
			return a == float64(b)
		}
	}
	return l == r
}

func texts(op syntax.Token, a, b string) value {
	switch op {
	case syntax.PLUS:
		if len(a)+len(b) <= maxText {
			return constant{a + b}
		}
	case syntax.LT:
		return constant{a < b}
	case syntax.LE:
		return constant{a <= b}
	case syntax.GT:
		return constant{a > b}
	case syntax.GE:
		return constant{a >= b}
	}
	return unknown{}
}

// integers leaves results beyond 32 bits unknown, so that it can never overflow.
func integers(op syntax.Token, a, b int64) value {
	const limit = 1 << 31
	if a > limit || a < -limit || b > limit || b < -limit {
		return unknown{}
	}
	switch op {
	case syntax.PLUS:
		return constant{a + b}
	case syntax.MINUS:
		return constant{a - b}
	case syntax.STAR:
		return constant{a * b}
	case syntax.PERCENT, syntax.SLASHSLASH:
		if b == 0 {
			return unknown{}
		}
		q, r := a/b, a%b
		if r != 0 && (r < 0) != (b < 0) {
			q, r = q-1, r+b
		}
		if op == syntax.PERCENT {
			return constant{r}
		}
		return constant{q}
	case syntax.LT:
		return constant{a < b}
	case syntax.LE:
		return constant{a <= b}
	case syntax.GT:
		return constant{a > b}
	case syntax.GE:
		return constant{a >= b}
	}
	return unknown{}
}

func unary(op syntax.Token, v value) value {
	if op == syntax.NOT {
		if t, known := truth(v); known {
			return constant{!t}
		}
		return unknown{}
	}
	if c, ok := v.(constant); ok && op == syntax.MINUS {
		switch n := c.v.(type) {
		case int64:
			return constant{-n}
		case float64:
			return constant{-n}
		}
	}
	return unknown{}
}

// formatPercent evaluates text % values with %s, %d, %r and %%.
func formatPercent(format string, v value) value {
	args := []value{v}
	if l, ok := v.(*listValue); ok {
		if !l.exact {
			return unknown{}
		}
		args = l.elems
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(format, "%")
		b.WriteString(before)
		if !found {
			break
		}
		if after == "" {
			return unknown{}
		}
		verb := after[0]
		format = after[1:]
		if verb == '%' {
			b.WriteByte('%')
			continue
		}
		if len(args) == 0 {
			return unknown{}
		}
		c, ok := args[0].(constant)
		if u, isUnion := args[0].(*union); isUnion {
			return formatEach(b.String(), verb, u, format, args[1:])
		}
		args = args[1:]
		switch {
		case !ok:
			return unknown{}
		case verb == 's' || verb == 'd':
			b.WriteString(display(c))
		case verb == 'r':
			b.WriteString(showConstant(c))
		default:
			return unknown{}
		}
	}
	if b.Len() > maxText {
		return unknown{}
	}
	return constant{b.String()}
}

// formatEach continues a format once for each alternative of an argument.
func formatEach(done string, verb byte, u *union, rest string, args []value) value {
	var result value
	tail := formatPercent(rest, &listValue{elems: args, exact: true})
	for _, alt := range u.of {
		c, ok := alt.(constant)
		if !ok {
			return unknown{}
		}
		shown := display(c)
		if verb == 'r' {
			shown = showConstant(c)
		}
		for _, t := range alternatives(tail) {
			s, ok := text(t)
			if !ok {
				return unknown{}
			}
			result = join(result, constant{done + shown + s})
		}
	}
	return result
}

// display is str() of a constant.
func display(c constant) string {
	if s, ok := c.v.(string); ok {
		return s
	}
	if f, ok := c.v.(float64); ok && f == float64(int64(f)) {
		return fmt.Sprintf("%.1f", f)
	}
	return showConstant(c)
}
