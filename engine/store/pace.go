package store

import (
	"context"
	"time"
)

// This file says how often something may happen over all nodes of a store.

// Paces bound how often something happens, by the store's clock. What they remember is worth
// little: a store that loses it in a crash or a failover lets through more, once.
type Paces interface {
	// Draw takes up to n turns of a key at once, to be used up soon, after giving back turns
	// that were drawn and not used. Nobody need say that a key begins or ends. One that was
	// sent twice, because its answer was lost, has taken its turns twice.
	Draw(ctx context.Context, key string, p Pace, n, back int) (Drawn, error)
}

// Pace lets through Slack/Each turns and one more at once, and then one each time that Each
// has passed. The stores count in microseconds.
type Pace struct {
	Each  time.Duration // 1 us or more
	Slack time.Duration
	// Debt lets a draw that finds no turn free have one of those to come, up to that far
	// ahead; 0 does not.
	Debt time.Duration
}

// Drawn is what a draw gave.
type Drawn struct {
	Turns int           // that may be used
	Wait  time.Duration // with turns: until their time, which is 0 or, in debt, at most Debt; without: until there is one
}

// PaceKey gives the key under which a driver that keeps paces among the claims has one.
func PaceKey(key string) string { return "pace/" + key }

// DrawTurns is the arithmetic of a draw: of a key whose turns are given away up to the moment
// at, in microseconds since 1970. next stands afterwards; it is never before now.
func DrawTurns(at, now int64, p Pace, n, back int) (next int64, d Drawn) {
	each, slack, debt := max(1, p.Each.Microseconds()), p.Slack.Microseconds(), p.Debt.Microseconds()
	at = max(max(at, now)-int64(back)*each, now)
	room := now + slack - at
	switch {
	case n <= 0:
	case room >= 0:
		turns := min(int64(n), room/each+1)
		d.Turns, at = int(turns), at+turns*each
	case debt <= 0:
		d.Wait = time.Duration(-room) * time.Microsecond
	default:
		d.Turns, d.Wait = 1, time.Duration(min(-room, debt))*time.Microsecond
		at = min(at+each, now+slack+debt)
	}
	return at, d
}
