package sandbox

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// This file writes random blueprints: handlers that compute, exaggerate, and decide. Every
// choice is a byte, so that the fuzzer can change one choice at a time.

// author writes one file. Without bytes left it takes the first of every choice, so that it
// ends.
type author struct {
	choices []byte
	b       strings.Builder
	depth   int
}

// choicesOf gives the bytes of a seed.
func choicesOf(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 11))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

func (a *author) n(most int) int {
	if len(a.choices) == 0 {
		return 0
	}
	c := int(a.choices[0])
	a.choices = a.choices[1:]
	return c % most
}

func (a *author) pick(list ...string) string { return list[a.n(len(list))] }

func (a *author) line(indent int, format string, args ...any) {
	a.b.WriteString(strings.Repeat("    ", indent))
	fmt.Fprintf(&a.b, format, args...)
	a.b.WriteByte('\n')
}

const authorStates = 4 // s0 is the start; end is the end

func (a *author) target() string {
	switch a.n(8) {
	case 0, 1, 2:
		return fmt.Sprintf("%q", a.stateName())
	case 3:
		return fmt.Sprintf("names[%d]", a.n(3))
	case 4:
		return `"s%d" % (len(names) - ` + fmt.Sprint(a.n(3)) + ")"
	case 5:
		return `"s" + str(context.initial_data.get("n", 0) % 4)`
	case 6:
		return `pick(` + a.pick(`"s1"`, `"end"`, "names[0]") + ")"
	}
	return fmt.Sprintf("(%q if %s else %q)", a.stateName(), a.expr(1), a.stateName())
}

func (a *author) stateName() string { return a.pick("end", "s1", "s2", "s3", "finished", "failed") }

// expr gives an expression over x, y, z, names, context and data.
func (a *author) expr(depth int) string {
	if depth <= 0 {
		return a.pick("x", "y", "z", "3", `"text"`, "names", "2.5", "[x, 1]", `{"k": y}`, "None", "(x, y)", `context.initial_data.get("n")`, `context.state_history.get("seen", 0)`,
			"1 << 70", "set([1, 2])", "True", "-7", `"%s"`, `"{}"`, `json.dumps(names)`, "data_stores.kept", "context.job_id")
	}
	p, q := a.expr(depth-1), a.expr(depth-2)
	switch a.n(18) {
	case 0, 1, 2:
		return "(" + p + " " + a.pick("+", "-", "*", "//", "%", "|", "&", "<<") + " " + q + ")"
	case 3:
		return "(" + p + " " + a.pick("==", "!=", "<", "in", "not in", "and", "or") + " " + q + ")"
	case 4:
		return a.pick("str", "repr", "len", "list", "sorted", "tuple", "type", "bool", "reversed", "json.dumps", "hash", "dict", "any", "max") + "(" + p + ")"
	case 5:
		return "[" + a.pick("v", "(v, "+q+")", "[v] * 3", "str(v)") + " for v in " + p + "]"
	case 6:
		return p + "[" + a.pick("0", "-1", "1:", "::2", q) + "]"
	case 7:
		return "{v: " + q + " for v in " + p + "}"
	case 8:
		return "str(" + p + ")." + a.pick("upper()", "split(',')", "replace('t', 'long')", "join(['a', 'b'])", "format(1, 2)", "strip()", "elems()", "splitlines()")
	case 9:
		return "re.sub('[a-z]+', 'w', str(" + p + "))"
	case 10:
		return "(" + p + " if " + q + " else 0)"
	case 11:
		return "catch(lambda: " + p + ").ok"
	case 12:
		return "helper(" + p + ")"
	case 13:
		return "has(" + p + ", \"k\")"
	case 14:
		return "struct(a = " + p + ").a"
	case 15:
		return a.pick("round("+p+", ", "pow("+p+", ", "pow(3, 7, ", "round(pow(7, 99), ") + a.pick(q, "2", "-3", "1 << 40") + ")"
	case 16:
		return "format(" + p + ", " + a.pick(`">9"`, `"09,d"`, `".3f"`, `"="`, `"x"`, `"0999999,"`, "str("+q+")") + ")"
	}
	return "[" + p + ", " + q + "]"
}

