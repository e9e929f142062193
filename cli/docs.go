package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"orrery/engine/analysis"
	"orrery/starlib/stub"
)

// This file is `orrery docs`: the reference in the terminal.

type docsCmd struct {
	Name   string `arg:"" optional:"" help:"A module, a value, a function or a rule: json, actions, actions.dispatch_task, unreachable-state."`
	Format string `enum:"text,json,markdown" default:"text" help:"text, json, or markdown."`
}

func (docsCmd) Help() string {
	return `Without a name all pages are listed. The examples are run by the project's tests.

Examples:
  orrery docs
  orrery docs actions.dispatch_task
  orrery docs json --format markdown`
}

// Run prints a page, a member, or the list.
func (c *docsCmd) Run(p *program) error {
	if c.Name == "" {
		return c.list(p)
	}
	page, member := stub.Find(c.Name)
	switch {
	case member != nil:
		return c.print(p, &stub.Page{Name: page.Name, Members: []*stub.Member{member}}, true)
	case page != nil && page.Name == c.Name:
		return c.print(p, page, false)
	}
	if _, _, ok := analysis.Explain(c.Name); ok {
		return (&checkCmd{Explain: c.Name, Format: "text"}).explain(p)
	}
	return usagef("%s", noSuchName(c.Name, page))
}

// noSuchName says what was probably meant.
func noSuchName(name string, page *stub.Page) string {
	text := fmt.Sprintf("nothing is called %q", name)
	switch full := stub.Search(name[strings.LastIndexByte(name, '.')+1:]); {
	case len(full) > 0:
		return text + "; did you mean " + strings.Join(full, " or ") + "?"
	case page != nil:
		return text + "; " + page.Name + " has: " + strings.Join(page.Names(), ", ")
	}
	return text + "; orrery docs lists all pages"
}

func (c *docsCmd) list(p *program) error {
	if c.Format == "json" {
		return printJSON(p.stdout, stub.All())
	}
	rows := [][]string{{"PAGE", "HAS", "WHAT"}}
	for _, page := range stub.All() {
		what, _, _ := strings.Cut(page.Doc, ". ")
		rows = append(rows, []string{page.Name, fmt.Sprint(len(page.Members)), strings.TrimSuffix(what, ".")})
	}
	return printTable(p.stdout, rows)
}

func (c *docsCmd) print(p *program, page *stub.Page, one bool) error {
	switch {
	case c.Format == "json" && one:
		return printJSON(p.stdout, page.Members[0])
	case c.Format == "json":
		return printJSON(p.stdout, page)
	}
	var b strings.Builder
	if !one {
		fmt.Fprintf(&b, "# %s\n\n%s\n\n", page.Name, c.wrap(page.Doc, ""))
	}
	for i, m := range page.Members {
		if i > 0 {
			b.WriteString("\n")
		}
		c.member(&b, m)
	}
	_, err := io.WriteString(p.stdout, b.String())
	return err
}

// kindWords say when what a function does happens.
var kindWords = map[string]string{
	stub.Describes: "Describes: nothing happens before the step's commit.",
	stub.Reads:     "Reads now.",
	stub.Acts:      "Acts now, at least once: a step may run again.",
	stub.Declares:  "Works while the file is loaded.",
	stub.Test:      "Works in test files.",
}

func (c *docsCmd) member(b *strings.Builder, m *stub.Member) {
	full := m.Full()
	signature := full + strings.TrimPrefix(m.Signature(), m.Name)
	if c.Format == "markdown" {
		fmt.Fprintf(b, "## %s\n\n    %s\n\n%s\n", full, signature, m.Summary)
	} else {
		fmt.Fprintf(b, "%s\n%s\n", signature, c.wrap(m.Summary, "    "))
	}
	if !m.Function {
		return
	}
	if word := kindWords[m.Kind]; word != "" {
		c.line(b, word)
	}
	var rows []string
	for _, q := range m.Params {
		kind := ""
		if q.Type != "" {
			kind = " (" + q.Type + ")"
		}
		rows = append(rows, fmt.Sprintf("%s%s: %s", q.Name, kind, q.Doc))
	}
	if m.Returns != "" && m.Returns != "None" {
		rows = append(rows, "gives "+strings.TrimSuffix(m.Returns, ".")+".")
	}
	if m.Errors != "none" {
		rows = append(rows, "fails on: "+strings.TrimSuffix(m.Errors, ".")+".")
	}
	for i, row := range rows {
		if c.Format == "markdown" {
			if i == 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(b, "- %s\n", row)
			continue
		}
		fmt.Fprintln(b, c.wrap(row, "      "))
	}
	if m.Example == "" {
		return
	}
	if c.Format == "markdown" {
		b.WriteString("\n")
	} else {
		b.WriteString("    Example:\n")
	}
	for line := range strings.SplitSeq(m.Example, "\n") {
		indent := "    "
		if c.Format != "markdown" {
			indent = "        "
		}
		fmt.Fprintln(b, strings.TrimRight(indent+line, " "))
	}
}

func (c *docsCmd) line(b *strings.Builder, text string) {
	if c.Format == "markdown" {
		fmt.Fprintf(b, "\n%s\n", text)
		return
	}
	fmt.Fprintln(b, c.wrap(text, "    "))
}

// wrap breaks text between words at 100 columns; markdown breaks by itself.
func (c *docsCmd) wrap(text, indent string) string {
	if c.Format == "markdown" {
		return text
	}
	const width = 100
	var lines []string
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) >= width && strings.TrimSpace(line) != "" {
			lines = append(lines, strings.TrimRight(line, " "))
			line = indent
		}
		line += word + " "
	}
	lines = slices.Concat(lines, []string{strings.TrimRight(line, " ")})
	return strings.Join(lines, "\n")
}
