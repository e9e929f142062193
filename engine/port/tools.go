package port

import (
	"fmt"
	"strings"
)

// This file carries datetime, collections, itertools and their like over: small things that
// are a line of Starlark.

// layouts are strftime's letters in the words of the time module's format.
var layouts = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'B': "January", 'b': "Jan", 'A': "Monday", 'a': "Mon",
	'I': "03", 'p': "PM", 'f': "000000", 'z': "-0700", 'Z': "MST", 'j': "002", '%': "%", 'F': "2006-01-02", 'T': "15:04:05",
}

func layout(format string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		if i >= len(format) || layouts[format[i]] == "" {
			return "", false
		}
		b.WriteString(layouts[format[i]])
	}
	return b.String(), true
}

const isoLayout = "2006-01-02T15:04:05.000000-07:00"

// datetimeCall carries the makers of times over.
func (c *converter) datetimeCall(n *Node, path string) (string, int) {
	switch path {
	case "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today":
		c.nowhere(n, path)
		c.note(n, "time.now() is in UTC and stands still during one run of a step", "")
		return c.library("time.now") + "()", bindAtom
	case "datetime.datetime.fromisoformat":
		c.note(n, "time.parse_time reads RFC 3339, which asks for a time zone", "")
		return c.library("time.parse_time") + "(" + c.list(n.List("args")) + ")", bindAtom
	case "datetime.datetime.fromtimestamp", "datetime.datetime.utcfromtimestamp":
		return c.library("time.from_timestamp") + "(int(" + c.ex(argument(n, 0, "")) + "))", bindAtom
	case "datetime.datetime.strptime":
		if f := argument(n, 1, "format"); f.is("Constant") {
			if to, ok := layout(f.Word("v")); ok {
				return fmt.Sprintf("%s(%s, format = %s)", c.library("time.parse_time"), c.ex(argument(n, 0, "")), quote(to)), bindAtom
			}
		}
	case "datetime.timedelta":
		return c.duration(n)
	}
	return c.refuse(n, path+" has no counterpart", "use time.now, time.parse_time and durations such as 2 * time.hour"), bindAtom
}

// duration is a timedelta as a sum of time's units.
func (c *converter) duration(n *Node) (string, int) {
	units := map[string]string{"days": "24 * time.hour", "hours": "time.hour", "minutes": "time.minute", "seconds": "time.second", "milliseconds": "time.millisecond", "weeks": "168 * time.hour"}
	var terms []string
	if d := argument(n, 0, ""); d != nil {
		terms = append(terms, c.at(d, bindMul)+" * 24 * time.hour")
	}
	for _, k := range n.List("keywords") {
		unit := units[k.Word("arg")]
		if unit == "" {
			return c.refuse(n, "a duration has no "+k.Word("arg"), "use hours, minutes and seconds"), bindAtom
		}
		v := k.At("value")
		if v.is("Constant") && v.Word("t") == "float" {
			c.note(n, "durations are multiplied by whole numbers only", "use a smaller unit")
		}
		terms = append(terms, c.at(v, bindMul)+" * "+unit)
	}
	c.library("time")
	if len(terms) == 0 {
		return "0 * time.second", bindMul
	}
	return strings.Join(terms, " + "), bindAdd
}

// timeMethod carries methods of times over.
func (c *converter) timeMethod(n, value *Node, name string) (string, int, bool) {
	recv := c.at(value, bindAtom)
	switch name {
	case "isoformat":
		return recv + ".format(" + quote(isoLayout) + ")", bindAtom, true
	case "strftime":
		if f := argument(n, 0, ""); f.is("Constant") {
			if to, ok := layout(f.Word("v")); ok {
				return recv + ".format(" + quote(to) + ")", bindAtom, true
			}
		}
	case "timestamp":
		c.note(n, "unix gives whole seconds", "")
		return recv + ".unix", bindAtom, true
	case "total_seconds":
		return recv + ".seconds", bindAtom, true
	}
	return c.refuse(n, "times have no "+name+" here", "use year, month, day, hour, unix and format"), bindAtom, true
}

// toolCall carries functions of collections, itertools, functools and their like over.
func (c *converter) toolCall(n *Node, path string) (string, int) {
	for _, carry := range []func(*Node, string) (string, int, bool){c.collectionsCall, c.itertoolsCall, c.smallToolCall} {
		if text, bind, ok := carry(n, path); ok {
			return text, bind
		}
	}
	return c.refuse(n, path+" has no counterpart in this form", "write the loop out"), bindAtom
}

// collectionsCall is for the classes of collections; ok is false for forms without a counterpart.
func (c *converter) collectionsCall(n *Node, path string) (text string, bind int, ok bool) {
	args := n.List("args")
	first := argument(n, 0, "")
	switch path {
	case "collections.OrderedDict", "collections.UserDict":
		return "dict(" + c.list(args) + ")", bindAtom, true
	case "collections.defaultdict":
		return "{}", bindAtom, true
	case "collections.deque":
		if len(args) <= 1 && len(n.List("keywords")) == 0 {
			if first == nil {
				return "[]", bindAtom, true
			}
			return "list(" + c.ex(first) + ")", bindAtom, true
		}
	case "collections.Counter":
		if first == nil {
			return "{}", bindAtom, true
		}
		if pure(first) {
			over := c.at(first, bindOr)
			item := c.item()
			if c.kind(first) == "str" {
				over += ".elems()"
			}
			return fmt.Sprintf("{%s: len([y for y in %s if y == %s]) for %s in %s}", item, over, item, item, over), bindAtom, true
		}
	}
	return "", 0, false
}

