package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"orrery/engine/analysis"
	"orrery/engine/draw"
	"orrery/engine/startest"
	"orrery/workers"
	"orrery/workers/emulate"
)

// This file is `orrery test`.

type testCmd struct {
	Paths    []string      `arg:"" name:"path" help:"Test files (*_test.star) or folders of them."`
	Match    string        `name:"run" help:"Only cases whose name this regular expression finds." placeholder:"REGEXP"`
	Coverage bool          `help:"Say which states and transitions of the blueprints no case took."`
	Draw     string        `help:"Draw the coverage of each blueprint into this folder: what no case took is pale and dashed." placeholder:"DIR"`
	Verbose  bool          `short:"v" help:"A line for each case, with what it printed."`
	Root     string        `help:"Folder that // means in load paths (default: the given folder, or the file's)." placeholder:"DIR"`
	Env      []string      `help:"Variable that scripts may read with env.get; without a value it is taken from the environment. May be repeated." placeholder:"NAME[=VALUE]" sep:"none"`
	Timeout  time.Duration `default:"30s" help:"The longest that one case may take."`
	Format   string        `enum:"text,json,junit" default:"text" help:"text, json, or junit for build servers."`
}

func (testCmd) Help() string {
	return `A file X_test.star tests the blueprints of X.star beside it. Its cases are the functions whose names
begin with test_; each runs jobs with scripted workers and people, over a clock that jumps:

  def test_refused():
      job = run(
          data = {"input": "hello"},
          workers = {"simple_task": failure("disk is gone", code = "PERMANENT_ERROR")},
      )
      job.expect(status = "quarantined", path = ["start", "step_A", "failed"])

Exit code 1 when a case fails.

Examples:
  orrery test examples
  orrery test flow_test.star --run refused -v
  orrery test . --coverage --draw coverage
  orrery test . --format junit`
}

// Run runs the cases and prints what came out.
func (c *testCmd) Run(p *program) error {
	files, err := c.files()
	if err != nil {
		return err
	}
	o := startest.Options{Timeout: c.Timeout, Fits: workers.Fits, Emulate: emulate.Reply}
	if c.Match != "" {
		if o.Match, err = regexp.Compile(c.Match); err != nil {
			return usagef("--run: %v", err)
		}
	}
	if o.Env, err = p.scriptEnv(c.Env, nil); err != nil {
		return err
	}
	result, err := startest.Run(p.ctx, files, o)
	if err != nil {
		return err
	}
	if err := c.print(p, result); err != nil {
		return err
	}
	if err := c.draw(p, result.Coverage); err != nil {
		return err
	}
	passed, failed := result.Counts()
	switch {
	case failed > 0:
		return &failure{line: fmt.Sprintf("%s failed", count(failed, "case"))}
	case passed == 0: // nothing was tested: never a success
		return &failure{line: fmt.Sprintf("no case has a name that --run %q finds", c.Match)}
	}
	return nil
}

func (c *testCmd) print(p *program, result *startest.Result) error {
	coverage := result.Coverage
	if !c.Coverage {
		coverage = nil
	}
	switch c.Format {
	case "json":
		return startest.JSON(p.stdout, result, coverage)
	case "junit":
		return startest.JUnit(p.stdout, result)
	}
	if err := startest.Text(p.stdout, result, c.Verbose); err != nil || !c.Coverage {
		return err
	}
	fmt.Fprintln(p.stdout)
	return startest.CoverageText(p.stdout, coverage)
}

// draw writes one picture for each blueprint, named after it.
func (c *testCmd) draw(p *program, coverage []*startest.Coverage) error {
	if c.Draw == "" {
		return nil
	}
	if err := os.MkdirAll(c.Draw, 0o755); err != nil {
		return err
	}
	for _, k := range coverage {
		over := &draw.Overlay{States: k.States, Edges: k.Edges}
		picture, err := draw.RenderLook(p.ctx, []*analysis.Graph{k.Graph}, draw.SVG, draw.Look{Legend: true, Over: map[*analysis.Graph]*draw.Overlay{k.Graph: over}})
		if err != nil {
			return fmt.Errorf("the coverage of %s can not be drawn: %w", k.Graph.Name, err)
		}
		if err := os.WriteFile(filepath.Join(c.Draw, fileName(k.Graph.Name)+".svg"), picture, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fileName makes a blueprint's name one that any folder takes.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, name)
}

// files finds the test files of all paths, each once.
func (c *testCmd) files() ([]startest.File, error) {
	var files []startest.File
	seen := map[string]bool{}
	for _, path := range c.Paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, usagef("%s can not be read: %v", path, err)
		}
		found := []string{path}
		root := c.Root
		switch {
		case info.IsDir():
			if found, err = testFiles(path); err != nil {
				return nil, err
			}
			if len(found) == 0 {
				return nil, usagef("%s holds no *%s files", path, startest.Suffix)
			}
			if root == "" {
				root = path
			}
		case !strings.HasSuffix(path, startest.Suffix):
			return nil, usagef("%s is no test file; their names end in %s", path, startest.Suffix)
		case root == "":
			root = filepath.Dir(path)
		}
		for _, file := range found {
			name, err := under(root, file)
			if err != nil {
				return nil, err
			}
			if !seen[filepath.Clean(file)] {
				seen[filepath.Clean(file)] = true
				files = append(files, startest.File{Root: root, Name: name, Shown: filepath.ToSlash(filepath.Join(root, filepath.FromSlash(name)))})
			}
		}
	}
	return files, nil
}

// testFiles lists the test files below a folder, sorted. Folders that begin with a dot are
// passed over.
func testFiles(folder string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != folder && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, startest.Suffix):
			found = append(found, path)
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}
