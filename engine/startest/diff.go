package startest

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file says where two values differ.

// most bounds the differences of one comparison that are told.
const most = 12

// differences gives a line for each place at which two values differ; none when they are equal.
func differences(at string, got, want starlark.Value) []string {
	d := differing{}
	d.compare(at, got, want, 0)
	if len(d.lines) > most {
		d.lines = append(d.lines[:most], fmt.Sprintf("and %d more", len(d.lines)-most))
	}
	return d.lines
}

type differing struct{ lines []string }

func (d *differing) add(at, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if at != "" {
		line = at + ": " + line
	}
	d.lines = append(d.lines, line)
}

// maxDepth keeps a value that holds itself from going on for ever.
const maxDepth = 100

func (d *differing) compare(at string, got, want starlark.Value, depth int) {
	if depth > maxDepth {
		d.add(at, "nested more than %d deep", maxDepth)
		return
	}
	a, isDict := got.(*starlark.Dict)
	b, wantDict := want.(*starlark.Dict)
	if isDict && wantDict {
		d.dicts(at, a, b, depth)
		return
	}
	x, isList := got.(starlark.Indexable)
	y, wantList := want.(starlark.Indexable)
	_, isText := got.(starlark.String)
	_, wantText := want.(starlark.String)
	if isList && wantList && !isText && !wantText {
		d.lists(at, x, y, depth)
		return
	}
	if equal, err := starlark.Equal(got, want); err != nil || !equal {
		d.add(at, "got %s, want %s%s", show(got), show(want), kinds(got, want))
	}
}

// kinds names the types where the texts alone would look alike.
func kinds(got, want starlark.Value) string {
	if got.Type() == want.Type() || got == starlark.None || want == starlark.None {
		return ""
	}
	return fmt.Sprintf(" (%s, not %s)", got.Type(), want.Type())
}

func (d *differing) dicts(at string, got, want *starlark.Dict, depth int) {
	for k, w := range want.Entries() {
		inner := strings.TrimPrefix(at+"."+strings.Trim(show(k), `"`), ".")
		v, found, err := got.Get(k)
		if err != nil || !found {
			d.add(inner, "missing, want %s", show(w))
			continue
		}
		d.compare(inner, v, w, depth+1)
	}
	for k, v := range got.Entries() {
		if _, found, err := want.Get(k); err == nil && !found {
			d.add(strings.TrimPrefix(at+"."+strings.Trim(show(k), `"`), "."), "got %s, want nothing", show(v))
		}
	}
}

// lists compares entry by entry; lists of different length are shown side by side.
func (d *differing) lists(at string, got, want starlark.Indexable, depth int) {
	if got.Len() == want.Len() && !plain(got) {
		for i := range got.Len() {
			d.compare(fmt.Sprintf("%s[%d]", at, i), got.Index(i), want.Index(i), depth+1)
		}
		return
	}
	a, b := shown(got), shown(want)
	same := len(a) == len(b)
	for i := 0; same && i < len(a); i++ {
		if a[i] != b[i] { // 1 and 1.0 are equal and print otherwise
			same, _ = starlark.Equal(got.Index(i), want.Index(i))
		}
	}
	if !same {
		d.add(at, "(- wanted, + got)\n%s", strings.Join(aligned(a, b), "\n"))
	}
}

// plain reports whether a list holds nothing that has parts of its own.
func plain(list starlark.Indexable) bool {
	for i := range list.Len() {
		switch list.Index(i).(type) {
		case *starlark.Dict, *starlark.List, starlark.Tuple:
			return false
		}
	}
	return true
}

func shown(list starlark.Indexable) []string {
	out := make([]string, list.Len())
	for i := range out {
		out[i] = show(list.Index(i))
	}
	return out
}

// longest bounds the lists that are aligned; beyond it they are shown one after the other.
const longest = 500

// aligned shows two lists as one, by their longest common subsequence.
func aligned(got, want []string) []string {
	if len(got) > longest || len(want) > longest {
		return []string{fmt.Sprintf("    - %d entries, + %d entries", len(want), len(got))}
	}
	common := make([][]int, len(got)+1)
	for i := range common {
		common[i] = make([]int, len(want)+1)
	}
	for i := len(got) - 1; i >= 0; i-- {
		for k := len(want) - 1; k >= 0; k-- {
			if got[i] == want[k] {
				common[i][k] = common[i+1][k+1] + 1
			} else {
				common[i][k] = max(common[i+1][k], common[i][k+1])
			}
		}
	}
	var out []string
	i, k := 0, 0
	for i < len(got) || k < len(want) {
		switch {
		case i < len(got) && k < len(want) && got[i] == want[k]:
			out = append(out, "      "+got[i])
			i, k = i+1, k+1
		case k < len(want) && (i == len(got) || common[i][k+1] >= common[i+1][k]):
			out = append(out, "    - "+want[k])
			k++
		default:
			out = append(out, "    + "+got[i])
			i++
		}
	}
	return out
}

// show prints a value, cut where it is long.
func show(v starlark.Value) string { return guard.Show(v, 400) }
