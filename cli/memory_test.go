package cli

import (
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"

	"orrery/cli/config"
)

// This file counts what a server holds in memory when it has started.

// mostAtStart bounds the live bytes of the heap that a server with the examples adds to those
// of the process: they were 0.6 MB.
const mostAtStart = 2 << 20

func TestAServerWithTheExamplesTakesLittleMemory(t *testing.T) {
	examples, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	inFolder(t)
	cfg, err := config.Load(config.Source{Environ: []string{}, Flags: map[string]string{"LISTEN": "127.0.0.1:0", "BLUEPRINTS_DIR": examples}})
	if err != nil {
		t.Fatal(err)
	}
	live := func() int {
		var m runtime.MemStats
		for range 2 { // the second takes what pools kept through the first
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := live()
	s, err := wire(t.Context(), cfg, slog.New(slog.DiscardHandler), wiring{})
	if err != nil {
		t.Fatal(err)
	}
	took := live() - before
	if len(s.catalog.All()) < 30 {
		t.Errorf("only %d blueprints were loaded", len(s.catalog.All()))
	}
	t.Logf("%d bytes", took)
	if took > mostAtStart {
		t.Errorf("a server with the examples holds %d bytes, want at most %d", took, mostAtStart)
	}
	s.close()
}
