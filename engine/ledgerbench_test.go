package engine

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"orrery/engine/blueprint"
	"orrery/engine/ledger"
	"orrery/engine/store/memory"
)

// This file measures what the ledger costs: jobs of three handlers without, with and under a
// careful one, in turns, so that what else the machine does meets all alike.

// BenchmarkLedger gives the ratios of the lower quartiles; ns/op is a round of all three.
//
//	go test ./engine -run '^$' -bench Ledger -benchtime 2000x
func BenchmarkLedger(b *testing.B) {
	const jobs = 5 // a round
	l, err := ledger.Open(filepath.Join(b.TempDir(), "ledger"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ways := []*Engine{benchEngine(b, nil), benchEngine(b, l), benchEngine(b, l)}
	ways[2].careful.Store(true)
	took := make([][]float64, len(ways))
	ctx := context.Background()
	for b.Loop() {
		for i, e := range ways {
			began := time.Now()
			for range jobs {
				if _, _, err := e.Submit(ctx, Request{Blueprint: "straight", InitialData: json.RawMessage(`{}`)}); err != nil {
					b.Fatal(err)
				}
			}
			took[i] = append(took[i], float64(time.Since(began).Nanoseconds()))
		}
	}
	quartiles := make([]float64, len(ways))
	for i, all := range took {
		slices.Sort(all)
		quartiles[i] = all[len(all)/4]
	}
	b.ReportMetric(quartiles[1]/quartiles[0], "with/without")
	b.ReportMetric(quartiles[2]/quartiles[0], "careful/without")
	b.ReportMetric(quartiles[0]/jobs, "ns/job")
	if l.Failed() != nil {
		b.Fatal(l.Failed())
	}
}

func benchEngine(b *testing.B, l *ledger.Ledger) *Engine {
	b.Helper()
	bps, err := blueprint.LoadFS(context.Background(), fstest.MapFS{"life.star": {Data: []byte(lifeScript)}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	rows := memory.New()
	bps.UseStore(rows)
	e, err := New(Config{Store: rows, Blueprints: bps, Dispatcher: newLine(), Ledger: l})
	if err != nil {
		b.Fatal(err)
	}
	return e
}
