package faultstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"orrery/engine/store/memory"
)

// This file tests that faults come when planned, once, and do what they say.

func TestFailures(t *testing.T) {
	ctx, now := context.Background(), time.Now().UTC()
	for _, kind := range []Kind{Before, After} {
		s := New(memory.New())
		claim := func(value string) (string, error) {
			stands, _, err := s.Claim(ctx, "k", []byte(value), 0, now)
			return string(stands), err
		}
		s.Fail(Claim, 2, kind)
		if _, err := claim("one"); err != nil {
			t.Errorf("%s: the first call failed: %v", kind, err)
		}
		if _, err := claim("two"); !errors.Is(err, ErrInjected) {
			t.Errorf("%s: the second call gives %v", kind, err)
		}
		if got, err := claim("three"); err != nil || got != "one" {
			t.Errorf("%s: the third call gives %q, %v", kind, got, err)
		}
		if s.Met() != 1 {
			t.Errorf("%s: %d faults were met", kind, s.Met())
		}
		s.Fail(Claim, 1, kind)
		_, _, err := s.Claim(ctx, "other", []byte("four"), 0, now)
		if !errors.Is(err, ErrInjected) {
			t.Error(err)
		}
		_, fresh, err := s.Claim(ctx, "other", []byte("five"), 0, now)
		if err != nil || fresh != (kind == Before) {
			t.Errorf("%s: after the fault the key is free: %v (%v)", kind, fresh, err)
		}
	}
}

func TestHold(t *testing.T) {
	s := New(memory.New())
	reached, release := s.Hold(NextDue, 1)
	done := make(chan error, 1)
	go func() {
		_, _, err := s.NextDue(context.Background())
		done <- err
	}()
	<-reached
	select {
	case <-done:
		t.Fatal("the call was not held")
	default:
	}
	release()
	release() // harmless
	if err := <-done; err != nil {
		t.Error(err)
	}
}
