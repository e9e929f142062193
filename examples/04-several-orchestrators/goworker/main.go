// Command goworker is the worker of recipe 4 with the Go SDK. ORCHESTRATORS_CONFIG and
// MULTI_ORCHESTRATOR_MODE mean the same as for the Python SDK.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"time"

	"orrery/workers/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	w := client.New(client.Config{})
	w.Handle("render_page", func(ctx context.Context, t *client.Task) (map[string]any, error) {
		select {
		case <-time.After(500 * time.Millisecond): // stands for the work
			return map[string]any{"rendered": t.Params["page"], "rendered_by": w.ID()}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
