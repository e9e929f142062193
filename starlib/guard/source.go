package guard

import (
	"strconv"
	"strings"

	"go.starlark.net/syntax"
)

// This file looks at a file's text before it is parsed. The parser, the resolver, the
// compiler and the static analysis recurse over the tree, and a chain such as a.b.c.d or
// x + y + z is as deep as it is long; so brackets, blocks and the chains in them are
// counted first, cheaply and a little too strictly.

// MaxNesting is how deep brackets, blocks and chains of operators may be in each other.
const MaxNesting = 500

// CheckSource tells whether a text may be parsed. The error is a syntax.Error.
func CheckSource(name, text string) error {
	s := scanner{name: &name, text: text, line: 1, col: 1}
	s.levels = append(s.levels, level{})
	for s.i < len(s.text) && s.bad == nil {
		s.next()
	}
	if s.bad != nil {
		return *s.bad
	}
	return nil
}

// level is one open bracket, or the file itself.
type level struct {
	chain int // operators since the last comma or line
}

type scanner struct {
	name      *string
	text      string
	i         int
	line, col int
	levels    []level
	sum       int   // of the chains of all levels
	indents   []int // of the blocks that are open
	elifs     []int // in a row, by block
	fresh     bool  // a line began, and its first word is still to come
	width     int
	bad       *syntax.Error
}

func (s *scanner) refuse() {
	s.fault("brackets, blocks and chains of operators are nested more than " + strconv.Itoa(MaxNesting) + " deep (" + CodeDepth + ")")
}

func (s *scanner) fault(text string) {
	if s.bad == nil {
		s.bad = &syntax.Error{Pos: syntax.MakePosition(s.name, int32(s.line), int32(s.col)), Msg: text}
	}
}

// maxDigits is how long a number may be that is written out: reading it takes time with the
// square of its digits, and Rewrite looks at its bits only then.
const maxDigits = 70_000

// link counts one more operator in the chain of the innermost level.
func (s *scanner) link() {
	s.levels[len(s.levels)-1].chain++
	s.sum++
	elifs := 0
	if n := len(s.elifs); n > 0 {
		elifs = s.elifs[n-1]
	}
	if s.sum+len(s.levels)+len(s.indents)+elifs > MaxNesting {
		s.refuse()
	}
}

// cut ends the chain of the innermost level.
func (s *scanner) cut() {
	top := &s.levels[len(s.levels)-1]
	s.sum -= top.chain
	top.chain = 0
}

func (s *scanner) advance(n int) {
	for range n {
		if s.text[s.i] == '\n' {
			s.line++
			s.col = 0
		}
		if c := s.text[s.i]; c < 0x80 || c >= 0xc0 {
			s.col++ // columns count characters
		}
		s.i++
	}
}

func (s *scanner) next() {
	c := s.text[s.i]
	if len(s.levels) == 1 && (s.col == 1 || s.i == 0) && !s.fresh {
		s.fresh, s.width = true, 0
	}
	switch {
	case c == '\n':
		if len(s.levels) == 1 {
			s.cut()
			s.fresh, s.width = true, 0
		}
	case c == ' ' || c == '\t' || c == '\r':
		if s.fresh {
			s.width++
			if c == '\t' {
				s.width += 7 - (s.width-1)%8
			}
		}
	case c == '#':
		if n := strings.IndexByte(s.text[s.i:], '\n'); n >= 0 {
			s.advance(n)
		} else {
			s.i = len(s.text)
		}
		return
	case c == '"' || c == '\'':
		s.begin("")
		s.quoted(c)
		return
	case wordByte(c):
		s.word()
		return
	default:
		s.begin("")
		s.mark(c)
	}
	s.advance(1)
}

// mark takes an operator or a bracket.
func (s *scanner) mark(c byte) {
	switch c {
	case '(', '[', '{':
		s.link()
		s.levels = append(s.levels, level{})
	case ')', ']', '}':
		if n := len(s.levels); n > 1 {
			s.cut()
			s.levels = s.levels[:n-1]
		}
	case ',', ';', ':':
		s.cut()
	case '\\':
	default:
		s.link()
	}
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func (s *scanner) word() {
	end := s.i
	for end < len(s.text) && wordByte(s.text[end]) {
		end++
	}
	word := s.text[s.i:end]
	if len(word) > maxDigits && word[0] >= '0' && word[0] <= '9' {
		s.fault("a number has at most " + strconv.Itoa(maxDigits) + " digits, and this has " + strconv.Itoa(len(word)) + " (" + CodeInteger + ")")
	}
	s.begin(word)
	switch word {
	case "and", "or", "not", "in", "if", "else", "for", "lambda":
		s.link()
	}
	s.advance(end - s.i)
}

// begin takes the first word of a line: blocks open and close here.
func (s *scanner) begin(word string) {
	if !s.fresh {
		return
	}
	s.fresh = false
	for n := len(s.indents); n > 0 && s.indents[n-1] >= s.width; n-- {
		if s.indents[n-1] > s.width {
			s.indents, s.elifs = s.indents[:n-1], s.elifs[:n-1]
			continue
		}
		break
	}
	if n := len(s.indents); n == 0 || s.indents[n-1] < s.width {
		s.indents, s.elifs = append(s.indents, s.width), append(s.elifs, 0)
	}
	top := len(s.elifs) - 1
	switch word {
	case "elif":
		s.elifs[top]++
	case "else":
	default:
		s.elifs[top] = 0
	}
	if s.elifs[top]+len(s.indents) > MaxNesting {
		s.refuse()
	}
}

// quoted skips a text.
func (s *scanner) quoted(q byte) {
	end := string(q)
	if strings.HasPrefix(s.text[s.i:], strings.Repeat(end, 3)) {
		end = strings.Repeat(end, 3)
	}
	s.advance(len(end))
	// A backslash keeps a quote from ending the text in raw texts too.
	for s.i < len(s.text) {
		switch {
		case s.text[s.i] == '\\' && s.i+1 < len(s.text):
			s.advance(2)
		case strings.HasPrefix(s.text[s.i:], end):
			s.advance(len(end))
			return
		case s.text[s.i] == '\n' && len(end) == 1:
			return // the parser says that it does not end
		default:
			s.advance(1)
		}
	}
}
