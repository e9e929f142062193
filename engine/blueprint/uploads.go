package blueprint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"orrery/engine/analysis"
	"orrery/engine/store"
)

// This file takes blueprint files that come by the API. They stand beside the files of the
// directory, are checked together with them, and are kept in the store.

// Uploaded is one file that came by the API.
type Uploaded struct {
	File     string    `json:"file"`
	Revision string    `json:"revision"`
	By       string    `json:"uploaded_by"`
	At       time.Time `json:"uploaded_at"`
	text     string
}

// Changed is a blueprint that an upload makes, changes or takes away.
type Changed struct {
	Name     string `json:"name"`
	File     string `json:"file"`
	Change   string `json:"change"`             // added, changed or removed
	Revision string `json:"revision,omitempty"` // the new one
	Before   string `json:"before,omitempty"`   // the one in force until now
}

// UploadError is what is wrong with an upload before its text is looked at.
type UploadError struct {
	Conflict bool // with what is there; else the request itself is wrong
	Reason   string
}

// Error gives the reason.
func (e *UploadError) Error() string { return e.Reason }

// maxUploads bounds the uploaded files that are kept.
const maxUploads = 1000

// CheckUploadName says what is wrong with a name for an uploaded file, or nil.
func CheckUploadName(name string) error {
	refuse := func(why string) error {
		return &UploadError{Reason: fmt.Sprintf("%q is no name for a blueprint file: %s", name, why)}
	}
	if _, err := LoadName("//" + name); err != nil {
		return refuse("it is no plain path below the blueprint directory, such as team/orders.star")
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") {
			return refuse("hidden files and folders are not read")
		}
	}
	switch {
	case len(name) > 200:
		return refuse("it is longer than 200 bytes")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return refuse("it holds control characters")
	case strings.HasSuffix(name, "_test.star"):
		return refuse("tests are not run by a server")
	case !isBlueprintFile(name):
		return refuse("it does not end in .star")
	}
	return nil
}

// Upload puts files (name to text) into force, all or none, after the checks that a changed
// directory goes through, on all that is in force. With dry it only checks. It is durable
// when it returns. Errors: *UploadError, *LoadError with the findings, and those of the store.
func (c *Catalog) Upload(ctx context.Context, files map[string]string, by string, dry bool) ([]Changed, []Finding, error) {
	c.loading.Lock()
	defer c.loading.Unlock()
	if err := c.acceptUpload(files); err != nil {
		return nil, nil, err
	}
	texts := maps.Clone(c.texts)
	if texts == nil {
		texts = map[string]string{}
	}
	maps.Copy(texts, files)
	snap, changes, findings, err := c.tryTexts(texts, func(file string) bool { _, own := files[file]; return own })
	if err != nil || dry {
		return changes, findings, err
	}
	now := c.clock.Now().UTC().Truncate(time.Millisecond)
	uploads := maps.Clone(c.uploads)
	if uploads == nil {
		uploads = map[string]Uploaded{}
	}
	for name, text := range files {
		uploads[name] = Uploaded{File: name, Revision: snap.Programs[name].Revision, By: by, At: now, text: text}
	}
	if err := c.keepUploads(ctx, files, uploads, snap); err != nil {
		return nil, nil, err
	}
	c.uploads = uploads
	for name := range files {
		delete(c.stale, name)
	}
	c.takeForce(snap, texts)
	c.log.Info("uploaded blueprints are in force", "files", strings.Join(slices.Sorted(maps.Keys(files)), ", "), "by", by)
	return changes, findings, nil
}

func (c *Catalog) acceptUpload(files map[string]string) error {
	if c.store == nil {
		return &UploadError{Conflict: true, Reason: "there is no store to keep uploaded files in"}
	}
	if len(files) == 0 {
		return &UploadError{Reason: "there are no files in the upload"}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := CheckUploadName(name); err != nil {
			return err
		}
		if _, there := c.looked[name]; there {
			return &UploadError{Conflict: true, Reason: fmt.Sprintf("the blueprint directory has a file %s: change it there, or upload under another name", name)}
		}
	}
	all := maps.Clone(files)
	for name := range c.uploads {
		all[name] = ""
	}
	if len(all) > maxUploads {
		return &UploadError{Conflict: true, Reason: fmt.Sprintf("there would be %d uploaded files; the limit is %d: put them into the blueprint directory", len(all), maxUploads)}
	}
	return nil
}

