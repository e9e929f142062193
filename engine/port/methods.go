package port

import (
	"fmt"
	"strings"
)

// This file carries the methods of Python's values over that Starlark does not have.

// methodCall goes by the name of the method; ok is false for what is the same.
func (c *converter) methodCall(n, fn *Node) (text string, bind int, ok bool) {
	value, name, args := fn.At("value"), fn.Word("attr"), n.List("args")
	if text, ok := c.actionCall(n, fn); ok {
		return text, bindAtom, true
	}
	if c.caughtName(value) {
		return c.errorMethod(n, value, name), bindAtom, true
	}
	recv := func() string { return c.at(value, bindAtom) }
	switch name {
	case "format":
		if value.is("Constant") && value.Word("t") == "str" {
			return c.formatMethod(n)
		}
		c.note(n, "a format that is not a constant may not have specifications such as :.2f here", "use format(value, spec) for those")
	case "zfill":
		c.note(n, "zfill puts the zeros after a sign, format before it", "for numbers write format(n, \"05d\")")
		return fmt.Sprintf("%s(%s, %s)", c.library("format"), c.ex(value), c.width("0>", args)), bindAtom, true
	case "ljust", "rjust", "center":
		return c.padded(n, value, name)
	case "casefold":
		return recv() + ".lower()", bindAtom, true
	case "isnumeric", "isdecimal":
		return recv() + ".isdigit()", bindAtom, true
	case "encode", "decode":
		c.note(n, "text has no "+name+" in Starlark; the text itself stands for its UTF-8 bytes", "")
		return recv(), bindAtom, true
	case "swapcase", "expandtabs", "translate", "maketrans", "fromkeys", "isidentifier", "isprintable", "isascii":
		return c.refuse(n, "Starlark has no method "+name, "write the loop out"), bindAtom, true
	case "copy":
		if len(args) == 0 {
			return c.copyMethod(n, value), bindAtom, true
		}
	case "sort", "reverse":
		return c.refuse(n, "Starlark lists have no "+name+", and here its result is used", "use sorted or reversed"), bindAtom, true
	case "popitem":
		c.note(n, "popitem takes the first entry in Starlark, in Python the last", "pop a key that you name")
	case "index", "count", "find":
		if name == "count" && len(args) == 1 && c.kind(value) == "" && !args[0].is("Constant") {
			c.note(n, "text has count in Starlark, lists have not", "where it is a list, write len([x for x in ... if x == ...])")
		}
		if name == "count" && len(args) == 1 && (c.kind(value) == "list" || c.kind(value) == "" && args[0].is("Constant") && args[0].Word("t") != "str") {
			item := c.item()
			return fmt.Sprintf("len([%s for %s in %s if %s == %s])", item, item, c.at(value, bindOr), item, c.at(args[0], bindPipe)), bindAtom, true
		}
	case "keys":
		if len(args) == 0 && len(n.List("keywords")) == 0 {
			return recv() + ".keys()", bindAtom, true
		}
	case "isoformat", "strftime", "timestamp", "total_seconds", "date", "weekday", "isoweekday", "astimezone", "utcoffset", "timetuple":
		return c.timeMethod(n, value, name)
	case "popleft", "appendleft", "extendleft", "most_common", "elements", "subtract", "rotate":
		return c.counterMethod(n, value, name)
	case "get_nowait", "acquire", "release":
		return c.refuse(n, "a handler runs alone: there is nothing to lock or to wait for", "take it out"), bindAtom, true
	}
	if strings.HasPrefix(name, "__") {
		return c.refuse(n, "Starlark has no "+name, "name what is meant"), bindAtom, true
	}
	if text, ok := c.logCall(n, fn); ok {
		return text, bindAtom, true
	}
	return "", 0, false
}

