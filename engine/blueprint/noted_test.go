package blueprint

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine/job"
	"orrery/engine/ledger"
	"orrery/engine/ledger/ledgertest"
)

// This file loads directories after processes that ended while they loaded them.

const goodText = `bp = blueprint(name = "%NAME%")
bp.handler_for("start", is_start = True)(lambda actions: actions.transition_to("finished"))
`

func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestATextThatEndedProcessesIsNotLoaded(t *testing.T) {
	texts := map[string]string{
		"bad.star":  `load("//lib.star", "x")` + "\n" + strings.ReplaceAll(goodText, "%NAME%", "bad"),
		"good.star": strings.ReplaceAll(goodText, "%NAME%", "good"),
		"lib.star":  "x = 1\n",
	}
	dir, path := folderOf(t, texts), filepath.Join(t.TempDir(), "ledger")
	load := func(l *ledger.Ledger) (string, *Catalog) {
		t.Helper()
		c, err := LoadDir(context.Background(), dir, nil, Noted(l, 2))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, b := range c.All() {
			names = append(names, b.Name)
		}
		return strings.Join(names, " "), c
	}
	atBad := func(l *ledger.Ledger) { (notes{l, 2}).of(keyOf("bad.star", texts), "bad.star") }
	twice := func(l *ledger.Ledger) {
		(notes{l, 2}).blame() // a start that ended before it had loaded it
		atBad(l)
	}
	l := ledgertest.Died(t, path, atBad)
	l.Close()
	l = ledgertest.Died(t, path, twice)
	names, c := load(l)
	if names != "good" || strings.Join(c.Status().LeftOut, " ") != "bad.star" {
		t.Fatalf("loaded %q, left out %q", names, c.Status().LeftOut)
	}
	if bad := c.Status().Errors(); len(bad) != 1 || bad[0].Rule != job.CodeStepEnded || bad[0].File != "bad.star" || !strings.Contains(bad[0].Message, "ended 2 times while it loaded this text") {
		t.Errorf("findings: %+v", bad)
	}
	if _, _, err := c.tryUpload(t, "new.star", texts["good.star"]+"# another\n"); err == nil || !strings.Contains(err.Error(), "good") {
		t.Errorf("another upload: %v", err) // the name is taken; the refused text does not come into it
	}
	l.Close()
	// What it loads is another text: so is it.
	if err := os.WriteFile(filepath.Join(dir, "lib.star"), []byte("x = 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if names, _ := load(l); names != "bad good" {
		t.Errorf("after the change %q", names)
	}
}

// tryUpload checks one more file.
func (c *Catalog) tryUpload(t *testing.T, name, text string) ([]Changed, []Finding, error) {
	t.Helper()
	c.loading.Lock()
	defer c.loading.Unlock()
	texts := map[string]string{name: text}
	for n, s := range c.texts {
		texts[n] = s
	}
	_, changes, findings, err := c.tryTexts(texts, func(string) bool { return true })
	return changes, findings, err
}

func TestASuspectedTextComesThrough(t *testing.T) {
	texts := map[string]string{"a.star": strings.ReplaceAll(goodText, "%NAME%", "a"), "b.star": strings.ReplaceAll(goodText, "%NAME%", "b")}
	dir := folderOf(t, texts)
	for name, key := range map[string]string{"one file": keyOf("a.star", texts), "all files": keyOfAll(texts)} {
		l := ledgertest.Died(t, filepath.Join(t.TempDir(), "ledger"), func(l *ledger.Ledger) { (notes{l, 2}).of(key, "") })
		c, err := LoadDir(context.Background(), dir, nil, Noted(l, 2))
		if err != nil || len(c.All()) != 2 || len(l.Tallies()) != 0 || len(l.Left()) != 0 {
			t.Errorf("%s: %v, %d blueprints, tallies %+v, left %+v", name, err, len(c.All()), l.Tallies(), l.Left())
		}
	}
}