// tryTexts checks texts that would take force. own says of which files warnings are of
// interest. Files that are in force in their last good revision stay so.
func (c *Catalog) tryTexts(texts map[string]string, own func(file string) bool) (*Snapshot, []Changed, []Finding, error) {
	before := c.current.Load()
	snap, findings, leftOut := loadTree(c.notes, texts, nil, before)
	for name, p := range c.stale {
		if _, replaced := texts[name]; replaced {
			continue
		}
		if clash := snap.add(p); len(clash) > 0 {
			findings, leftOut = append(findings, clash...), append(leftOut, name)
		}
	}
	slices.Sort(snap.names)
	findings = slices.DeleteFunc(findings, func(f Finding) bool { return f.Severity != analysis.Error && !own(f.File) })
	if len(leftOut) > 0 {
		bad := slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Severity != analysis.Error })
		return nil, nil, findings, &LoadError{File: leftOut[0], Findings: bad}
	}
	return snap, changesOf(before, snap), findings, nil
}

// changesOf compares the blueprints of two snapshots, in order of names.
func changesOf(before, after *Snapshot) []Changed {
	out := []Changed{}
	all := map[string]bool{}
	for _, s := range []*Snapshot{before, after} {
		for _, name := range s.names {
			all[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		old, was := before.byName[name]
		now, is := after.byName[name]
		switch {
		case !was:
			out = append(out, Changed{Name: name, File: now.File, Change: "added", Revision: now.Revision})
		case !is:
			out = append(out, Changed{Name: name, File: old.File, Change: "removed", Before: old.Revision})
		case old.Revision != now.Revision:
			out = append(out, Changed{Name: name, File: now.File, Change: "changed", Revision: now.Revision, Before: old.Revision})
		}
	}
	return out
}

// keepUploads writes files into the store, those that others load first. When it fails
// between two, what was there before is put back.
func (c *Catalog) keepUploads(ctx context.Context, files map[string]string, uploads map[string]Uploaded, snap *Snapshot) error {
	names := slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		if n := len(snap.Programs[a].Files) - len(snap.Programs[b].Files); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		err := c.store.PutRevision(ctx, keptAs(snap.Programs[name], uploads[name].At))
		if err == nil {
			err = c.store.PutFile(ctx, sourceFile(uploads[name]))
		}
		if err != nil {
			return errors.Join(fmt.Errorf("keep the uploaded file %s: %w", name, err), c.putBack(context.WithoutCancel(ctx), names[:i+1]))
		}
	}
	return nil
}

// putBack writes what is in force again over an upload that failed.
func (c *Catalog) putBack(ctx context.Context, names []string) error {
	var failed []error
	for _, name := range names {
		if old, had := c.uploads[name]; had {
			failed = append(failed, c.store.PutFile(ctx, sourceFile(old)))
		} else {
			failed = append(failed, c.store.DropFile(ctx, name))
		}
	}
	return errors.Join(failed...)
}

func sourceFile(u Uploaded) store.SourceFile {
	return store.SourceFile{Name: u.File, Revision: u.Revision, Uploaded: true, By: u.By, At: u.At}
}

// RemoveUpload takes an uploaded file out of force, unless others need it. Jobs on it run to
// their end. With dry it only checks. Errors as Upload; a name that was never uploaded is
// ErrUnknown.
func (c *Catalog) RemoveUpload(ctx context.Context, name, by string, dry bool) ([]Changed, error) {
	c.loading.Lock()
	defer c.loading.Unlock()
	if _, there := c.uploads[name]; !there || c.store == nil {
		return nil, fmt.Errorf("%w: no file %q was uploaded", ErrUnknown, name)
	}
	texts := maps.Clone(c.texts)
	if _, hidden := c.looked[name]; !hidden {
		delete(texts, name)
	}
	stale := c.stale
	if _, was := stale[name]; was {
		c.stale = maps.Clone(stale)
		delete(c.stale, name)
	}
	snap, changes, _, err := c.tryTexts(texts, func(string) bool { return false })
	if err == nil && !dry {
		err = c.store.DropFile(ctx, name)
	}
	if err != nil || dry {
		c.stale = stale
		return changes, err
	}
	uploads := maps.Clone(c.uploads)
	delete(uploads, name)
	c.uploads = uploads
	c.takeForce(snap, texts)
	c.log.Info("an uploaded blueprint file was removed", "file", name, "by", by)
	return changes, nil
}

// Uploads lists the uploaded files in order of names.
func (c *Catalog) Uploads() []Uploaded {
	c.loading.Lock()
	defer c.loading.Unlock()
	out := []Uploaded{}
	for _, name := range slices.Sorted(maps.Keys(c.uploads)) {
		out = append(out, c.uploads[name])
	}
	return out
}