// padded is ljust, rjust and center.
func (c *converter) padded(n, value *Node, name string) (text string, bind int, ok bool) {
	args := n.List("args")
	if fill := argument(n, 1, ""); len(args) == 1 || fill.is("Constant") && len(fill.Word("v")) == 1 {
		if w, even := atoi(args[0].Word("v")); name == "center" && !(even && w%2 == 0) {
			c.note(n, "of an odd space Python puts the larger part before text of a short odd width, format behind it", "")
		}
		pad := ""
		if fill != nil {
			pad = fill.Word("v")
		}
		return fmt.Sprintf("%s(%s, %s)", c.library("format"), c.ex(value), c.width(pad+map[string]string{"ljust": "<", "rjust": ">", "center": "^"}[name], args)), bindAtom, true
	}
	return c.refuse(n, "the fill of "+name+" is not a constant", "write the loop out"), bindAtom, true
}

// width writes a specification out of a prefix and a width that may be computed.
func (c *converter) width(prefix string, args []*Node) string {
	if len(args) > 0 && args[0].is("Constant") {
		return quote(prefix + args[0].Word("v"))
	}
	if len(args) == 0 {
		return quote(prefix)
	}
	return quote(prefix+"%d") + " % " + c.at(args[0], bindUnary)
}

// copyMethod is x.copy(): Starlark copies by making a new value.
func (c *converter) copyMethod(n, value *Node) string {
	switch c.kind(value) {
	case "list":
		return "list(" + c.ex(value) + ")"
	case "set":
		return "set(" + c.ex(value) + ")"
	case "dict":
		return "dict(" + c.ex(value) + ")"
	}
	c.note(n, "copy is written for a dict; what is copied here can not be seen", "write list(...) or set(...) where it is one")
	return "dict(" + c.ex(value) + ")"
}

// errorMethod is a method of a caught error: of an own class, a function of its fields.
func (c *converter) errorMethod(n, value *Node, name string) string {
	for _, cl := range c.classes {
		if m := cl.methods[name]; cl.exception && m != nil {
			args := append([]string{c.ex(value)}, strings.Fields(c.list(n.List("args")))...)
			return cl.methodName(name) + "(" + strings.Join(args, " ") + ")"
		}
	}
	if name == "with_traceback" {
		return c.ex(value)
	}
	return c.refuse(n, "an error has no method "+name+" in Starlark", "use its kind, message and details")
}

// logCall carries a logger's calls over: levels by name, widths in its format.
func (c *converter) logCall(n, fn *Node) (string, bool) {
	name, args := fn.Word("attr"), n.List("args")
	switch name {
	case "debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log":
	default:
		return "", false
	}
	value := fn.At("value")
	logger := c.dotted(value) == "logging" || value.is("Name") && strings.Contains(strings.ToLower(value.Word("id")), "log")
	if !logger {
		return "", false
	}
	target := c.ex(value)
	if c.dotted(value) == "logging" {
		target = "logging"
	}
	level := map[string]string{"warn": "warning", "fatal": "critical"}[name]
	if level == "" {
		level = name
	}
	if name == "log" {
		if len(args) < 2 {
			return "", false
		}
		level = strings.ToLower(args[0].Word("attr"))
		if !contains([]string{"debug", "info", "warning", "error", "critical"}, level) {
			return c.refuse(n, "the level of a log line must be a constant", "call info, warning or error"), true
		}
		args = args[1:]
	}
	changed := level != name
	for _, a := range args {
		changed = changed || c.caughtName(a)
	}
	format := argument(n, 0, "")
	if len(args) > 1 && format.is("Constant") && rich(format.Word("v")) != "" {
		if t, ok := c.widths(format.Word("v"), args[1:], args[1]); ok {
			text, _ := c.write(t, format.Source())
			return target + "." + level + "(" + text + ")", true
		}
	}
	for _, a := range args[min(1, len(args)):] {
		c.printed(n, a, "%s")
	}
	if !changed {
		return "", false
	}
	parts := make([]string, 0, len(args))
	for _, a := range args {
		text := c.ex(a)
		if c.caughtName(a) {
			text += ".message"
		}
		parts = append(parts, text)
	}
	for _, k := range n.List("keywords") {
		parts = append(parts, k.Word("arg")+" = "+c.ex(k.At("value")))
	}
	return target + "." + level + "(" + strings.Join(parts, ", ") + ")", true
}
