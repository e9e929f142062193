package guard

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.starlark.net/lib/json"
	"go.starlark.net/lib/math"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/starlarktest"
	"go.starlark.net/syntax"
)

// This file runs the interpreter's own test scripts twice, as they are and rewritten, and
// compares what comes out: errors with their places, failed assertions, and all globals.

// starlarkScripts finds the scripts in the module cache.
func starlarkScripts(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "go.starlark.net").Output()
	if err != nil {
		t.Skip("the go command, which knows where the module go.starlark.net lies, is missing: ", err)
	}
	names, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "starlark", "testdata", "*.star"))
	if err != nil || len(names) == 0 {
		t.Skip("the test scripts of go.starlark.net are missing in the module cache")
	}
	return names
}

// notes collects failed assertions.
type notes struct{ lines []string }

func (n *notes) Error(args ...any) { n.lines = append(n.lines, fmt.Sprint(args...)) }

type outcome struct {
	err, globals string
	failed       []string
}

func runOracle(t *testing.T, name, src string, rewrite bool) (o outcome) {
	t.Helper()
	opts := &syntax.FileOptions{
		Set: strings.Contains(src, "option:set"), While: strings.Contains(src, "option:while"), Recursion: strings.Contains(src, "option:recursion"),
		GlobalReassign: strings.Contains(src, "option:globalreassign"), TopLevelControl: strings.Contains(src, "option:toplevelcontrol"),
	}
	n := &notes{}
	thread := &starlark.Thread{Print: func(*starlark.Thread, string) {}}
	NewAccount(Limits{Steps: 100_000_000, MemoryBytes: 1 << 30}).Enter(thread)
	thread.SetMaxExecutionSteps(100_000_000)
	starlarktest.SetReporter(thread, n)
	thread.Load = func(thread *starlark.Thread, module string) (starlark.StringDict, error) {
		switch module {
		case "assert.star":
			return starlarktest.LoadAssertModule()
		case "json.star":
			return starlark.StringDict{"json": json.Module}, nil
		case "time.star":
			return starlark.StringDict{"time": startime.Module}, nil
		case "math.star":
			return starlark.StringDict{"math": math.Module}, nil
		}
		return nil, errors.New("no such module")
	}
	known := starlark.StringDict{"struct": starlark.NewBuiltin("struct", starlarkstruct.Make), "attempt": starlark.NewBuiltin("attempt", attempt)}
	f, err := opts.Parse(name, src, 0)
	if err == nil && rewrite {
		for k, v := range Names() {
			known[k] = v
		}
		err = Rewrite(f, Limits{})
	}
	var globals starlark.StringDict
	if err == nil {
		var p *starlark.Program
		if p, err = starlark.FileProgram(f, known.Has); err == nil {
			globals, err = p.Init(thread, known)
		}
	}
	if err != nil {
		o.err = err.Error()
		var ee *starlark.EvalError
		if errors.As(err, &ee) {
			Trim(ee)
			o.err = ee.Backtrace()
		}
	}
	for _, line := range n.lines {
		o.failed = append(o.failed, strings.ReplaceAll(line, "\n", "|"))
	}
	o.globals = globals.String()
	return o
}

// differences are known and meant: each is a limit, or better.
var differences = []string{
	"maximum recursion",                // here a value may be compared to its whole depth
	"repeat count", "excessive repeat", // said in the words of the limit
	"stack overflow", // calls end earlier, at their own depth
}

func TestOracle(t *testing.T) {
	chunks, compared := 0, 0
	for _, name := range starlarkScripts(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		for i, src := range strings.Split(string(text), "\n---\n") {
			chunks++
			plain := runOracle(t, base, src, false)
			if strings.Contains(plain.err, "undefined: ") {
				continue // it needs values that live in the interpreter's own test
			}
			compared++
			checked := runOracle(t, base, src, true)
			where := fmt.Sprintf("%s chunk %d", base, i)
			if plain.err != checked.err && !meant(plain.err) {
				t.Errorf("%s\nplain:   %s\nchecked: %s", where, plain.err, checked.err)
			}
			for j, line := range checked.failed {
				if (j >= len(plain.failed) || plain.failed[j] != line) && !meant(line) {
					t.Errorf("%s: an assertion fails: %s (plain: %q)", where, line, plain.failed)
				}
			}
			if plain.globals != checked.globals && plain.err == "" && !strings.Contains(plain.globals, "0x") {
				t.Errorf("%s: the globals differ\nplain:   %.600s\nchecked: %.600s", where, plain.globals, checked.globals)
			}
		}
	}
	if compared < 80 {
		t.Errorf("only %d of %d chunks were compared", compared, chunks)
	}
	t.Logf("%d of %d chunks compared", compared, chunks)
}

func meant(text string) bool {
	for _, d := range differences {
		if strings.Contains(text, d) {
			return true
		}
	}
	return false
}

// attempt calls a function and gives its value, or what went wrong as text.
func attempt(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	v, err := starlark.Call(thread, args[0], args[1:], nil)
	var limit *LimitError
	if errors.As(err, &limit) {
		return nil, err
	}
	if err != nil {
		return starlark.String("error: " + err.Error()), nil
	}
	return v, nil
}
