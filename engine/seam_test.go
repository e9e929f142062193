package engine

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests two of the same at once: requests with one key, results of one task.

// claimRace runs a function after a claim was made and before its maker goes on.
type claimRace struct {
	store.Store
	then func()
}

func (c *claimRace) Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) ([]byte, bool, error) {
	stands, claimed, err := c.Store.Claim(ctx, key, value, ttl, now)
	if then := c.then; then != nil {
		c.then = nil
		then()
	}
	return stands, claimed, err
}

func TestTwoRequestsWithOneKeyAtOnce(t *testing.T) {
	rows := &claimRace{Store: memory.New()}
	r := newRig(t, func(c *Config) { c.Store = rows })
	ask := func() (string, error) {
		id, _, err := r.Submit(r.ctx, Request{Blueprint: "straight", IdempotencyKey: "k", BodyHash: "h"})
		return id, err
	}
	var twin string
	var twinErr error
	rows.then = func() { twin, twinErr = ask() }
	first, err := ask()
	if err != nil || twinErr != nil || first != twin {
		t.Errorf("the first gives %s %v, its twin %s %v: want one job", first, err, twin, twinErr)
	}
}

// A result may be held for 20 s by a full disk. When its task was handed out anew meanwhile,
// only the new hand-out counts: a branch counted twice would join the group too early.
func TestResultOfABranchThatWasHandedOutAnew(t *testing.T) {
	r := newRig(t)
	id := r.begin("group", `{"branches": 2}`)
	old := r.take()
	r.clock.Set(*old.Due)
	r.settle()
	r.pass(seconds(1))
	one, two := r.take(), r.take()
	if one.N != old.N {
		one, two = two, one
	}
	if got := r.answer(old, success(`{}`)); got.Accepted || got.Reason != "stale_task" {
		t.Errorf("the result of the hand-out before: %+v", got)
	}
	r.is(id, job.WaitingParallel, "start")
	if got := r.answer(one, success(`{}`)); !got.Accepted {
		t.Errorf("the result: %+v", got)
	}
	if j := r.is(id, job.WaitingParallel, "start"); j.Wait.Open != 1 {
		t.Errorf("%d branches open, want 1", j.Wait.Open)
	}
	r.answer(two, success(`{}`))
	r.is(id, job.Finished, "finished")
}

func TestRefusedDecisionsLeaveATrace(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	id := r.begin("straight", `{}`)
	if err := r.DecideByToken(r.ctx, id, "approved", "a foreign token"); FaultCode(err) != BadToken {
		t.Errorf("a foreign token gives %v", err)
	}
	refused(t, r.Decide(r.ctx, id, "approved", "ann"), Ended)
	for _, part := range []string{"a decision was refused", id, "by=ann", "by=link"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("%q is not in the log:\n%s", part, log.String())
		}
	}
	if strings.Contains(log.String(), "a foreign token") {
		t.Error("the log holds a token")
	}
}
