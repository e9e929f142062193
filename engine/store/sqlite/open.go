// Package sqlite is the durable store in one file, the default of Orrery.
//
// Words: the writer is the one goroutine that writes; a batch is what it makes durable at
// once. Callers queue their writes with everything encoded; the writer takes what is queued,
// applies each in turn, and appends the batch to the redo log; the syncer brings that to the
// disk while the writer goes on, and then tells the callers. So many committers cost little
// more than one. SQLite's own commit, which writes every page that was touched, happens for
// many batches once: that is a fold, after which readers see them. Jobs that are new stay in
// memory until they have ended or are wanted (fresh.go). A write that is refused (ErrConflict,
// ErrExists) has changed nothing yet, so the others of its batch are not touched; when a
// statement fails, the batch is rolled back and its writes are tried one by one. Reads use
// other connections, see what was committed before they began, and return when that is
// durable.
//
// Who is authoritative: the file, and before it the redo log, which the start runs again.
// What the writer remembers (numbers of jobs, fresh jobs) is dropped when a batch fails.
package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"orrery/engine/store"
)

// This file opens and closes a store.

// Options tune a store; zero fields take the defaults.
type Options struct {
	ReadConns       int           // connections for reading; default 4, or the number of CPUs
	MaxBatch        int           // writes in one commit; default 512
	MaxBatchBytes   int           // text in one commit, about; default 4 MiB
	CheckpointBytes int64         // size of the log that starts a checkpoint; default 32 MiB, less on a small disk
	RedoBytes       int64         // size of the redo log that lets it begin anew; the same
	Idle            time.Duration // quiet time after which the log goes into the file; default 2 s
	Log             *slog.Logger  // for what nobody waits for; default slog.Default()
}

// withDefaults fills in what was left open, for a disk of so many bytes; 0: that is not known.
func (o Options) withDefaults(disk int64) Options {
	if o.ReadConns <= 0 {
		o.ReadConns = max(4, runtime.NumCPU())
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 512
	}
	if o.MaxBatchBytes <= 0 {
		o.MaxBatchBytes = 4 << 20
	}
	if o.CheckpointBytes <= 0 {
		o.CheckpointBytes = logBytes(disk)
	}
	if o.RedoBytes <= 0 {
		o.RedoBytes = logBytes(disk)
	}
	if o.Idle <= 0 {
		o.Idle = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// logBytes is how long a log may get: the longer, the more often a job has ended before its
// rows must be written. All logs together take at most a third of the disk.
func logBytes(disk int64) int64 {
	const most, least = 32 << 20, 2 << 20
	if disk <= 0 {
		return most
	}
	return min(max(disk/8, least), most)
}

// Store is an open file. Make it with Open.
type Store struct {
	path    string
	opts    Options
	lock    *os.File
	queue   chan *write
	syncer  *syncer
	closing chan struct{} // closed by Close
	stopped chan struct{} // closed by the writer when it has written all it took
	once    sync.Once
	failed  error      // of Close
	readers chan *conn // nil entries are opened at first use

	foldWanted chan struct{} // a reader wants to see what was acknowledged
	peeks      chan peek     // reads that go through the writer
}

var _ store.Store = (*Store)(nil)

// Open opens or creates the store in the file, and its folder. It fails when another
// process has the store open, when the file is something else, or when a newer Orrery
// wrote it.
func Open(path string, opts Options) (*Store, error) {
	s, w, err := ready(path, opts.withDefaults(diskBytes(existing(filepath.Dir(path)))))
	if err != nil {
		return nil, err
	}
	go w.run()
	return s, nil
}

// ready opens all but does not start the writer.
func ready(path string, opts Options) (*Store, *writer, error) {
	path, err := settle(path)
	if err != nil {
		return nil, nil, err
	}
	l, err := lock(path)
	if err != nil {
		return nil, nil, err
	}
	s := &Store{
		path: path, opts: opts, lock: l, queue: make(chan *write, 2*opts.MaxBatch),
		closing: make(chan struct{}), stopped: make(chan struct{}), readers: make(chan *conn, opts.ReadConns), foldWanted: make(chan struct{}, 1), peeks: make(chan peek),
	}
	for range opts.ReadConns {
		s.readers <- nil
	}
	s.syncer = newSyncer(s)
	w, err := s.openWriter()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), l.Close())
	}
	go s.syncer.run()
	return s, w, nil
}

