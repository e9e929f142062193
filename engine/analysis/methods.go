// This file evaluates the built-in functions and the methods of text, lists and dicts that blueprints compute state names with. Any other gives an unknown value.

package analysis

import (
	"strings"
)

// callMethod evaluates a method of a known text, list or dict.
func (in *interp) callMethod(m *method, args *arguments) value {
	switch recv := m.recv.(type) {
	case historyValue:
		return in.historyMethod(m.name, args)
	case *dictValue:
		return in.dictMethod(recv, m.name, args)
	case *listValue:
		return in.listMethod(recv, m.name, args)
	case constant:
		if s, ok := recv.v.(string); ok {
			return textMethod(s, m.name, args)
		}
	}
	return unknown{}
}

func (in *interp) dictMethod(d *dictValue, name string, args *arguments) value {
	sure := in.uncertain <= d.depth
	switch name {
	case "get", "setdefault", "pop":
		missing := args.at(1)
		if missing == nil {
			missing = none
		}
		v := missing
		if c, ok := args.at(0).(constant); ok {
			if held, ok := d.vals[c]; ok && !d.maybe {
				v = held
			} else if ok {
				v = join(held, missing)
			}
			v = joinRest(v, d.rest)
		} else {
			v = joinRest(missing, d.any())
		}
		if name == "setdefault" && args.at(0) != nil {
			d.set(args.at(0), v, sure)
		}
		return v
	case "keys", "values", "items":
		return in.dictParts(d, name)
	case "update":
		if other, ok := args.at(0).(*dictValue); ok {
			d.merge(other, sure)
		} else if args.at(0) != nil {
			d.rest = join(d.rest, unknown{})
		}
		for _, k := range args.names {
			d.put(constant{k.name}, k.v, sure)
		}
		return none
	}
	return unknown{}
}

func (in *interp) dictParts(d *dictValue, name string) value {
	l := &listValue{exact: !d.maybe && d.rest == nil, rest: d.rest != nil, depth: in.uncertain}
	for _, k := range d.keys {
		switch name {
		case "keys":
			l.elems = append(l.elems, k)
		case "values":
			l.elems = append(l.elems, d.vals[k])
		default:
			l.elems = append(l.elems, list(k, d.vals[k]))
		}
	}
	if d.rest != nil && name == "values" {
		l.elems = append(l.elems, d.rest)
	}
	return l
}

func (in *interp) listMethod(l *listValue, name string, args *arguments) value {
	switch name {
	case "append", "add":
		if v := args.at(0); v != nil {
			l.add(v, in.uncertain <= l.depth)
		}
		return none
	case "extend":
		if v := args.at(0); v != nil {
			in.extend(l, v)
		}
		return none
	case "insert":
		l.exact = false
		if v := args.at(1); v != nil {
			l.add(v, false)
		}
		return none
	case "pop", "remove", "clear":
		v := orUnknown(l.element())
		l.exact = false
		return v
	}
	return unknown{}
}

func (in *interp) extend(l *listValue, v value) {
	elems, exact := in.elements(v)
	for _, e := range elems {
		if _, ok := e.(unknown); ok && !exact {
			l.rest = true
			l.exact = false
			continue
		}
		l.add(e, exact && in.uncertain <= l.depth)
	}
}

var textMethods = map[string]func(string) value{
	"upper": func(s string) value { return constant{strings.ToUpper(s)} },
	"lower": func(s string) value { return constant{strings.ToLower(s)} },
	"strip": func(s string) value { return constant{strings.TrimSpace(s)} },
	"capitalize": func(s string) value {
		return constant{strings.ToUpper(s[:min(1, len(s))]) + strings.ToLower(s[min(1, len(s)):])}
	},
}

func textMethod(s, name string, args *arguments) value {
	if fn, ok := textMethods[name]; ok && len(args.pos) == 0 {
		return fn(s)
	}
	first, okFirst := text(args.at(0))
	switch name {
	case "format":
		return formatBraces(s, args)
	case "join":
		return joinTexts(s, args.at(0))
	case "split":
		if okFirst && first != "" && len(args.pos) == 1 {
			return textList(strings.Split(s, first))
		} else if len(args.pos) == 0 {
			return textList(strings.Fields(s))
		}
	case "replace":
		second, ok := text(args.at(1))
		if okFirst && ok && first != "" && len(args.pos) == 2 && strings.Count(s, first)*len(second)+len(s) <= maxText {
			return constant{strings.ReplaceAll(s, first, second)}
		}
	case "startswith":
		if okFirst {
			return constant{strings.HasPrefix(s, first)}
		}
	case "endswith":
		if okFirst {
			return constant{strings.HasSuffix(s, first)}
		}
	case "removeprefix":
		if okFirst {
			return constant{strings.TrimPrefix(s, first)}
		}
	case "removesuffix":
		if okFirst {
			return constant{strings.TrimSuffix(s, first)}
		}
	}
	return unknown{}
}

func textList(parts []string) value {
	l := list()
	for _, p := range parts {
		l.elems = append(l.elems, constant{p})
	}
	return l
}

