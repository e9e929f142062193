package border

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// This file runs testdata/border.txt: chunks of a Starlark expression and its JSON text, or
// the error, both ways; and the cases that text files cannot hold.

// chunk is one case of the file: `expr`, then `=> json` or `!! error`, then perhaps `<- json`
// for text that is read but not written that way.
type chunk struct{ line, expr, json, fault, from string }

func chunks(t *testing.T) []chunk {
	t.Helper()
	text, err := os.ReadFile("testdata/border.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []chunk
	for part := range strings.SplitSeq(string(text), "\n---\n") {
		c := chunk{line: strings.TrimSpace(part)}
		for line := range strings.SplitSeq(c.line, "\n") {
			switch {
			case strings.HasPrefix(line, "=> "):
				c.json = line[3:]
			case strings.HasPrefix(line, "!! "):
				c.fault = line[3:]
			case strings.HasPrefix(line, "<- "):
				c.from = line[3:]
			case !strings.HasPrefix(line, "#"):
				c.expr += line
			}
		}
		out = append(out, c)
	}
	return out
}

func TestChunks(t *testing.T) {
	list := chunks(t)
	if len(list) < 25 {
		t.Fatalf("only %d chunks were found", len(list))
	}
	for _, c := range list {
		if c.expr == "" { // reading only
			v, err := Decode([]byte(c.from), "x")
			checkFault(t, c, err)
			if err == nil && c.json != "" {
				text, err := Encode(v, "x", 0)
				if err != nil || string(text) != c.json {
					t.Errorf("%s\ngave %s, %v", c.line, text, err)
				}
			}
			continue
		}
		v, err := starlark.EvalOptions(&syntax.FileOptions{Set: true}, new(starlark.Thread), "chunk", c.expr, nil)
		if err != nil {
			t.Errorf("%s\n%v", c.line, err)
			continue
		}
		text, err := Encode(v, "x", 0)
		checkFault(t, c, err)
		if err != nil {
			continue
		}
		if string(text) != c.json {
			t.Errorf("%s\ngave %s", c.line, text)
		}
		if !json.Valid(text) {
			t.Errorf("%s\ngave what is not JSON: %s", c.line, text)
		}
		back, err := Decode(text, "x")
		if err != nil {
			t.Errorf("%s\ncannot be read back: %v", c.line, err)
			continue
		}
		again, err := Encode(back, "x", 0)
		if err != nil || string(again) != string(text) {
			t.Errorf("%s\ncame back as %s, %v", c.line, again, err)
		}
	}
}

func checkFault(t *testing.T, c chunk, err error) {
	t.Helper()
	switch {
	case c.fault == "" && err != nil:
		t.Errorf("%s\nfailed: %v", c.line, err)
	case c.fault != "" && (err == nil || err.Error() != c.fault):
		t.Errorf("%s\nfailed with: %v", c.line, err)
	}
}

func TestTypesComeBack(t *testing.T) {
	v, err := Decode([]byte(`{"i":9223372036854775807,"f":2.0,"e":1e2,"l":[],"n":null,"b":true,"s":"ü"}`), "x")
	if err != nil {
		t.Fatal(err)
	}
	d := v.(*starlark.Dict)
	for key, want := range map[string]string{"i": "int", "f": "float", "e": "float", "l": "list", "n": "NoneType", "b": "bool", "s": "string"} {
		got, _, _ := d.Get(starlark.String(key))
		if got.Type() != want {
			t.Errorf("%s is %s, want %s", key, got.Type(), want)
		}
	}
	if err := d.SetKey(starlark.String("new"), starlark.None); err != nil {
		t.Errorf("a decoded dict must be changeable: %v", err)
	}
}

func TestSelfContained(t *testing.T) {
	list := starlark.NewList(nil)
	if err := list.Append(list); err != nil {
		t.Fatal(err)
	}
	if _, err := Encode(list, "x", 0); err == nil || !strings.Contains(err.Error(), "or it contains itself") {
		t.Errorf("a list that contains itself: %v", err)
	}
}

func TestTooLarge(t *testing.T) {
	big := starlark.String(strings.Repeat("x", 1<<20))
	list := starlark.NewList([]starlark.Value{big, big, big})
	for _, v := range []starlark.Value{big, list} {
		_, err := Encode(v, "params", 1<<10)
		var large *TooLarge
		if !errors.As(err, &large) || err.Error() != "params is larger than its limit of 1 KiB of JSON text" {
			t.Errorf("%s: %v", v.Type(), err)
		}
	}
	if text, err := Encode(starlark.String("12345678"), "x", 10); err != nil || len(text) != 10 {
		t.Errorf("exactly the limit: %s, %v", text, err)
	}
	if _, err := Encode(starlark.String("123456789"), "x", 10); err == nil {
		t.Error("one byte over the limit passed")
	}
}

func TestBadTextIsNamed(t *testing.T) {
	d := new(starlark.Dict)
	if err := d.SetKey(starlark.String("a b"), starlark.String("\xff")); err != nil {
		t.Fatal(err)
	}
	if _, err := Encode(d, "state_history", 0); err == nil || err.Error() != `state_history["a b"]: the text is not valid UTF-8 at byte 0` {
		t.Errorf("writing: %v", err)
	}
	if _, err := Decode([]byte("[\"\xff\"]"), "x"); err == nil || err.Error() != "x[0]: the text is not valid UTF-8" {
		t.Errorf("reading: %v", err)
	}
}

// FuzzDecode compares with encoding/json: what it takes must come out the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"\u00e9\ud83d\ude00"]}`, `[[]]`, `-0`, `1e5`, `"\ud800"`, `{"a":1,"a":2}`, `0123`, `--1`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Decode(text, "x")
		if err != nil || len(text) == 0 {
			return
		}
		out, err := Encode(v, "x", 0)
		if err != nil {
			t.Fatalf("%q was read and cannot be written: %v", text, err)
		}
		if !json.Valid(out) {
			t.Fatalf("%q became %q", text, out)
		}
		back, err := Decode(out, "x")
		if err != nil {
			t.Fatalf("%q became %q: %v", text, out, err)
		}
		again, _ := Encode(back, "x", 0)
		if string(again) != string(out) {
			t.Fatalf("%q, then %q", out, again)
		}
	})
}

func BenchmarkBorder(b *testing.B) {
	text := []byte(`{"user":{"id":12345,"name":"Ada Lovelace","tags":["a","b","c"],"score":0.75},"items":[{"sku":"x1","n":2},{"sku":"x2","n":1}],"ok":true}`)
	b.ReportAllocs()
	for b.Loop() {
		v, err := Decode(text, "x")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Encode(v, "x", 0); err != nil {
			b.Fatal(err)
		}
	}
}
