package blueprint

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"orrery/engine/analysis"
	"orrery/starlib/guard"
)

// This file tests what is refused before anything recurses over it, and fuzzes the loader.

func TestDeepTextsAreLeftOut(t *testing.T) {
	c, err := LoadFS(t.Context(), fstest.MapFS{
		"good.star":  {Data: []byte(small)},
		"deep.star":  {Data: []byte("x = " + strings.Repeat("[", 200_000))},
		"chain.star": {Data: []byte("x = y" + strings.Repeat(".a", 200_000))},
		"large.star": {Data: []byte("#" + strings.Repeat("x", 1<<20))},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	st := c.Status()
	if len(c.All()) != 1 || len(st.Errors()) != 3 {
		t.Fatalf("%d blueprints, findings: %v", len(c.All()), st.Errors())
	}
	for _, f := range st.Errors() {
		if f.Line != 1 || f.Col < 1 || f.Severity != analysis.Error {
			t.Errorf("finding %+v", f)
		}
	}
}

func TestLimitsOfABlueprint(t *testing.T) {
	src := strings.Replace(small, `name = "small"`, `name = "small", limits = {"steps": 1000, "seconds": 0.25, "memory_mib": 2}`, 1)
	l := compile(t, map[string]string{"main.star": src}).Blueprints[0].Limits
	if l.Steps != 1000 || l.Time.Seconds() != 0.25 || l.MemoryBytes != 2<<20 {
		t.Errorf("limits: %+v", l)
	}
	for _, bad := range []string{`{"stepz": 1}`, `{"steps": 0}`, `{"steps": "x"}`, `[]`} {
		_, err := Compile("main.star", map[string]string{"main.star": strings.Replace(small, `name = "small"`, `name = "small", limits = `+bad, 1)})
		if err == nil || !strings.Contains(err.Error(), "limits") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestManyFaults: what a file has of errors is shown within bounds, also where each could be
// likened to all other names of the file.
func TestManyFaults(t *testing.T) {
	var near strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&near, "longish_b%d\nlongish_c%d = 1\n", i, i)
	}
	for name, src := range map[string]string{"dialect": strings.Repeat("return\n", 100_000), "unresolved-name": near.String()} {
		_, err := Compile("main.star", map[string]string{"main.star": src})
		var bad *LoadError
		if !errors.As(err, &bad) || len(bad.Findings) == 0 || len(bad.Findings) > guard.MaxFindings+1 || bad.Findings[0].Rule != name || bad.Findings[0].Line != 1 {
			t.Fatalf("%s: %.300v", name, err)
		}
		if n := len(bad.Findings); name == "dialect" && !strings.Contains(bad.Findings[n-1].Message, "99900 more errors") {
			t.Errorf("the last finding: %+v", bad.Findings[n-1])
		}
	}
	_, err := Compile("main.star", map[string]string{"main.star": "aplha = 1\nalpha\n" + strings.Repeat("zzz\n", 50)})
	if err == nil || !strings.Contains(err.Error(), "did you mean aplha?") || strings.Count(err.Error(), "undefined: zzz") != 50 {
		t.Errorf("a short file: %v", err)
	}
}

// TestChainsOfCalls: no function calls itself, but many that call the next go as deep.
func TestChainsOfCalls(t *testing.T) {
	chain := func(n int, def, call string) string {
		src := fmt.Sprintf(def, n, "1")
		for i := n - 1; i >= 0; i-- {
			src += fmt.Sprintf(def, i, fmt.Sprintf(call, i+1))
		}
		return src + "x = f0()\n"
	}
	for _, c := range []struct{ def, call string }{
		{"def f%d(): return %s\n", "f%d()"},
		{"f%d = lambda: %s\n", "f%d()"},
		{"f%d = lambda *a: %s\n", "max([1], key = f%d)"},
		{"def f%d(*a):\n    'doc'\n    return %s\n", "sorted([1], key = f%d)"},
	} {
		if _, err := Compile("main.star", map[string]string{"main.star": chain(90, c.def, c.call)}); err != nil {
			t.Errorf("90 of %q: %v", c.def, err)
		}
		_, err := Compile("main.star", map[string]string{"main.star": chain(300, c.def, c.call)})
		var bad *LoadError
		if !errors.As(err, &bad) || bad.Findings[0].Rule != "DEPTH_LIMIT" || bad.Findings[0].Line < 2 {
			t.Errorf("300 of %q: %.300v", c.def, err)
		}
	}
}

// FuzzCompile: any text gives a Program or a *LoadError with places, and no panic.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		small, "x = [0] * 100\n", "x = [i for i in range(3) if i]\nx[0] += 1\n", "d = {}\nd['a'], y = 1, 2\nd['a'] %= 2\n",
		"def f(*args, **kwargs):\n    'doc'\n    return args\nx = f(*[1], **{'a': 2})\n", "x = 'a' 'b'\n", "x = \"\"\"\n(\n\"\"\"\n", "load('//main.star', 'x')\n",
		"if 1:\n  pass\nelif 2:\n  pass\nelse:\n  pass\n", "x = lambda *a: a\ny = x(1)[::-1]\n", "x = -1 if not 1 else ~2\n", "x = r'\\'\n", "x = (1,)[0:1:]\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Compile("main.star", map[string]string{"main.star": text})
		var bad *LoadError
		if err == nil && p == nil || err != nil && !errors.As(err, &bad) {
			t.Fatalf("%v, %v", p, err)
		}
		if bad != nil && (len(bad.Findings) == 0 || bad.Findings[0].File == "" || strings.Contains(bad.Error(), "the interpreter failed")) {
			t.Errorf("findings: %v", bad)
		}
	})
}
