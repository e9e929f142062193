// Package move copies everything that one store keeps into another, empty one, and proves
// that it arrived.
//
// Words: a piece is what is written at once; sums are, for each kind of row, how many there
// are and a digest over all of them; a note is a claim that says that a move began or ended.
//
// The proof: the sums of the source are taken from the rows that were read for copying, those
// of the target from rows that are read from it afterwards. A digest does not depend on the
// order of rows, but for what has an order: the progress entries of a job and the messages of
// a shard. Leases are not moved: whoever starts on the target takes new ones.
package move

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file counts and digests rows.

// Sum is what there is of one kind of row.
type Sum struct {
	Kind   store.RowKind `json:"kind"`
	Rows   int64         `json:"rows"`
	Digest string        `json:"digest"` // 32 hexadecimal digits
}

// Sums holds the sums of a store. Make it with NewSums.
type Sums struct {
	now      time.Time
	kinds    map[store.RowKind]*sum
	status   map[job.Status]int64
	shards   [job.Shards][sha256.Size]byte // of the messages so far
	progress chain                         // of the job whose entries were added last
}

type sum struct {
	rows   int64
	hi, lo uint64 // the digests of all rows, added up
}

// chain numbers what comes in a row of the same job.
type chain struct {
	job string
	n   int64
}

// shortLived is how long a claim must still last to be summed up: one that ends while the
// stores are read would be in one of them only.
const shortLived = time.Hour

// NewSums makes empty sums; now is when the move began.
func NewSums(now time.Time) *Sums {
	s := &Sums{now: now, kinds: map[store.RowKind]*sum{}, status: map[job.Status]int64{}}
	for _, k := range store.RowKinds {
		s.kinds[k] = &sum{}
	}
	return s
}

// SumsOf reads a whole store.
func SumsOf(ctx context.Context, from store.Exporter, now time.Time) (*Sums, error) {
	s := NewSums(now)
	return s, from.Export(ctx, s.Add)
}

// All gives them in the order of store.RowKinds.
func (s *Sums) All() []Sum {
	var all []Sum
	for _, k := range store.RowKinds {
		one := s.kinds[k]
		all = append(all, Sum{Kind: k, Rows: one.rows, Digest: fmt.Sprintf("%016x%016x", one.hi, one.lo)})
	}
	return all
}

// Differences says where two stores differ, a line a kind.
func (s *Sums) Differences(other *Sums) []string {
	var out []string
	theirs := other.All()
	for i, a := range s.All() {
		switch b := theirs[i]; {
		case a.Rows != b.Rows:
			out = append(out, fmt.Sprintf("%s: %d in the source, %d in the target", a.Kind, a.Rows, b.Rows))
		case a.Digest != b.Digest:
			out = append(out, fmt.Sprintf("%s: %d in both, and their content or order differs", a.Kind, a.Rows))
		}
	}
	return out
}

// Counts gives the jobs by status, counted row by row.
func (s *Sums) Counts() map[job.Status]int64 { return s.status }

// Add adds a row. Its error is that of a row that can not be written as text.
func (s *Sums) Add(r store.Row) error {
	switch r := r.(type) {
	case store.RevisionRow:
		return s.text(r.Kind(), "", &r.Revision)
	case store.FileRow:
		return s.text(r.Kind(), "", &r.File)
	case store.WorkerRow:
		s.add(r.Kind(), r.ID, string(r.Body))
	case store.ClaimRow:
		s.claim(r)
	case store.ValueRow:
		s.add(r.Kind(), r.Blueprint, r.Store, r.Value.Key, fmt.Sprint(r.Value.Version), string(r.Value.Text))
	case store.VersionRow:
		s.add(r.Kind(), fmt.Sprint(r.Newest))
	case store.JobRow:
		s.status[r.Job.Status]++
		return s.text(r.Kind(), string(r.Data.Initial)+"\n"+string(r.Data.History), &r.Job)
	case store.RecordRow:
		for i := range r.Records {
			if err := s.text(r.Kind(), r.JobID, &r.Records[i]); err != nil {
				return err
			}
		}
	case store.TaskRow:
		return s.text(r.Kind(), "", &r.Task)
	case store.ResultRow:
		return s.text(r.Kind(), r.JobID, &r.Result)
	case store.ProgressRow:
		if s.progress.job != r.JobID {
			s.progress = chain{job: r.JobID}
		}
		s.progress.n++
		return s.text(r.Kind(), fmt.Sprint(r.JobID, "#", s.progress.n), &r.Progress)
	case store.MessageRow:
		return s.message(&r.Message)
	default:
		return fmt.Errorf("this Orrery does not know the row %T", r)
	}
	return nil
}

func (s *Sums) claim(r store.ClaimRow) {
	if strings.HasPrefix(r.Key, store.MoveClaim) || r.Until != nil && r.Until.Before(s.now.Add(shortLived)) {
		return
	}
	until := "ever"
	if r.Until != nil {
		until = fmt.Sprint(r.Until.UnixMilli())
	}
	s.add(r.Kind(), r.Key, until, string(r.Value))
}

// message chains the messages of a shard, so that their order counts.
func (s *Sums) message(m *job.Message) error {
	text, err := store.Encode(m)
	if err != nil {
		return err
	}
	last := &s.shards[job.ShardOf(m.JobID)]
	*last = sha256.Sum256(append(last[:], text...))
	s.put(store.KindMessage, *last)
	return nil
}

func (s *Sums) text(k store.RowKind, beside string, v any) error {
	text, err := store.Encode(v)
	if err != nil {
		return err
	}
	s.add(k, beside, text)
	return nil
}

// add digests a row from its parts; their lengths go with them, so that no two rows make the
// same text.
func (s *Sums) add(k store.RowKind, parts ...string) {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	s.put(k, sha256.Sum256(b))
}

func (s *Sums) put(k store.RowKind, digest [sha256.Size]byte) {
	one := s.kinds[k]
	one.rows++
	lo := one.lo + binary.BigEndian.Uint64(digest[8:])
	if lo < one.lo {
		one.hi++
	}
	one.hi, one.lo = one.hi+binary.BigEndian.Uint64(digest[:]), lo
}
