package guard

import (
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// This file measures what the guards cost: each operation in a loop, and a usual handler,
// plain and checked.

const usualHandler = `
def f(data):
    history = {}
    total = 0
    names = []
    for item in data["items"]:
        if item["price"] > 10 and item["name"] not in names:
            total += item["price"] * item["count"]
            names.append(item["name"])
    history["total"] = total
    history["summary"] = "%d items, %s in all" % (len(names), total)
    history["label"] = ", ".join(names)
    if history["total"] > 100:
        history["kind"] = "large"
    else:
        history["kind"] = "small"
    return history
def run(n):
    data = {"items": [{"name": "n%d" % i, "price": i * 5, "count": 2} for i in range(5)]}
    for i in range(n):
        f(data)
`

// loops are programs whose function run repeats one thing n times.
var loops = []struct{ name, src string }{
	{"nothing", "def run(n):\n    for i in range(n):\n        pass\n"},
	{"plus", "def run(n):\n    x = 1\n    for i in range(n):\n        x + i\n"},
	{"plus-assign", "def run(n):\n    x = 1\n    for i in range(n):\n        x += i\n"},
	{"less", "def run(n):\n    x = 1\n    for i in range(n):\n        x < i\n"},
	{"append", "def run(n):\n    for i in range(n // 100 + 1):\n        x = []\n        for j in range(100):\n            x.append(j)\n"},
	{"index", "def run(n):\n    x = [1, 2]\n    y = 1\n    for i in range(n):\n        x[y]\n"},
	{"set-key", "def run(n):\n    d = {1: 1}\n    for i in range(n):\n        d[1] = i\n"},
	{"dict", "def run(n):\n    for i in range(n):\n        {}\n"},
	{"comprehension", "def run(n):\n    for i in range(n // 100 + 1):\n        [j for j in range(100)]\n"},
	{"call", "def f(x):\n    return x + x\ndef run(n):\n    for i in range(n):\n        f(i)\n"},
	{"percent", "def run(n):\n    for i in range(n):\n        \"%d items, %s in all\" % (i, i)\n"},
	{"join", "def run(n):\n    x = [\"ab\", \"cd\", \"ef\"]\n    for i in range(n):\n        \", \".join(x)\n"},
	{"not-in", "def run(n):\n    x = [\"ab\", \"cd\", \"ef\"]\n    y = \"gh\"\n    for i in range(n):\n        y not in x\n"},
	{"handler", usualHandler},
}

func loopOf(b *testing.B, src string, rewrite bool) (*starlark.Thread, starlark.Value) {
	b.Helper()
	f, err := (&syntax.FileOptions{}).Parse("bench.star", src, 0)
	known := starlark.StringDict{}
	if err == nil && rewrite {
		known = Names()
		err = Rewrite(f, Limits{})
	}
	if err != nil {
		b.Fatal(err)
	}
	p, err := starlark.FileProgram(f, known.Has)
	if err != nil {
		b.Fatal(err)
	}
	thread := &starlark.Thread{}
	NewAccount(Limits{Steps: 1 << 60, MemoryBytes: 1 << 60, Elements: 1 << 40}).Enter(thread)
	globals, err := p.Init(thread, known)
	if err != nil {
		b.Fatal(err)
	}
	globals.Freeze()
	return thread, globals["run"]
}

func BenchmarkGuards(b *testing.B) {
	for _, l := range loops {
		for _, rewrite := range []bool{false, true} {
			name := l.name + "/plain"
			if rewrite {
				name = l.name + "/checked"
			}
			b.Run(name, func(b *testing.B) {
				thread, run := loopOf(b, l.src, rewrite)
				b.ReportAllocs()
				b.ResetTimer()
				if _, err := starlark.Call(thread, run, starlark.Tuple{starlark.MakeInt(b.N)}, nil); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// TestErrorsLeaveNoOperands: what a function remembers when it fails is not taken for the
// operand of its caller.
func TestErrorsLeaveNoOperands(t *testing.T) {
	src := `
def bad(n):
    return 100 + (200 * (n + fail("no")))
def f():
    x = 7
    total = 0
    for i in range(1000):
        total += x + len([attempt(bad, i), (1 + (2 * attempt(bad, i).count("no")))]) * (1 if attempt(bad, i) == attempt(bad, i) else 100)
    return total
result = f()
`
	plain, checked := runOracle(t, "operands.star", src, false), runOracle(t, "operands.star", src, true)
	if plain.err != "" || plain.globals != checked.globals || checked.err != "" {
		t.Errorf("plain %s %s, checked %s %s", plain.err, plain.globals, checked.err, checked.globals)
	}
}
