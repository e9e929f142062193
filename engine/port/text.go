package port

import (
	"regexp"
	"strconv"
	"strings"
)

// This file carries text over: literals, f-strings, and the other two ways to format.

// quote writes text as a Starlark literal with double quotes; other characters than
// controls stay as they are.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ' || r == 0x7f:
			b.WriteString(`\x` + string("0123456789abcdef"[r>>4]) + string("0123456789abcdef"[r&15]))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// quoteLong is quote for text of several lines: with three quotes where that shows it better.
func quoteLong(s, original string) string {
	if strings.Count(s, "\n") > 0 && strings.Contains(original, "\n") && !strings.Contains(s, `"""`) && !strings.HasSuffix(s, `"`) && !strings.ContainsAny(s, "\r\x00\x07\x08\x0b\x0c\x1b") {
		return `"""` + strings.ReplaceAll(s, `\`, `\\`) + `"""`
	}
	return quote(s)
}

// pythonOnly are escapes that Starlark does not have, or reads in another way.
var pythonOnly = regexp.MustCompile(`\\(N\{|[^\\abfnrtv'"xuU0-7\n]|x[89a-fA-F]|[2-7][0-7][0-7])`)

// text carries a text constant over: one literal is copied, several are added.
func (c *converter) text(n *Node) (string, int) {
	var literals []span
	if n.text == c.src.text {
		for _, s := range c.src.texts {
			if s.start >= n.Start && s.end <= n.End {
				literals = append(literals, s)
			}
		}
	}
	if len(literals) < 2 {
		return c.literal(n.Source(), n.Word("v")), bindAtom
	}
	var b strings.Builder
	for i, s := range literals {
		if i > 0 {
			gap := c.copyGap(n, literals[i-1].end, s.start)
			b.WriteString(" +")
			if strings.Contains(gap, "\\\n") { // a continued line needs no backslash in brackets
				gap = " "
			}
			b.WriteString(gap)
			if gap == "" {
				b.WriteString(" ")
			}
		}
		one := c.src.text[s.start:s.end]
		if !simpleLiteral(one) || singleQuoted(one) {
			return quoteLong(n.Word("v"), n.Source()), bindAtom
		}
		b.WriteString(plainPrefix(one))
	}
	return b.String(), bindAdd
}

// literal copies one literal, or writes its value anew when Starlark would read it in
// another way.
func (c *converter) literal(source, value string) string {
	if simpleLiteral(source) && !singleQuoted(source) {
		return plainPrefix(source)
	}
	return quoteLong(value, source)
}

// simpleLiteral reports whether a literal means the same in Starlark.
func simpleLiteral(source string) bool {
	prefix := strings.ToLower(source[:strings.IndexAny(source, `"'`)])
	switch prefix {
	case "r":
		return true
	case "", "u":
		return !pythonOnly.MatchString(source) && !strings.Contains(source, `\v`) || !strings.Contains(source, `\`)
	}
	return false
}

// singleQuoted reports whether the formatter would have to change the quotes of a literal
// with other than ASCII text, which it does not do well.
func singleQuoted(source string) bool {
	at := strings.IndexAny(source, `"'`)
	return source[at] == '\'' && strings.ContainsFunc(source, func(r rune) bool { return r > 0x7e })
}

// plainPrefix takes the u of a text literal away, which says nothing.
func plainPrefix(source string) string {
	if source != "" && (source[0] == 'u' || source[0] == 'U') {
		return source[1:]
	}
	if source != "" && source[0] == 'R' {
		return "r" + source[1:]
	}
	return source
}

// textNode stands for a value that is surely text.
var textNode = &Node{Kind: "Constant", words: map[string]string{"t": "str"}}

// template collects a %-format and its arguments.
type template struct {
	text  strings.Builder
	raw   strings.Builder // without doubled percent signs, for when there are no arguments
	args  []string
	one   *Node // the last argument
	binds int   // how tightly it binds
}

func (t *template) literal(s string) {
	t.text.WriteString(strings.ReplaceAll(s, "%", "%%"))
	t.raw.WriteString(s)
}

func (t *template) add(verb, arg string, binds int, n *Node) {
	t.text.WriteString(verb)
	t.args = append(t.args, arg)
	t.one, t.binds = n, binds
}

// write gives the finished expression. original is the Python text, for its line breaks.
func (c *converter) write(t *template, original string) (string, int) {
	switch {
	case len(t.args) == 0:
		return quoteLong(t.raw.String(), original), bindAtom
	case len(t.args) == 1 && t.one != nil && !c.mayBeTuple(t.one):
		arg := t.args[0]
		if t.binds < bindUnary {
			arg = "(" + arg + ")"
		}
		return quoteLong(t.text.String(), original) + " % " + arg, bindMul
	case len(t.args) == 1:
		return quoteLong(t.text.String(), original) + " % (" + t.args[0] + ",)", bindMul
	}
	return quoteLong(t.text.String(), original) + " % (" + strings.Join(t.args, ", ") + ")", bindMul
}

// fstring writes an f-string as a %-format.
func (c *converter) fstring(n *Node) (string, int) {
	t := &template{}
	c.fields(n, t)
	return c.write(t, n.Source())
}

func (c *converter) fields(n *Node, t *template) {
	for _, v := range n.List("values") {
		if v.is("Constant") {
			t.literal(v.Word("v"))
			continue
		}
		if !v.is("FormattedValue") {
			t.add("%s", c.at(v, bindUnary), bindAtom, v)
			continue
		}
		own := v.At("own")
		spec := v.At("format_spec")
		verb := "%s"
		if v.Word("conversion") == "114" || v.Word("conversion") == "97" { // !r and !a
			verb = "%r"
		}
		c.printed(n, own, verb)
		if spec == nil || len(spec.List("values")) == 0 {
			arg, binds := c.formatted(own)
			t.add(verb, arg, binds, own)
			continue
		}
		arg := c.ex(own)
		if verb == "%r" {
			arg = "repr(" + arg + ")"
		}
		t.add("%s", c.formatCall(arg, spec), bindAtom, textNode)
	}
}

// formatted gives a value to be printed: of a caught error, its message.
func (c *converter) formatted(n *Node) (string, int) {
	if c.caughtName(n) {
		return c.ex(n) + ".message", bindAtom
	}
	text, binds := c.expr(n)
	return safe(text), binds
}

// printed tells once for each text that prints a container, whose text differs.
func (c *converter) printed(n, value *Node, verb string) {
	switch c.kind(value) {
	case "list", "dict", "set", "tuple":
		if value.is("Attribute") { // said in the package's documentation: it is everywhere
			return
		}
		c.note(n, "a list or dict is printed with double quotes around its texts", "")
	case "str":
		if verb == "%r" {
			c.note(n, "repr of text has double quotes", "")
		}
	}
}

// formatCall writes format(value, spec); the specification may hold values of its own.
func (c *converter) formatCall(arg string, spec *Node) string {
	if list := spec.List("values"); len(list) == 1 && list[0].is("FormattedValue") && list[0].At("format_spec") == nil {
		return c.library("format") + "(" + arg + ", str(" + c.ex(list[0].At("own")) + "))"
	}
	text, _ := c.fstring(spec)
	return c.library("format") + "(" + arg + ", " + text + ")"
}

// percentVerb is one verb of Python's %-formatting.
var percentVerb = regexp.MustCompile(`%(\(([^)]*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+))?[hlL]?([diouxXeEfFgGcrsa%])`)

// percent carries "..." % values over: Starlark has the verbs, but no widths.
func (c *converter) percent(n *Node) (string, int) {
	left, right := n.At("left"), n.At("right")
	format := left.Word("v")
	args := []*Node{right}
	if right.is("Tuple") {
		args = right.List("elts")
	}
	if rich(format) == "" {
		return c.copied(n), bindMul
	}
	t, ok := c.widths(format, args, right)
	if !ok {
		return c.refuse(n, "this %-format has a width or a name that Starlark's % does not have", "write an f-string in Python; it is carried over"), bindAtom
	}
	return c.write(t, left.Source())
}

// rich gives the first verb that Starlark's % can not do, or "".
func rich(format string) string {
	for _, m := range percentVerb.FindAllStringSubmatch(format, -1) {
		if m[3] != "" || m[4] != "" || m[5] != "" || strings.Contains("aFGuE", m[6]) || m[6] == "f" || m[6] == "g" || m[6] == "e" {
			return m[0]
		}
	}
	return ""
}

// widths writes a %-format with its values; ok is false when it can not be taken apart.
func (c *converter) widths(format string, args []*Node, all *Node) (*template, bool) {
	t := &template{}
	pos, next := 0, 0
	for _, at := range percentVerb.FindAllStringSubmatchIndex(format, -1) {
		t.literal(format[pos:at[0]])
		pos = at[1]
		group := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return format[at[2*i]:at[2*i+1]]
		}
		verb := group(6)
		if verb == "%" {
			t.literal("%")
			continue
		}
		if group(4) == "*" || group(5) == "*" {
			return nil, false
		}
		var value string
		var node *Node
		binds := bindAtom
		if name := group(2); group(1) != "" {
			value = c.at(all, bindAtom) + "[" + quote(name) + "]"
			node = textNode
		} else {
			if next >= len(args) || args[next].is("Starred") {
				return nil, false
			}
			node = args[next]
			value, binds = c.formatted(node)
			next++
		}
		spec := specOf(group(3), group(4), group(5), verb)
		switch {
		case spec == "":
			t.add("%"+strings.ReplaceAll(verb, "a", "r"), value, binds, node)
		default:
			if verb == "d" || verb == "i" || verb == "u" {
				value = "int(" + value + ")"
			}
			if verb == "s" {
				value = "str(" + value + ")"
			}
			t.add("%s", c.library("format")+"("+value+", "+quote(spec)+")", bindAtom, textNode)
		}
	}
	t.literal(format[pos:])
	return t, true
}

// specOf writes flags, width and precision of a % verb as a format specification; "" when
// the plain verb does.
func specOf(flags, width, precision, verb string) string {
	if flags == "" && width == "" && precision == "" && strings.Contains("sdixXocra", verb) {
		return ""
	}
	spec := ""
	switch {
	case strings.Contains(flags, "-"):
		spec = "<"
	case verb == "s" || verb == "r":
		spec = ">"
	}
	if strings.Contains(flags, "+") {
		spec += "+"
	}
	if strings.Contains(flags, "#") {
		spec += "#"
	}
	if strings.Contains(flags, "0") && !strings.Contains(flags, "-") {
		spec += "0"
	}
	spec += width
	if precision != "" {
		spec += "." + precision
	}
	switch verb {
	case "i", "u":
		verb = "d"
	case "s", "r", "a":
		verb = ""
	}
	return spec + verb
}

// field is one replacement field of str.format.
var field = regexp.MustCompile(`\{\{|\}\}|\{([^{}:!]*)(?:!([rsa]))?(?::([^{}]*))?\}`)

// formatMethod carries "...".format(values) over. Fields without a specification are the
// same in Starlark and are copied.
func (c *converter) formatMethod(n *Node) (string, int, bool) {
	value := n.At("func").At("value")
	format := value.Word("v")
	plain := true
	for _, m := range field.FindAllStringSubmatch(format, -1) {
		plain = plain && m[3] == "" && !strings.ContainsAny(m[1], ".[") && m[2] != "a"
	}
	if plain && !strings.Contains(field.ReplaceAllString(format, ""), "{") {
		return "", 0, false
	}
	t := &template{}
	pos, next := 0, 0
	for _, at := range field.FindAllStringSubmatchIndex(format, -1) {
		t.literal(format[pos:at[0]])
		pos = at[1]
		if text := format[at[0]:at[1]]; text == "{{" || text == "}}" {
			t.literal(text[:1])
			continue
		}
		arg, ok := c.formatField(n, format[at[2]:at[3]], &next)
		if !ok {
			return c.refuse(n, "this format has fields that can not be taken apart", "write an f-string in Python; it is carried over"), bindAtom, true
		}
		verb, spec := "%s", ""
		if at[4] >= 0 && format[at[4]] != 's' {
			verb = "%r"
		}
		if at[6] >= 0 {
			spec = format[at[6]:at[7]]
		}
		if spec != "" {
			arg = c.library("format") + "(" + arg + ", " + quote(spec) + ")"
		}
		t.add(verb, arg, bindUnary, nil)
	}
	t.literal(format[pos:])
	text, bind := c.write(t, value.Source())
	return text, bind, true
}

// formatField gives the value of one field: "", a number or a name, then .a and [b].
func (c *converter) formatField(n *Node, name string, next *int) (string, bool) {
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	head, rest := name[:end], name[end:]
	args := n.List("args")
	var value *Node
	switch {
	case head == "":
		if *next < len(args) {
			value = args[*next]
		}
		*next++
	case strings.Trim(head, "0123456789") == "":
		for i, a := range args {
			if head == strconv.Itoa(i) {
				value = a
			}
		}
	default:
		for _, k := range n.List("keywords") {
			if k.Word("arg") == head {
				value = k.At("value")
			}
		}
	}
	if value == nil || value.is("Starred") {
		return "", false
	}
	text := c.at(value, bindUnary)
	for _, m := range regexp.MustCompile(`\.(\w+)|\[(\w+)\]`).FindAllStringSubmatch(rest, -1) {
		switch {
		case m[1] != "":
			text += "." + m[1]
		case strings.Trim(m[2], "0123456789") == "":
			text += "[" + m[2] + "]"
		default:
			text += "[" + quote(m[2]) + "]"
		}
	}
	return text, true
}
