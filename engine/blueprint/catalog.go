package blueprint

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
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
	notes   notes

	loading sync.Mutex          // one load at a time; guards what follows
	tried   string              // what the last load read
	moving  int                 // looks in a row that met somebody writing
	looked  map[string]look     // the files as the last look at the directory found them
	texts   map[string]string   // in force, by file
	stale   map[string]*Program // by file: in force in their last good revision, for the present text is bad
	uploads map[string]Uploaded // by file
	swapped func(*Snapshot)     // told of each directory that takes force after the first; may be nil
	record  chan struct{}       // what is in force is to be noted in the store

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
	Stale    []string  // those of them that are in force in their last good revision
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
func LoadDir(ctx context.Context, dir string, log *slog.Logger, options ...Option) (*Catalog, error) {
	c := newCatalog(log)
	c.dir = dir
	for _, o := range options {
		o(c)
	}
	if c.notes.blame() {
		c.log.Warn("the process before ended while it loaded blueprints: each file is looked at by itself")
	}
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
	c := &Catalog{log: log, kept: map[string]time.Time{}, clock: clock.Real{}, older: newProgramCache(64), record: make(chan struct{}, 1)}
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
	r, err := c.readSettled(ctx)
	if err != nil {
		return err
	}
	snap, st := c.begin(r)
	c.current.Store(snap)
	c.status.Store(st)
	for _, file := range st.LeftOut {
		c.log.Error("a blueprint file is left out", "file", file)
	}
	c.tell(st.Findings)
	c.log.Info("blueprints are loaded", "files", len(snap.Programs), "blueprints", len(snap.names), "left_out", len(st.LeftOut))
	return nil
}

// begin makes a snapshot of what is good in a reading.
func (c *Catalog) begin(r *reading) (*Snapshot, *Status) {
	texts, found := c.merged(r)
	snap, findings, leftOut := loadTree(c.notes, texts, found, c.current.Load())
	for _, file := range leftOut {
		delete(texts, file)
	}
	c.texts = texts
	return snap, &Status{At: time.Now().UTC(), OK: len(leftOut) == 0, Findings: findings, LeftOut: leftOut, First: true}
}

// Reload reads the directory again. Everything in it is good and takes force at once, or
// the old directory stays whole and the error, a *LoadError or that of reading, says why.
func (c *Catalog) Reload(ctx context.Context) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	r, err := c.readSettled(ctx)
	if err != nil {
		return err
	}
	return c.swap(r)
}

// swap puts a reading into force when all of it is good.
func (c *Catalog) swap(r *reading) error {
	texts, found := c.merged(r)
	snap, findings, leftOut := loadTree(c.notes, texts, found, c.current.Load())
	st := &Status{At: time.Now().UTC(), OK: len(leftOut) == 0, Findings: findings}
	c.status.Store(st)
	c.tell(findings)
	if !st.OK {
		c.log.Error("the changed blueprints have errors; the old ones stay in force", "files", strings.Join(leftOut, ", "))
		return &LoadError{File: leftOut[0], Findings: st.Errors()}
	}
	c.stale = nil
	c.takeForce(snap, texts)
	c.log.Info("changed blueprints are in force", "files", len(snap.Programs), "blueprints", len(snap.names))
	return nil
}

// takeForce swaps the snapshot in. Jobs that run on what it replaces need that next.
func (c *Catalog) takeForce(snap *Snapshot, texts map[string]string) {
	for hash, p := range c.current.Load().revisions {
		if snap.revisions[hash] == nil && len(p.Blueprints) > 0 {
			c.older.put(hash, p)
		}
	}
	c.texts = texts
	c.current.Store(snap)
	if c.swapped != nil {
		c.swapped(snap)
	}
	c.toRecord()
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
