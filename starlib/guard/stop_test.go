package guard

import (
	"errors"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// This file tests that a stopped account ends what runs inside of one builtin, and that keys
// and comparisons are charged for what they are.

// stopper is a value that stops its account when it is looked at the first time.
type stopper struct {
	starlark.Value
	a    *Account
	why  error
	seen *int
}

func (s stopper) Hash() (uint32, error) {
	*s.seen++
	s.a.Stop(s.why)
	return 7, nil
}

func (s stopper) CompareSameType(syntax.Token, starlark.Value, int) (bool, error) {
	*s.seen++
	s.a.Stop(s.why)
	return false, nil
}

func TestStopEndsLoops(t *testing.T) {
	why := errors.New("the machine is wanted for something else")
	for _, c := range []struct {
		src  string
		most int // looks at the value that may be needed before the stop is seen
	}{
		{"set(values)", 8},
		{"dict([(v, 1) for v in values])", 8},
		{"{}.update([(v, 1) for v in values])", 8},
		{"set().union(values)", 8},
		{"sorted(values)", 8},
		{"max(values)", 8},
		{"min(values, key = lambda v: v)", 8},
		{"max(values, key = hashed)", 8},
		{"sorted(values, key = hashed)", 8},
		{"values == others", 1100},
		{"values.index(others[0])", 1100},
		{"others[0] in values", 1100},
	} {
		thread := &starlark.Thread{}
		a := NewAccount(Limits{Steps: 1 << 60, MemoryBytes: 1 << 60})
		a.Enter(thread)
		seen := 0
		lists := [2]*starlark.List{}
		for i := range lists {
			values := make([]starlark.Value, 50_000)
			for j := range values {
				values[j] = stopper{starlark.None, a, why, &seen}
			}
			lists[i] = starlark.NewList(values)
		}
		known := starlark.StringDict{"values": lists[0], "others": lists[1], "hashed": starlark.NewBuiltin("hashed", hashOf)}
		err := runLine(thread, c.src, known)
		if !errors.Is(err, why) {
			t.Errorf("%s ended with %v", c.src, err)
		}
		if seen > c.most {
			t.Errorf("%s went on for %d values after the stop", c.src, seen)
		}
	}
}

// hashOf is a builtin as the key of a sort.
func hashOf(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	h, err := args[0].Hash()
	return starlark.MakeInt(int(h)), err
}

func TestStop(t *testing.T) {
	a, thread := NewAccount(Limits{}), &starlark.Thread{}
	if a.Stopped() != nil || a.Work(thread, 1) != nil || a.Alloc(1) != nil {
		t.Fatal("an account is stopped from the beginning")
	}
	first := errors.New("first")
	a.Stop(first)
	a.Stop(errors.New("second"))
	for name, err := range map[string]error{"Stopped": a.Stopped(), "Work": a.Work(thread, 0), "Alloc": a.Alloc(0), "Text": a.Text("x", 1), "Dict": a.Dict()} {
		if err != first {
			t.Errorf("%s gives %v after Stop", name, err)
		}
	}
}

// TestKeysAreCharged: what is hashed or compared inside of one builtin counts, whether the
// key is new or not.
func TestKeysAreCharged(t *testing.T) {
	long := strings.Repeat("a", 64_000)
	tuple := make(starlark.Tuple, 1000)
	for i := range tuple {
		tuple[i] = starlark.MakeInt(i)
	}
	elems, err := starlark.Call(&starlark.Thread{}, must(starlark.String(long).Attr("elems")).(starlark.Callable), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		src   string
		x, y  starlark.Value // y is equal to x, in other memory
		least uint64
	}{
		{"set([x] * 100)", starlark.String(long), nil, 100_000},
		{"set([x] * 100)", starlark.Bytes(long), nil, 100_000},
		{"set([x] * 100)", tuple, nil, 99_000},
		{"dict([(x, 1)] * 100)", tuple, nil, 99_000},
		{"dict([(x, 1)] * 100)", starlark.Bytes(long), nil, 100_000},
		{"set([x]) | set([y])", starlark.String(long), starlark.String(strings.Clone(long)), 3000},
		{"set([x]).union([y])", starlark.String(long), starlark.String(strings.Clone(long)), 3000},
		{"set([x]).issubset([y])", starlark.String(long), starlark.String(strings.Clone(long)), 3000},
		{"set([x]) == set([y])", starlark.String(long), starlark.String(strings.Clone(long)), 3000},
		{"[set([x])] * 100 == [set([y])] * 100", starlark.String(long), starlark.String(strings.Clone(long)), 100_000},
		{"[{x: 1}] * 100 == [{y: 1}] * 100", starlark.String(long), starlark.String(strings.Clone(long)), 100_000},
		{"[x] * 100 == [y] * 100", starlark.Bytes(long), starlark.Bytes(strings.Clone(long)), 100_000},
		{"[x] * 100 == [y] * 100", elems, elems, 100_000},
		{"x == y", starlark.Bytes(long), starlark.Bytes(strings.Clone(long)), 1000},
		{"x in [y] * 100", starlark.Bytes(long[1:] + "b"), starlark.Bytes(strings.Clone(long)), 100_000},
		{"sorted([x, y] * 50)", starlark.Bytes(long), starlark.Bytes(strings.Clone(long)), 100_000},
		{"max([x, y] * 50)", starlark.Bytes(long), starlark.Bytes(strings.Clone(long)), 99_000},
		{"x in {}", starlark.String(long), nil, 1000},
		{"{x: 1}[x]", starlark.String(long), nil, 1000},
		{"sorted([x] * 100, key = hashed)", starlark.String(long), nil, 100_000},
		{"max([x] * 100, key = hashed)", starlark.Bytes(long), nil, 100_000},
	} {
		thread := &starlark.Thread{}
		NewAccount(Limits{Steps: 1 << 60, MemoryBytes: 1 << 60}).Enter(thread)
		known := starlark.StringDict{"x": c.x, "y": c.y, "hashed": starlark.NewBuiltin("hashed", hashOf)}
		if c.y == nil {
			known["y"] = c.x
		}
		if err := runLine(thread, c.src, known); err != nil {
			t.Errorf("%s: %v", c.src, err)
		}
		if thread.Steps < c.least {
			t.Errorf("%s with a %s counts as %d steps, want at least %d", c.src, c.x.Type(), thread.Steps, c.least)
		}
	}
}

// runLine runs an expression in a checked function.
func runLine(thread *starlark.Thread, src string, known starlark.StringDict) error {
	for name, v := range Names() {
		known[name] = v
	}
	f, err := (&syntax.FileOptions{Set: true}).Parse("line.star", "def run():\n    return "+src+"\nresult = run()\n", 0)
	if err == nil {
		err = Rewrite(f, Limits{})
	}
	var p *starlark.Program
	if err == nil {
		p, err = starlark.FileProgram(f, known.Has)
	}
	if err == nil {
		_, err = p.Init(thread, known)
	}
	return err
}

func must(v starlark.Value, err error) starlark.Value {
	if err != nil {
		panic(err)
	}
	return v
}
