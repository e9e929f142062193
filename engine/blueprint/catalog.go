package blueprint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/analysis"
	"orrery/engine/clock"
	"orrery/engine/store"
)

// This file holds the Catalog: the directory in force, and what the engine asks of it.

// ErrUnknown says that no blueprint has the name, or that the revision does not hold it.
var ErrUnknown = errors.New("unknown blueprint")

// Catalog is a directory of blueprint files. Its methods may be called by any goroutine.
type Catalog struct {
	dir     string // "" for a file system that cannot change
	open    func() (fs.FS, io.Closer, error)
	log     *slog.Logger
	current atomic.Pointer[Snapshot]
	status  atomic.Pointer[Status]
	older   *programCache

	loading sync.Mutex      // one load at a time; guards the next two
	tried   string          // what the last load read
	swapped func(*Snapshot) // told of each directory that takes force after the first; may be nil

	keeping sync.Mutex // guards store and kept
	store   store.Blueprints
	kept    map[string]time.Time // revisions that the store has for sure, and when they were put last
	clock   clock.Clock
}

// Status tells what the last load or reload came to. Findings holds everything it found,
// warnings and hints too.
type Status struct {
	At       time.Time
	OK       bool      // everything was good and is in force
	Findings []Finding // of the last try, which is in force only when OK or First
	LeftOut  []string  // files that the first load left out because of errors
	First    bool      // it was the first load
}

// Errors gives the findings that kept files from being used.
func (s Status) Errors() []Finding {
	var out []Finding
	for _, f := range s.Findings {
		if f.Severity == analysis.Error {
			out = append(out, f)
		}
	}
	return out
}

// LoadDir loads a directory. A file with errors is left out, loudly: see Status. The error
// is that of reading the directory itself.
func LoadDir(ctx context.Context, dir string, log *slog.Logger) (*Catalog, error) {
	c := newCatalog(log)
	c.dir = dir
	c.open = func() (fs.FS, io.Closer, error) {
		root, err := os.OpenRoot(dir) // links that lead out of it are refused
		if err != nil {
			return nil, nil, err
		}
		return root.FS(), root, nil
	}
	return c, c.first(ctx)
}

// LoadFS loads files that do not change, such as embedded examples.
func LoadFS(ctx context.Context, files fs.FS, log *slog.Logger) (*Catalog, error) {
	c := newCatalog(log)
	c.open = func() (fs.FS, io.Closer, error) { return files, io.NopCloser(nil), nil }
	return c, c.first(ctx)
}

func newCatalog(log *slog.Logger) *Catalog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Catalog{log: log, kept: map[string]time.Time{}, clock: clock.Real{}, older: newProgramCache(64)}
	c.current.Store(&Snapshot{})
	c.status.Store(&Status{})
	return c
}

// UseStore tells where revisions are kept. Without it, jobs cannot outlive their files.
func (c *Catalog) UseStore(s store.Blueprints) {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	c.store, c.kept = s, map[string]time.Time{}
}

// UseClock has the catalog take the time of day from a clock, for the dates that it keeps.
func (c *Catalog) UseClock(k clock.Clock) {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	c.clock = k
}

// OnSwap has f told of each changed directory when it takes force. f must not load again.
func (c *Catalog) OnSwap(f func(*Snapshot)) {
	c.loading.Lock()
	defer c.loading.Unlock()
	c.swapped = f
}

// first loads what is good and leaves out the rest.
func (c *Catalog) first(ctx context.Context) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	texts, unread, err := c.read(ctx)
	if err != nil {
		return err
	}
	snap, findings, leftOut := loadTree(texts, unread, c.current.Load())
	c.current.Store(snap)
	c.status.Store(&Status{At: time.Now().UTC(), OK: len(leftOut) == 0, Findings: findings, LeftOut: leftOut, First: true})
	for _, file := range leftOut {
		c.log.Error("a blueprint file is left out", "file", file)
	}
	c.tell(findings)
	c.log.Info("blueprints are loaded", "files", len(snap.Programs), "blueprints", len(snap.names), "left_out", len(leftOut))
	return nil
}

// Reload reads the directory again. Everything in it is good and takes force at once, or
// the old directory stays whole and the error, a *LoadError or that of reading, says why.
func (c *Catalog) Reload(ctx context.Context) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	texts, unread, err := c.read(ctx)
	if err != nil {
		return err
	}
	return c.swap(texts, unread)
}

func (c *Catalog) swap(texts map[string]string, unread []Finding) error {
	snap, findings, leftOut := loadTree(texts, unread, c.current.Load())
	st := &Status{At: time.Now().UTC(), OK: len(leftOut) == 0, Findings: findings}
	c.status.Store(st)
	c.tell(findings)
	if !st.OK {
		c.log.Error("the changed blueprints have errors; the old ones stay in force", "files", strings.Join(leftOut, ", "))
		return &LoadError{File: leftOut[0], Findings: st.Errors()}
	}
	c.current.Store(snap)
	if c.swapped != nil {
		c.swapped(snap)
	}
	c.log.Info("changed blueprints are in force", "files", len(snap.Programs), "blueprints", len(snap.names))
	return nil
}

