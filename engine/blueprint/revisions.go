package blueprint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"orrery/engine/store"
)

// This file keeps revisions: those that jobs begin on are put into the store, and older
// ones are found there again.

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
	if err := c.store.PutRevision(ctx, keptAs(p, now)); err != nil {
		return fmt.Errorf("keep revision %.12s of %s: %w", p.Revision, p.Main, err)
	}
	if len(c.kept) >= keptMost { // those of long ago are put again when they are needed
		maps.DeleteFunc(c.kept, func(_ string, at time.Time) bool { return now.Sub(at) >= putAgain })
	}
	c.kept[p.Revision] = now
	return nil
}

// KeepAgain puts whatever was kept lately into the store once more: it may have gone back to
// before that. What is not in memory any more was kept long before.
func (c *Catalog) KeepAgain(ctx context.Context) error {
	c.keeping.Lock()
	was := c.kept
	c.kept = map[string]time.Time{}
	c.keeping.Unlock()
	var failed error
	for hash, at := range was {
		p := c.Current().revisions[hash]
		if p == nil {
			p = c.older.get(hash)
		}
		if p == nil {
			continue
		}
		if err := c.keep(ctx, p); err != nil {
			failed = errors.Join(failed, err)
			c.keeping.Lock()
			if _, ok := c.kept[hash]; !ok {
				c.kept[hash] = at.Add(-putAgain) // the next try finds it, and a job's start puts it
			}
			c.keeping.Unlock()
		}
	}
	return failed
}

// keptAs is a program as the store keeps it.
func keptAs(p *Program, now time.Time) store.Revision {
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
	p, err := c.notes.compile(r.Main, r.Files)
	if err != nil {
		return nil, err
	}
	if p.Revision != hash {
		return nil, fmt.Errorf("revision %.12s: the kept text of %s has the hash %.12s; the store is damaged", hash, r.Main, p.Revision)
	}
	c.older.put(hash, p)
	return p, nil
}
