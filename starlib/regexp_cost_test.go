package starlib

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file tests what searches are charged, that a long one can be stopped, and that the
// values of this server are reckoned as long as their text is.

func compile(t *testing.T, text string) *expression {
	t.Helper()
	re, err := compileExpression(new(starlark.Thread), "test", text)
	if err != nil {
		t.Fatal(err)
	}
	return re
}

func TestGroupsAreBounded(t *testing.T) {
	compile(t, strings.Repeat("(a?)", maxGroups))
	_, err := compileExpression(new(starlark.Thread), "search", strings.Repeat("(a?)", 3333))
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Code != CodeElements || !strings.Contains(limit.Text, "at most 100 groups, and this has 3333") {
		t.Errorf("3333 groups: %v", err)
	}
}

// TestSearchesAreCharged: short texts are not free, and groups count.
func TestSearchesAreCharged(t *testing.T) {
	wide := "(?:" + strings.Repeat("(a?)", 100) + "){30}"
	for _, c := range []struct {
		pattern     string
		bytes       int
		least, most uint64 // steps
		memory      int64
	}{
		{`(\w+)@(\w+)\.org`, 31, 0, 10, 1000},
		{`(\w+)@(\w+)\.org`, 128, 1, 50, 1000},
		{`(\w+)@(\w+)\.org`, 12_800, 100, 5000, 1000},
		{wide, 31, 400_000, 800_000, 20 << 20},
		{wide, 128, 1_600_000, 3_200_000, 20 << 20},
	} {
		re, thread := compile(t, c.pattern), &starlark.Thread{}
		account := guard.NewAccount(guard.Limits{})
		account.Enter(thread)
		for range 2 { // the second uses the memory of the first
			if err := re.search(thread, "search", strings.Repeat("a", c.bytes)); err != nil {
				t.Fatal(err)
			}
		}
		if n := thread.Steps / 2; n < c.least || n > c.most {
			t.Errorf("%.20s in %d bytes counts as %d steps, want %d to %d", c.pattern, c.bytes, n, c.least, c.most)
		}
		if account.Used() < c.memory || account.Used() > 2*c.memory {
			t.Errorf("%.20s in %d bytes counts as %d bytes, want about %d", c.pattern, c.bytes, account.Used(), c.memory)
		}
	}
	thread := &starlark.Thread{}
	var limit *LimitError
	if err := compile(t, wide).search(thread, "search", strings.Repeat("a", 12_800)); !errors.As(err, &limit) || limit.Code != CodeSteps {
		t.Errorf("it may be searched for in 12,800 bytes: %v", err)
	}
}

// TestLongSearches: read rune by rune, the first match is the same.
func TestLongSearches(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for _, text := range []string{long + "key=7 end", "key=7" + long, long + "\xff\xfekey=üb\n", long, long + " key=1 key=2", "\n" + long + "\nkey=3"} {
		for _, p := range []string{`key=(\w+)`, `^key=(\w+)`, `(?m)^key=(\w+)`, `\Akey=(.)`, `\bkey=(.*)\b`, `(k)(e)(y)=(\S*)$`, `(?i)KEY=(.)`, `y=\B(.)`, `=`, `(?:)`, `nothing`} {
			re := compile(t, p)
			if re.price(text) < longSearch {
				re.size = longSearch / len(text) // so that it is taken for a long one
			}
			at, err := re.first(guard.NewAccount(guard.Limits{}), text)
			if want := re.FindStringSubmatchIndex(text); err != nil || !slices.Equal(at, want) {
				t.Errorf("%s is at %v, want %v (%v)", p, at, want, err)
			}
		}
	}
}

func TestLongSearchesAreStopped(t *testing.T) {
	re := compile(t, "(?:"+strings.Repeat("(a?)", 100)+"){30}b")
	account := guard.NewAccount(guard.Limits{})
	why := errors.New("no more")
	account.Stop(why)
	if _, err := re.first(account, strings.Repeat("a", 10_000_000)); err != why { // hours
		t.Errorf("it ended with %v", err)
	}
}

// TestPatternsAreForgotten: the cache of all runs is bounded by what it holds.
func TestPatternsAreForgotten(t *testing.T) {
	for i := range 60 {
		if _, err := pattern(new(starlark.Thread), "test", strings.Repeat("x{900}", 5)+strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	compiled.Lock()
	defer compiled.Unlock()
	sum := 0
	for _, re := range compiled.m {
		sum += re.size
	}
	if sum != compiled.size || sum > maxCompiled {
		t.Errorf("the patterns have %d instructions, noted are %d", sum, compiled.size)
	}
}

func TestTextsAreReckoned(t *testing.T) {
	for _, piece := range []string{"a", "\x00", "ü", "\xff", "\U000e0001", `"`} {
		text := strings.Repeat(piece, 1000)
		for _, v := range []starlark.Value{
			&matchValue{text: text, at: []int{0, len(text)}},
			regexpValue{compile(t, strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "?", "x"))},
			&Declared{Name: text}, &sqlValue{name: text}, &dataStore{name: text},
		} {
			thread := &starlark.Thread{}
			account := guard.NewAccount(guard.Limits{})
			account.Enter(thread)
			made, err := guard.Text(thread, "str", v)
			if err != nil || account.Used() < int64(len(made)) {
				t.Errorf("%s of %q: %d bytes, reckoned as %d (%v)", v.Type(), piece, len(made), account.Used(), err)
			}
		}
	}
}
