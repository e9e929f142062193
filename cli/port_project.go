package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"orrery/cli/config"
	"orrery/engine/port"
)

// This file is `orrery port --project`: a whole Python project, its configuration included.

// project is what was found in the folder and what became of it.
type project struct {
	dir, out string
	root     string // of the Python files
	results  []*port.Result
	others   []string            // Python files without a blueprint, which stay as they are
	configs  map[string][]string // what was done with each file of the configuration
	order    []string            // the names of configs, in the order of the report
	env      []string            // lines of the new environment file
	faults   int
}

// skippedFolders hold nothing of a project's own.
var skippedFolders = []string{"__pycache__", "venv", "env", "node_modules", "site-packages", "build", "dist"}

// runProject ports a folder; check writes nothing.
func (c *portCmd) runProject(p *program) error {
	pr := &project{dir: c.Project, out: c.Out, configs: map[string][]string{}}
	if info, err := os.Stat(pr.dir); err != nil || !info.IsDir() {
		return usagef("%s is no folder that can be read", pr.dir)
	}
	if pr.out == "" {
		pr.out = filepath.Join(pr.dir, "orrery")
	}
	if old, err := os.ReadDir(pr.out); err == nil && len(old) > 0 && !c.Check {
		return usagef("%s is not empty; name another folder by -o, or remove it", pr.out)
	}
	paths, err := pythonFiles(pr.dir, pr.out)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return usagef("%s holds no Python files", pr.dir)
	}
	if err := pr.convert(p, paths); err != nil {
		return err
	}
	pr.configuration()
	reports, bad := pr.reports()
	if !c.Check {
		if err := pr.write(reports); err != nil {
			return err
		}
	}
	if c.Format == "json" {
		err = printJSON(p.stdout, map[string]any{"files": reports, "left": pr.others, "configuration": pr.configs, "ok": bad+pr.faults == 0})
	} else {
		_, err = fmt.Fprint(p.stdout, pr.page(reports))
	}
	if err == nil && bad+pr.faults > 0 {
		return &failure{line: "a person must look at " + count(bad+pr.faults, "file")}
	}
	return err
}

// pythonFiles finds the project's own Python files.
func pythonFiles(dir, out string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && (strings.HasPrefix(d.Name(), ".") || slices.Contains(skippedFolders, d.Name()) || path == out):
			return filepath.SkipDir
		case !d.IsDir() && filepath.Ext(path) == ".py":
			paths = append(paths, path)
		}
		return nil
	})
	return paths, err
}

// convert ports the files; those without a blueprint are left as they are. What is left
// over is read again by itself, so that names are relative to the folder of the blueprints.
func (pr *project) convert(p *program, paths []string) error {
	for round := 0; ; round++ {
		root, files, err := readPython(paths)
		if err != nil {
			return err
		}
		results, err := port.Convert(p.ctx, files)
		if err != nil {
			return &failure{line: err.Error()}
		}
		var kept []string
		pr.results = nil
		for i, r := range results {
			if r.Other {
				if r.Lines <= 1 { // an empty file that only marks a package
					continue
				}
				name, err := under(pr.dir, paths[i])
				if err != nil {
					return err
				}
				pr.others = append(pr.others, name)
				continue
			}
			kept = append(kept, paths[i])
			pr.results = append(pr.results, r)
		}
		if pr.root = root; len(kept) == len(paths) || len(kept) == 0 || round > 0 {
			return nil
		}
		paths = kept
	}
}

// note adds a line about a file of the configuration.
func (pr *project) note(name, format string, args ...any) {
	if _, known := pr.configs[name]; !known {
		pr.order = append(pr.order, name)
	}
	pr.configs[name] = append(pr.configs[name], fmt.Sprintf(format, args...))
}

