package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"orrery/engine/analysis"
)

// This file is `orrery check`, and the analysis of files that `render` shares.

type checkCmd struct {
	Paths   []string `arg:"" optional:"" name:"path" help:"Blueprint files or folders of them."`
	Root    string   `help:"Folder that // means in load paths (default: the given folder, or the file's)." placeholder:"DIR"`
	Format  string   `enum:"text,json,github" default:"text" help:"text, json, or github for annotations of a pull request."`
	Rules   bool     `help:"List the rules, and check nothing."`
	Explain string   `help:"Print the page of a rule: what it means, a bad and a good example, what it can not see." placeholder:"RULE"`
}

func (checkCmd) Help() string {
	return `Nothing is run. A rule is switched off on a line by the comment # orrery: ignore[rule-name].
Exit code 1 when there is an error; warnings and hints alone give 0.

Examples:
  orrery check examples
  orrery check flow.star --format github
  orrery check --rules
  orrery check --explain unreachable-state`
}

// Run prints every finding of every path, each once.
func (c *checkCmd) Run(p *program) error {
	switch {
	case c.Explain != "":
		return c.explain(p)
	case c.Rules:
		return c.listRules(p)
	case len(c.Paths) == 0:
		return usagef("name a file or a folder to check, for example: orrery check .")
	}
	var findings []analysis.Finding
	seen := map[analysis.Finding]bool{}
	var graphs []*analysis.Graph
	errors := 0
	for _, path := range c.Paths {
		a, err := analyse(path, c.Root)
		if err != nil {
			return err
		}
		graphs = append(graphs, a.graphs...)
		for _, f := range a.findings {
			if !seen[f] { // two files may load the same third one
				seen[f] = true
				findings = append(findings, f)
			}
		}
	}
	for _, f := range findings {
		if f.Severity == analysis.Error {
			errors++
		}
	}
	if err := c.print(p, findings, graphs, errors); err != nil {
		return err
	}
	if errors > 0 {
		return &failure{line: fmt.Sprintf("%s found", count(errors, "error"))}
	}
	return nil
}

// explain prints the page of a rule.
func (c *checkCmd) explain(p *program) error {
	page, suggestion, ok := analysis.Explain(c.Explain)
	if !ok {
		return usagef("%s", strings.TrimSpace(fmt.Sprintf("there is no rule %q; orrery check --rules lists them. %s", c.Explain, suggestion)))
	}
	if c.Format == "json" {
		return printJSON(p.stdout, ruleJSON(page.Rule, page.Text))
	}
	_, err := fmt.Fprintf(p.stdout, "%s\nSeverity: %s. Switched off on a line by: # orrery: ignore[%s]%s\n", page.Text, page.Rule.Severity, page.Rule.Name, hardNote(page.Rule))
	return err
}

func hardNote(r analysis.Rule) string {
	if r.Hard {
		return "\nRunning is impossible with it, so a comment hides it from `check`, not from a server."
	}
	return ""
}

// ruleJSON is a rule as --format json prints it.
func ruleJSON(r analysis.Rule, page string) map[string]any {
	m := map[string]any{"name": r.Name, "severity": r.Severity, "hard": r.Hard, "summary": r.Summary}
	if page != "" {
		m["page"] = page
	}
	return m
}

func (c *checkCmd) listRules(p *program) error {
	if c.Format == "json" {
		all := []any{}
		for _, r := range analysis.Rules() {
			all = append(all, ruleJSON(r, ""))
		}
		return printJSON(p.stdout, all)
	}
	rows := [][]string{{"RULE", "SEVERITY", "WHAT"}}
	for _, r := range analysis.Rules() {
		rows = append(rows, []string{r.Name, string(r.Severity), r.Summary})
	}
	return printTable(p.stdout, rows)
}

func (c *checkCmd) print(p *program, findings []analysis.Finding, graphs []*analysis.Graph, errors int) error {
	switch c.Format {
	case "json":
		return analysis.JSON(p.stdout, findings)
	case "github":
		return analysis.GitHub(p.stdout, findings)
	}
	if err := analysis.Text(p.stdout, findings); err != nil {
		return err
	}
	for _, g := range graphs {
		var ends []string
		for _, s := range g.States {
			if s.IsEnd {
				ends = append(ends, s.Name+" ("+s.Status+")")
			}
		}
		if len(ends) == 0 {
			ends = []string{"no state"}
		}
		fmt.Fprintf(p.stdout, "%s: ends in %s\n", g.Name, strings.Join(ends, ", "))
	}
	_, err := fmt.Fprintf(p.stdout, "%s, %s, %s\n", count(len(graphs), "blueprint"), count(errors, "error"), count(len(findings)-errors, "remark"))
	return err
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// analysed is what the text of a path says. Files are named as the caller can open them.
type analysed struct {
	graphs   []*analysis.Graph
	findings []analysis.Finding // with errors that a comment can not switch off
}

// analyse reads a file or folder; root "" takes the folder, or the file's.
func analyse(path, root string) (*analysed, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usagef("%s can not be read: %v", path, err)
	}
	if root == "" {
		if root = path; !info.IsDir() {
			root = filepath.Dir(path)
		}
	}
	source := analysis.Folder(root)
	var r *analysis.Result
	if info.IsDir() {
		names, err := starFiles(root, path)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, usagef("%s holds no .star files", path)
		}
		r, err = analysis.Tree(source, names)
		if err != nil {
			return nil, err
		}
	} else {
		name, err := under(root, path)
		if err != nil {
			return nil, err
		}
		if r, err = analysis.File(source, name); err != nil {
			return nil, err
		}
	}
	a := &analysed{graphs: r.Graphs, findings: r.Findings}
	for _, f := range r.Suppressed() {
		if f.Severity == analysis.Error && f.Hard {
			a.findings = append(a.findings, f)
		}
	}
	for i := range a.findings {
		a.findings[i].File = filepath.Join(root, filepath.FromSlash(a.findings[i].File))
	}
	return a, nil
}

// starFiles lists the .star files below a folder by their names relative to the root.
// Folders that begin with a dot are passed over.
func starFiles(root, folder string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != folder && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".star":
			return nil
		}
		name, err := under(root, path)
		names = append(names, name)
		return err
	})
	return names, err
}

// under names a file relative to the root, with forward slashes.
func under(root, path string) (string, error) {
	absRoot, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	absPath, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	name, err := filepath.Rel(absRoot, absPath)
	if err != nil || name == ".." || strings.HasPrefix(name, ".."+string(filepath.Separator)) {
		return "", usagef("%s is not below the root %s", path, root)
	}
	return filepath.ToSlash(name), nil
}
