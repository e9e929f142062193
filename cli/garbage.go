package cli

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// This file decides how much garbage the server's heap may hold before it is collected, and
// gives memory back when there is nothing to do. A GOGC in the environment is left alone.
//
// Go's own rule, as much garbage as is live, suits neither end: the live heap of a server is
// small, and collecting it took a tenth of the time of a job; with 100,000 queued jobs it is
// large, and needs no more garbage than before.

const (
	garbageMost    = 400      // percent of what is live, while that is little
	garbageLeast   = 50       // percent, however much is live: collecting is never most of the work
	garbageBytes   = 80 << 20 // about as much garbage in between, less three quarters of what is live
	garbageLook    = time.Second
	garbageIdle    = 5 * time.Second // without work, after which unused memory is given back
	garbageNothing = 1 << 20         // bytes a look that count as no work: timers, heartbeats
)

// garbage is what the last looks saw.
type garbage struct {
	percent int
	made    uint64        // bytes allocated since the start
	quiet   time.Duration // that nothing was done
	given   bool          // back, in this quiet
}

// tuneGarbage sets what suits a small heap; it reports whether this is ours to set.
func tuneGarbage() bool {
	if _, set := os.LookupEnv("GOGC"); set {
		return false
	}
	debug.SetGCPercent(garbageMost)
	return true
}

// watchGarbage looks at the heap until ctx ends.
func watchGarbage(ctx context.Context, log *slog.Logger) {
	ours := tuneGarbage()
	tick := time.NewTicker(garbageLook)
	defer tick.Stop()
	g := garbage{percent: garbageMost}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		live, made := heap()
		if percent := percentFor(live); ours && g.moves(percent) {
			g.percent = percent
			debug.SetGCPercent(percent)
		}
		if g.idle(made) {
			debug.FreeOSMemory()
			if err := forgetProgram(); err != nil {
				log.Debug("pages of the program stay mapped", "reason", err)
			}
		}
	}
}

// percentFor gives the garbage that suits a live heap, in percent of it.
func percentFor(live uint64) int {
	garbage := garbageBytes - min(garbageBytes, live/4*3)
	return int(min(garbageMost, max(garbageLeast, garbage*100/max(live, 1))))
}

// moves reports whether a percentage is far enough from the present one: setting it stops
// all goroutines for a moment.
func (g *garbage) moves(percent int) bool {
	return math.Abs(float64(percent-g.percent)) > 0.1*float64(g.percent)
}

// idle notes how much was allocated since the start; it says true once in every quiet time.
func (g *garbage) idle(made uint64) bool {
	since := made - g.made
	g.made = made
	if since > garbageNothing {
		g.quiet, g.given = 0, false
		return false
	}
	g.quiet += garbageLook
	if g.given || g.quiet < garbageIdle {
		return false
	}
	g.given = true
	return true
}

// heap gives the bytes that the last collection found live, and those allocated since the start.
func heap() (live, made uint64) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64(), sample[1].Value.Uint64()
}