// configuration looks at the files that the original reads.
func (pr *project) configuration() {
	for _, name := range []string{"clients.toml", "workers.toml", "schedules.toml"} {
		path := filepath.Join(pr.dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var faults config.Faults
		entries := 0
		switch name {
		case "clients.toml":
			var list []config.Client
			list, faults = config.LoadClients(path)
			entries = len(list)
		case "workers.toml":
			var list []config.Worker
			list, faults = config.LoadWorkers(path)
			entries = len(list)
		default:
			var values map[string]any
			if _, err := toml.Decode(string(text), &values); err != nil {
				faults = config.Faults{{Name: path, Problem: err.Error()}}
			}
			entries = len(values)
		}
		pr.note(name, "copied as it is: %s", count(entries, "entry"))
		for _, f := range faults {
			pr.faults++
			pr.note(name, "to be mended: %s", f)
		}
	}
	pr.environment()
}

var envLine = regexp.MustCompile(`^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

var envRead = regexp.MustCompile(`env\.get\("([A-Za-z_][A-Za-z0-9_]*)"`)

// environment takes .env over, and allows what the blueprints read.
func (pr *project) environment() {
	var read []string
	for _, r := range pr.results {
		for _, m := range envRead.FindAllStringSubmatch(r.Text, -1) {
			if !slices.Contains(read, m[1]) {
				read = append(read, m[1])
			}
		}
	}
	slices.Sort(read)
	known := map[string]bool{}
	for _, s := range config.Settings() {
		for _, name := range append([]string{s.Name}, s.Aliases...) {
			known[name] = true
		}
	}
	text, err := os.ReadFile(filepath.Join(pr.dir, ".env"))
	if err == nil {
		var environ []string
		taken := 0
		for _, line := range strings.Split(string(text), "\n") {
			m := envLine.FindStringSubmatch(line)
			if m == nil {
				pr.env = append(pr.env, line)
				continue
			}
			value := strings.Trim(strings.TrimSpace(m[2]), `"'`)
			taken++
			if !strings.HasSuffix(m[1], "_PATH") { // those are looked for when the server starts
				environ = append(environ, m[1]+"="+value)
			}
			pr.env = append(pr.env, m[1]+"="+m[2])
			if !known[m[1]] && !slices.Contains(read, m[1]) {
				pr.note(".env", "%s: kept; orrery has no setting of this name", m[1])
			}
		}
		cfg, err := config.Load(config.Source{Environ: environ})
		if err != nil {
			pr.faults++
			pr.note(".env", "to be mended: %v", err)
		} else {
			for _, w := range cfg.Warnings {
				pr.note(".env", "%s", w)
			}
			if cfg.Store.Kind == config.StoreRedis {
				pr.note(".env", "jobs are kept in %s as before, under keys that begin with orrery: and touch no others; without REDIS_HOST they are kept in a file", cfg.Store)
			}
		}
		pr.note(".env", "%s taken over into orrery.env", count(taken, "variable"))
	}
	if len(read) > 0 {
		pr.env = append(pr.env, "# What blueprints may read with env.get.", "BLUEPRINT_ENV="+strings.Join(read, ","))
		pr.note("orrery.env", "the blueprints read %s: allowed by BLUEPRINT_ENV", strings.Join(read, ", "))
	}
	pr.env = append(pr.env, "BLUEPRINTS_DIR=blueprints")
}

// reports says where each blueprint file goes; bad counts those that need a person.
func (pr *project) reports() (reports []portReport, bad int) {
	for _, r := range pr.results {
		rep := portReport{Result: r, Path: filepath.Join(pr.out, "blueprints", filepath.FromSlash(r.Star)), Written: r.Text != ""}
		if !r.Good() {
			bad++
		}
		reports = append(reports, rep)
	}
	return reports, bad
}

// write makes the folder. Files with secrets can be read by their owner only.
func (pr *project) write(reports []portReport) error {
	for _, r := range reports {
		if r.Text != "" {
			if err := writePorted(r.Path, r.Text); err != nil {
				return err
			}
		}
	}
	if err := os.MkdirAll(pr.out, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"clients.toml", "workers.toml", "schedules.toml"} {
		text, err := os.ReadFile(filepath.Join(pr.dir, name))
		if err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(pr.out, name), text, 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(pr.out, "orrery.env"), []byte(strings.Join(pr.env, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(pr.out, "PORTING.md"), []byte(pr.page(reports)), 0o644)
}

// page is PORTING.md.
func (pr *project) page(reports []portReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Ported from Python\n\nWhat `orrery port --project` did with %s, and what a person should look at.\n\n", filepath.Base(pr.dir))
	b.WriteString("## Blueprints\n\n")
	for _, r := range reports {
		verdict := "ported"
		switch {
		case r.Text == "":
			verdict = "**not ported**: something was refused"
		case len(r.Findings) > 0:
			verdict = "ported, **but does not pass `orrery check`**"
		}
		fmt.Fprintf(&b, "- `%s`: %s, %s\n", r.Python, verdict, count(len(r.Entries), "remark"))
		for _, e := range r.Entries {
			fmt.Fprintf(&b, "  - line %d, %s: `%s`: %s", e.Line, e.Action, strings.ReplaceAll(e.Python, "`", "'"), e.Reason)
			if e.Do != "" {
				fmt.Fprintf(&b, ". **%s**", e.Do)
			}
			b.WriteString("\n")
		}
		for _, f := range r.Findings {
			fmt.Fprintf(&b, "  - `%s:%d`: %s\n", f.File, f.Line, f.Message)
		}
	}
	b.WriteString("\n## Configuration\n\n")
	for _, name := range pr.order {
		for _, line := range pr.configs[name] {
			fmt.Fprintf(&b, "- `%s`: %s\n", name, line)
		}
	}
	b.WriteString("- Variables that are set elsewhere (service units, compose files) were not looked for.\n")
	b.WriteString("\n## Left as they are\n\nWorkers run unchanged, with their own SDK; scripts stay scripts.\n\n")
	for _, name := range pr.others {
		fmt.Fprintf(&b, "- `%s`\n", name)
	}
	fmt.Fprintf(&b, "\n## Next\n\n    cd %s\n    orrery check blueprints\n    set -a; . ./orrery.env; set +a\n    orrery serve\n", filepath.Base(pr.out))
	return b.String()
}
