package sqlite

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"orrery/engine/job"
)

// This file cuts the power: while jobs are committed from several goroutines, it keeps what
// the disk is bound to hold after each acknowledged batch and each checkpoint, makes copies
// in which what was under way arrived in part (files cut at any byte, torn pages, sectors
// out of order, garbage), and opens them.
//
// What the disk is bound to hold: the redo log as far as it reaches when a batch is
// acknowledged; SQLite's log (WAL) as far as it reached when a checkpoint began or the redo
// log began anew, and nothing of what was folded into it since; in a checkpoint the whole WAL,
// and any mixture of old and new pages in the main file; when the WAL begins anew, the main
// file and the new header, which SQLite syncs before the first frame.

// cuts of the long form are shared by the stores that run side by side.
const (
	powerCuts      = 1000
	powerCutsShort = 150 // with -short or -race; then most batches go by uncut
	powerStores    = 10
	powerJobs      = 6 // committing at once in each store
)

func powerSeed(t *testing.T) uint64 {
	text := os.Getenv("ORRERY_CUT_SEED")
	if text == "" {
		return rand.Uint64()
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("ORRERY_CUT_SEED=%q: give the number that a failed run printed", text)
	}
	return n
}

func TestPowerCuts(t *testing.T) {
	cuts, seed := powerCuts, powerSeed(t)
	if raceDetector || testing.Short() {
		cuts = powerCutsShort
	}
	t.Logf("%d cuts, seed %d (ORRERY_CUT_SEED=%d repeats the choices)", cuts, seed, seed)
	all := make([]*power, powerStores)
	t.Run("stores", func(t *testing.T) {
		for i := range powerStores {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				all[i] = newPower(t, rand.New(rand.NewPCG(seed, uint64(i))))
				all[i].run(cuts / powerStores)
			})
		}
	})
	var sum made
	for _, p := range all {
		sum.batch += p.made.batch
		sum.fold += p.made.fold
		sum.walAnew += p.made.walAnew
		sum.redoAnew += p.made.redoAnew
		sum.checkpoint += p.made.checkpoint
	}
	t.Logf("%d cuts within a batch, %d in folds, %d in checkpoints; %d while the WAL began anew, %d while the redo log did", sum.batch, sum.fold, sum.checkpoint, sum.walAnew, sum.redoAnew)
	if sum.batch == 0 || sum.fold == 0 || sum.checkpoint == 0 || cuts == powerCuts && (sum.walAnew == 0 || sum.redoAnew == 0) { // the last two are rare
		t.Error("some kind of cut was never made")
	}
}

// versions are the jobs that a store is bound to hold.
type versions map[string]int64

// made counts the cuts by kind.
type made struct{ batch, fold, checkpoint, walAnew, redoAnew int }

// disk is what the three files hold.
type disk struct{ db, wal, redo []byte }

// power is a store under load whose power is cut.
type power struct {
	t    *testing.T
	rnd  *rand.Rand
	s    *Store
	w    *writer
	acks chan *job.Change
	had  versions // acknowledged
	then disk     // when the last of them was
	ends int      // of the redo log's entries then
	wal  []byte   // SQLite's log when it was synced last

	view *conn // of a reader that keeps pages back from checkpoints; nil: none

	n    int
	anew bool // the redo log's next entry is the first of a round
	made made
}

func newPower(t *testing.T, rnd *rand.Rand) *power {
	s, w := byHand(t, Options{CheckpointBytes: 400 << 10, RedoBytes: 150 << 10, MaxBatch: powerJobs - 2})
	p := &power{t: t, rnd: rnd, s: s, w: w, acks: make(chan *job.Change, powerJobs), had: versions{}}
	p.then = p.look()
	t.Cleanup(p.unview)
	return p
}

func (p *power) look() disk {
	p.t.Helper()
	var texts [3][]byte
	for i, suffix := range []string{"", "-wal", "-redo"} {
		text, err := os.ReadFile(p.s.path + suffix)
		if err != nil && (i == 0 || !os.IsNotExist(err)) {
			p.t.Fatal(err)
		}
		texts[i] = text
	}
	return disk{texts[0], texts[1], texts[2]}
}

// run stands in for the writer's own loop, so that it can look at the disk in between.
func (p *power) run(cuts int) {
	enough, over := make(chan struct{}), make(chan struct{})
	var load sync.WaitGroup
	for i := range powerJobs {
		load.Go(func() { p.commits(i, enough) })
	}
	go func() { load.Wait(); close(over) }()
	stop := sync.OnceFunc(func() { close(enough) })
	defer func() { <-over }()
	defer stop()
	for {
		if p.n >= cuts || p.t.Failed() {
			stop()
		}
		select {
		case first := <-p.s.queue:
			p.batch(p.w.gather(nil, first), cuts)
		case <-over:
			return
		}
	}
}