// itertoolsCall is for itertools.
func (c *converter) itertoolsCall(n *Node, path string) (text string, bind int, ok bool) {
	args := n.List("args")
	first, second := argument(n, 0, ""), argument(n, 1, "")
	switch path {
	case "itertools.chain":
		parts := make([]string, len(args))
		for i, a := range args {
			if a.is("Starred") {
				return c.flatten(a.At("value")), bindAtom, true
			}
			parts[i] = "list(" + c.ex(a) + ")"
			if c.kind(a) == "list" {
				parts[i] = c.at(a, bindAdd)
			}
		}
		return strings.Join(parts, " + "), bindAdd, true
	case "itertools.chain.from_iterable":
		return c.flatten(first), bindAtom, true
	case "itertools.product":
		if len(args) == 2 && len(n.List("keywords")) == 0 {
			return fmt.Sprintf("[(a, b) for a in %s for b in %s]", c.at(first, bindOr), c.at(second, bindOr)), bindAtom, true
		}
	case "itertools.islice":
		if len(args) == 2 {
			return "list(" + c.ex(first) + ")[:" + c.ex(second) + "]", bindAtom, true
		}
	case "itertools.repeat":
		if len(args) == 2 {
			return "[" + c.ex(first) + "] * " + c.at(second, bindUnary), bindMul, true
		}
	}
	return "", 0, false
}

// smallToolCall is for functools, copy, operator, statistics and dataclasses.
func (c *converter) smallToolCall(n *Node, path string) (text string, bind int, ok bool) {
	args := n.List("args")
	first := argument(n, 0, "")
	switch path {
	case "functools.partial":
		var rest []string
		for _, a := range args[1:] {
			rest = append(rest, c.ex(a))
		}
		for _, k := range n.List("keywords") {
			rest = append(rest, k.Word("arg")+" = "+c.ex(k.At("value")))
		}
		if len(n.List("keywords")) == 0 {
			return fmt.Sprintf("lambda *args: %s(%s, *args)", c.at(first, bindAtom), strings.Join(rest, ", ")), bindLambda, true
		}
	case "copy.copy":
		return c.copyMethod(n, first), bindAtom, true
	case "copy.deepcopy":
		return c.library("json.decode") + "(" + c.library("json.encode") + "(" + c.ex(first) + "))", bindAtom, true
	case "operator.itemgetter":
		if len(args) == 1 {
			return "lambda x: x[" + c.ex(first) + "]", bindLambda, true
		}
	case "operator.attrgetter":
		if len(args) == 1 && first.is("Constant") {
			return "lambda x: x." + first.Word("v"), bindLambda, true
		}
	case "statistics.mean", "statistics.fmean":
		if pure(first) {
			if path == "statistics.mean" {
				c.note(n, "the mean is always a float here", "")
			}
			return fmt.Sprintf("sum(%s) / len(%s)", c.ex(first), c.ex(first)), bindMul, true
		}
	case "dataclasses.asdict":
		text, bind = c.asDict(n, first)
		return text, bind, true
	case "dataclasses.replace":
		return c.refuse(n, "structs are not changed", "make a new one"), bindAtom, true
	}
	return "", 0, false
}

func (c *converter) flatten(lists *Node) string {
	return fmt.Sprintf("[item for part in %s for item in part]", c.at(lists, bindOr))
}

// maker gives the function of collections that a local name was made by, or "".
func (c *converter) maker(id string) (string, *Node) {
	for f := c.fn; f != nil; f = f.parent {
		if !f.locals[id] {
			continue
		}
		if list := f.values[id]; len(list) == 1 && list[0].is("Call") {
			return c.dotted(list[0].At("func")), list[0]
		}
		return "", nil
	}
	return "", nil
}

// counted reads an entry of a defaultdict or Counter, which makes what is missing.
func (c *converter) counted(value, key *Node) (string, bool) {
	path, made := c.maker(value.Word("id"))
	switch path {
	case "collections.Counter":
		return c.ex(value) + ".get(" + c.ex(key) + ", 0)", true
	case "collections.defaultdict":
		return c.ex(value) + ".setdefault(" + c.ex(key) + ", " + c.missing(argument(made, 0, "")) + ")", true
	}
	return "", false
}

// missing is what a defaultdict puts in for a missing key.
func (c *converter) missing(factory *Node) string {
	if factory.is("Name") {
		switch factory.Word("id") {
		case "int":
			return "0"
		case "float":
			return "0.0"
		case "str":
			return `""`
		case "list":
			return "[]"
		case "dict":
			return "{}"
		case "bool":
			return "False"
		}
	}
	if factory.is("Lambda") {
		return c.ex(factory.At("body"))
	}
	if factory == nil {
		return "None"
	}
	return c.at(factory, bindAtom) + "()"
}

// counterMethod carries methods of deque and Counter over.
func (c *converter) counterMethod(n, value *Node, name string) (string, int, bool) {
	recv := c.at(value, bindAtom)
	switch name {
	case "popleft":
		return recv + ".pop(0)", bindAtom, true
	case "appendleft":
		return recv + ".insert(0, " + c.list(n.List("args")) + ")", bindAtom, true
	case "most_common":
		text := fmt.Sprintf("sorted(%s.items(), key = lambda entry: entry[1], reverse = True)", recv)
		if k := argument(n, 0, "n"); k != nil {
			text += "[:" + c.ex(k) + "]"
		}
		return text, bindAtom, true
	}
	return c.refuse(n, "lists and dicts have no "+name, "write the loop out"), bindAtom, true
}
