package guard

import (
	"math"
	"strings"
	"testing"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// This file tests that no text is longer than it was reckoned: for every type of value that a
// script can get from the language, and for every conversion of the operator %. The types of
// this server are tested in starlib.

// texts are what long values are made of.
var texts = []string{"", "a", "\x00", "\xff\xfe", "ü", "\u200b", "\U000e0001", "\"'\\\n", "\ufffd", "\x7f", "\u0085"}

// anyValues gives values of all types of the language, short and long.
func anyValues(t *testing.T) (all []starlark.Value) {
	t.Helper()
	for _, piece := range texts {
		for _, times := range []int{1, 300} {
			s := strings.Repeat(piece, times)
			all = append(all, starlark.String(s), starlark.Bytes(s))
			for _, x := range []starlark.HasAttrs{starlark.String(s), starlark.Bytes(s)} {
				for _, name := range []string{"elems", "elem_ords", "codepoints", "codepoint_ords"} {
					method, err := x.Attr(name)
					if err != nil || method == nil {
						continue // bytes have elems alone
					}
					v, err := starlark.Call(&starlark.Thread{}, method, nil, nil)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, method, v)
				}
			}
		}
	}
	for _, f := range []float64{0, -1.5, 1e308, -math.MaxFloat64, 5e-324, math.Inf(1), math.Inf(-1), math.NaN(), 123456789.123} {
		all = append(all, starlark.Float(f))
	}
	for _, n := range []int64{0, 1, -1, 7, 8, 255, 1 << 40, math.MinInt64, math.MaxInt64} {
		all = append(all, starlark.MakeInt64(n))
	}
	for _, bits := range []uint{64, 65, 1000, 1024, 20_000} {
		all = append(all, starlark.MakeInt(1).Lsh(bits), starlark.MakeInt(-1).Lsh(bits))
	}
	name := strings.Repeat("long", 5000)
	f, err := (&syntax.FileOptions{}).Parse("f.star", "def "+name+"(): pass\ng = lambda: 1\nr = range(3, 1000000, 7)\n", 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := starlark.FileProgram(f, func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	globals, err := p.Init(&starlark.Thread{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range globals.Keys() {
		all = append(all, globals[k])
	}
	all = append(all, starlark.None, starlark.True, starlark.False, startime.Time{}, startime.Duration(math.MaxInt64), startime.Module,
		starlark.Universe["len"], guarded["list"]["append"].BindReceiver(new(starlark.List)), &appending{new(starlark.List), NewAccount(Limits{})})
	for _, v := range all[:len(all):len(all)] {
		d, set := new(starlark.Dict), new(starlark.Set)
		if d.SetKey(v, v) == nil { // what has no hash is no key
			_ = set.Insert(v)
			all = append(all, d, set)
		}
		values := new(starlark.Dict)
		_ = values.SetKey(starlark.String("k"), v) // a text is always a key
		all = append(all, values, starlark.NewList([]starlark.Value{v, v}), starlark.Tuple{v}, starlark.Tuple{v, v},
			starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{"a": v, "b": v}))
	}
	return append(all, new(starlark.Dict), new(starlark.List), starlark.Tuple{}, new(starlark.Set))
}

func TestTextIsReckoned(t *testing.T) {
	limits := Limits{Steps: 1 << 60, MemoryBytes: 1 << 60, TextBytes: 1 << 40}
	for _, v := range anyValues(t) {
		thread, a := &starlark.Thread{}, NewAccount(limits)
		text := v.String()
		if n, err := a.textLen(thread, v); err != nil || n < len(text) {
			t.Errorf("%s of %d bytes is reckoned as %d: %.80s (%v)", v.Type(), len(text), n, text, err)
		}
		for _, conversion := range "srdioxXeEfFgGc" {
			format := starlark.String("%" + string(conversion))
			made, err := starlark.Binary(syntax.PERCENT, format, starlark.Tuple{v})
			if err != nil {
				continue // a value of another type than it wants
			}
			n, err := interpolated(thread, a, string(format), starlark.Tuple{v})
			if s, _ := starlark.AsString(made); err != nil || n < len(s) {
				t.Errorf("%s %% %s makes %d bytes and is reckoned as %d (%v)", format, v.Type(), len(s), n, err)
			}
		}
		for _, format := range []string{"{}", "{!r}", "{!s}"} {
			made, err := starlark.Call(thread, must(starlark.String(format).Attr("format")), starlark.Tuple{v}, nil)
			if err != nil {
				t.Fatal(err)
			}
			n, err := formatted(thread, a, format, starlark.Tuple{v}, nil)
			if s, _ := starlark.AsString(made); err != nil || n < len(s) {
				t.Errorf("%s with a %s makes %d bytes and is reckoned as %d (%v)", format, v.Type(), len(s), n, err)
			}
		}
	}
}
