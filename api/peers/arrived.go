package peers

import (
	"context"
	"time"

	"orrery/engine/node"
)

// This file tells a node that a task which was taken from it has gone to its worker.

const (
	arrivedTries = 4
	arrivedPause = 500 * time.Millisecond
)

// arrivedMessage names a task that was given to the worker's connection.
type arrivedMessage struct {
	Task string `json:"task"`
}

// Arrived tells the owner of a task, again when it does not hear; it returns at once.
func (p *Peers) Arrived(owner node.Peer, task string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.sending.Go(func() {
		for try := 1; ; try++ {
			err := p.send(context.Background(), owner, wordArrived, arrivedMessage{task}, nil)
			if err == nil {
				return
			}
			p.cfg.Log.Debug("a node could not be told that a task of its own arrived", "node", owner.ID, "task_id", task, "error", err)
			if try == arrivedTries || p.isClosed() {
				return
			}
			<-p.cfg.Clock.NewTimer(arrivedPause).C()
		}
	})
}

func (p *Peers) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}
