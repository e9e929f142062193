package blueprint

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"orrery/engine/analysis"
	"orrery/engine/job"
	"orrery/engine/ledger"
)

// This file is for texts whose loading ends the whole process: at the next start they would be
// loaded again, and end that one too. What is loaded is noted in the ledger meanwhile; a text that
// ended as many processes one after another as it may is left out like one with errors, and
// its last good revision stands in for it. A changed text is another one.

// Option changes how a directory is loaded.
type Option func(*Catalog)

// Noted has loading noted in a ledger. A text that ended most processes is not loaded again.
func Noted(l *ledger.Ledger, most int) Option {
	return func(c *Catalog) { c.notes = notes{l, most} }
}

// notes is where loading is noted; without a ledger nothing is.
type notes struct {
	ledger *ledger.Ledger
	most   int
}

// blame counts what processes before this one were loading when they ended.
func (n notes) blame() (any bool) {
	for slot, note := range n.ledger.Left() {
		if note.Kind != ledger.Load {
			continue
		}
		n.ledger.Charge(note.Key, note)
		n.ledger.Settle(slot)
		any = true
	}
	return any
}

// of notes that something is loaded, until done is called.
func (n notes) of(key, name string) (done func()) {
	slot := n.ledger.Begin(ledger.Note{Kind: ledger.Load, Key: key, Name: name})
	return func() { n.ledger.End(slot) }
}

// refused gives the finding of a text that is not loaded any more; nil when it is.
func (n notes) refused(key, name string) *Finding {
	t := n.ledger.Tally(key)
	if t.Count == 0 || t.Count < n.most {
		return nil
	}
	f := whole(job.CodeStepEnded, name, fmt.Sprintf(
		"the server's process ended %d times while it loaded this text, the last time after %s; it is not loaded again until it or what it loads is changed", t.Count, job.Time{Time: t.At}))
	return &f
}

// compile is Compile, noted.
func (n notes) compile(main string, files map[string]string) (*Program, error) {
	if n.ledger == nil {
		return Compile(main, files)
	}
	key := keyOf(main, files)
	if f := n.refused(key, main); f != nil {
		return nil, &LoadError{File: main, Findings: []Finding{*f}}
	}
	done := n.of(key, main)
	p, err := Compile(main, files)
	done()
	n.ledger.Acquit(key)
	return p, err
}

// tree is the analysis of all files, noted as a whole: no file can be named.
func (n notes) tree(texts map[string]string, names []string) (*analysis.Result, error) {
	if n.ledger == nil {
		return analysis.Tree(reader(texts), names)
	}
	key := keyOfAll(texts)
	defer n.ledger.Acquit(key)
	defer n.of(key, "")()
	return analysis.Tree(reader(texts), names)
}

// probe looks at each file by itself when a process ended while it loaded some, those first that
// load least: so the one that is to blame is found, and not a file that loads it. What is
// refused leaves texts.
func (n notes) probe(texts map[string]string) (findings []Finding) {
	if n.ledger == nil || len(n.ledger.Tallies()) == 0 {
		return nil
	}
	keys, loads := map[string]string{}, map[string]int{}
	all := keyOfAll(texts)
	suspected := n.ledger.Tally(all).Count > 0
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		key := keyOf(name, texts)
		f := n.refused(key, name)
		if f == nil { // nor when there is no telling which of all it is
			f = n.refused(all, name)
		}
		if f != nil {
			findings = append(findings, *f)
			continue
		}
		keys[name], loads[name] = key, len(closure(name, texts))
		suspected = suspected || n.ledger.Tally(key).Count > 0
	}
	for _, f := range findings {
		delete(texts, f.File)
	}
	if !suspected {
		return findings
	}
	names := slices.SortedFunc(maps.Keys(texts), func(a, b string) int {
		return cmp.Or(cmp.Compare(loads[a], loads[b]), cmp.Compare(a, b))
	})
	for _, name := range names {
		done := n.of(keys[name], name)
		_, _ = analysis.Tree(reader(texts), []string{name}) // what these find is found again with all
		_, _ = Compile(name, texts)
		done()
		n.ledger.Acquit(keys[name])
	}
	return findings
}

// reader gives the texts to the analysis.
func reader(texts map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		text, ok := texts[name]
		if !ok {
			return nil, fmt.Errorf("there is no file %q in the blueprint directory", name)
		}
		return []byte(text), nil
	}
}

// loaded finds what may be the argument of a load, without parsing: that may be what ended a
// process. It finds too much rather than too little.
var loaded = regexp.MustCompile(`["']//([^"'\n]+)["']`)

// closure gives a file and all that it may load.
func closure(main string, files map[string]string) map[string]string {
	out := map[string]string{}
	for next := []string{main}; len(next) > 0; next = next[1:] {
		text, there := files[next[0]]
		if _, had := out[next[0]]; had || !there {
			continue
		}
		out[next[0]] = text
		for _, m := range loaded.FindAllStringSubmatch(text, -1) {
			next = append(next, m[1])
		}
	}
	return out
}

// keyOf names a file's text with all that it loads.
func keyOf(main string, files map[string]string) string {
	sum := revision(closure(main, files))
	return sum[:32] + " " + revision(map[string]string{main: ""})[:8]
}

// keyOfAll names all texts together.
func keyOfAll(texts map[string]string) string { return "all " + revision(texts)[:32] }