// tell logs findings, hints apart: they are for `orrery check`.
func (c *Catalog) tell(findings []Finding) {
	for _, f := range findings {
		switch f.Severity {
		case analysis.Error:
			c.log.Error(f.Message, "file", f.File, "line", f.Line, "col", f.Col, "rule", f.Rule)
		case analysis.Warning:
			c.log.Warn(f.Message, "file", f.File, "line", f.Line, "col", f.Col, "rule", f.Rule)
		}
	}
}

// Current gives the directory in force.
func (c *Catalog) Current() *Snapshot { return c.current.Load() }

// Status tells what the last load or reload came to.
func (c *Catalog) Status() Status { return *c.status.Load() }

// Findings gives everything that the last load or reload found.
func (c *Catalog) Findings() []Finding { return slices.Clone(c.status.Load().Findings) }

// All gives the blueprints in force in the order of their names.
func (c *Catalog) All() []*Blueprint { return c.Current().All() }

// ByName finds a blueprint in force.
func (c *Catalog) ByName(name string) (*Blueprint, bool) { return c.Current().ByName(name) }

// ByEndpoint finds the blueprint behind POST /api/{version}/{endpoint}.
func (c *Catalog) ByEndpoint(version, endpoint string) (*Blueprint, bool) {
	return c.Current().ByEndpoint(version, endpoint)
}

// Pin gives a blueprint in force whose revision the store keeps from now on, so that a job
// may begin on it. Errors: ErrUnknown, and those of the store.
func (c *Catalog) Pin(ctx context.Context, name string) (*Blueprint, error) {
	snap := c.Current()
	b, ok := snap.ByName(name)
	if !ok {
		hint := ""
		if near := nearest(name, snap.names); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		return nil, fmt.Errorf("%w: there is no blueprint %q%s", ErrUnknown, name, hint)
	}
	return b, c.keep(ctx, b.Program)
}

// putAgain is how long a put counts: those who collect revisions keep what was put lately.
const putAgain = time.Hour

// keptMost is how many revisions are remembered before old ones are forgotten.
const keptMost = 1000

// keep puts a revision into the store, at most once an hour.
func (c *Catalog) keep(ctx context.Context, p *Program) error {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	now := c.clock.Now().UTC().Truncate(time.Millisecond)
	if last, ok := c.kept[p.Revision]; c.store == nil || ok && now.Sub(last) < putAgain {
		return nil
	}
	if err := c.store.PutRevision(ctx, kept(p, now)); err != nil {
		return fmt.Errorf("keep revision %.12s of %s: %w", p.Revision, p.Main, err)
	}
	if len(c.kept) >= keptMost { // those of long ago are put again when they are needed
		maps.DeleteFunc(c.kept, func(_ string, at time.Time) bool { return now.Sub(at) >= putAgain })
	}
	c.kept[p.Revision] = now
	return nil
}

// kept is a program as the store keeps it.
func kept(p *Program, now time.Time) store.Revision {
	r := store.Revision{Hash: p.Revision, Main: p.Main, Files: p.Files, Created: now, Used: now}
	for _, b := range p.Blueprints {
		r.Blueprints = append(r.Blueprints, b.Name)
	}
	return r
}

// AtRevision gives a blueprint as it was in a revision: from the directory in force, from
// memory, else compiled from the text in the store. Errors: ErrUnknown, *LoadError when the
// present program cannot load it any more, and those of the store.
func (c *Catalog) AtRevision(ctx context.Context, hash, name string) (*Blueprint, error) {
	p, ok := c.Current().revisions[hash]
	if !ok {
		var err error
		if p, err = c.olderProgram(ctx, hash); err != nil {
			return nil, err
		}
	}
	if b := p.Blueprint(name); b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("%w: revision %.12s (%s) has no blueprint %q", ErrUnknown, hash, p.Main, name)
}

func (c *Catalog) olderProgram(ctx context.Context, hash string) (*Program, error) {
	if p := c.older.get(hash); p != nil {
		return p, nil
	}
	c.keeping.Lock()
	kept := c.store
	c.keeping.Unlock()
	if kept == nil {
		return nil, fmt.Errorf("%w: revision %.12s is not in force, and no store keeps older ones", ErrUnknown, hash)
	}
	r, err := kept.Revision(ctx, hash)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: revision %.12s is not kept: %w", ErrUnknown, hash, err)
	}
	if err != nil {
		return nil, fmt.Errorf("revision %.12s: %w", hash, err)
	}
	p, err := Compile(r.Main, r.Files)
	if err != nil {
		return nil, err
	}
	if p.Revision != hash {
		return nil, fmt.Errorf("revision %.12s: the kept text of %s has the hash %.12s; the store is damaged", hash, r.Main, p.Revision)
	}
	c.older.put(hash, p)
	return p, nil
}
