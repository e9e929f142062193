package peers

import (
	"context"
	"sync"
	"time"

	"orrery/workers"
)

// This file asks all nodes at once for what each knows of the workers.

// overviewTime is how long the other nodes have for it: somebody waits for the page.
const overviewTime = time.Second

// Workers gives what each node knows of the workers, by node, this one too, and the nodes that
// did not answer within a second, or lately.
func (p *Peers) Workers(ctx context.Context) (views map[string][]workers.View, missing []string) {
	views, missing = askAll[[]workers.View](ctx, p, wordWorkers)
	views[p.cfg.ID] = p.hub.Snapshot()
	return views, missing
}

// Numbers gives the counts of the other nodes, and the nodes that did not answer.
func (p *Peers) Numbers(ctx context.Context) (all map[string]workers.Stats, missing []string) {
	return askAll[workers.Stats](ctx, p, wordNumbers)
}

func askAll[T any](ctx context.Context, p *Peers, word string) (got map[string]T, missing []string) {
	got = map[string]T{}
	var mu sync.Mutex
	var busy sync.WaitGroup
	ctx, cancel := context.WithTimeout(ctx, overviewTime)
	defer cancel()
	for _, to := range p.Others() {
		if p.isSilent(to.ID) {
			missing = append(missing, to.ID)
			continue
		}
		busy.Go(func() {
			var one T
			err := p.send(ctx, to, word, struct{}{}, &one)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				p.cfg.Log.Debug("a node does not say what it knows of the workers", "node", to.ID, "error", err)
				missing = append(missing, to.ID)
				return
			}
			got[to.ID] = one
		})
	}
	busy.Wait()
	return got, missing
}