func joinTexts(sep string, v value) value {
	l, ok := v.(*listValue)
	if !ok || !l.exact {
		return unknown{}
	}
	var parts []string
	size := 0
	for _, e := range l.elems {
		s, ok := text(e)
		if size += len(s) + len(sep); !ok || size > maxText {
			return unknown{}
		}
		parts = append(parts, s)
	}
	return constant{strings.Join(parts, sep)}
}

// formatBraces evaluates "...".format() with {}, {name} and doubled braces.
func formatBraces(s string, args *arguments) value {
	var b strings.Builder
	next := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '{' && c != '}' {
			b.WriteByte(c)
			continue
		}
		if i+1 < len(s) && s[i+1] == c {
			b.WriteByte(c)
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if c == '}' || end < 0 {
			return unknown{}
		}
		name := s[i+1 : i+end]
		v := args.named(name)
		if name == "" {
			v = args.at(next)
			next++
		} else if len(name) == 1 && name[0] >= '0' && name[0] <= '9' {
			v = args.at(int(name[0] - '0'))
		}
		k, ok := v.(constant)
		if !ok {
			return unknown{}
		}
		b.WriteString(display(k))
		i += end
	}
	return constant{b.String()}
}

// callBuiltin evaluates a predeclared or universal function.
func (in *interp) callBuiltin(name string, args *arguments) value {
	switch name {
	case "list", "tuple", "set", "sorted", "reversed":
		return in.copyList(name, args)
	case "dict":
		d := newDict()
		d.depth = in.uncertain
		in.dictMethod(d, "update", args)
		return d
	case "has":
		in.testHistory(orUnknown(args.at(1)), orUnknown(args.at(0)))
	case "struct":
		s := &structValue{map[string]value{}}
		for _, n := range args.names {
			s.fields[n.name] = n.v
		}
		return s
	case "str":
		if c, ok := args.at(0).(constant); ok {
			return constant{display(c)}
		}
	case "bool":
		if t, known := truth(orUnknown(args.at(0))); known {
			return constant{t}
		}
	case "len":
		return length(args.at(0))
	case "range":
		return rangeOf(args)
	case "enumerate", "zip":
		return in.pairs(name, args)
	}
	return unknown{}
}

func length(v value) value {
	switch x := v.(type) {
	case constant:
		if s, ok := x.v.(string); ok {
			return constant{int64(len(s))}
		}
	case *listValue:
		if x.exact {
			return constant{int64(len(x.elems))}
		}
	case *dictValue:
		if !x.maybe && x.rest == nil {
			return constant{int64(len(x.keys))}
		}
	}
	return unknown{}
}

func (in *interp) copyList(name string, args *arguments) value {
	l := &listValue{exact: true, depth: in.uncertain, set: name == "set"}
	if len(args.pos) == 0 {
		return l
	}
	elems, exact := in.elements(args.pos[0])
	l.exact, l.rest = exact && name != "sorted", !exact
	l.elems = append(l.elems, elems...)
	if name == "reversed" {
		for i, j := 0, len(l.elems)-1; i < j; i, j = i+1, j-1 {
			l.elems[i], l.elems[j] = l.elems[j], l.elems[i]
		}
	}
	return l
}

func rangeOf(args *arguments) value {
	bounds := [3]int64{0, 0, 1}
	for i, v := range args.pos {
		c, _ := v.(constant)
		n, ok := c.v.(int64)
		if !ok || i > 2 {
			return unknown{}
		}
		bounds[i] = n
	}
	lo, hi, step := bounds[0], bounds[1], bounds[2]
	if len(args.pos) == 1 {
		lo, hi = 0, bounds[0]
	}
	if step == 0 || len(args.pos) == 0 {
		return unknown{}
	}
	l := list()
	for i := lo; (step > 0 && i < hi) || (step < 0 && i > hi); i += step {
		if len(l.elems) >= maxElements {
			return &listValue{elems: l.elems, rest: true}
		}
		l.elems = append(l.elems, constant{i})
	}
	return l
}

func (in *interp) pairs(name string, args *arguments) value {
	columns, exact := args.pos, true
	lists := make([][]value, 0, len(columns))
	shortest := maxElements
	if name == "enumerate" && len(columns) > 0 {
		columns = columns[:1]
		exact = len(args.pos) == 1
	}
	for _, c := range columns {
		elems, known := in.elements(c)
		exact = exact && known
		lists = append(lists, elems)
		shortest = min(shortest, len(elems))
	}
	l := &listValue{exact: exact, rest: !exact, depth: in.uncertain}
	for i := 0; i < shortest && len(lists) > 0; i++ {
		row := list()
		if name == "enumerate" {
			var n value = unknown{}
			if exact {
				n = constant{int64(i)}
			}
			row.elems = append(row.elems, n)
		}
		for _, elems := range lists {
			row.elems = append(row.elems, elems[i])
		}
		l.elems = append(l.elems, row)
	}
	return l
}
