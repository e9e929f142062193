package when

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// This file runs testdata/conditions.txt.

func testContext(t testing.TB) starlark.Value {
	t.Helper()
	v, err := starlark.EvalOptions(&syntax.FileOptions{}, new(starlark.Thread), "context", `struct(job_id = "job-1", state_history = {}, initial_data = {
		"language": "en", "n": 3, "f": 3.0, "empty": "", "none": None, "yes": True, "tags": ["a", "b"], "user": {"name": "Ada", "keys": 5}})`,
		starlark.StringDict{"struct": starlark.NewBuiltin("struct", starlarkstruct.Make)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestConditions(t *testing.T) {
	file, err := os.Open("testdata/conditions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	context, n := testContext(t), 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := max(strings.LastIndex(line, "=> "), strings.LastIndex(line, "!! "), strings.LastIndex(line, "?? "))
		text, want := strings.TrimSpace(line[:at]), line[at+3:]
		n++
		expr, err := Compile(text)
		if line[at] == '?' {
			if err == nil || err.Error() != want {
				t.Errorf("%s\nloads with: %v\nwant:       %s", text, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := expr.Eval(new(starlark.Thread), context, nil)
		switch {
		case line[at] == '!' && (err == nil || err.Error() != want):
			t.Errorf("%s\nfails with: %v\nwant:       %s", text, err, want)
		case line[at] == '=' && (err != nil || got != (want == "true")):
			t.Errorf("%s gave %v, %v; want %s", text, got, err, want)
		}
	}
	if n < 60 {
		t.Errorf("only %d conditions were found", n)
	}
}

func TestSeen(t *testing.T) {
	expr, err := Compile("context.initial_data.language == 'de' or context.initial_data.gone > 1 or context.initial_data.get('x') == 1")
	if err != nil {
		t.Fatal(err)
	}
	var seen []Seen
	if ok, err := expr.Eval(new(starlark.Thread), testContext(t), &seen); ok || err != nil {
		t.Fatal(ok, err)
	}
	want := []Seen{{"context.initial_data.language", `"en"`}, {"context.initial_data.gone", "missing"}, {"context.initial_data.get('x')", "None"}}
	if len(seen) != len(want) {
		t.Fatalf("seen: %+v", seen)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Errorf("seen[%d] is %+v, want %+v", i, seen[i], want[i])
		}
	}
}

func BenchmarkEval(b *testing.B) {
	expr, err := Compile("context.initial_data.language == 'en' and context.initial_data.n > 2")
	if err != nil {
		b.Fatal(err)
	}
	context := testContext(b)
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := expr.Eval(new(starlark.Thread), context, nil); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// FuzzCondition: any text is refused with a *Problem or evaluates within the limits.
func FuzzCondition(f *testing.F) {
	for _, text := range []string{
		"context.initial_data.n > 2", "not context.x in [1, 'a']", "has(context.a) and len(context.tags) == 2", "'x' * 100000000", "[0] * 99999999 == 1",
		"'%s' % context.initial_data", "-context.n // 0", "context.user.get('a', 1) % 7", "((1", "1 == 1 == 1", "'a' 'b'", "context[", "b'x' + 'y'",
	} {
		f.Add(text)
	}
	context := testContext(f)
	f.Fuzz(func(t *testing.T, text string) {
		expr, err := Compile(text)
		if err != nil {
			if _, ok := err.(*Problem); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		var seen []Seen
		if _, err := expr.Eval(new(starlark.Thread), context, &seen); err != nil && len(err.Error()) > 2*len(text)*5+4000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}
