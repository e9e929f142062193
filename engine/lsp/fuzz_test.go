package lsp

import (
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// This file throws texts and places at what reads them while they are being written: nothing may panic or hang.

func FuzzPlaces(f *testing.F) {
	for _, text := range []string{flow, "load(\"", "x = {\"a\": [1, (2", "f('''", "# orrery: ignore[", "a.b.c(d = \"e\\", "\"\\", "}])", "def f(\n", "x = \"😀", "transitions = {\"success\": \""} {
		f.Add(text, len(text)/2)
		f.Add(text, len(text))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string, at int) {
		if !utf8.ValidString(text) || at < 0 || at > len(text) || at < len(text) && !utf8.RuneStart(text[at]) {
			return // JSON brings no such text, and a position is never within a character
		}
		cursorAt(text, at)
		chain, from, to := chainAround(text, at)
		if from < 0 || to > len(text) || from > to || !strings.HasSuffix(chain, text[from:to]) {
			t.Errorf("%q at %d: %q from %d to %d", text, at, chain, from, to)
		}
		p := positionAt(text, at)
		if back := offset(text, p); back > at || positionAt(text, back) != p {
			t.Errorf("%q: %d is %v, which is %d", text, at, p, back)
		}
		s := New(dir)
		s.ctx, s.out, s.ws = t.Context(), io.Discard, newWorkspace(dir)
		s.ws.open["x.star"] = text
		ask := &place{TextDocument: textDocument{URI: s.ws.uriOf("x.star")}, Position: p, NewName: "other"}
		if err := s.ws.analyse(); err != nil {
			t.Fatal(err)
		}
		for _, answer := range []func(*place, string) (any, error){s.complete, s.hover, s.definition, s.references, s.prepareRename, s.rename, s.symbols, s.lenses, s.format} {
			_, _ = answer(ask, "x.star") // a refusal is fine
		}
	})
}

func TestDocumentsElsewhere(t *testing.T) {
	dir := t.TempDir()
	w := newWorkspace(dir)
	for _, uri := range []string{"file:///", "file://" + dir + "/../x.star", "http://x/y.star", ":", "untitled:1", ""} {
		if name, ok := w.nameOf(uri); ok {
			t.Errorf("%s is %q of the workspace", uri, name)
		}
	}
	if name, ok := w.nameOf(w.uriOf("a b/ñ.star")); !ok || name != "a b/ñ.star" {
		t.Errorf("%q %v", name, ok)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}
