package blueprint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"
	"time"

	"orrery/engine/analysis"
)

// This file reads the directory as it is at one moment: links are followed within it, and a
// file that is being written is waited for.

// reading is what one look at the directory gave.
type reading struct {
	texts  map[string]string // of all blueprint files, by root-relative name
	unread []Finding         // files that can not be read
	looked map[string]look
}

// look is a file as it stands in its folder, without its text.
type look struct {
	size  int64
	at    time.Time // of the last change
	fault string    // why it can not be looked at
}

// errMoving says that somebody is writing into the directory.
var errMoving = errors.New("the blueprint directory is being written")

const (
	movingTries = 20                    // looks at a directory that is being written, before it is taken as it is
	movingWait  = 50 * time.Millisecond // between them
	youngFile   = 2 * time.Second       // an empty file of that age may be one that is being written
)

// readSettled reads the directory when nobody writes into it; it waits about a second for that.
func (c *Catalog) readSettled(ctx context.Context) (*reading, error) {
	for try := 1; ; try++ {
		r, err := c.read(ctx)
		if !errors.Is(err, errMoving) || try == movingTries {
			if errors.Is(err, errMoving) {
				err = nil // as it is: the next change is another look
			}
			return r, err
		}
		wait := time.NewTimer(movingWait)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, ctx.Err()
		}
	}
}

// read gives the directory's texts, and errMoving with them when they may be half of
// something. It notes in tried and looked what it found. The caller holds c.loading.
func (c *Catalog) read(ctx context.Context) (*reading, error) {
	files, root, err := c.open()
	if err != nil {
		return nil, fmt.Errorf("the blueprint directory cannot be read: %w", err)
	}
	defer root.Close()
	r := &reading{texts: map[string]string{}, looked: map[string]look{}}
	err = walk(ctx, files, func(name string, info fs.FileInfo, err error) {
		r.looked[name] = lookOf(info, err)
		if err == nil {
			r.texts[name], err = readFile(files, name)
		}
		if err != nil {
			delete(r.texts, name)
			r.unread = append(r.unread, whole("load-error", name, fmt.Sprintf("the file cannot be read: %v", err)))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("the blueprint directory cannot be read: %w", err)
	}
	c.looked = r.looked
	c.tried = c.fingerprint(r)
	if c.dir == "" {
		return r, nil
	}
	again, err := lookAt(ctx, files)
	if err != nil || !maps.Equal(again, r.looked) || c.emptied(r) {
		return r, errMoving
	}
	return r, nil
}

// emptied reports whether a file that had a text has just become empty: an editor that
// writes in place empties it first.
func (c *Catalog) emptied(r *reading) bool {
	for name, text := range r.texts {
		if text == "" && c.texts[name] != "" && time.Since(r.looked[name].at) < youngFile {
			return true
		}
	}
	return false
}

// lookAt looks at all files without reading them.
func lookAt(ctx context.Context, files fs.FS) (map[string]look, error) {
	looked := map[string]look{}
	err := walk(ctx, files, func(name string, info fs.FileInfo, err error) { looked[name] = lookOf(info, err) })
	return looked, err
}

func lookOf(info fs.FileInfo, err error) look {
	if err != nil {
		return look{fault: err.Error()}
	}
	return look{size: info.Size(), at: info.ModTime()}
}

// maxFolders bounds how deep folders and links to folders are followed.
const maxFolders = 32

// walk calls visit for every blueprint file, in order of names within a folder. Links to
// files and folders count as what they lead to: that is how configuration is mounted.
func walk(ctx context.Context, files fs.FS, visit func(name string, info fs.FileInfo, err error)) error {
	return walkFolder(ctx, files, ".", nil, visit)
}

func walkFolder(ctx context.Context, files fs.FS, dir string, above []fs.FileInfo, visit func(name string, info fs.FileInfo, err error)) error {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(dir, entry.Name())
		isLink := entry.Type()&fs.ModeSymlink != 0
		if strings.HasPrefix(entry.Name(), ".") || !isLink && !entry.IsDir() && !isBlueprintFile(name) {
			continue
		}
		info, err := fs.Stat(files, name)
		switch {
		case err != nil && isBlueprintFile(name):
			visit(name, nil, err)
		case err != nil: // a link that leads nowhere, or a folder that is gone again
		case info.IsDir():
			if len(above) >= maxFolders || leadsBack(info, above) {
				continue
			}
			err := walkFolder(ctx, files, name, append(above[:len(above):len(above)], info), visit)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case !isBlueprintFile(name):
		case !info.Mode().IsRegular(): // opening a pipe would wait for its writer
			visit(name, nil, errors.New("it is no regular file"))
		default:
			visit(name, info, nil)
		}
	}
	return nil
}

// leadsBack reports whether a folder is one of those that it was found in.
func leadsBack(info fs.FileInfo, above []fs.FileInfo) bool {
	for _, a := range above {
		if os.SameFile(a, info) {
			return true
		}
	}
	return false
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

// fingerprint tells readings apart, with the uploads that stand beside them.
func (c *Catalog) fingerprint(r *reading) string {
	texts, found := c.merged(r)
	sum := sha256.Sum256([]byte(revision(texts) + findingsText(found)))
	return hex.EncodeToString(sum[:])
}
