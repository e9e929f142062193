// The worker in twenty lines that the package comment promises.

package client_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"orrery/workers/client"
)

// A whole worker. WORKER_TOKEN and ORCHESTRATOR_URL come from the environment;
// ctrl-C lets the running tasks finish.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	w := client.New(client.Config{})
	w.Handle("resize", func(ctx context.Context, t *client.Task) (map[string]any, error) {
		var p struct{ Width int }
		if err := t.Decode(&p); err != nil {
			return nil, err
		}
		if p.Width <= 0 {
			return nil, client.Invalid(fmt.Errorf("width is %d, it must be above 0", p.Width))
		}
		return map[string]any{"width": p.Width}, nil
	})
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
