package blueprint

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"

	"orrery/engine/analysis"
)

// This file holds what is wrong with files.

// Finding is the static analysis's: one remark about a file. Only an error keeps a file
// from being used.
type Finding = analysis.Finding

// Caret shows a source line with a mark under column col (1-based, in characters).
func Caret(line string, col int) string {
	pad := make([]rune, 0, col)
	for i, r := range []rune(line) {
		if i >= col-1 {
			break
		}
		if r != '\t' { // a tab stays a tab, so that the mark stands below its character
			r = ' '
		}
		pad = append(pad, r)
	}
	return "    " + line + "\n    " + string(pad) + "^"
}

// LoadError is everything that keeps a file from being used, all at once.
type LoadError struct {
	File     string
	Findings []Finding
}

// Error lists the findings, the first one on the first line.
func (e *LoadError) Error() string {
	return findingsText(e.Findings)
}

func findingsText(list []Finding) string {
	var b strings.Builder
	_ = analysis.Text(&b, list) // a strings.Builder does not fail
	return strings.TrimRight(b.String(), "\n")
}

// whole is a finding about a file that has no better place.
func whole(rule, file, message string) Finding {
	return Finding{Rule: rule, Severity: analysis.Error, File: file, Line: 1, Col: 1, Message: message}
}

// sources are the texts of a program by file name, for positions in messages.
type sources map[string]string

func (s sources) line(file string, n int) string {
	rest := s[file]
	for i := 1; i < n && rest != ""; i++ {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimRight(line, "\r")
}

func (s sources) at(rule string, pos syntax.Position, format string, args ...any) Finding {
	return Finding{
		Rule: rule, Severity: analysis.Error, File: pos.Filename(), Line: int(pos.Line), Col: int(pos.Col),
		Message: fmt.Sprintf(format, args...), Source: s.line(pos.Filename(), int(pos.Line)),
	}
}
