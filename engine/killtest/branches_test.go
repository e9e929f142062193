package killtest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/workers/client"
)

// This file measures recipe 3 on the shipped binary: one job with a thousand branches.

func TestThousandBranches(t *testing.T) {
	const branches = 1000
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s := newServer(t, program(t, ""))
	folder, err := filepath.Abs("../../examples/03-parallel")
	if err != nil {
		t.Fatal(err)
	}
	s.blueprints = folder
	s.start()
	for i := range 4 {
		w := client.New(client.Config{URL: "http://" + s.addr, Token: workerToken, ID: fmt.Sprintf("counter-%d", i), MaxConcurrent: 8, Logger: slog.New(slog.DiscardHandler)})
		w.Handle("count_words", func(_ context.Context, task *client.Task) (map[string]any, error) {
			return map[string]any{"words": len(strings.Fields(task.Params["text"].(string)))}, nil
		})
		ended := make(chan struct{})
		running, stop := context.WithCancel(ctx)
		t.Cleanup(func() { stop(); <-ended })
		go func() {
			defer close(ended)
			if err := w.Run(running); err != nil && running.Err() == nil {
				t.Errorf("worker: %v", err)
			}
		}()
	}
	parts := make([]string, branches)
	for i := range parts {
		parts[i] = strings.Repeat("word ", 1+i%3)
	}
	began := time.Now()
	id, err := s.submit(ctx, "jobs/parallel_list", "branches", map[string]any{"parts": parts})
	if err != nil {
		t.Fatal(err)
	}
	v := s.drained(ctx, t, []string{id}, 2*time.Minute)[id]
	t.Logf("%d branches at 4 workers of 8 places: %s, peak memory %d MiB", branches, time.Since(began).Round(time.Millisecond), s.peakMemory(t))
	var history struct{ Words, Parts int }
	if err := json.Unmarshal(v.StateHistory, &history); err != nil {
		t.Fatal(err)
	}
	if v.Status != job.Finished || history.Parts != branches || history.Words != 1999 {
		t.Errorf("the job ended %s with %d parts and %d words, want %d and 1999", v.Status, history.Parts, history.Words, branches)
	}
}
