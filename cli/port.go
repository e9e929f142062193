package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"orrery/engine/analysis"
	"orrery/engine/port"
)

// This file is `orrery port`: Python blueprints become Starlark ones.

type portCmd struct {
	Files   []string `arg:"" optional:"" name:"file" help:"Python files; imports among them become loads."`
	Project string   `help:"Port a whole project: its blueprints, configuration and environment, with a PORTING.md." placeholder:"DIR"`
	Out     string   `short:"o" help:"Folder for the .star files (default: beside each source; of a project, its folder orrery)." placeholder:"DIR"`
	Check   bool     `help:"Write nothing; only report."`
	Format  string   `enum:"text,json" default:"text" help:"text or json."`
}

func (portCmd) Help() string {
	return `Python itself (python3 on the PATH, 3.9 or newer) reads the files; nothing of them is run.
Whatever is not carried over one to one is reported: dropped, rewritten or refused. A file with
something refused is not written. Exit code 0 when every file was written and passes
orrery check, else 1.

Examples:
  orrery port flow.py
  orrery port flows/*.py -o blueprints
  orrery port flow.py --check --format json
  orrery port --project ../our-orchestrator -o ported`
}

// Run converts and reports.
func (c *portCmd) Run(p *program) error {
	switch {
	case c.Project != "" && len(c.Files) > 0:
		return usagef("--project takes a folder and no files beside it")
	case c.Project != "":
		return c.runProject(p)
	case len(c.Files) == 0:
		return usagef("port needs a Python file, or --project DIR")
	}
	root, files, err := readPython(c.Files)
	if err != nil {
		return err
	}
	results, err := port.Convert(p.ctx, files)
	if errors.Is(err, port.ErrNoPython) {
		return &failure{line: err.Error()}
	}
	if err != nil {
		return err
	}
	reports := make([]portReport, len(results))
	bad := 0
	for i, r := range results {
		reports[i] = portReport{Result: r}
		path := filepath.Join(root, filepath.FromSlash(r.Star))
		if c.Out != "" {
			path = filepath.Join(c.Out, filepath.FromSlash(r.Star))
		}
		reports[i].Path = path
		if r.Text != "" && !c.Check {
			if err := writePorted(path, r.Text); err != nil {
				return err
			}
			reports[i].Written = true
		}
		if !r.Good() {
			bad++
		}
	}
	if c.Format == "json" {
		err = printJSON(p.stdout, map[string]any{"files": reports, "ok": bad == 0})
	} else {
		err = printPorted(p, reports, c.Check)
	}
	if err != nil {
		return err
	}
	if bad > 0 {
		return &failure{line: fmt.Sprintf("%d of %s did not come through", bad, count(len(results), "file"))}
	}
	return nil
}

// portReport is one file of the report.
type portReport struct {
	*port.Result
	Path    string `json:"path"`
	Written bool   `json:"written"`
}

// readPython reads the files; their names are relative to the folder that holds them all.
func readPython(paths []string) (root string, files []port.File, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return "", nil, usagef("%s can not be read: %v", path, err)
		case info.IsDir():
			return "", nil, usagef("%s is a folder; give the files in it, or the whole folder by --project", path)
		case filepath.Ext(path) != ".py":
			return "", nil, usagef("%s is no Python file (.py)", path)
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return "", nil, err
		}
		if dir := filepath.Dir(abs); root == "" {
			root = dir
		} else {
			root = commonFolder(root, dir)
		}
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", nil, usagef("%s can not be read: %v", path, err)
		}
		name, err := under(root, path)
		if err != nil {
			return "", nil, err
		}
		files = append(files, port.File{Name: name, Text: text})
	}
	return root, files, nil
}

// commonFolder gives the deepest folder above both.
func commonFolder(a, b string) string {
	for a != b && !strings.HasPrefix(b, a+string(filepath.Separator)) {
		up := filepath.Dir(a)
		if up == a {
			return a
		}
		a = up
	}
	return a
}

// writePorted writes a file whole or not at all.
func writePorted(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	part := path + ".part"
	if err := os.WriteFile(part, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}

func printPorted(p *program, reports []portReport, check bool) error {
	for _, r := range reports {
		for _, e := range r.Entries {
			fmt.Fprintln(p.stdout, e)
		}
		if err := analysis.Text(p.stdout, r.Findings); err != nil {
			return err
		}
		verdict := "written"
		switch {
		case r.Text == "":
			verdict = "not written: something was refused"
		case len(r.Findings) > 0 && check:
			verdict = "would be written, but does not pass orrery check"
		case len(r.Findings) > 0:
			verdict = "written, but does not pass orrery check"
		case check:
			verdict = "can be ported"
		}
		if _, err := fmt.Fprintf(p.stdout, "%s -> %s: %s, %s\n", r.Python, r.Path, verdict, count(len(r.Entries), "remark")); err != nil {
			return err
		}
	}
	return nil
}
