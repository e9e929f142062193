package lsp

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file reads what the text says about one place: within which text, call and keyword it stands. It scans from the beginning, so it works on a text that does not parse.

// frame is an open bracket.
type frame struct {
	bracket byte   // ( [ {
	callee  string // of (: the name before it, with its dots
	keyword string // of the argument it is the value of: transitions = {
	key     string // of the dict entry it is the value of
	start   int    // where its present entry begins
	first   bool   // that entry is its first
}

// cursor is what is known about one place.
type cursor struct {
	frames  []frame
	inText  bool   // within a text literal
	text    string // of that literal, up to the place
	from    int    // where the literal's content begins
	comment bool
	chain   string // the names with dots that end at the place: context.sta
	keyword string // of the argument that is being written
	key     string // of the dict entry whose value is being written
	isKey   bool   // the key of a dict entry is being written
}

// cursorAt scans a text up to a place.
func cursorAt(text string, at int) cursor {
	var c cursor
	i := 0
	for i < at {
		ch := text[i]
		switch {
		case ch == '#':
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 || i+end >= at {
				c.comment = true
				return c
			}
			i += end
		case ch == '"' || ch == '\'':
			from, end, closed := literal(text, i)
			if at < end || !closed && at == end {
				c.inText, c.from = true, from
				c.text = text[from:max(from, at)]
				c.place(text, i)
				return c
			}
			i = end
			continue
		case ch == '(' || ch == '[' || ch == '{':
			c.push(text, i)
		case ch == ')' || ch == ']' || ch == '}':
			if len(c.frames) > 0 {
				c.frames = c.frames[:len(c.frames)-1]
			}
		case ch == ',' && len(c.frames) > 0:
			c.frames[len(c.frames)-1].start, c.frames[len(c.frames)-1].first = i+1, false
		}
		i++
	}
	c.chain = chainBefore(text, at)
	c.place(text, at-len(c.chain))
	return c
}

// literal gives where the content of a text literal begins, where the literal ends, and whether it has its closing quote.
func literal(text string, i int) (from, end int, closed bool) {
	quote := text[i : i+1]
	if strings.HasPrefix(text[i:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	from = i + len(quote)
	raw := i > 0 && (text[i-1] == 'r')
	for j := from; j < len(text); j++ {
		switch {
		case text[j] == '\\' && !raw:
			j++
		case len(quote) == 1 && text[j] == '\n':
			return from, j, false // a line ends it too
		case strings.HasPrefix(text[j:], quote):
			return from, j + len(quote), true
		}
	}
	return from, len(text), false
}

// push opens a bracket.
func (c *cursor) push(text string, i int) {
	f := frame{bracket: text[i], start: i + 1, first: true}
	if text[i] == '(' {
		f.callee = chainBefore(text, i)
	}
	before := cursor{frames: c.frames}
	before.place(text, i-len(f.callee))
	f.keyword, f.key = before.keyword, before.key
	c.frames = append(c.frames, f)
}

// place reads what stands between the beginning of the present entry and the place: name = in a call, "key": in a dict.
func (c *cursor) place(text string, at int) {
	if len(c.frames) == 0 {
		return
	}
	f := c.frames[len(c.frames)-1]
	entry := strings.TrimSpace(text[min(f.start, at):at])
	switch f.bracket {
	case '(':
		if name, rest, found := strings.Cut(entry, "="); found && !strings.HasPrefix(rest, "=") && strings.TrimSpace(rest) == "" {
			c.keyword = strings.TrimSpace(name)
		}
	case '{':
		key, rest, found := cutKey(entry)
		c.key, c.isKey = "", !found
		if found && strings.TrimSpace(rest) == "" {
			c.key = key
		}
	}
}

// cutKey splits "key": value.
func cutKey(entry string) (key, rest string, found bool) {
	if entry == "" || entry[0] != '"' && entry[0] != '\'' {
		_, rest, found = strings.Cut(entry, ":")
		return "", rest, found
	}
	from, end, closed := literal(entry, 0)
	if !closed {
		return "", "", false
	}
	key = entry[from : end-1]
	rest = strings.TrimSpace(entry[end:])
	if !strings.HasPrefix(rest, ":") {
		return "", "", false
	}
	return key, rest[1:], true
}

// top is the innermost open bracket; its zero value when there is none.
func (c *cursor) top() frame {
	if len(c.frames) == 0 {
		return frame{}
	}
	return c.frames[len(c.frames)-1]
}

// within finds the innermost open call of one of the names, by their last part.
func (c *cursor) within(names ...string) (frame, bool) {
	for i := len(c.frames) - 1; i >= 0; i-- {
		f := c.frames[i]
		for _, name := range names {
			if f.bracket == '(' && last(f.callee) == name {
				return f, true
			}
		}
	}
	return frame{}, false
}

func last(chain string) string { return chain[strings.LastIndexByte(chain, '.')+1:] }

// chainBefore gives the names with dots that end at a place.
func chainBefore(text string, at int) string {
	i := at
	for i > 0 {
		r, n := utf8.DecodeLastRuneInString(text[:i])
		if r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		i -= n
	}
	return text[i:at]
}

// chainAround gives the names with dots up to the end of the word at a place, and where that word begins and ends.
func chainAround(text string, at int) (chain string, from, to int) {
	to = at
	for to < len(text) {
		r, n := utf8.DecodeRuneInString(text[to:])
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		to += n
	}
	chain = chainBefore(text, to)
	return chain, to - len(last(chain)), to
}
