// This file gives the page of each rule: what it means, a bad and a good example, and what it can not see. The pages stand in the folder pages, one file a rule.

package analysis

import (
	"embed"
	"strings"
)

//go:embed pages/*.md
var pageFiles embed.FS

// Page is the documentation of one rule.
type Page struct {
	Rule  Rule
	Text  string // the whole page, Markdown
	Bad   string // a blueprint file with the finding
	Good  string // the same without it
	Blind string // what the rule can not see
}

// Explain gives the page of a rule; ok is false when there is none of that name, and then suggestion may name one.
func Explain(name string) (page Page, suggestion string, ok bool) {
	r, ok := rules[name]
	if !ok {
		return Page{}, didYouMean(name, ruleNames()), false
	}
	text, err := pageFiles.ReadFile("pages/" + name + ".md")
	if err != nil { // a test holds every rule to having one
		return Page{Rule: r}, "", false
	}
	page = Page{Rule: r, Text: string(text)}
	page.Bad, page.Good = page.block("## Bad"), page.block("## Good")
	_, page.Blind, _ = strings.Cut(page.Text, "## What it can not see\n\n")
	return page, "", true
}

func ruleNames() []string {
	var names []string
	for _, r := range Rules() {
		names = append(names, r.Name)
	}
	return names
}

// block gives the indented text below a heading.
func (p Page) block(heading string) string {
	_, rest, _ := strings.Cut(p.Text, heading+"\n\n")
	body, _, _ := strings.Cut(rest, "\n## ")
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimRight(body, "\n"), "\n") {
		b.WriteString(strings.TrimPrefix(line, "    ") + "\n")
	}
	return b.String()
}