// settle makes the folder and the file, private to the user, and gives the file's one true
// name, so that two links to it share one lock.
func settle(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("open store: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", barred(path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", barred(path, err)
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("open store %s: %w", path, err)
	}
	return filepath.EvalSymlinks(path)
}

// openWriter checks the file before anything in it is changed, and makes the tables.
func (s *Store) openWriter() (*writer, error) {
	c, err := dial(s.path)
	if err != nil {
		return nil, err
	}
	w := &writer{s: s, c: c, log: walLog{sync: syncData}}
	if err := w.prepare(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return w, nil
}

func (w *writer) prepare() error {
	if err := w.c.script("PRAGMA busy_timeout=5000"); err != nil {
		return err
	}
	pages, err := w.pragma("page_count")
	switch {
	case code(err) == notADB:
		return errNoStore
	case err != nil:
		return w.s.damage(err)
	}
	info, err := os.Stat(w.s.path) // now, for a power cut in the making of the file was undone above
	switch {
	case err != nil:
		return err
	case pages > 0:
		err = w.recognise(pages, info.Size())
	case info.Size() > 0:
		err = errNoStore
	default: // what is fixed with the first page
		err = w.c.script("PRAGMA auto_vacuum=INCREMENTAL")
	}
	if err != nil {
		return err
	}
	version, err := w.pragma("user_version")
	if err != nil {
		return err
	}
	if version > int64(len(migrations)) {
		return fmt.Errorf("the store has schema %d, this Orrery knows schemas up to %d: start the newer Orrery again, or restore the backup made before it", version, len(migrations))
	}
	if version > 0 { // the log's statements are of the schema that the file has
		if err := w.recover(); err != nil {
			return err
		}
	}
	if err := w.migrate(version); err != nil {
		return err
	}
	if version == 0 {
		if err := w.begins(); err != nil {
			return err
		}
	}
	mode, _, err := w.c.one("PRAGMA journal_mode=WAL")
	if err != nil {
		return err
	}
	if mode.text(0) != "wal" {
		return fmt.Errorf("SQLite keeps the journal as %q, the store needs WAL: put the file on a local disk", mode.text(0))
	}
	if err := w.takeStock(); err != nil {
		return err
	}
	// NORMAL: SQLite syncs in checkpoints, the syncer after each commit. A cache of 8 MB holds
	// what a fold touches; twice as much was no faster and cost 14 MB at the peak.
	return w.c.script("PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-8000; PRAGMA temp_store=MEMORY")
}

// checkedPages is the size of a file that is read whole at every start: 64 MiB, a sixth of
// a second. In a larger one a damaged page is found when it is read.
const checkedPages = 64 << 20 / pageSize

// recognise refuses a file of another program, and one that is damaged.
func (w *writer) recognise(pages, size int64) error {
	id, err := w.pragma("application_id")
	switch {
	case code(err) == notADB:
		return errNoStore
	case err != nil:
		return w.s.damage(err)
	case id != appID:
		return errForeign
	}
	if log, err := os.Stat(w.s.path + "-wal"); size < pages*pageSize && (err != nil || log.Size() == 0) {
		return w.s.damaged(fmt.Sprintf("it has %d bytes and should have %d", size, pages*pageSize))
	}
	if pages > checkedPages {
		return nil
	}
	said, _, err := w.c.one("PRAGMA quick_check(1)")
	if err == nil && said.text(0) != "ok" {
		return w.s.damaged(said.text(0))
	}
	return w.s.damage(err)
}

// migrate runs before the log is in use, so that a new file's header is whole at once.
func (w *writer) migrate(version int64) error {
	if version == int64(len(migrations)) {
		return nil
	}
	text := "BEGIN IMMEDIATE;"
	for _, m := range migrations[version:] {
		text += m
	}
	text += fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", appID, len(migrations))
	if err := w.c.script(text); err != nil {
		return fmt.Errorf("bring the schema from %d to %d: %w", version, len(migrations), err)
	}
	return nil
}

// pragma reads a setting that is one number.
func (w *writer) pragma(name string) (int64, error) {
	return w.c.number(name)
}

// Features says that the file survives the process and belongs to one.
func (s *Store) Features() store.Features { return store.Features{Name: "sqlite", Durable: true} }

// Close writes what is queued, empties the log and gives the file free. It waits for reads
// under way. Closing again does nothing.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.closing)
		<-s.stopped
		for range s.opts.ReadConns {
			if c := <-s.readers; c != nil {
				s.failed = errors.Join(s.failed, c.close())
			}
		}
		if err := s.lock.Close(); !errors.Is(err, fs.ErrClosed) {
			s.failed = errors.Join(s.failed, err)
		}
	})
	return s.failed
}
