package database

import (
	"slices"
	"strings"
)

// This file reads a statement as far as needed: that it is one, of a kind that a script may
// run, and where its parameters are.

// allowed are the first words of statements for scripts. What is not here does not reach the
// database: transactions are db.tx, and settings of a connection would stay with it in the
// pool, for other jobs. ATTACH and VACUUM INTO would open other files.
var allowed = []string{"SELECT", "VALUES", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "MERGE", "CREATE", "ALTER", "DROP",
	"TRUNCATE", "ANALYZE", "EXPLAIN", "COMMENT", "REINDEX"}

// scan goes through the text and calls code with every piece that is neither text in quotes
// nor a comment. Quotes are doubled inside; PostgreSQL's dollar quotes count too.
func scan(text string, code func(from, to int)) {
	from := 0
	for i := 0; i < len(text); {
		end := 0
		switch {
		case text[i] == '\'' || text[i] == '"' || text[i] == '`':
			end = quoted(text, i)
		case text[i] == '[': // SQLite takes [name], PostgreSQL array[...]; both are looked through
			i++
			continue
		case strings.HasPrefix(text[i:], "--"):
			if end = strings.IndexByte(text[i:], '\n'); end < 0 {
				end = len(text)
			} else {
				end += i
			}
		case strings.HasPrefix(text[i:], "/*"):
			if end = strings.Index(text[i+2:], "*/"); end < 0 {
				end = len(text)
			} else {
				end += i + 4
			}
		case text[i] == '$':
			end = dollarQuoted(text, i)
		}
		if end == 0 {
			i++
			continue
		}
		if i > from {
			code(from, i)
		}
		i, from = end, end
	}
	if len(text) > from {
		code(from, len(text))
	}
}

// quoted gives where the text that begins at i has ended.
func quoted(text string, i int) int {
	for j := i + 1; j < len(text); j++ {
		if text[j] == text[i] {
			if j+1 < len(text) && text[j+1] == text[i] {
				j++
				continue
			}
			return j + 1
		}
	}
	return len(text)
}

// dollarQuoted gives the end of $tag$...$tag$, or 0 when there is none.
func dollarQuoted(text string, i int) int {
	j := i + 1
	for j < len(text) && (isWord(text[j])) {
		j++
	}
	if j >= len(text) || text[j] != '$' || j > i+1 && text[i+1] >= '0' && text[i+1] <= '9' {
		return 0
	}
	tag := text[i : j+1]
	if end := strings.Index(text[j+1:], tag); end >= 0 {
		return j + 1 + end + len(tag)
	}
	return len(text)
}

func isWord(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}

// check refuses what is not one statement of an allowed kind.
func check(text string) error {
	first, ended, second := "", false, false
	scan(text, func(from, to int) {
		for _, field := range strings.FieldsFunc(strings.ReplaceAll(text[from:to], ";", " ; "), func(r rune) bool { return r <= ' ' || r == '(' }) {
			switch {
			case field == ";":
				ended = ended || first != ""
			case ended:
				second = true
			case first == "":
				first = strings.ToUpper(field)
			}
		}
	})
	switch {
	case strings.ContainsRune(text, 0):
		return refusedf("the statement holds a zero byte")
	case first == "":
		return refusedf("the statement is empty")
	case second:
		return refusedf("there is more than one statement; run them one by one, in db.tx(fn) when they belong together")
	case !slices.Contains(allowed, first):
		return refusedf("statements that begin with %s are not run for scripts; use one of %s, and db.tx(fn) for transactions", shortened(first), strings.Join(allowed, ", "))
	}
	return nil
}

func shortened(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "..."
	}
	return s
}

// numbered turns PostgreSQL's $1 into SQLite's ?1, so that one statement does for both.
func numbered(text string) string {
	if !strings.Contains(text, "$") {
		return text
	}
	out := []byte(text)
	scan(text, func(from, to int) {
		for i := from; i+1 < to; i++ {
			if text[i] == '$' && text[i+1] >= '0' && text[i+1] <= '9' {
				out[i] = '?'
			}
		}
	})
	return string(out)
}
