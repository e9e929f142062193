package blueprint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"orrery/engine/analysis"
	"orrery/engine/store"
)

// This file joins the directory with what the store knows of it: uploaded files, and the
// last good revision of each file, which stands in at a start when the present text is bad.

// Restore takes up what the store holds beside the directory. It is called once, after
// UseStore and before jobs run. Files with errors run on their last good revision from then
// on where there is one; Status says which.
func (c *Catalog) Restore(ctx context.Context) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	kept, err := c.store.SourceFiles(ctx)
	if err != nil {
		return fmt.Errorf("read which blueprint files the store knows: %w", err)
	}
	if c.uploads, err = c.readUploads(ctx, kept); err != nil {
		return err
	}
	st := c.status.Load()
	if len(c.uploads) == 0 && st.OK {
		return nil
	}
	r, err := c.readSettled(ctx)
	if err != nil {
		return err
	}
	snap, st := c.begin(r)
	c.stale = map[string]*Program{}
	for _, f := range kept {
		if slices.Contains(st.LeftOut, f.Name) {
			c.fallBack(ctx, snap, f)
		}
	}
	for file := range c.stale {
		st.Stale = append(st.Stale, file)
	}
	slices.Sort(st.Stale)
	c.current.Store(snap)
	c.status.Store(st)
	c.log.Info("blueprints of the store are loaded", "uploaded", len(c.uploads), "left_out", len(st.LeftOut)-len(st.Stale), "in_last_good_revision", len(st.Stale))
	return nil
}

// fallBack puts the last good revision of a file into a snapshot. What keeps it from that is
// logged: the file stays left out.
func (c *Catalog) fallBack(ctx context.Context, snap *Snapshot, f store.SourceFile) {
	r, err := c.store.Revision(ctx, f.Revision)
	var p *Program
	if err == nil {
		p, err = c.notes.compile(r.Main, r.Files)
	}
	if err == nil {
		if clash := snap.add(p); len(clash) > 0 {
			err = &LoadError{File: f.Name, Findings: clash}
		}
	}
	if err != nil {
		c.log.Error("the last good revision of a blueprint file can not stand in for it", "file", f.Name, "revision", f.Revision, "error", err)
		return
	}
	slices.Sort(snap.names)
	c.stale[f.Name] = p
	c.log.Warn("a blueprint file has errors; its last good revision is in force", "file", f.Name, "revision", f.Revision, "of", f.At)
}

// readUploads gives the uploaded files with their texts.
func (c *Catalog) readUploads(ctx context.Context, kept []store.SourceFile) (map[string]Uploaded, error) {
	uploads := map[string]Uploaded{}
	for _, f := range kept {
		if !f.Uploaded {
			continue
		}
		if had, ok := c.uploads[f.Name]; ok && had.Revision == f.Revision && had.At.Equal(f.At) {
			uploads[f.Name] = had
			continue
		}
		r, err := c.store.Revision(ctx, f.Revision)
		if errors.Is(err, store.ErrNotFound) {
			c.log.Error("the text of an uploaded blueprint file is gone; upload it again", "file", f.Name, "revision", f.Revision)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the uploaded file %s: %w", f.Name, err)
		}
		uploads[f.Name] = Uploaded{File: f.Name, Revision: f.Revision, By: f.By, At: f.At, text: r.Files[f.Name]}
	}
	return uploads, nil
}

// pollUploads takes up what other servers on the same store have uploaded, and reports
// whether there was anything.
func (c *Catalog) pollUploads(ctx context.Context) bool {
	c.loading.Lock()
	defer c.loading.Unlock()
	shared, ok := c.store.(interface{ Features() store.Features })
	if !ok || !shared.Features().Shared {
		return false
	}
	kept, err := c.store.SourceFiles(ctx)
	if err != nil {
		return false // the store tells the operator itself
	}
	uploads, err := c.readUploads(ctx, kept)
	same := func(a, b Uploaded) bool { return a.text == b.text }
	if err != nil || maps.EqualFunc(uploads, c.uploads, same) {
		return false
	}
	c.uploads = uploads
	return true
}

