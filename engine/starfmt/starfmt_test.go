package starfmt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/analysis"
)

// This file tests the form, and that no program or comment is lost in it.

func TestSource(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"keywords":     {"x=blueprint(name='a',api_endpoint=\"b\")\n", "x = blueprint(name = \"a\", api_endpoint = \"b\")\n"},
		"comments":     {"# above\nx = 1   # beside\n# below\n", "# above\nx = 1  # beside\n# below\n"},
		"ignore":       {"f( 1 ) # orrery: ignore[no-action]\n", "f(1)  # orrery: ignore[no-action]\n"},
		"lines":        {"def f():\n  return 1\n\n\n\n\ndef g():\n  pass\n", "def f():\n    return 1\n\ndef g():\n    pass\n"},
		"loads sorted": {"load(\"//a.star\", \"z\", \"b\")\nz(b)\n", "load(\"//a.star\", \"b\", \"z\")\n\nz(b)\n"},
		"top level":    {"for x in [1,2]:\n  if x: print(x)\n", "for x in [1, 2]:\n    if x:\n        print(x)\n"},
		"windows":      {"x = 1\r\ny = 2\r\n", "x = 1\ny = 2\n"},
		"docstring":    {"def f():\n  '''Says what.\n\n  And more.\n  '''\n  return 1\n", ""},
		"text kept":    {"x = \"ñ\\u00e9\\n\" + 'it\\'s' + r\"\\d\"\n", ""},
		"set and not":  {"x = set([1]) | set([ 2 ])\ny = not  x\nz = 3 not in x\n", "x = set([1]) | set([2])\ny = not x\nz = 3 not in x\n"},
		"empty":        {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Source("x.star", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if c.want != "" && string(got) != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			again, err := Source("x.star", got)
			if err != nil || string(again) != string(got) {
				t.Errorf("formatted again it is\n%s (%v)\nafter\n%s", again, err, got)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"syntax": {"x = (\n", "x.star:2:1: "},
		"while":  {"while True:\n    pass\n", "x.star:1:"},
		"bytes":  {"x = b\"abc\"\n", "x.star:1:"}, // buildifier does not know them
		"deep":   {"x = " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000) + "\n", "x.star:1:"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Source("x.star", []byte(c.text))
			if err == nil || got != nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %q, %v; want an error that begins with %q", got, err, c.want)
			}
		})
	}
}

// Whatever .star file this project has keeps its program and its comments, and does not
// change a second time.
func TestEveryFileOfTheProject(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".star") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out, err := Source(path, text)
		if err != nil {
			return nil // bad on purpose: TestWhatIsRefused
		}
		files++
		if a, b := strings.Count(string(text), "#"), strings.Count(string(out), "#"); a != b {
			t.Errorf("%s: %d comments and more became %d", path, a, b)
		}
		again, err := Source(path, out)
		if err != nil || string(again) != string(out) {
			t.Errorf("%s changes a second time (%v)", path, err)
		}
		return nil
	})
	if err != nil || files < 30 {
		t.Errorf("%d files, %v; want 30 or more", files, err)
	}
}

// The comparison that guards a formatted text sees another value, name, operator and order.
func TestShapeTellsProgramsApart(t *testing.T) {
	base := "x = f(1 + 2, a = \"b\")\n"
	for _, other := range []string{"x = f(1 + 3, a = \"b\")\n", "y = f(1 + 2, a = \"b\")\n", "x = f(1 - 2, a = \"b\")\n", "x = f(a = \"b\", 1 + 2)\n", "x += f(1 + 2, a = \"b\")\n", "x = f(1 + 2, b = \"b\")\n", "x = f(1 + 2)\n"} {
		if sameShape(t, base, other) {
			t.Errorf("%q counts as %q", other, base)
		}
	}
	if !sameShape(t, base, "x = (f(\n    (1 + 2),\n    a = 'b',  # note\n))\n") {
		t.Error("layout, quotes and parentheses count")
	}
}

func sameShape(t *testing.T, a, b string) bool {
	t.Helper()
	var shapes [2]string
	for i, text := range []string{a, b} {
		tree, err := analysis.Dialect.Parse("x.star", text, 0)
		if err != nil {
			return false
		}
		shapes[i] = string(shape(tree))
	}
	return shapes[0] == shapes[1]
}
