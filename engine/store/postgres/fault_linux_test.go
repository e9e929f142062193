package postgres

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"orrery/engine/faultproxy"
	"orrery/engine/store"
	"orrery/engine/store/postgres/pgtest"
)

// This file tests servers that go away and come back, and ways that lose what they carry.

// away reports whether an error says that the same may work later.
func away(err error) bool {
	var u interface{ Unavailable() bool }
	return errors.As(err, &u) && u.Unavailable() && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict)
}

func TestServerGoneAndBack(t *testing.T) {
	ctx := context.Background()
	server := pgtest.Start(t)
	s := open(t, pgtest.Fresh(t, server.URL()), Options{})
	kept := newJob()
	if err := s.Commit(ctx, kept); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(){"stopped": server.Stop, "crashed": server.Crash} {
		end()
		if err := s.Commit(ctx, newJob()); !away(err) {
			t.Errorf("%s: a commit without a server gives %v", name, err)
		}
		if _, err := s.Job(ctx, kept.Job.ID); !away(err) {
			t.Errorf("%s: a read without a server gives %v", name, err)
		}
		if _, err := s.Hold(ctx, "n", nil, time.Minute, "x"); !away(err) {
			t.Errorf("%s: a lease without a server gives %v", name, err)
		}
		server.Begin()
		pgtest.Until(t, "commits work again", func() bool { return s.Commit(ctx, newJob()) == nil })
		if j, err := s.Job(ctx, kept.Job.ID); err != nil || j.Version != 1 {
			t.Errorf("%s: after the restart: %+v, %v", name, j, err)
		}
	}
}

func TestTerminatedConnections(t *testing.T) {
	ctx := context.Background()
	server := pgtest.Start(t)
	s := open(t, pgtest.Fresh(t, server.URL()), Options{})
	j := newJob()
	if err := s.Commit(ctx, j); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := pgtest.HangUp(server.URL()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Job(ctx, j.Job.ID); err != nil { // it is read again on another connection
			t.Errorf("a read after all connections were ended: %v", err)
		}
		pgtest.Until(t, "commits work again", func() bool {
			err := s.Commit(ctx, newJob())
			if err != nil && !away(err) {
				t.Errorf("a commit on a terminated connection gives %v", err)
			}
			return err == nil
		})
	}
}

// A commit whose answer is lost is told as open, whatever became of it: here it was done.
func TestLostAnswer(t *testing.T) {
	ctx := context.Background()
	server := pgtest.Start(t)
	proxy, err := faultproxy.Start(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	place := pgtest.Fresh(t, server.URL())
	s := open(t, pgtest.With(place, proxy.Addr()), Options{Writers: 1})
	for try := 1; ; try++ {
		if err := s.Commit(ctx, newJob()); err != nil { // so that the connection stands
			t.Fatal(err)
		}
		lost := newJob()
		proxy.LoseAnswers(true)
		if err := s.Commit(ctx, lost); !away(err) {
			t.Errorf("a commit whose answer is lost gives %v", err)
		}
		proxy.Heal()
		j, err := s.Job(ctx, lost.Job.ID)
		if errors.Is(err, store.ErrNotFound) && try < 10 {
			continue // this machine was so slow that the connection was tried first
		}
		if err != nil || j.Version != 1 {
			t.Errorf("it was done: %+v, %v", j, err)
		}
		if err := s.Commit(ctx, lost); !errors.Is(err, store.ErrExists) {
			t.Errorf("the same again gives %v", err)
		}
		return
	}
}

// With no room for the tables nothing is written and nothing is lost; with room again the store
// goes on by itself.
func TestFullDisk(t *testing.T) {
	ctx := context.Background()
	address, folder := pgtest.Start(t).SmallDisk("24m")
	s := open(t, address, Options{Log: slog.New(slog.DiscardHandler)})
	kept := newJob()
	if err := s.Commit(ctx, kept); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(folder, "ballast")
	fill(t, ballast)
	var acknowledged []string
	var full error
	for range 2000 { // pages that are there already have room for some
		c := newJob()
		c.InitialData = []byte(`{"text":"` + strings.Repeat("x", 1<<10) + `"}`)
		if full = s.Commit(ctx, c); full != nil {
			break
		}
		acknowledged = append(acknowledged, c.Job.ID)
	}
	if !errors.Is(full, store.ErrFull) || !strings.Contains(full.Error(), "make room") {
		t.Fatalf("after %d jobs a commit on a full disk gives %v", len(acknowledged), full)
	}
	if _, err := s.Job(ctx, kept.Job.ID); err != nil {
		t.Errorf("a read beside a full disk: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "commits work again", func() bool { return s.Commit(ctx, newJob()) == nil })
	for _, id := range append(acknowledged, kept.Job.ID) {
		if _, err := s.Job(ctx, id); err != nil {
			t.Errorf("job %s was acknowledged: %v", id, err)
		}
	}
}

// fill writes a file until its disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 16; size >= 1<<12; {
		if _, err = f.Write(make([]byte, size)); err != nil {
			size >>= 1 // the last pages
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
}
