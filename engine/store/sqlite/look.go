package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"orrery/engine/store"
)

// This file looks at a store's file without opening the store: for `orrery doctor` and for
// what a migration would do. It writes nothing, and a server may use the file meanwhile.

// migrationTexts say for people what each of the migrations does.
var migrationTexts = []string{
	"make the tables of jobs, outbox, data stores, revisions, workers and claims",
	"note when revisions were used last, and which of them stands for a blueprint file",
	"keep small data of a job in its row, and batches in a redo log until SQLite has them",
}

// Schema gives the schema of the file; Have is 0 when there is no store yet.
func Schema(_ context.Context, path string) (store.Schema, error) {
	s := store.Schema{Want: len(migrations)}
	c, err := look(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return s, err
	default:
		version, err := c.number("user_version")
		if err = errors.Join(err, c.close()); err != nil {
			return s, fmt.Errorf("read the schema of %s: %w", path, err)
		}
		s.Have = int(version)
	}
	if s.Have < s.Want {
		s.Steps = migrationTexts[s.Have:]
	}
	return s, nil
}

// look opens the file for reading only, and refuses one that is not ours. An empty file is as
// one that is not there (fs.ErrNotExist).
func look(path string) (*conn, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder, not a store", path)
	case info.Size() == 0:
		return nil, fmt.Errorf("%s is empty: %w", path, fs.ErrNotExist)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	mode := "mode=ro"
	if log, err := os.Stat(path + "-wal"); err != nil || log.Size() == 0 {
		mode += "&immutable=1" // nobody writes; else SQLite would make files beside it
	}
	c, err := dialWith(abs, mode)
	if err != nil {
		return nil, err
	}
	id, err := c.number("application_id")
	switch {
	case code(err) == notADB:
		err = errNoStore
	case err == nil && id != appID:
		err = errForeign
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look at %s: %w", path, err), c.close())
	}
	return c, nil
}

// Inspect says what is to be said of the file and its disk.
func Inspect(_ context.Context, path string) []store.Finding {
	var out []store.Finding
	add := func(f store.Finding) { out = append(out, f) }
	folder := filepath.Dir(path)
	add(folderFinding(folder))
	if free, ok := freeBytes(existing(folder)); ok {
		add(freeFinding(free, sizeOf(path)))
	}
	if kind, remedy := volatileDisk(existing(folder)); kind != "" {
		add(store.Warn("disk of the store", kind, remedy))
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		add(store.Fine("store", path+" is not there yet; the first start makes it"))
		return out
	case err != nil:
		add(store.Bad("store", err.Error(), "give the user of this process the right to read the file and its folder"))
		return out
	}
	add(store.Fine("size of the store", fmt.Sprintf("%s, and %s in its logs", megabytes(sizeOf(path)), megabytes(sizeOf(path+"-wal")+sizeOf(path+"-redo")))))
	if info.Mode().Perm()&0o077 != 0 {
		add(store.Warn("rights of the store", fmt.Sprintf("%s may be read by other users (%s)", path, info.Mode().Perm()), "chmod 600 "+path+": it holds data of jobs and secrets"))
	}
	if pid := heldBy(path); pid != "" {
		add(store.Fine("use of the store", "process "+pid+" has it open"))
	} else {
		add(store.Fine("use of the store", "no process has it open"))
	}
	return append(out, inside(path)...)
}

// inside looks at what the file holds.
func inside(path string) []store.Finding {
	c, err := look(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []store.Finding{store.Fine("store", path+" is empty; the first start makes it")}
	}
	if err != nil {
		return []store.Finding{store.Bad("store", err.Error(), "name the right file in STORE_URL, or put a backup in its place")}
	}
	var out []store.Finding
	version, err := c.number("user_version")
	switch want := int64(len(migrations)); {
	case err != nil:
		out = append(out, store.Bad("schema", err.Error(), "put a backup in its place"))
	case version > want:
		out = append(out, store.Bad("schema", fmt.Sprintf("%d, and this Orrery knows schemas up to %d", version, want), "start the newer Orrery again, or restore the backup made before it"))
	case version < want:
		out = append(out, store.Fine("schema", fmt.Sprintf("%d; the next start raises it to %d, and there is no way back but a backup", version, want)))
	default:
		out = append(out, store.Fine("schema", fmt.Sprint(version)))
	}
	journal, _, err := c.one("PRAGMA journal_mode")
	switch {
	case err != nil:
		out = append(out, store.Bad("journal mode", err.Error(), "put a backup in its place"))
	case !strings.EqualFold(journal.text(0), "wal"):
		out = append(out, store.Warn("journal mode", journal.text(0), "the next start sets it to wal; if it does not, put the file on a local disk"))
	default:
		out = append(out, store.Fine("journal mode", "wal; every commit is synced to the disk"))
	}
	pages, err := c.number("page_count")
	if err == nil && pages <= checkedPages {
		var said row
		if said, _, err = c.one("PRAGMA quick_check(1)"); err == nil && said.text(0) != "ok" {
			err = errors.New(said.text(0))
		}
	}
	if err = errors.Join(err, c.close()); err != nil {
		out = append(out, store.Bad("content of the store", "damaged: "+err.Error(), "stop Orrery, move the file away together with its -wal and -redo files, and put a backup in its place"))
	} else if pages <= checkedPages {
		out = append(out, store.Fine("content of the store", "sound"))
	}
	return out
}

// number reads a setting that is one number.
func (c *conn) number(name string) (int64, error) {
	r, ok, err := c.one("PRAGMA " + name)
	if err != nil || !ok {
		return 0, err
	}
	return r.int(0), nil
}

func folderFinding(folder string) store.Finding {
	const check = "folder of the store"
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := existing(folder)
		if !writable(parent) {
			return store.Bad(check, folder+" is not there, and this user may not write in "+parent, "make it, or give another path in STORE_URL")
		}
		return store.Fine(check, folder+" is not there yet; the first start makes it")
	case err != nil:
		return store.Bad(check, err.Error(), "give the user of this process its rights")
	case !info.IsDir():
		return store.Bad(check, folder+" is a file", "give another path in STORE_URL")
	case !writable(folder):
		return store.Bad(check, "this user may not write in "+folder, "give the user of this process the right to write there, or give another path in STORE_URL")
	}
	return store.Fine(check, folder+" can be written")
}

// existing gives the nearest folder above that is there.
func existing(folder string) string {
	for {
		if _, err := os.Stat(folder); err == nil || filepath.Dir(folder) == folder {
			return folder
		}
		folder = filepath.Dir(folder)
	}
}

// Below fewBytes writes will fail soon; below someBytes, or the size of the store, it is time.
const (
	fewBytes  = 64 << 20
	someBytes = 1 << 30
)

func freeFinding(free, size int64) store.Finding {
	const check, remedy = "free disk of the store", "make room: a full disk stops every write until there is some"
	switch saw := megabytes(free); {
	case free < fewBytes:
		return store.Bad(check, saw, remedy)
	case free < max(someBytes, size):
		return store.Warn(check, saw, remedy)
	default:
		return store.Fine(check, saw)
	}
}

// sizeOf gives a file's size, 0 without one.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func megabytes(n int64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
