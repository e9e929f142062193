package blueprint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"orrery/engine/analysis"
)

// This file reads the directory and notices that it changed.

const (
	settle = 150 * time.Millisecond // an editor writes in several steps
	poll   = 2 * time.Second        // where the system does not tell about changes
)

// read gives the texts of all blueprint files, by root-relative name; files that cannot be
// read are findings. It notes in tried what it read. The caller holds c.loading.
func (c *Catalog) read(ctx context.Context) (map[string]string, []Finding, error) {
	files, root, err := c.open()
	if err != nil {
		return nil, nil, fmt.Errorf("the blueprint directory cannot be read: %w", err)
	}
	defer root.Close()
	texts := map[string]string{}
	var unread []Finding
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case entry.IsDir() && name != "." && strings.HasPrefix(path.Base(name), "."):
			return fs.SkipDir
		case entry.IsDir() || !isBlueprintFile(name):
			return nil
		}
		text, err := readFile(files, name)
		if err != nil {
			unread = append(unread, whole("load-error", name, fmt.Sprintf("the file cannot be read: %v", err)))
			return nil
		}
		texts[name] = text
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("the blueprint directory cannot be read: %w", err)
	}
	c.tried = fingerprint(texts, unread)
	return texts, unread, nil
}

// isBlueprintFile leaves out tests, which are written in another dialect of names, and
// hidden files, which editors make.
func isBlueprintFile(name string) bool {
	return strings.HasSuffix(name, ".star") && !strings.HasSuffix(name, "_test.star") && !strings.HasPrefix(path.Base(name), ".")
}

// readFile refuses a large file unread. One that grows meanwhile is read to one byte over
// the limit, so that Compile can refuse it.
func readFile(files fs.FS, name string) (string, error) {
	f, err := files.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := analysis.ReadSource(f)
	return string(text), err
}

func fingerprint(texts map[string]string, unread []Finding) string {
	sum := sha256.Sum256([]byte(revision(texts) + findingsText(unread)))
	return hex.EncodeToString(sum[:])
}

// Watch reloads the directory whenever it changes, until ctx ends. What comes of it is
// logged and in Status. A catalog of LoadFS has nothing to watch.
func (c *Catalog) Watch(ctx context.Context) {
	if c.dir == "" {
		return
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
		err = watchFolders(w, c.dir)
	}
	if err != nil {
		c.log.Warn("the system does not tell about changed blueprint files; they are looked at every two seconds", "reason", err)
		c.pollFiles(ctx)
		return
	}
	root, err := filepath.EvalSymlinks(c.dir)
	lost := err != nil             // the folder itself went away, and its watch with it
	timer := time.NewTimer(settle) // what changed before the watch began is seen at once
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.Events:
			if e.Has(fsnotify.Create) { // perhaps a folder; one that is gone again does not matter
				if err := watchFolders(w, e.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
					c.log.Warn("a new folder of blueprints cannot be watched", "folder", e.Name, "reason", err)
				}
			}
			lost = lost || e.Name == root && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename))
			timer.Reset(settle)
		case err := <-w.Errors:
			c.log.Warn("changes of blueprint files may have been missed; all are read again", "reason", err)
			timer.Reset(settle)
		case <-timer.C:
			read := c.reloadChanged(ctx)
			switch {
			case lost && read && watchFolders(w, c.dir) == nil: // another folder took its place
				lost = false
				timer.Reset(settle)
			case lost || !read:
				timer.Reset(poll)
			}
		}
	}
}

func (c *Catalog) pollFiles(ctx context.Context) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.reloadChanged(ctx)
		}
	}
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

// unreadable is what a try that could not read the directory leaves in tried: the next one
// that can is then a change, and takes the fault out of Status.
const unreadable = "unreadable"

// reloadChanged reloads when the texts differ from those of the last try. It reports whether
// the directory could be read.
func (c *Catalog) reloadChanged(ctx context.Context) bool {
	c.loading.Lock()
	defer c.loading.Unlock()
	last := c.tried
	texts, unread, err := c.read(ctx)
	if err != nil {
		if ctx.Err() == nil && last != unreadable {
			c.tried = unreadable
			c.status.Store(&Status{At: time.Now().UTC(), Findings: []Finding{whole("load-error", c.dir, err.Error())}})
			c.log.Error("the blueprints stay as they are", "reason", err)
		}
		return false
	}
	if c.tried != last {
		_ = c.swap(texts, unread) // logged there, and kept in Status
	}
	return true
}
