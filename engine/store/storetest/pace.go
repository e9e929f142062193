package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"orrery/engine/store"
)

// This file demands of a shared store that it bounds how often something happens. Paces go by
// the store's own clock: they are so slow here that no turn comes by itself, or so fast that
// it does not have to be waited for.

// slow gives count turns at once, and no more while a test runs.
func slow(count int) store.Pace {
	return store.Pace{Each: time.Hour, Slack: time.Duration(count-1) * time.Hour}
}

func (b *bed) draw(s store.Paces, key string, p store.Pace, n, back, wants int) store.Drawn {
	b.Helper()
	d, err := s.Draw(b.ctx, key, p, n, back)
	b.must(err)
	if d.Turns != wants {
		b.Fatalf("draw %d turns of %s, %d given back: %+v, want %d", n, key, back, d, wants)
	}
	return d
}

// about compares times over which a test may have taken a while.
func (b *bed) about(what string, got, want time.Duration) {
	b.Helper()
	if got > want || got < want-time.Minute {
		b.Fatalf("%s: to wait %s, want %s or a little less", what, got, want)
	}
}

func paceTurns(b *bed, s store.Shared) {
	if d := b.draw(s, "k", slow(5), 2, 0, 2); d.Wait != 0 {
		b.Fatalf("turns that are free are to be waited for: %+v", d)
	}
	b.draw(s, "k", slow(5), 9, 0, 3)
	b.about("without a turn", b.draw(s, "k", slow(5), 1, 0, 0).Wait, time.Hour)
	b.about("asking counts nothing", b.draw(s, "k", slow(5), 1, 0, 0).Wait, time.Hour)
	b.draw(s, "k", slow(7), 9, 0, 2) // a limit that was raised
	b.draw(s, "other", slow(5), 1, 0, 1)
	fast := store.Pace{Each: time.Millisecond, Slack: time.Millisecond}
	b.draw(s, "fast", fast, 2, 0, 2)
	b.until("a turn comes with its time", func() bool {
		d, err := s.Draw(b.ctx, "fast", fast, 1, 0)
		b.must(err)
		return d.Turns == 1
	})
	if _, there, err := s.Claimed(b.ctx, "k", epoch); there || err != nil {
		b.Fatalf("a pace is found as a claim: %v, %v", there, err)
	}
}

func paceBack(b *bed, s store.Shared) {
	b.draw(s, "k", slow(4), 4, 0, 4)
	b.draw(s, "k", slow(4), 0, 1, 0)
	b.draw(s, "k", slow(4), 9, 2, 3)
	b.draw(s, "k", slow(4), 0, 99, 0) // never more than there were
	b.draw(s, "k", slow(4), 99, 0, 4)
}

func paceDebt(b *bed, s store.Shared) {
	p := slow(2)
	p.Debt = 150 * time.Minute
	if d := b.draw(s, "k", p, 9, 0, 2); d.Wait != 0 {
		b.Fatalf("turns that are free are to be waited for: %+v", d)
	}
	b.about("the first in debt", b.draw(s, "k", p, 9, 0, 1).Wait, time.Hour)
	b.about("the second", b.draw(s, "k", p, 1, 0, 1).Wait, 2*time.Hour)
	b.about("the third", b.draw(s, "k", p, 1, 0, 1).Wait, p.Debt)
	b.about("the fourth", b.draw(s, "k", p, 1, 0, 1).Wait, p.Debt)
}

// paceTogether is the promise of a limit that holds over all nodes.
func paceTogether(b *bed, s store.Shared) {
	const tries, most = 60, 100
	var taken atomic.Int64
	var all sync.WaitGroup
	for range tries {
		all.Go(func() {
			d, err := s.Draw(b.ctx, "k", slow(most), 3, 0)
			if err != nil {
				b.Error(err)
			}
			taken.Add(int64(d.Turns))
		})
	}
	all.Wait()
	if taken.Load() != most {
		b.Errorf("%d turns were given, there are %d", taken.Load(), most)
	}
}
