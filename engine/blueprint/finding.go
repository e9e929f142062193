package blueprint

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"
)

// This file holds what is wrong with files.

// The severities of a Finding. Only an error keeps a file from being used.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
	SeverityHint    = "hint"
)

// Finding is one remark about a file. Lines and columns count from 1; 0 is unknown.
type Finding struct {
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Col      int    `json:"col"`
	Message  string `json:"message"`
	Source   string `json:"source,omitempty"` // the line of the file
	Detail   string `json:"detail,omitempty"` // a backtrace, or what to do
}

// String shows a finding as compilers do, with the line and a caret where they are known.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Col)
	}
	fmt.Fprintf(&b, ": %s: %s", f.Severity, f.Message)
	if f.Rule != "" {
		fmt.Fprintf(&b, " [%s]", f.Rule)
	}
	if f.Source != "" {
		b.WriteString("\n" + Caret(f.Source, f.Col))
	}
	if f.Detail != "" {
		b.WriteString("\n" + f.Detail)
	}
	return b.String()
}

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
	parts := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		parts[i] = f.String()
	}
	return strings.Join(parts, "\n")
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
		Rule: rule, Severity: SeverityError, File: pos.Filename(), Line: int(pos.Line), Col: int(pos.Col),
		Message: fmt.Sprintf(format, args...), Source: s.line(pos.Filename(), int(pos.Line)),
	}
}