// commits begins jobs and takes them some steps on, until there were cuts enough.
func (p *power) commits(i int, enough chan struct{}) {
	for n := 0; ; n++ {
		c := newJob(n*powerJobs + i)
		c.InitialData = []byte(`{"n":` + strconv.Itoa(n) + `}`)
		for range 12 {
			select {
			case <-enough:
				return
			default:
			}
			if err := p.s.Commit(ctx, c); err != nil {
				p.t.Errorf("commit: %v", err)
				return
			}
			p.acks <- c
			c = grown(c.Job)
		}
	}
}

// batch writes one batch and cuts the power in it and after it.
func (p *power) batch(batch []*write, cuts int) {
	p.w.commit(batch)
	next := maps.Clone(p.had)
	for range batch {
		c := <-p.acks
		next[c.Job.ID] = c.Job.Version
	}
	now := p.look()
	cut := cuts >= powerCuts/powerStores || p.rnd.IntN(10) == 0
	for range 2 {
		if cut && p.n < cuts {
			p.cutBatch(now, next)
		}
	}
	p.had, p.then, p.ends, p.anew = next, now, int(p.w.redo.at), false

	folds := p.rnd.IntN(3) == 0
	switch {
	case folds && p.rnd.IntN(3) == 0:
		p.w.lookFolded()
		p.w.rest()
	case folds:
		p.w.lookFolded()
	default:
		p.w.afterBatch()
	}
	now = p.look()
	cut = cut || string(now.db) != string(p.then.db)
	for range 2 {
		if cut && p.n < cuts {
			p.cutFold(now)
		}
	}
	p.anew = int(p.w.redo.at) < p.ends
	if p.anew || string(now.db) != string(p.then.db) || len(now.wal) < logHeader { // before each of them, the WAL was synced
		p.wal = now.wal
	}
	p.then, p.ends = now, int(p.w.redo.at)
	switch p.rnd.IntN(8) {
	case 0:
		p.openView()
	case 1, 2:
		p.unview()
	}
}

