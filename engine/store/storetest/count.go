package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/store"
)

// This file tests counters.

var countTests = []test{
	{"a counter stops at its bound", countStops},
	{"a counter ends with its time", countEnds},
	{"counted exactly by many at once", countTogether},
}

func (b *bed) count(key string, by, most int64, until, now time.Time, wants int64, taken bool) {
	b.Helper()
	n, ok, err := b.Count(b.ctx, key, by, most, until, now)
	b.must(err)
	if n != wants || ok != taken {
		b.Fatalf("count %s by %d up to %d at %s: %d, %v; want %d, %v", key, by, most, now, n, ok, wants, taken)
	}
}

func countStops(b *bed) {
	end := at(3600)
	b.count("k", 0, 0, end, epoch, 0, true)
	b.count("k", 1, 0, end, epoch, 0, false)
	b.count("k", 2, 3, end, epoch, 2, true)
	b.count("k", 2, 3, end, epoch, 2, false)
	b.count("k", 1, 3, end, epoch, 3, true)
	b.count("k", 1, 3, end, epoch, 3, false)
	b.count("k", -1, 0, end, epoch, 2, true) // giving back does not look at the bound
	b.count("k", 1, 1, end, epoch, 2, false) // a bound that was lowered
	b.count("k", 1, 3, end, epoch, 3, true)
	b.count("other", 1, 3, end, epoch, 1, true)
	b.count("other", -5, 3, end, epoch, 0, true)
	b.count("k", 0, 0, end, epoch, 3, true)
	if _, there, err := b.Claimed(b.ctx, "k", epoch); err != nil || there {
		b.Fatalf("a counter is found as a claim: %v, %v", there, err)
	}
}

func countEnds(b *bed) {
	b.count("k", 2, 2, at(60), epoch, 2, true)
	b.count("k", 1, 2, at(90), at(59), 2, false)
	b.count("k", 1, 2, at(120), at(60), 1, true)
	b.count("k", 1, 2, at(500), at(119), 2, true) // its end stays that of the first
	b.count("k", 0, 2, at(500), at(120), 0, true)
}

// countTogether is the promise of a quota: of many at once, just as many as there are.
func countTogether(b *bed) {
	const tries, most = 400, 150
	var taken atomic.Int64
	var all sync.WaitGroup
	for range tries {
		all.Go(func() {
			_, ok, err := b.Count(b.ctx, "k", 1, most, at(60), epoch)
			if err != nil {
				b.Error(err)
			}
			if ok {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != most {
		b.Errorf("%d of %d were let through, want %d", taken.Load(), tries, most)
	}
	b.count("k", 0, 0, at(60), epoch, most, true)
}

// reopenCount: what was counted is there again.
func reopenCount(b *bed, reopen func() store.Store) {
	b.count("k", 3, 3, at(60), epoch, 3, true)
	b.must(b.Close())
	b.Store = reopen()
	b.count("k", 1, 3, at(60), epoch, 3, false)
}
