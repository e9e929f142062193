package sqlite

import (
	"errors"
	"path/filepath"
	"testing"

	"orrery/engine/job"
)

// This file tests that nobody hears of a commit before it is on the disk.

// slowDisk is a store whose syncs the test lets through one by one, each with its outcome.
func slowDisk(t *testing.T) (s *Store, begun chan struct{}, end chan error) {
	t.Helper()
	begun, end = make(chan struct{}), make(chan error)
	s, w, err := ready(filepath.Join(t.TempDir(), "o.db"), Options{}.withDefaults(0))
	if err != nil {
		t.Fatal(err)
	}
	s.syncer.mu.Lock() // the syncer sleeps, nothing was committed yet
	s.syncer.sync = func() error {
		begun <- struct{}{}
		return errors.Join(<-end, s.syncer.syncLog())
	}
	s.syncer.mu.Unlock()
	go w.run()
	return s, begun, end
}

func TestNobodyHearsOfACommitBeforeItsSync(t *testing.T) {
	s, begun, end := slowDisk(t)
	c := newJob(1)
	kept, read := make(chan error, 1), make(chan error, 1)
	go func() { kept <- s.Commit(ctx, c) }()
	<-begun
	go func() {
		_, err := s.Job(ctx, c.Job.ID)
		read <- err
	}()
	others := make(chan error, 20)
	for i := range cap(others) { // they are applied before the sync ends, and share the next one
		go func() { others <- s.Commit(ctx, newJob(2+i)) }()
	}
	for waits(s) < 1 || len(s.queue) > 0 {
		select {
		case err := <-kept:
			t.Fatalf("the commit returned before its sync: %v", err)
		case err := <-read:
			t.Fatalf("a read returned before the sync of what it saw: %v", err)
		default:
		}
	}
	end <- nil
	if err := <-kept; err != nil {
		t.Fatal(err)
	}
	syncs := 0
	for left := cap(others) + 1; left > 0; {
		select {
		case <-begun:
			syncs++
			end <- nil
		case err := <-others:
			left--
			if err != nil {
				t.Error(err)
			}
		case err := <-read:
			left--
			if err != nil {
				t.Errorf("the read gives %v", err)
			}
		}
	}
	if syncs == 0 || syncs > 10 {
		t.Errorf("%d syncs for 20 commits that came during another", syncs)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// waits counts those that wait for a sync.
func waits(s *Store) int {
	s.syncer.mu.Lock()
	defer s.syncer.mu.Unlock()
	return len(s.syncer.acks) + len(s.syncer.readers)
}

func TestAFailedSyncIsTold(t *testing.T) {
	s, begun, end := slowDisk(t)
	commit := func(i int, outcome error) error {
		kept := make(chan error, 1)
		go func() { kept <- s.Commit(ctx, newJob(i)) }()
		<-begun
		end <- outcome
		return <-kept
	}
	if err := commit(1, nil); err != nil {
		t.Fatal(err)
	}
	lost := errors.New("the disk lost it")
	if err := commit(2, lost); !errors.Is(err, lost) || !passing(err) {
		t.Errorf("a commit whose sync failed gives %v, want an error of the disk", err)
	}
	for i := 3; ; i++ { // until the log was brought into the file, no sync is believed
		err := commit(i, nil)
		if err == nil {
			break
		}
		if !passing(err) || i > 10 {
			t.Fatalf("commit %d after the failed sync gives %v", i, err)
		}
	}
	n, err := s.Counts(ctx)
	if err != nil || n[job.Pending] < 3 {
		t.Errorf("the store counts %v (%v)", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
