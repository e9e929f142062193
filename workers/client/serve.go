// The loops of a running worker: registering, heartbeats, polls.

package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// heartbeatCooldown keeps the extra heartbeats at the start and end of tasks
	// apart, so that a burst of short tasks is not a burst of heartbeats.
	heartbeatCooldown = 2 * time.Second
	// idlePollDelay spaces polls that the server answers at once with nothing.
	idlePollDelay = 500 * time.Millisecond
)

// register tells the server about the worker until it says yes. It returns
// false when ctx ended first.
func (w *Worker) register(ctx context.Context) bool {
	wait := newBackoff(w.cfg.RetryDelay)
	for {
		err := w.registerOnce(ctx)
		if err == nil {
			w.log.Info("registered", "url", w.cfg.URL, "skills", w.skills())
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		w.log.Warn("cannot register, will try again; check URL and token", "url", w.cfg.URL, "error", err)
		if !wait.wait(ctx, err) {
			return false
		}
	}
}

func (w *Worker) registerOnce(ctx context.Context) error {
	body, err := w.signed(w.registration())
	if err != nil {
		return err
	}
	got, err := w.link.do(ctx, http.MethodPost, "/workers/register", body, requestTimeout)
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
		w.log.Warn("the server says", "warning", reply.Warning)
	}
	return w.link.takeToken(got.body)
}

// heartbeats runs until ctx ends: at once, then at the interval, and sooner
// when tasks start or end.
func (w *Worker) heartbeats(ctx context.Context) {
	cooldown := min(heartbeatCooldown, w.cfg.HeartbeatInterval)
	full := false
	for {
		began := time.Now()
		extra, again := w.heartbeat(ctx, full)
		full = again
		next := time.NewTimer(w.cfg.HeartbeatInterval + extra)
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		case <-w.nudge:
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
func (w *Worker) heartbeat(ctx context.Context, full bool) (extra time.Duration, wantsFull bool) {
	body, err := w.signed(w.heartbeatMessage(full))
	if err != nil {
		w.log.Error("cannot write the heartbeat", "error", err)
		return 0, full
	}
	got, err := w.link.do(ctx, http.MethodPatch, "/workers/"+w.cfg.ID, body, requestTimeout)
	if err != nil {
		if ctx.Err() != nil {
			return 0, full
		}
		w.log.Warn("heartbeat failed", "error", err)
		if status := statusOf(err); status == http.StatusNotFound || status == http.StatusUnauthorized {
			if err := w.registerOnce(ctx); err != nil {
				w.log.Warn("cannot register again, the next heartbeat tries it", "error", err)
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
		w.log.Warn("the answer to the heartbeat cannot be read", "error", err)
		return 0, full
	}
	for _, id := range reply.Cancel {
		w.cancel(id)
	}
	return time.Duration(min(max(reply.JitterMS, 0), 60_000)) * time.Millisecond, reply.Full
}

// changed makes a heartbeat due soon; one waiting already is enough.
func (w *Worker) changed() {
	select {
	case w.nudge <- struct{}{}:
	default:
	}
}

// polls asks for tasks whenever a slot is free, until ctx ends.
func (w *Worker) polls(ctx context.Context) {
	wait := newBackoff(w.cfg.RetryDelay)
	for {
		select {
		case <-ctx.Done():
			return
		case w.slots <- struct{}{}:
		}
		began := time.Now()
		t, err := w.poll(ctx)
		switch {
		case ctx.Err() != nil && t == nil:
			<-w.slots
			return
		case err != nil:
			<-w.slots
			w.log.Warn("poll failed, will try again", "error", err)
			wait.wait(ctx, err)
		case t == nil:
			<-w.slots
			wait.reset()
			if time.Since(began) < idlePollDelay {
				pause(ctx, idlePollDelay)
			}
		default:
			wait.reset()
			w.start(ctx, t)
		}
	}
}

// poll waits for one task; nil when there was none.
func (w *Worker) poll(ctx context.Context) (*Task, error) {
	query := url.Values{
		"timeout":          {strconv.FormatFloat(w.cfg.PollTimeout.Seconds(), 'f', -1, 64)},
		"available_skills": {strings.Join(w.skills(), ",")},
	}
	path := "/workers/" + w.cfg.ID + "/tasks/next?" + query.Encode()
	got, err := w.link.do(ctx, http.MethodGet, path, nil, w.cfg.PollTimeout+5*time.Second)
	if err != nil || got.status == http.StatusNoContent || len(got.body) == 0 {
		return nil, err
	}
	return w.decodeTask(got.body)
}
