// This file prints findings: for people, as JSON, and as annotations of a code host.

package analysis

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Text writes findings for people: the message with its place, the line of the file with a caret, the suggestion.
func Text(w io.Writer, findings []Finding) error {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s:%d:%d: %s: %s [%s]\n", f.File, f.Line, f.Col, f.Severity, f.Message, f.Rule)
		if f.Source != "" {
			f = around(f)
			fmt.Fprintf(&b, "    %s\n    %s\n", f.Source, caret(f))
		}
		if f.Suggestion != "" {
			fmt.Fprintf(&b, "    %s\n", f.Suggestion)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shownLine is how many characters of a line are shown: a line may be as long as a file, and
// have thousands of findings.
const shownLine = 400

// around gives a finding with the part of its line that is shown, and its columns in it.
func around(f Finding) Finding {
	if len(f.Source) <= shownLine {
		return f
	}
	from, at, end := 0, 1, len(f.Source) // of the part, in bytes and in characters
	skip, n := max(0, f.Col-1-shownLine/2), 0
	for i := range f.Source {
		if n == skip {
			from, at = i, n+1
		}
		if n == skip+shownLine {
			end = i
			break
		}
		n++
	}
	f.Source, f.Col, f.EndCol = f.Source[from:end], max(1, f.Col-at+1), f.EndCol-at+1
	return f
}

// caret points at the columns of a finding; tabs are kept, so that it stands below them.
func caret(f Finding) string {
	line := []rune(f.Source)
	var b strings.Builder
	for i := 0; i < f.Col-1; i++ {
		if i < len(line) && line[i] == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	b.WriteByte('^')
	if n := min(f.EndCol, len(line)+1) - f.Col - 1; n > 0 {
		b.WriteString(strings.Repeat("~", n))
	}
	return b.String()
}

// JSON writes findings as one array, indented, followed by a newline.
func JSON(w io.Writer, findings []Finding) error {
	if findings == nil {
		findings = []Finding{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(findings)
}

// The escapes that annotations need in their message and in their properties.
var (
	githubMessage  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// GitHub writes findings as workflow commands, one line each, which a GitHub run shows beside the code.
func GitHub(w io.Writer, findings []Finding) error {
	var b strings.Builder
	for _, f := range findings {
		level := "notice"
		if f.Severity != Hint {
			level = string(f.Severity)
		}
		message := f.Message
		if f.Suggestion != "" {
			message += "; " + f.Suggestion
		}
		fmt.Fprintf(&b, "::%s file=%s,line=%d,col=%d,title=%s::%s\n", level, githubProperty.Replace(f.File), f.Line, f.Col, githubProperty.Replace(f.Rule), githubMessage.Replace(message))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
