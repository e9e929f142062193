// This file feeds the analysis what no author writes: bombs, broken text, the project's recipes cut short; it must end quickly and never panic. It also times a large directory.

package analysis

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBombsEnd(t *testing.T) {
	begun := time.Now()
	var double strings.Builder
	double.WriteString("x0 = [1, 2]\n")
	for i := 0; i < 64; i++ {
		fmt.Fprintf(&double, "x%d = x%d + x%d\n", i+1, i, i)
	}
	var fan strings.Builder
	for i := 0; i < 40; i++ {
		fmt.Fprintf(&fan, "def f%d(actions):\n    f%d(actions)\n    f%d(actions)\n", i, i+1, i+1)
	}
	fan.WriteString("def f40(actions):\n    pass\nbp = blueprint('b')\nbp.handler_for('s', is_start=True)(lambda actions: f0(actions))\n")
	branches := "bp = blueprint('b')\ndef h(context, actions):\n" + strings.Repeat("    if context.x:\n        y = 1\n    else:\n        y = 'a'\n", 200) + "bp.handler_for('s', is_start=True)(h)\n"
	for name, text := range map[string]string{
		"text":     "x = 'x' * 1000000000\ny = x + x\n",
		"lists":    double.String(),
		"loops":    "n = 0\nfor a in range(4000):\n    for b in range(4000):\n        for c in range(4000):\n            n = a\n",
		"calls":    fan.String(),
		"branches": branches,
		"nested":   "x = [[[[y for a in range(1000)] for b in range(1000)] for c in range(1000)] for y in range(1000)]\n",
		"format":   "x = '%s' * 1000 % tuple(range(1000))\nz = x.replace('1', x)\n",
		"unknown":  "def f():\n    for a in env.get('a'):\n" + strings.Repeat("        for b in a:\n", 1) + "            c = [a, b]\nf()\n",
	} {
		if _, err := File(files(map[string]string{"a.star": text}), "a.star"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("the bombs took %v", took)
	}
}

func FuzzFile(f *testing.F) {
	for _, pattern := range []string{"testdata/recipes/*.star", "testdata/rules/*.star"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range paths {
			text, err := os.ReadFile(p)
			if err != nil {
				f.Fatal(err)
			}
			for _, chunk := range chunks(string(text)) {
				f.Add(strings.TrimLeft(chunk, "\n"))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		begun := time.Now()
		r, err := Tree(files(map[string]string{"a.star": text}), []string{"a.star"})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("took %v", took)
		}
		for _, finding := range r.Findings {
			if finding.File != "a.star" || finding.Line < 1 || finding.Col < 1 || finding.Message == "" {
				t.Errorf("finding without a place: %+v", finding)
			}
		}
	})
}

// TestCutFiles cuts every recipe at many places: what is left must be analysed without a panic, and the whole must give the same twice.
func TestCutFiles(t *testing.T) {
	for _, name := range recipeNames(t) {
		text, err := os.ReadFile(filepath.Join("testdata/recipes", name))
		if err != nil {
			t.Fatal(err)
		}
		for cut := 0; cut <= len(text); cut += 7 {
			if _, err := File(files(map[string]string{"a.star": string(text[:cut])}), "a.star"); err != nil {
				t.Fatal(err)
			}
		}
		first, _ := File(dirSource("testdata/recipes"), name)
		second, _ := File(dirSource("testdata/recipes"), name)
		if fmt.Sprint(first.Findings, showEdges(first.Graphs[0])) != fmt.Sprint(second.Findings, showEdges(second.Graphs[0])) {
			t.Errorf("%s: two runs differ", name)
		}
	}
}

// manyBlueprints makes a directory of n blueprints from the recipes' text.
func manyBlueprints(tb testing.TB, n int) (Source, []string) {
	tb.Helper()
	recipe, err := os.ReadFile("testdata/recipes/r14.star")
	if err != nil {
		tb.Fatal(err)
	}
	m := map[string]string{}
	var names []string
	for i := 0; i < n/2; i++ {
		name := fmt.Sprintf("f%04d.star", i)
		m[name] = strings.NewReplacer("text_processor", fmt.Sprint("text_processor", i), "main_flow", fmt.Sprint("main_flow", i)).Replace(string(recipe))
		names = append(names, name)
	}
	return files(m), names
}

func BenchmarkThousandBlueprints(b *testing.B) {
	src, names := manyBlueprints(b, 1000)
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		r, err := Tree(src, names)
		if err != nil || len(r.Graphs) != 1000 || len(r.Findings) != 0 {
			b.Fatal(err, len(r.Graphs), r.Findings)
		}
	}
}

// A thousand blueprints take about a tenth of a second; the bound is that of the product, 2 s, with room for a loaded machine.
func TestThousandBlueprintsAreQuick(t *testing.T) {
	src, names := manyBlueprints(t, 1000)
	begun := time.Now()
	r, err := Tree(src, names)
	if err != nil || len(r.Graphs) != 1000 {
		t.Fatal(err, len(r.Graphs))
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("1000 blueprints took %v", took)
	}
}

// A file over the limit is not read, and is a finding of its directory, not its end.
func TestLargeFileIsNotRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"large.star": "#" + strings.Repeat("x", 1<<20), "loads.star": "load(\"//large.star\", \"x\")\n", "good.star": "y = 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := Folder(dir)("large.star"); err == nil || text != nil {
		t.Errorf("%d bytes were read: %v", len(text), err)
	}
	result, err := Tree(Folder(dir), []string{"good.star", "large.star", "loads.star"})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range result.Errors() {
		found = found || f.File == "large.star" && strings.Contains(f.Message, "1048577 bytes; the limit of a blueprint file is 1048576 (SOURCE_LIMIT)")
	}
	if !found {
		t.Errorf("findings: %v", result.Findings)
	}
}
