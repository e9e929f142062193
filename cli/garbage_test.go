package cli

import (
	"runtime"
	"testing"
)

// This file tests how much garbage the server's heap may hold, and when memory is given back.

func TestGarbageFollowsTheLiveHeap(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 400}, {8 << 20, 400}, {16 << 20, 400}, {32 << 20, 175}, {48 << 20, 91}, {64 << 20, 50}, {96 << 20, 50}, {1 << 30, 50},
	} {
		if got := percentFor(c.live); got != c.want {
			t.Errorf("%d MiB live: %d %%, want %d", c.live>>20, got, c.want)
		}
	}
	g := garbage{percent: 100}
	for percent, want := range map[int]bool{100: false, 109: false, 91: false, 120: true, 80: true} {
		if g.moves(percent) != want {
			t.Errorf("from 100 to %d: set %v, want %v", percent, !want, want)
		}
	}
}

func TestMemoryIsGivenBackOnceInEveryQuietTime(t *testing.T) {
	g := garbage{}
	made := uint64(0)
	looks := func(n int, bytes uint64) (given int) {
		for range n {
			made += bytes
			if g.idle(made) {
				given++
			}
		}
		return given
	}
	if n := looks(20, 4<<20); n != 0 {
		t.Errorf("given back %d times at work", n)
	}
	if n := looks(4, 1000); n != 0 {
		t.Error("given back too early")
	}
	if n := looks(100, 1000); n != 1 {
		t.Errorf("given back %d times in one quiet time", n)
	}
	looks(1, 4<<20)
	if n := looks(5, 0); n != 1 {
		t.Errorf("given back %d times in the next quiet time", n)
	}
}

func TestTheHeapIsSeen(t *testing.T) {
	runtime.GC()
	live, before := heap()
	keep := make([]byte, 64<<20)
	runtime.GC()
	after, made := heap()
	if after < live+32<<20 || made < before+64<<20 {
		t.Errorf("64 MiB more are seen as %d to %d live, %d to %d made", live, after, before, made)
	}
	runtime.KeepAlive(keep)
}
