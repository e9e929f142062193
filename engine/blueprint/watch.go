package blueprint

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// This file notices that the directory changed. The system tells of most changes; what it
// does not tell (another folder in the place of this one, files behind links, network
// drives) is found by looking every few seconds.

const (
	settle     = 150 * time.Millisecond // an editor writes in several steps
	settleMost = 3 * time.Second        // of changes without a pause
	poll       = 2 * time.Second        // between looks, at least
	pollMost   = 30 * time.Second       // and at most: an upload on another server is taken up by then
	pollShare  = 100                    // a look takes at most this part of the time between two
)

// Watch reloads the directory whenever it changes, until ctx ends, and notes in the store
// what is in force. What comes of it is logged and in Status. A catalog of LoadFS has
// nothing to watch.
func (c *Catalog) Watch(ctx context.Context) {
	if c.dir == "" {
		return
	}
	c.toRecord()
	recorded := make(chan struct{})
	go func() { defer close(recorded); c.recordChanges(ctx) }()
	defer func() { <-recorded }()

	w := c.watchDir()
	defer func() { w.close() }()
	quiet := time.NewTimer(settle) // what changed before the watch began is seen at once
	defer quiet.Stop()
	next := time.NewTimer(poll)
	defer next.Stop()
	var since time.Time // of the first change that was not looked at yet
	changed := func() {
		now := time.Now()
		if since.IsZero() {
			since = now
		}
		quiet.Reset(max(0, min(settle, since.Add(settleMost).Sub(now))))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.events:
			if e.Has(fsnotify.Create) {
				w.follow(e.Name, c)
			}
			if concerns(e) {
				changed()
			}
		case err := <-w.errors:
			c.log.Warn("changes of blueprint files may have been missed; all are read again", "reason", err)
			changed()
		case <-quiet.C:
			since = time.Time{}
			if !c.reloadChanged(ctx) {
				changed()
			}
		case <-next.C:
			began := time.Now()
			if w.lost(c.dir) {
				w.close()
				w = c.watchDir()
				changed()
			} else if c.pollUploads(ctx) || c.looksChanged(ctx) {
				changed()
			}
			next.Reset(min(max(poll, pollShare*time.Since(began)), pollMost))
		}
	}
}

// concerns says whether a change may be one of blueprints. What is written into other files does
// not: a store, or a log, may lie in a folder below, and be written a thousand times a second.
func concerns(e fsnotify.Event) bool {
	return e.Op&^(fsnotify.Write|fsnotify.Chmod) != 0 || isBlueprintFile(filepath.ToSlash(e.Name))
}

// dirWatch is what the system tells of one folder and all below it.
type dirWatch struct {
	*fsnotify.Watcher             // nil: it tells nothing
	root              fs.FileInfo // the folder; nil when there was none
	events            <-chan fsnotify.Event
	errors            <-chan error
}

// watchDir begins to watch the directory as it is now.
func (c *Catalog) watchDir() *dirWatch {
	w := &dirWatch{}
	var err error
	if w.root, err = os.Stat(c.dir); err != nil {
		w.root = nil
		return w // the next look finds it
	}
	if w.Watcher, err = fsnotify.NewWatcher(); err == nil {
		w.events, w.errors = w.Events, w.Errors
		err = watchFolders(w.Watcher, c.dir)
	}
	if err != nil {
		c.log.Warn("the system does not tell about all changed blueprint files; they are looked at every few seconds", "reason", err)
	}
	return w
}

func (w *dirWatch) close() {
	if w.Watcher != nil {
		w.Watcher.Close()
	}
}

// follow watches what was created, if it is a folder; one that is gone again does not matter.
func (w *dirWatch) follow(name string, c *Catalog) {
	if err := watchFolders(w.Watcher, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("a new folder of blueprints cannot be watched; it is looked at every few seconds", "folder", name, "reason", err)
	}
}

// lost reports whether another folder stands at the name than the one that is watched, as
// after a checkout or when a link was set to another release.
func (w *dirWatch) lost(dir string) bool {
	now, err := os.Stat(dir)
	if err != nil || w.root == nil {
		return (err == nil) != (w.root != nil)
	}
	return !os.SameFile(w.root, now)
}

// watchFolders adds a folder and all below it; a file is passed over.
func watchFolders(w *fsnotify.Watcher, dir string) error {
	dir, err := filepath.EvalSymlinks(dir) // a walk does not follow its own root
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != dir && entry.IsDir() && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir():
			return w.Add(name)
		}
		return nil
	})
}

// looksChanged looks at the directory and compares with the last time.
func (c *Catalog) looksChanged(ctx context.Context) bool {
	files, root, err := c.open()
	if err != nil {
		return true // the reload says what is wrong
	}
	defer root.Close()
	now, err := lookAt(ctx, files)
	c.loading.Lock()
	defer c.loading.Unlock()
	return err != nil || c.tried == unreadable || !maps.Equal(now, c.looked)
}

// unreadable is what a try that could not read the directory leaves in tried: the next one
// that can is then a change, and takes the fault out of Status.
const unreadable = "unreadable"

// reloadChanged reloads when the texts differ from those of the last try. It reports whether
// it is done with it: not when somebody is writing.
func (c *Catalog) reloadChanged(ctx context.Context) bool {
	c.loading.Lock()
	defer c.loading.Unlock()
	last := c.tried
	r, err := c.read(ctx)
	switch {
	case errors.Is(err, errMoving) && c.moving < movingTries:
		c.moving++
		c.tried = last
		return false
	case err != nil && !errors.Is(err, errMoving):
		if ctx.Err() == nil && last != unreadable {
			c.tried = unreadable
			c.status.Store(&Status{At: time.Now().UTC(), Findings: []Finding{whole("load-error", c.dir, err.Error())}})
			c.log.Error("the blueprints stay as they are", "reason", err)
		}
		return true
	}
	c.moving = 0
	if c.tried != last {
		_ = c.swap(r) // logged there, and kept in Status
	}
	return true
}
