package port

import (
	"fmt"
	"strings"
)

// This file carries match over: each case is a test and the names that it binds.

// pattern is what one case asks for and gives names to.
type pattern struct {
	tests []string
	binds [][2]string // name, value
}

func (c *converter) matchStmt(n *Node) {
	subject := n.At("subject")
	value := c.whole(subject)
	if !subject.is("Name") && !(subject.is("Attribute") && pure(subject)) {
		name := c.fresh("subject")
		c.line(name + " = " + value)
		value = name
	}
	c.header(n)
	word := "if "
	for _, k := range n.List("cases") {
		p := &pattern{}
		c.match(p, k.At("pattern"), value)
		at := k.At("pattern").Start
		c.leading(at - max(0, c.column(at)-strings.Index(c.lineText(at), "case")))
		guard := c.guard(k.At("guard"), p)
		tests := p.tests
		if guard != "" {
			tests = append(tests, guard)
		}
		switch {
		case len(tests) > 0:
			c.line(word + strings.Join(tests, " and ") + ":")
		case word == "if ":
			c.line("if True:")
		default:
			c.line("else:")
		}
		body := k.List("body")
		if c.cursor < body[0].Start {
			head := k.At("pattern")
			if g := k.At("guard"); g != nil {
				head = g
			}
			c.trailing(head.End, len(c.lines)-1)
		}
		if len(p.binds) > 0 {
			c.depth++
			for _, b := range p.binds {
				if b[0] != b[1] {
					c.line(b[0] + " = " + b[1])
				}
			}
			c.depth--
		}
		c.body(body)
		if len(tests) == 0 {
			return // nothing comes after a case that takes all
		}
		word = "elif "
	}
}

// lineText gives the line of the source around a place, up to it.
func (c *converter) lineText(at int) string {
	return c.src.text[at-c.column(at) : at]
}

// guard writes a case's if, with the names of its pattern written out.
func (c *converter) guard(n *Node, p *pattern) string {
	if n == nil {
		return ""
	}
	before := c.renames
	c.renames = map[string]string{}
	for k, v := range before {
		c.renames[k] = v
	}
	for _, b := range p.binds {
		c.renames[b[0]] = b[1]
	}
	text := c.at(n, bindNot)
	c.renames = before
	return text
}

// match adds what a pattern asks of a value. It is a flat switch over the kinds.
func (c *converter) match(p *pattern, n *Node, value string) {
	switch n.Kind {
	case "MatchValue":
		p.tests = append(p.tests, value+" == "+c.at(n.At("value"), bindPipe))
	case "MatchSingleton":
		word := n.Word("value")
		if word == "" {
			word = "None"
		}
		p.tests = append(p.tests, value+" == "+word)
	case "MatchAs":
		if inner := n.At("pattern"); inner != nil {
			c.match(p, inner, value)
		}
		if name := n.Word("name"); name != "" {
			p.binds = append(p.binds, [2]string{c.name(name), value})
		}
	case "MatchOr":
		c.alternatives(p, n, value)
	case "MatchSequence":
		c.matchSequence(p, n, value)
	case "MatchMapping":
		p.tests = append(p.tests, fmt.Sprintf(`type(%s) == "dict"`, value))
		for i, k := range n.List("keys") {
			key := c.ex(k)
			p.tests = append(p.tests, key+" in "+value)
			c.match(p, n.List("patterns")[i], value+"["+key+"]")
		}
		if rest := n.Word("rest"); rest != "" {
			c.refuse(n, "**"+rest+" in a pattern has no counterpart", "build the rest with a comprehension")
		}
	case "MatchClass":
		name := n.At("cls").Word("id")
		kinds := starTypes[name]
		if kinds == nil || len(n.List("kwd_patterns")) > 0 || len(n.List("patterns")) > 1 {
			c.refuse(n, "Starlark has no classes to match", "match a dict")
			return
		}
		p.tests = append(p.tests, typeIn("type("+value+")", kinds))
		for _, inner := range n.List("patterns") {
			c.match(p, inner, value)
		}
	default:
		c.refuse(n, "this pattern ("+n.Kind+") has no counterpart", "write it as if and elif")
	}
}

// alternatives are constants in a tuple, or tests joined by or; they bind no names.
func (c *converter) alternatives(p *pattern, n *Node, value string) {
	var constants, tests []string
	for _, alt := range n.List("patterns") {
		one := &pattern{}
		c.match(one, alt, value)
		if len(one.binds) > 0 {
			c.refuse(n, "alternatives that give names have no counterpart", "write them as cases of their own")
			return
		}
		if alt.is("MatchValue") {
			constants = append(constants, c.ex(alt.At("value")))
		}
		tests = append(tests, strings.Join(one.tests, " and "))
	}
	if len(constants) == len(tests) {
		p.tests = append(p.tests, value+" in ("+strings.Join(constants, ", ")+")")
		return
	}
	p.tests = append(p.tests, "("+strings.Join(tests, " or ")+")")
}

// matchSequence asks for a list or tuple of a length.
func (c *converter) matchSequence(p *pattern, n *Node, value string) {
	list := n.List("patterns")
	star := -1
	for i, x := range list {
		if x.is("MatchStar") {
			star = i
		}
	}
	p.tests = append(p.tests, fmt.Sprintf(`type(%s) in ("list", "tuple")`, value))
	if star < 0 {
		p.tests = append(p.tests, fmt.Sprintf("len(%s) == %d", value, len(list)))
	} else {
		p.tests = append(p.tests, fmt.Sprintf("len(%s) >= %d", value, len(list)-1))
	}
	for i, x := range list {
		switch {
		case star < 0 || i < star:
			c.match(p, x, fmt.Sprintf("%s[%d]", value, i))
		case i > star:
			c.match(p, x, fmt.Sprintf("%s[%d]", value, i-len(list)))
		case x.Word("name") != "":
			end := ""
			if star < len(list)-1 {
				end = fmt.Sprint(star + 1 - len(list))
			}
			p.binds = append(p.binds, [2]string{c.name(x.Word("name")), fmt.Sprintf("list(%s[%d:%s])", value, i, end)})
		}
	}
}