// openView begins a read, so that later checkpoints leave pages in the log.
func (p *power) openView() {
	if p.view != nil {
		return
	}
	c, err := p.s.openReader()
	if err != nil {
		p.t.Fatal(err)
	}
	p.view = c
	if err := c.script("BEGIN; SELECT count(*) FROM jobs"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *power) unview() {
	if p.view == nil {
		return
	}
	if err := p.view.close(); err != nil {
		p.t.Error(err)
	}
	p.view = nil
}

// cutBatch cuts the power while a batch is written, or just after it.
func (p *power) cutBatch(now disk, next versions) {
	if string(now.db) != string(p.then.db) {
		p.t.Fatal("a commit has written to the main file")
	}
	p.made.batch++
	if p.anew {
		p.made.redoAnew++
	}
	redo, how := p.torn(p.then.redo, now.redo, p.ends, int(p.w.redo.at))
	wal, folds := p.tornWAL(now.wal)
	p.restart(disk{now.db, wal, redo}, fmt.Sprintf("in a batch after byte %d: %s; %s", p.ends, how, folds), p.had, next)
}

// cutFold cuts the power while batches go into SQLite's log, and from there into the file.
func (p *power) cutFold(now disk) {
	if len(now.wal) < logHeader { // all of the log is in the file, which is synced
		p.made.fold++
		p.restart(now, "after the WAL was emptied", p.had, p.had)
		return
	}
	if string(now.db) == string(p.then.db) {
		p.made.fold++
		wal, how := p.tornWAL(now.wal)
		p.restart(disk{now.db, wal, now.redo}, "after a batch: "+how, p.had, p.had)
		return
	}
	p.made.checkpoint++
	from := logEnd(now.wal)
	wal, tail := p.torn(now.wal, now.wal, from, len(now.wal))
	db, how := p.halfBrought(p.then.db, now.db)
	p.restart(disk{db, wal, now.redo}, fmt.Sprintf("in a checkpoint: %s; log after byte %d %s", how, from, tail), p.had, p.had)
}

// tornWAL gives a copy of SQLite's log that has only some of what was written since the last
// sync.
func (p *power) tornWAL(now []byte) (wal []byte, how string) {
	if len(p.wal) < logHeader || len(now) < logHeader || sameLog(p.wal, now) {
		from := logEnd(p.wal)
		wal, how = p.torn(p.wal, now, min(from, len(now)), logEnd(now))
		return wal, fmt.Sprintf("WAL after byte %d %s", from, how)
	}
	p.made.walAnew++
	if p.rnd.IntN(3) == 0 {
		n := p.rnd.IntN(logHeader + 1)
		return append(now[:n:n], p.wal[min(n, len(p.wal)):]...), fmt.Sprintf("new header of the WAL cut at byte %d", n)
	}
	headed := append(now[:logHeader:logHeader], p.wal[min(logHeader, len(p.wal)):]...)
	wal, how = p.torn(headed, now, logHeader, logEnd(now))
	return wal, "new WAL: " + how
}

// halfBrought gives a main file of which some pages of a checkpoint are old, some new, and
// some torn. They are all in the log; other pages are not touched.
func (p *power) halfBrought(old, now []byte) (file []byte, how string) {
	kept, torn := 0, 0
	file = append(file, now...)
	for at := 0; at < len(file); at += pageSize {
		was := old[min(at, len(old)):min(at+pageSize, len(old))]
		is := file[at : at+pageSize]
		if string(was) == string(is) {
			continue
		}
		half := p.rnd.IntN(pageSize)
		switch p.rnd.IntN(4) {
		case 0: // came whole
		case 1:
			kept++
			clear(is)
			copy(is, was)
		case 2:
			torn++
			clear(is[half:])
			copy(is[half:], was[min(half, len(was)):])
		case 3:
			torn++
			p.noise(is[half:])
		}
	}
	if grown := len(file) - len(old); grown > 0 && p.rnd.IntN(2) == 0 {
		file = file[:len(old)+p.rnd.IntN(grown)]
	}
	return file, fmt.Sprintf("%d pages as before, %d torn, %d bytes long, not %d", kept, torn, len(file), len(now))
}

func (p *power) noise(to []byte) {
	for i := range to {
		to[i] = byte(p.rnd.Uint32())
	}
}

// torn gives a log of which the bytes up to from are on disk, and of the change from old to
// now, which reaches to about end, only some.
func (p *power) torn(old, now []byte, from, end int) (wal []byte, how string) {
	if p.rnd.IntN(4) == 0 {
		return p.shuffled(old, now, from), "sectors of old and new mixed"
	}
	at := from + p.rnd.IntN(max(end, from)-from+1)
	head := now[:at:at]
	switch p.rnd.IntN(4) {
	case 0:
		return head, fmt.Sprintf("cut at %d", at)
	case 1:
		noise := make([]byte, 1+p.rnd.IntN(2*pageBytes))
		p.noise(noise)
		return append(head, noise...), fmt.Sprintf("at %d followed by %d bytes of garbage", at, len(noise))
	case 2:
		return append(head, make([]byte, p.rnd.IntN(3*pageBytes))...), fmt.Sprintf("at %d followed by zeros", at)
	}
	return append(head, old[min(at, len(old)):]...), fmt.Sprintf("new up to %d, old from there", at)
}

// shuffled takes each sector behind from out of the old or the new log, which may be the
// longer one.
func (p *power) shuffled(old, now []byte, from int) []byte {
	const sector = 512
	wal := append([]byte{}, now...)
	for at := from; at < len(wal); {
		next := min((at/sector+1)*sector, len(wal))
		if p.rnd.IntN(2) == 0 {
			clear(wal[at:next])
			copy(wal[at:next], old[min(at, len(old)):])
		}
		at = next
	}
	return wal
}

// restart opens a copy as after a power cut, and holds it to what was acknowledged: it is
// as before the batch under way, or as after it, and nothing in between.
func (p *power) restart(d disk, where string, before, after versions) {
	p.n++
	dir, err := os.MkdirTemp(filepath.Dir(p.s.path), "cut")
	if err != nil {
		p.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "o.db")
	files := map[string][]byte{path: d.db, path + "-wal": d.wal, path + "-redo": d.redo}
	if p.rnd.IntN(4) == 0 { // the log's index means nothing after a crash
		files[path+"-shm"] = d.db[:min(len(d.db), 32<<10)]
	}
	for name, text := range files {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	s, err := Open(path, Options{})
	if err != nil {
		p.t.Errorf("power cut %s: %v", where, err)
		return
	}
	if err := settled(s, before, after); err != nil {
		p.t.Errorf("power cut %s: %v", where, err)
	}
	if err := s.Close(); err != nil {
		p.t.Errorf("power cut %s: close: %v", where, err)
	}
}
