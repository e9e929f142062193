package sandbox

import (
	"strings"
	"testing"
	"time"

	"orrery/starlib"
)

// This file tests how a broken limit of a value looks to the author: code, place and words.

func TestLimitsOfValues(t *testing.T) {
	for _, c := range []struct {
		line, code, says string
		col              int
	}{
		{`x = [0] * (1 << 30)`, starlib.CodeElements, "at most 1000000 elements, and 1073741824 were asked for", 13},
		{`y = ("a" * 50000).replace("a", "b" * 50000)`, starlib.CodeText, "replace: a text has at most 16 MiB, and 2500000000 bytes were asked for", 30},
		{`n = int("9" * 100000)`, starlib.CodeInteger, "an integer has at most 65536 bits", 12},
		{`s = (1 << 500) * (1 << 500) << 500`, "", "", 0},
		{`k = ["x" * 8000000 + str(i) for i in range(9)]`, starlib.CodeMemory, "a run creates at most 64 MiB of values; it has created", 14},
		{`r = catch(lambda: "x" * (1 << 40))`, starlib.CodeText, "a text has at most 16 MiB", 27},
		{`b = list(range(1 << 34))`, starlib.CodeElements, "range: a range has at most 1000000 elements, and 17179869184 were asked for", 19},
	} {
		st := body(t, "context, actions", c.line, `actions.transition_to("done")`)
		st.Limits.Time = time.Minute // the race detector on a loaded machine must not meet this one first
		if c.code == "" {
			ok(t, st)
			continue
		}
		e := bad(t, st, c.says)
		if e.Code != c.code || e.File != "main.star" || e.Line != 9 || e.Col != c.col {
			t.Errorf("%s: %s at %s:%d:%d, want %s at column %d", c.line, e.Code, e.File, e.Line, e.Col, c.code, c.col)
		}
		if !strings.Contains(e.Trace, c.line) || strings.Contains(e.Trace, "builtin>: in *") || strings.Contains(e.Trace, "in [.]") {
			t.Errorf("the trace shows what the user did not write, or not what he did:\n%s", e.Trace)
		}
	}
}

// TestOrdinarySizes: what honest scripts do stays far from the limits.
func TestOrdinarySizes(t *testing.T) {
	st := body(t, "context, actions",
		`text, rows = "", []`,
		`for i in range(20000):`,
		`    text += "line %d of a long report\n" % i`,
		`    rows.append({"id": i, "name": "n%d" % i})`,
		`by = {r["name"]: r for r in rows}`,
		`rows = sorted(rows, key = lambda r: -r["id"])`,
		`parts = text.split("\n")`,
		`text = ",".join([p.upper() for p in parts])`,
		`copy = json.loads(json.dumps(rows))`,
		`if copy != rows or len(by) != 20000: fail("wrong")`,
		`actions.transition_to("done")`)
	st.Limits = DefaultLimits()
	st.Limits.Time = time.Minute // a machine at work elsewhere is not the matter here
	ok(t, st)
}
