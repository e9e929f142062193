// What a running worker tells each orchestrator: registering, heartbeats.

package client

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// heartbeatCooldown keeps the extra heartbeats at the start and end of tasks
// apart, so that a burst of short tasks is not a burst of heartbeats.
const heartbeatCooldown = 2 * time.Second

// serve keeps one orchestrator informed: it registers, then heartbeats and the
// WebSocket go on until serving ends. ctx ends the tries to register.
func (w *Worker) serve(ctx, serving context.Context, l *link) {
	if !w.register(ctx, l) {
		return
	}
	var loops sync.WaitGroup
	loops.Go(func() { w.heartbeats(serving, l) })
	if w.cfg.webSockets() {
		loops.Go(func() { w.socketLoop(serving, l) })
	}
	loops.Wait()
}

// register tells the server about the worker until it says yes. It returns
// false when ctx ended first.
func (w *Worker) register(ctx context.Context, l *link) bool {
	wait := newBackoff(w.cfg.RetryDelay)
	for {
		err := w.registerOnce(ctx, l)
		if err == nil {
			l.log.Info("registered", "skills", w.skills())
			l.registered.Store(true)
			select {
			case w.arrived <- struct{}{}:
			default:
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		l.log.Warn("cannot register, will try again; check URL and token", "error", err)
		if !wait.wait(ctx, err) {
			return false
		}
	}
}

func (w *Worker) registerOnce(ctx context.Context, l *link) error {
	body, err := w.signed(l, w.registration())
	if err != nil {
		return err
	}
	got, err := l.do(ctx, http.MethodPost, "/workers/register", body, requestTimeout)
	if err != nil {
		return err
	}
	var reply struct {
		Warning string `json:"warning"`
	}
	if err := json.Unmarshal(got.body, &reply); err != nil {
		return err
	}
	if reply.Warning != "" {
		l.log.Warn("the server says", "warning", reply.Warning)
	}
	return l.takeToken(got.body)
}

// heartbeats runs until ctx ends: at once, then at the interval, and sooner
// when tasks start or end.
func (w *Worker) heartbeats(ctx context.Context, l *link) {
	cooldown := min(heartbeatCooldown, w.cfg.HeartbeatInterval)
	full := false
	for {
		began := time.Now()
		extra, again := w.heartbeat(ctx, l, full)
		full = again
		next := time.NewTimer(w.cfg.HeartbeatInterval + extra)
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		case <-l.nudge:
			next.Stop()
			if !pause(ctx, cooldown-time.Since(began)) {
				return
			}
		}
	}
}

// heartbeat sends one and acts on the reply: it stops cancelled tasks, and
// registers again when the server does not know this worker. It returns what
// the server adds to the interval, and whether it wants the catalogue.
func (w *Worker) heartbeat(ctx context.Context, l *link, full bool) (extra time.Duration, wantsFull bool) {
	body, err := w.signed(l, w.heartbeatMessage(full))
	if err != nil {
		l.log.Error("cannot write the heartbeat", "error", err)
		return 0, full
	}
	got, err := l.do(ctx, http.MethodPatch, "/workers/"+w.cfg.ID, body, requestTimeout)
	if err != nil {
		if ctx.Err() != nil {
			return 0, full
		}
		l.log.Warn("heartbeat failed", "error", err)
		if status := statusOf(err); status == http.StatusNotFound || status == http.StatusUnauthorized {
			if err := w.registerOnce(ctx, l); err != nil {
				l.log.Warn("cannot register again, the next heartbeat tries it", "error", err)
			}
		}
		return 0, full
	}
	var reply struct {
		Cancel   []string `json:"cancel_task_ids"`
		Full     bool     `json:"require_full_sync"`
		JitterMS int      `json:"next_heartbeat_jitter_ms"`
	}
	if err := json.Unmarshal(got.body, &reply); err != nil {
		l.log.Warn("the answer to the heartbeat cannot be read", "error", err)
		return 0, full
	}
	for _, id := range reply.Cancel {
		w.cancel(id)
	}
	return time.Duration(min(max(reply.JitterMS, 0), 60_000)) * time.Millisecond, reply.Full
}

// changed makes a heartbeat due soon; one waiting already is enough.
func (w *Worker) changed() {
	for _, l := range w.links {
		select {
		case l.nudge <- struct{}{}:
		default:
		}
	}
}
