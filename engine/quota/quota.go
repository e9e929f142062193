// Package quota counts what a client may start in a calendar month.
//
// Words: an attempt is one job accepted; a month is the calendar's, in UTC; a client without
// a bound is not counted. The store's counters are authoritative, so that the count outlasts
// the process and is exact over many requests at once.
//
// An attempt is taken before its job is created and given back when the job was certainly not
// created. A crash between the two, or a creation whose outcome nobody knows, may cost one attempt
// and never gives one away.
package quota

import (
	"context"
	"fmt"
	"time"
)

// Counters is the part of the store that counts (store.Counters).
type Counters interface {
	Count(ctx context.Context, key string, by, most int64, until, now time.Time) (stands int64, taken bool, err error)
}

// kept is how long a month's count outlasts its month, for those who look back.
const kept = 62 * 24 * time.Hour

// Book takes attempts and gives them back.
type Book struct{ counters Counters }

// New makes a book over the store's counters.
func New(c Counters) *Book { return &Book{c} }

// Attempt is one that was taken.
type Attempt struct {
	client string
	at     time.Time
}

// Exceeded is the error of a client whose attempts are used up.
type Exceeded struct {
	Client string
	Most   int64
	Resets time.Time     // the first moment of the next month
	Wait   time.Duration // until then
}

// Error says how many there are and when there are new ones.
func (e *Exceeded) Error() string {
	return fmt.Sprintf("the client %q has used up its %d attempts of this month; there are new ones from %s on",
		e.Client, e.Most, e.Resets.Format("2006-01-02 15:04 MST"))
}

// Take takes one of the client's attempts of the month that now lies in. Errors: *Exceeded,
// and the store's.
func (b *Book) Take(ctx context.Context, client string, most int64, now time.Time) (Attempt, error) {
	_, taken, err := b.count(ctx, client, 1, most, now)
	if err != nil {
		return Attempt{}, err
	}
	if !taken {
		resets := nextMonth(now)
		return Attempt{}, &Exceeded{Client: client, Most: most, Resets: resets, Wait: resets.Sub(now)}
	}
	return Attempt{client, now}, nil
}

// GiveBack returns an attempt of which no job came, to the month it was taken from.
func (b *Book) GiveBack(ctx context.Context, a Attempt) error {
	_, _, err := b.count(ctx, a.client, -1, 0, a.at)
	return err
}

// Used tells how many attempts of the month that now lies in are taken, and when the next
// month begins.
func (b *Book) Used(ctx context.Context, client string, now time.Time) (used int64, resets time.Time, err error) {
	used, _, err = b.count(ctx, client, 0, 0, now)
	return used, nextMonth(now), err
}

func (b *Book) count(ctx context.Context, client string, by, most int64, now time.Time) (int64, bool, error) {
	key := "quota/" + now.UTC().Format("2006-01") + "/" + client
	stands, taken, err := b.counters.Count(ctx, key, by, most, nextMonth(now).Add(kept), now)
	if err != nil {
		return 0, false, fmt.Errorf("count the attempts of client %q: %w", client, err)
	}
	return stands, taken, nil
}

func nextMonth(now time.Time) time.Time {
	year, month, _ := now.UTC().Date()
	return time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
}
