package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// This file makes commits durable. SQLite itself would sync within each COMMIT
// (synchronous=FULL), and the writer would wait. Here a second goroutine syncs the redo log
// while the writer applies the next batches: one sync then carries all of them. Nobody hears
// of a commit before the sync that holds it, neither who committed nor who reads.

// ack is the answer that a caller waits for.
type ack struct {
	to      chan error
	verdict error
}

// syncer knows which commits are on the disk.
type syncer struct {
	s *Store

	mu        sync.Mutex
	news      *sync.Cond
	acks      []ack
	committed uint64                // batches in the log
	done      uint64                // batches whose sync is over
	seen      uint64                // batches that readers see
	unfolded  map[[16]byte]struct{} // jobs that have changed since
	totals    counts                // jobs by status, in all batches that are committed
	readers   []reader
	lookers   []chan error // they wait until they see all that is committed
	broken    bool         // a sync failed: what the system held back may be lost, see mend
	closed    bool
	busy      chan struct{} // closed when the sync under way is over; nil: none is
	ahead     chan struct{} // closed when committed counts what readers may see already; nil: it does
	stopped   chan struct{}

	file    *os.File
	named   bool                    // the file's name is on the disk
	sync    func() error            // of the log's file; tests hold it up
	syncDir func(path string) error // tests let it fail
}

// reader waits until what it saw is on the disk.
type reader struct {
	batch uint64
	done  chan struct{}
}

func newSyncer(s *Store) *syncer {
	y := &syncer{s: s, unfolded: map[[16]byte]struct{}{}, stopped: make(chan struct{}), syncDir: syncDir}
	y.news, y.sync = sync.NewCond(&y.mu), y.syncLog
	return y
}

// commits tells of a batch that is in the log, with those who wait for it and the jobs that
// it has touched and how many it has added; seen says that readers see it already.
func (y *syncer) commits(acks []ack, touched [][16]byte, added counts, seen bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.committed++
	y.add(added)
	for _, id := range touched {
		y.unfolded[id] = struct{}{}
	}
	if seen {
		y.show(nil)
	}
	y.acks = append(y.acks, acks...)
	y.news.Signal()
	y.caughtUp()
}

// shows tells that readers may see a batch from now on before it is in the log; commits or told
// ends that.
func (y *syncer) shows() {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.ahead == nil {
		y.ahead = make(chan struct{})
	}
}

// told ends a batch that was not written.
func (y *syncer) told() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.caughtUp()
}

func (y *syncer) caughtUp() {
	if y.ahead != nil {
		close(y.ahead)
		y.ahead = nil
	}
}

// count adds what readers see of a batch that is told as failed.
func (y *syncer) count(added counts) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.add(added)
}

func (y *syncer) add(added counts) {
	for k, n := range added {
		y.totals[k] += n
	}
}

// counted gives the number of jobs by status.
func (y *syncer) counted() counts {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.totals
}

// folded tells that readers see all that is committed, or why they can not.
func (y *syncer) folded(err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.show(err)
}

func (y *syncer) show(err error) {
	if err == nil {
		y.seen = y.committed
		clear(y.unfolded)
	}
	for _, l := range y.lookers {
		l <- err
	}
	y.lookers = nil
}

// hides says that readers do not see all of the job yet.
func (y *syncer) hides(id [16]byte) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	_, ok := y.unfolded[id]
	return ok
}

// unseen gives a channel that hears when readers see all that is committed now; nil: they do.
func (y *syncer) unseen() <-chan error {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.seen == y.committed {
		return nil
	}
	l := make(chan error, 1)
	y.lookers = append(y.lookers, l)
	return l
}

// run syncs as long as there is something new, then answers.
func (y *syncer) run() {
	defer close(y.stopped)
	y.mu.Lock()
	defer y.mu.Unlock()
	var spare []ack // of the sync before
	for {
		for y.committed == y.done && !y.closed {
			y.news.Wait()
		}
		if y.committed == y.done {
			return
		}
		y.crowd()
		acks, upTo, broken := y.acks, y.committed, y.broken
		y.acks, y.busy = spare[:0], make(chan struct{})
		y.mu.Unlock()
		err := y.sync()
		if err == nil && broken {
			err = errors.New("an earlier sync of the log failed, and the log could not be brought into the store's file yet")
		}
		for _, a := range acks {
			if a.verdict == nil && err != nil {
				a.verdict = fmt.Errorf("write to %s: %w", y.s.path, &unavailable{fmt.Errorf("sync the log: %w; look at its disk", err)})
			}
			a.to <- a.verdict
		}
		clear(acks)
		spare = acks
		y.mu.Lock()
		close(y.busy)
		y.done, y.broken, y.busy = upTo, err != nil, nil
		y.wake()
	}
}

// yields bounds how often others are let run before a sync.
const yields = 8

// crowd lets others run as long as more batches come of it, which are then synced with those
// that wait: a sync costs a tenth of a millisecond of processor time, however many it carries.
// Where nothing else runs, it takes no time.
func (y *syncer) crowd() {
	for range yields {
		before := y.committed
		y.mu.Unlock()
		runtime.Gosched()
		y.mu.Lock()
		if y.committed == before {
			return
		}
	}
}

// underway gives a channel that is closed when the present sync is over; nil: none is.
func (y *syncer) underway() <-chan struct{} {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.busy
}

// wake lets the readers go on whose batches are over.
func (y *syncer) wake() {
	rest := y.readers[:0]
	for _, r := range y.readers {
		if r.batch <= y.done {
			close(r.done)
		} else {
			rest = append(rest, r)
		}
	}
	clear(y.readers[len(rest):])
	y.readers = rest
}

// settle waits until all that is in the log now is on the disk, or has failed to get there.
func (y *syncer) settle(ctx context.Context) error {
	y.mu.Lock()
	for y.ahead != nil {
		ahead := y.ahead
		y.mu.Unlock()
		select {
		case <-ahead:
		case <-ctx.Done():
			return ctx.Err()
		}
		y.mu.Lock()
	}
	if y.done == y.committed {
		y.mu.Unlock()
		return nil
	}
	r := reader{y.committed, make(chan struct{})}
	y.readers = append(y.readers, r)
	y.mu.Unlock()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close waits until everything is answered.
func (y *syncer) close() error {
	y.mu.Lock()
	y.closed = true
	y.news.Signal()
	y.mu.Unlock()
	<-y.stopped
	if y.file == nil {
		return nil
	}
	return y.file.Close()
}

// isBroken says whether mend is due.
func (y *syncer) isBroken() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.broken
}

// mended ends the time in which syncs are not believed.
func (y *syncer) mended() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.broken = false
}

// syncLog brings the redo log's bytes to the disk, and with the first of them its name. There
// is no log while no batch has changed anything.
func (y *syncer) syncLog() error {
	if y.file == nil {
		f, err := os.OpenFile(y.s.path+"-redo", os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		y.file = f
	}
	if !y.named {
		if err := y.syncDir(filepath.Dir(y.s.path)); err != nil {
			return err
		}
		y.named = true
	}
	return syncData(y.file)
}
