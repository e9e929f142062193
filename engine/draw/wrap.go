package draw

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file breaks texts into lines, so that a long name does not make a picture wide.

const (
	nameColumns = 30 // of the names of states and blueprints, and of lists of tasks
	nameLines   = 4
	listLines   = 3
)

// wrap breaks a condition between words. An operator stays with what follows it: a line that
// is only a value says nothing.
func wrap(s string) string {
	var pieces []string
	words := strings.Fields(s)
	for i := 0; i < len(words); i++ {
		piece := words[i]
		for i+1 < len(words) && operators[words[i]] {
			i++
			piece += " " + words[i]
		}
		pieces = append(pieces, piece)
	}
	return strings.Join(fill(pieces, " ", wrapColumns), "\n")
}

// operators are the words of a condition that begin a piece.
var operators = map[string]bool{"==": true, "!=": true, "<": true, "<=": true, ">": true, ">=": true, "in": true, "not": true, "and": true, "or": true, "+": true, "-": true}

// wrapName breaks a name behind what joins its words, and where there is nothing, anywhere.
func wrapName(s string) string {
	if utf8.RuneCountInString(s) <= nameColumns {
		return s
	}
	var pieces []string
	piece := []rune{}
	last := rune(0)
	for _, r := range s {
		if len(piece) > 0 && (strings.ContainsRune(" _-./:", last) || unicode.IsLower(last) && unicode.IsUpper(r) || len(piece) == nameColumns) {
			pieces, piece = append(pieces, string(piece)), piece[:0]
		}
		piece, last = append(piece, r), r
	}
	lines := fill(append(pieces, string(piece)), "", nameColumns)
	if len(lines) > nameLines {
		lines = append(lines[:nameLines-1], shorten(lines[nameLines-1], nameColumns-1)+"…")
	}
	return strings.Join(lines, "\n")
}

// wrapList breaks a line "word: one, two, three" behind commas, and ends it when it is long.
func wrapList(s string) string {
	var pieces []string
	for piece := range strings.SplitSeq(s, ", ") {
		pieces = append(pieces, shorten(piece, nameColumns+10))
	}
	lines := fill(pieces, ", ", nameColumns)
	if len(lines) > listLines {
		lines = append(lines[:listLines], "…")
	}
	for i := range lines[:len(lines)-1] {
		lines[i] += ","
	}
	return strings.Join(lines, "\n")
}

// fill puts pieces into lines that have at most so many columns, or one piece.
func fill(pieces []string, between string, columns int) []string {
	var lines []string
	at := 0
	for i, piece := range pieces {
		n := utf8.RuneCountInString(piece)
		if i == 0 || at+len(between)+n > columns {
			lines, at = append(lines, piece), n
			continue
		}
		lines[len(lines)-1] += between + piece
		at += len(between) + n
	}
	return lines
}