// merged gives the texts of a reading and the uploaded ones beside them. A file of the
// directory counts before an upload of its name, which is told.
func (c *Catalog) merged(r *reading) (map[string]string, []Finding) {
	texts, found := maps.Clone(r.texts), slices.Clone(r.unread)
	for _, name := range slices.Sorted(maps.Keys(c.uploads)) {
		if _, there := r.looked[name]; !there {
			texts[name] = c.uploads[name].text
			continue
		}
		f := whole("upload-hidden", name, "the blueprint directory has this file too, so the uploaded one does not count: remove the upload, or the file")
		f.Severity = analysis.Warning
		found = append(found, f)
	}
	return texts, found
}

// toRecord has it noted in the store what is in force.
func (c *Catalog) toRecord() {
	select {
	case c.record <- struct{}{}:
	default: // it is to be noted already
	}
}

// recordChanges notes what is in force until ctx ends.
func (c *Catalog) recordChanges(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.record:
		}
		if err := c.recordNow(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("the blueprints in force could not be noted in the store; it is tried again with the next change", "error", err)
		}
	}
}

// recorders is how many files are noted at once: the store writes them together.
const recorders = 16

// recordNow notes for each file with blueprints the revision that is in force.
func (c *Catalog) recordNow(ctx context.Context) error {
	c.keeping.Lock()
	rows, now := c.store, c.clock.Now().UTC().Truncate(time.Millisecond)
	c.keeping.Unlock()
	if rows == nil {
		return nil
	}
	kept, err := rows.SourceFiles(ctx)
	if err != nil {
		return err
	}
	had := map[string]store.SourceFile{}
	for _, f := range kept {
		had[f.Name] = f
	}
	note := func(s standing) error {
		if f := had[s.file.Name]; f.Revision == s.file.Revision && f.Uploaded == s.file.Uploaded {
			return nil
		}
		if err := rows.PutRevision(ctx, keptAs(s.program, now)); err != nil {
			return err
		}
		return rows.PutFile(ctx, s.file)
	}
	files, there, err := c.recordUploads(note, now)
	failed := make([]error, len(files), len(files)+1)
	var working sync.WaitGroup
	places := make(chan struct{}, recorders)
	for i, s := range files {
		places <- struct{}{}
		working.Go(func() {
			defer func() { <-places }()
			failed[i] = note(s)
		})
	}
	working.Wait()
	for name, f := range had {
		if !f.Uploaded && !there[name] {
			failed = append(failed, rows.DropFile(ctx, name))
		}
	}
	return errors.Join(append(failed, err)...)
}

// recordUploads notes the uploaded files, whose revisions change with what they load, and
// gives the others and the names of all. Nothing is uploaded or removed meanwhile.
func (c *Catalog) recordUploads(note func(standing) error, now time.Time) (others []standing, there map[string]bool, err error) {
	c.loading.Lock()
	defer c.loading.Unlock()
	files, there := c.inForce(now)
	for _, s := range files {
		if !s.file.Uploaded {
			others = append(others, s)
			continue
		}
		if err = errors.Join(err, note(s)); err == nil {
			up := c.uploads[s.file.Name]
			up.Revision = s.file.Revision
			c.uploads[s.file.Name] = up
		}
	}
	return others, there, err
}

// standing is a file as it stands in force.
type standing struct {
	file    store.SourceFile
	program *Program
}

// inForce gives the files whose present text is in force, and the names of all that are
// there, also those with errors.
func (c *Catalog) inForce(now time.Time) (files []standing, there map[string]bool) {
	there = map[string]bool{}
	for name := range c.looked {
		there[name] = true
	}
	for name, p := range c.current.Load().Programs {
		there[name] = true
		up, uploaded := c.uploads[name]
		if _, inDir := c.looked[name]; inDir {
			uploaded = false
		}
		if c.stale[name] != nil || len(p.Blueprints) == 0 && !uploaded {
			continue
		}
		f := store.SourceFile{Name: name, Revision: p.Revision, At: now}
		if uploaded {
			f.Uploaded, f.By, f.At = true, up.By, up.At
		}
		files = append(files, standing{f, p})
	}
	return files, there
}
