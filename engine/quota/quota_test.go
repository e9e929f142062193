package quota

import (
	"errors"
	"testing"
	"time"

	"orrery/engine/store/memory"
)

// This file tests the count over months; how exact it is under load is the store's suite.

func TestAMonthHasItsOwnCount(t *testing.T) {
	b := New(memory.New())
	lastMoment := time.Date(2026, 12, 31, 23, 59, 59, 999e6, time.UTC)
	take := func(client string, now time.Time) error {
		_, err := b.Take(t.Context(), client, 2, now)
		return err
	}
	for range 2 {
		if err := take("ann", lastMoment); err != nil {
			t.Fatal(err)
		}
	}
	// The zone of the clock does not matter: it is the month in UTC.
	elsewhere := lastMoment.In(time.FixedZone("ahead", 14*3600))
	var full *Exceeded
	if err := take("ann", elsewhere); !errors.As(err, &full) {
		t.Fatalf("the third of two attempts: %v", err)
	}
	if full.Wait != time.Millisecond || !full.Resets.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) || full.Most != 2 {
		t.Errorf("said %+v", full)
	}
	if err := take("bob", lastMoment); err != nil {
		t.Errorf("another client: %v", err)
	}
	if err := take("ann", lastMoment.Add(time.Millisecond)); err != nil {
		t.Errorf("after the turn of the month: %v", err)
	}
	for now, want := range map[time.Time]int64{lastMoment: 2, lastMoment.Add(time.Hour): 1, lastMoment.AddDate(0, 2, 0): 0} {
		if used, _, err := b.Used(t.Context(), "ann", now); err != nil || used != want {
			t.Errorf("at %s: %d used, %v; want %d", now, used, err, want)
		}
	}
}

func TestAnAttemptGoesBackToItsMonth(t *testing.T) {
	b := New(memory.New())
	november := time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC)
	a, err := b.Take(t.Context(), "ann", 1, november)
	if err != nil {
		t.Fatal(err)
	}
	december := november.Add(time.Second)
	if _, err := b.Take(t.Context(), "ann", 1, december); err != nil {
		t.Fatal(err)
	}
	if err := b.GiveBack(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	for now, want := range map[time.Time]int64{november: 0, december: 1} {
		if used, _, err := b.Used(t.Context(), "ann", now); err != nil || used != want {
			t.Errorf("in %s: %d used, %v; want %d", now.Month(), used, err, want)
		}
	}
}
