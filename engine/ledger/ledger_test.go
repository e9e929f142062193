package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/filelock"
)

// This file ends "processes" by giving the lock back without the orderly end.

func open(t *testing.T, path string) *Ledger {
	t.Helper()
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.file.Close() })
	return l
}

// end is what the kernel does with the file of a process that ends.
func (l *Ledger) end(t *testing.T) {
	t.Helper()
	if err := l.file.Close(); err != nil {
		t.Fatal(err)
	}
}

func left(l *Ledger) map[string]Note {
	out := map[string]Note{}
	for _, n := range l.Left() {
		out[n.Key] = n
	}
	return out
}

func TestWhatAnEndLeaves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "ledger")
	l := open(t, path)
	if l.Unclean() || len(l.Left()) > 0 {
		t.Fatal("a new ledger says that something ended")
	}
	done := l.Begin(Note{Kind: Step, Key: "a", Step: 1})
	under := l.Begin(Note{Kind: Step, Key: "b"})
	l.Change(under, Note{Kind: Step, Key: "b", Step: 7, State: strings.Repeat("\x01", 300), Alone: true})
	l.End(done)
	run := l.Run()
	l.end(t)

	l = open(t, path)
	got := left(l)
	b := got["b"]
	if !l.Unclean() || len(got) != 1 || b.Step != 7 || b.Run != run || !b.Alone || b.At.IsZero() || b.State == "" {
		t.Fatalf("unclean %v, left %+v", l.Unclean(), got)
	}
	l.end(t) // before anything of it was settled

	l = open(t, path)
	if got := left(l); len(got) != 1 || got["b"].Run != run {
		t.Fatalf("what was not settled is %+v", got)
	}
	for slot := range l.Left() {
		l.Settle(slot)
	}
	l.end(t)
	if l = open(t, path); len(l.Left()) != 0 {
		t.Fatalf("what was settled is left: %+v", l.Left())
	}
}

func TestAnOrderlyEndBlamesNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path)
	l.Begin(Note{Kind: Step, Key: "old", Step: 1})
	l.end(t)
	l = open(t, path)
	l.Begin(Note{Kind: Step, Key: "asked to stop meanwhile", Step: 1})
	l.Stopping()
	l.end(t)
	l = open(t, path)
	if got := left(l); l.Unclean() || len(got) != 1 || got["old"].Step != 1 {
		t.Fatalf("unclean %v, left %+v", l.Unclean(), got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTallies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path)
	for _, run := range []string{"p1", "p2", "p2"} {
		l.Charge("x", Note{Name: "x.star", Run: run, At: now()})
	}
	l.Charge("y", Note{Name: "y.star", Run: "p2", At: now()})
	l.Acquit("y")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	if x := l.Tally("x"); x.Count != 2 || x.Name != "x.star" || l.Tally("y").Count != 0 || len(l.Tallies()) != 1 {
		t.Fatalf("%+v", l.Tallies())
	}
	for i := range tallies + 10 {
		l.Charge(fmt.Sprint("many", i), Note{Run: "p", At: now()})
	}
	if n := len(l.Tallies()); n != tallies {
		t.Fatalf("%d tallies", n)
	}
}

func TestTheSizeNeverChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path)
	var slots []Slot
	for i := range notes + 5 {
		if s := l.Begin(Note{Kind: Step, Key: fmt.Sprint(i), Name: strings.Repeat("é", 500), State: strings.Repeat("<", 500)}); s != None {
			slots = append(slots, s)
		}
	}
	if len(slots) != notes {
		t.Fatalf("%d notes have room", len(slots))
	}
	for _, s := range slots {
		l.End(s)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != lines*lineBytes {
		t.Fatalf("%v, %v", info, err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\n") != lines {
		t.Fatal("it is no text of lines any more")
	}
	if l.Failed() != nil {
		t.Fatal(l.Failed())
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	first, err := OpenBeside(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, filelock.ErrHeld) {
		t.Fatalf("the second one is given %v", err)
	}
	second, err := OpenBeside(path)
	if err != nil {
		t.Fatal(err)
	}
	first.Begin(Note{Kind: Step, Key: "of the first", Step: 1})
	second.Begin(Note{Kind: Step, Key: "of the second", Step: 1})
	second.Charge("x", Note{Run: "p", At: now()})
	first.end(t)
	second.end(t)
	own, err := OpenBeside(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := left(own); len(got) != 2 || !own.Unclean() || own.Tally("x").Count != 1 {
		t.Fatalf("left %+v, tallies %+v", got, own.Tallies())
	}
	own.end(t)
	if own, err = OpenBeside(path); err != nil || len(own.Left()) != 2 || own.Tally("x").Count != 1 {
		t.Fatalf("%v, left %+v, tallies %+v", err, own.Left(), own.Tallies())
	}
	own.end(t)
}

func TestDamagedAndForeignFiles(t *testing.T) {
	for name, text := range map[string]string{"foreign": "notes of somebody\n", "empty": "", "zeros": strings.Repeat("\x00", lines*lineBytes)} {
		path := filepath.Join(t.TempDir(), "ledger")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if l := open(t, path); len(l.Left()) > 0 || l.Unclean() {
			t.Errorf("%s: left %+v", name, l.Left())
		}
	}
	var none *Ledger
	none.End(none.Begin(Note{}))
	none.Stopping()
	if none.Unclean() || len(none.Left()) > 0 || none.Close() != nil || none.Tally("x").Count != 0 {
		t.Error("no ledger says something")
	}
}

func BenchmarkNote(b *testing.B) {
	l, err := Open(filepath.Join(b.TempDir(), "ledger"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l.End(l.Begin(Note{Kind: Step, Key: "01a20b4d-3246-7000-8c35-779c7e77c5c7", Name: "poison", Step: 2, State: "deadly"}))
	}
	if err := errors.Join(l.Failed(), l.Close()); err != nil {
		b.Fatal(err)
	}
}