// exaggerate is a line that may break a limit.
func (a *author) exaggerate(indent int) {
	v := a.pick("x", "y", "z")
	switch a.n(17) {
	case 14:
		a.line(indent, "%s = [format(i, %q) for i in range(%d)]", v, "0"+fmt.Sprint(1<<a.n(20))+",", 1<<a.n(10))
	case 15:
		a.line(indent, "%s = [pow(%d, i) for i in range(%d)]", v, a.n(256), 1<<a.n(13))
	case 16:
		a.line(indent, "%s = json.dumps({str(i): [i] * %d for i in range(%d)}, sort_keys = True, ensure_ascii = %s)", v, 1<<a.n(8), 1<<a.n(12), a.pick("True", "False"))
	case 0:
		a.line(indent, "%s = %s * (1 << %d)", v, a.pick(`"ab"`, "[0]", "(1,)", "b'x'"), a.n(40))
	case 1:
		a.line(indent, "for i in range(%d): %s = [%s]", a.n(256), v, v)
	case 2:
		a.line(indent, "for i in range(%d): %s = (%s, %s)", a.n(64), v, v, v)
	case 3:
		a.line(indent, "for i in range(%d): %s = str(%s) + str(%s)", a.n(40), v, v, v)
	case 4:
		a.line(indent, "for i in range(%d): names.append(\"n\" * i)", 1<<a.n(16))
	case 5:
		a.line(indent, "%s = %d", v, a.n(256))
		a.line(indent, "for i in range(%d): %s = %s * (%s + 1)", a.n(40), v, v, v)
	case 6:
		a.line(indent, "for i in range(%d): context.state_history[str(i)] = %s", 1<<a.n(14), a.expr(1))
	case 7:
		a.line(indent, "for i in range(%d): print(\"x\" * %d)", a.n(256), 1<<a.n(14))
	case 8:
		a.line(indent, "%s = catch(lambda: %s)", v, a.expr(2))
	case 9:
		a.line(indent, "%s = \"%%%d\" %% 1", v, a.n(100))
	case 10:
		a.line(indent, "%s = sorted([(i * 7919) %% 1009 for i in range(%d)], key = lambda i: [i] * %d)", v, 1<<a.n(14), 1<<a.n(10))
	case 11:
		a.line(indent, "%s = {(i, %s): i for i in range(%d)}", v, a.pick("1", "str(i) * 9", "(i,)"), 1<<a.n(15))
	case 12:
		a.line(indent, "for i in range(%d): data_stores.kept.set(str(i), [i] * %d)", a.n(256), 1<<a.n(10))
	default:
		a.line(indent, "%s = json.loads(json.dumps([[1, 2.5, %q]] * %d))", v, "t", 1<<a.n(14))
	}
}

func (a *author) statement(indent int) {
	switch v := a.pick("x", "y", "z"); a.n(8) {
	case 0, 1:
		a.line(indent, "%s = %s", v, a.expr(3))
	case 2:
		a.line(indent, "%s %s= %s", v, a.pick("+", "*", "|", "-"), a.expr(1))
	case 3:
		a.line(indent, "context.state_history[%q] = %s", a.pick("a", "b"), a.expr(2))
	case 4:
		a.line(indent, "if %s:", a.expr(2))
		a.block(indent + 1)
	case 5:
		a.line(indent, "for %s in %s:", v, a.pick("range(3)", "names", a.expr(2)))
		a.block(indent + 1)
	case 6:
		a.exaggerate(indent)
	default:
		a.line(indent, "names%s", a.pick(".append(\"end\")", "[0] = \"s2\"", " += [\"s3\"]", ".insert(0, \"end\")", ".pop()"))
	}
}

func (a *author) block(indent int) {
	if a.depth > 3 {
		a.line(indent, "pass")
		return
	}
	a.depth++
	for range 1 + a.n(2) {
		a.statement(indent)
	}
	a.depth--
}

func (a *author) action(indent int) {
	switch a.n(7) {
	case 0, 1, 2:
		a.line(indent, "actions.transition_to(%s)", a.target())
	case 3, 4:
		a.line(indent, "actions.dispatch_task(\"t\", params = {\"v\": x}, transitions = {\"success\": %s, %q: %s})", a.target(), a.pick("failure", "late"), a.target())
	case 5:
		a.line(indent, "if %s:", a.expr(2))
		a.action(indent + 1)
		a.line(indent, "else:")
		a.action(indent + 1)
	default:
		a.line(indent, "go(actions, %s)", a.target())
	}
}

// blueprint writes the whole file.
func (a *author) blueprint() string {
	a.line(0, "bp = blueprint(name = \"r\", data_stores = {\"kept\": {\"n\": 1}})")
	a.line(0, "def go(actions, to): actions.transition_to(to)")
	a.line(0, "def pick(v): return v")
	a.line(0, "def helper(v):")
	a.line(1, "x, y, z, names, context, data_stores = v, 1, [], [\"s1\"], struct(initial_data = {}, state_history = {}, job_id = \"\"), struct(kept = 1)")
	a.block(1)
	a.line(1, "return %s", a.expr(1))
	for i := range authorStates {
		a.line(0, "def h%d(context, actions, data_stores):", i)
		a.line(1, "x, y, z, names = %d, \"t\", [1], [\"s1\", \"s2\", \"s3\"]", i)
		for range 1 + a.n(4) {
			a.statement(1)
		}
		a.action(1)
		when := ""
		if a.n(4) == 1 {
			when = fmt.Sprintf(".when(%q)", a.pick("context.initial_data.n > 2", "context.state_history.x == 'a'", "not context.initial_data.n in [1, 2]", "len(context.initial_data) * 3 > 1", a.expr(2)))
		}
		start := ""
		if i == 0 {
			start = ", is_start = True"
		}
		a.line(0, "bp.handler_for(\"s%d\"%s)%s(h%d)", i, start, when, i)
	}
	a.line(0, "def fin(context): pass")
	a.line(0, "bp.handler_for(\"end\", is_end = True)(fin)")
	return a.b.String()
}
