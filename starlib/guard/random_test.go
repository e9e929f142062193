package guard

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// This file makes random programs and compares the checked interpreter with the plain one.

// author writes random statements over a few variables of all types.
type author struct {
	r *rand.Rand
	b strings.Builder
}

func (a *author) pick(list ...string) string { return list[a.r.IntN(len(list))] }

func (a *author) variable() string { return a.pick("a", "b", "c", "d", "e") }

func (a *author) atom() string {
	switch a.r.IntN(12) {
	case 0, 1, 2, 3:
		return a.variable()
	case 4:
		return fmt.Sprint(a.r.IntN(9))
	case 5:
		return a.pick("1.5", "-2", "True", "None", "1 << 40", "(1 << 80)")
	case 6:
		return a.pick(`"text"`, `"%s-%r"`, `"{}-{}"`, `""`, `b"by"`, `"a,b,c"`, `"ü"`)
	case 7:
		return "[" + a.pick("", "1", "1, 2", "[1], (2,)", `"x", "y"`) + "]"
	case 8:
		return "{" + a.pick("", "1: 2", `"k": [1]`, "(1, 2): 3, 4: 5") + "}"
	case 9:
		return "(" + a.pick("", "1,", "1, 2", `"x", 3`) + ")"
	case 10:
		return a.pick("range(4)", "set([1, 2, 2])", "struct(x = 1)", `"abc".elems()`, "lambda x: x")
	}
	return a.pick("list", "len", "str", "sorted", "reversed", "tuple", "dict", "set", "repr", "min", "max", "enumerate", "int", "bytes", "zip") + "(" + a.variable() + ")"
}

func (a *author) expr(depth int) string {
	if depth <= 0 {
		return a.atom()
	}
	x, y := a.expr(depth-1), a.expr(depth-2)
	switch a.r.IntN(12) {
	case 0, 1, 2, 3:
		return "(" + x + " " + a.pick("+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>", "/") + " " + y + ")"
	case 4:
		return "(" + x + " " + a.pick("==", "!=", "<", "<=", ">", ">=", "in", "not in") + " " + y + ")"
	case 5:
		return a.pick("-", "~", "not ", "+") + "(" + x + ")"
	case 6:
		return "(" + x + ")[" + a.pick("0", "1:", ":-1", "::-1", "-1", y, "::2", "1:2") + "]"
	case 7:
		return "(" + x + ")." + a.pick("append(1)", "extend("+y+")", "join(["+y+"])", "replace('a', 'bb')", "format("+y+", 1)", "split(',')", "upper()", "items()",
			"keys()", "update("+y+")", "setdefault(1, 2)", "pop()", "popitem()", "insert(0, "+y+")", "index("+y+")", "union("+y+")", "add(3)", "remove(1)", "splitlines()", "count('a')", "x")
	case 8:
		return "[" + x + " for i in " + y + "]"
	case 9:
		return "{i: " + x + " for i in " + y + "}"
	case 10:
		return "(" + x + " if " + y + " else 0)"
	}
	return "[" + x + ", (" + y + ", 1)]"
}

func (a *author) statement(indent string) {
	a.b.WriteString(indent)
	switch v := a.variable(); a.r.IntN(15) {
	case 0, 1:
		fmt.Fprintf(&a.b, "%s = attempt(lambda: %s)\n", v, a.expr(3))
	case 2: // a function has a hand, and leaves operands in it when it fails
		fmt.Fprintf(&a.b, "def g(a, b, c, d, e):\n%s    return %s\n", indent, a.expr(3))
		fmt.Fprintf(&a.b, "%s%s = [%s, attempt(g, a, b, c, d, e)]\n", indent, v, a.atom())
	case 3, 4:
		fmt.Fprintf(&a.b, "def g(a, b, c, d, e):\n%s    return %s\n", indent, a.expr(2))
		fmt.Fprintf(&a.b, "%s%s = attempt(lambda: %s)\n", indent, v, a.expr(1))
		fmt.Fprintf(&a.b, "%sif (%s == attempt(g, e, d, c, b, a)) == (%s == 1): %s = (1 + len([attempt(g, a, b, c, d, e), 2])) * 2\n", indent, v, v, a.variable())
	case 5:
		fmt.Fprintf(&a.b, "%s %s= %s\n", v, a.pick("+", "-", "*", "|", "%", "//", "&"), a.expr(2))
	case 6:
		fmt.Fprintf(&a.b, "%s[%s] = %s\n", v, a.atom(), a.expr(2))
	case 7:
		fmt.Fprintf(&a.b, "%s[%s] %s= %s\n", v, a.atom(), a.pick("+", "-", "*", "|", "%"), a.expr(1))
	case 8:
		fmt.Fprintf(&a.b, "%s, %s = %s\n", v, a.variable(), a.pick("b, a", "(1, [2])", a.expr(2)))
	case 9:
		fmt.Fprintf(&a.b, "for %s in %s:\n%s    %s = %s\n", v, a.expr(1), indent, a.variable(), a.expr(2))
	default:
		fmt.Fprintf(&a.b, "if attempt(lambda: %s):\n%s    %s = attempt(lambda: %s)\n", a.expr(2), indent, v, a.expr(2))
	}
}

// program gives a function of random statements; most of them go on
// after an error.
func program(seed uint64) string {
	a := &author{r: rand.New(rand.NewPCG(seed, 7))}
	a.b.WriteString("# option:set\ndef f():\n    a, b, c, d, e = 1, \"text\", [1, 2], {1: 2, \"k\": [3]}, (1, \"x\")\n")
	for range 3 + a.r.IntN(6) {
		a.statement("    ")
	}
	a.b.WriteString("    return (a, b, c, d, e)\nresult = f()\n")
	return a.b.String()
}

var column = regexp.MustCompile(`(:\d+):\d+`)

func compareRandom(t *testing.T, seed uint64) (failed bool) {
	t.Helper()
	src := program(seed)
	plain, checked := runOracle(t, "random.star", src, false), runOracle(t, "random.star", src, true)
	// Not every operation of the interpreter notes its column, so an error may stand at the
	// operation before it, which is another one when rewritten.
	plain.err, checked.err = column.ReplaceAllString(plain.err, "$1"), column.ReplaceAllString(checked.err, "$1")
	if strings.Contains(checked.err, "has at most") { // a limit, which the plain one has not
		return true
	}
	if plain.err != checked.err || plain.err == "" && plain.globals != checked.globals {
		t.Errorf("seed %d\n%s\nplain:   %s %s\nchecked: %s %s", seed, src, plain.err, plain.globals, checked.err, checked.globals)
	}
	return plain.err != ""
}

func TestRandomPrograms(t *testing.T) {
	failed := 0
	for seed := range uint64(4000) {
		if compareRandom(t, seed) {
			failed++
		}
		if t.Failed() {
			break
		}
	}
	if failed == 0 || failed > 3900 {
		t.Errorf("%d of 4000 programs failed: they prove too little", failed)
	}
}

func FuzzRandomPrograms(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed * 1_000_003)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { compareRandom(t, seed) })
}
