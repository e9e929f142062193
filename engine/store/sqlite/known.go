package sqlite

import "bytes"

// This file holds what the writer remembers of jobs, so that a step needs no look-up.

// known is a job's number and its status in the newest version.
type known struct{ seq, status int64 }

// seqs remembers the jobs that were written last: between one and two generations. Every job
// with an id above the floor is among them, or fresh: ids are in the order of time, so that a
// new job need not be looked for.
type seqs struct {
	young, old    map[[16]byte]known
	floor, newest [16]byte
}

// generation is the number of jobs after which those not seen since are forgotten; about
// 3 MiB in all.
const generation = 16 << 10

func (s *seqs) get(id [16]byte) (known, bool) {
	k, ok := s.young[id]
	if !ok {
		if k, ok = s.old[id]; ok {
			s.put(id, k)
		}
	}
	return k, ok
}

func (s *seqs) put(id [16]byte, k known) {
	if s.young == nil || len(s.young) >= generation {
		for gone := range s.old {
			s.floor = later(s.floor, gone)
		}
		s.old, s.young = s.young, map[[16]byte]known{}
	}
	s.young[id] = k
	s.newest = later(s.newest, id)
}

// forget drops everything.
func (s *seqs) forget() { *s = seqs{floor: s.newest, newest: s.newest} }

// above says that a job with this id would be remembered.
func (s *seqs) above(id [16]byte) bool { return bytes.Compare(id[:], s.floor[:]) > 0 }

func later(a, b [16]byte) [16]byte {
	if bytes.Compare(a[:], b[:]) < 0 {
		return b
	}
	return a
}

// lookUp gives the number of a job, whose rows are in SQLite then; ok is false when there is
// no such job.
func (w *writer) lookUp(id [16]byte) (k known, ok bool, err error) {
	w.touched = append(w.touched, id)
	if f := w.fresh.jobs[id]; f != nil {
		if err := w.write(f); err != nil {
			return known{}, false, err
		}
	}
	if k, ok = w.known.get(id); ok {
		return k, true, nil
	}
	r, ok, err := w.c.one("SELECT seq, status FROM jobs WHERE id=?", id[:])
	if err != nil || !ok {
		return known{}, false, err
	}
	k = known{r.int(0), r.int(1)}
	w.known.put(id, k)
	return k, true, nil
}
