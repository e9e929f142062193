package memory

// This file damages rows, as a disk or a foreign hand does it: for tests of what that means.

const garbage = "\x00 no row"

// GarbleJob spoils a job's text, and reports whether there is one.
func (s *Store) GarbleJob(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.jobs[id]
	if r != nil {
		r.body = garbage
	}
	return r != nil
}

// GarbleTask spoils a task's text, and reports whether there is one.
func (s *Store) GarbleTask(jobID string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.jobs[jobID]
	if r == nil || r.bodies[n] == "" {
		return false
	}
	r.bodies[n] = garbage
	return true
}

// GarbleMessage spoils a message's text, and reports whether there is one.
func (s *Store) GarbleMessage(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.outbox[id]
	if l != nil {
		l.body = garbage
	}
	return l != nil
}
