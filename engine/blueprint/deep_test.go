package blueprint

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"orrery/engine/analysis"
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
