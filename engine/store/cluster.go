package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"orrery/engine/job"
)

// This file says what a store offers beside Store when several processes share it: leases,
// which say who may do what until when, and reads of some shards only; pace.go has the third.
//
// A node leases shards, and every commit of a step carries the fence number of its shard's
// lease (job.Change.Fence): a node that was paused, and comes back when another has taken its
// shards, is refused in the same commit that would have done harm. Who is alive and who does
// the work of which there must be one are leases as well.

// ErrFenced: the shard's lease that the Change was built on is another node's now. Nothing
// was written, and it is not tried again: the new owner does it. It is told before ErrConflict,
// for what the new owner has done meanwhile is not for the old one to do better.
var ErrFenced = errors.New("another node has taken the shard over")

// FencedMessage is the error of a Postpone whose fence is not its shard's.
func FencedMessage(m *job.Message) error {
	return fmt.Errorf("put off message %s, as of fence %d of shard %02x: %w", m.ID, m.Fence, job.ShardOf(m.JobID), ErrFenced)
}

// Shared is a store that several processes may use at once; Features().Shared says so too.
type Shared interface {
	Store
	Leases
	Sharded
	Paces
}

// Leases are exclusive rights with an end, by the store's clock. Each method is one atomic
// act for each name; several names need not be taken together.
type Leases interface {
	// Hold takes what nobody holds (or held only until now) and renews what holder has, each
	// until ttl from now, and gives all that holder has after it, named here or before, in
	// order of name. A lease that changes its holder gets a fence number above every one that
	// the name ever had; renewing keeps the number, also of a lease that had ended and that
	// nobody took meanwhile. info is kept beside it for others to read (at most 4 KiB).
	Hold(ctx context.Context, holder string, info json.RawMessage, ttl time.Duration, names ...string) ([]Lease, error)
	// Yield ends leases of this holder now; others and unknown ones stay as they are. Their
	// fence numbers are remembered and not valid any more: whoever holds them next, be it the
	// same holder, gets a higher one.
	Yield(ctx context.Context, holder string, names ...string) error
	// Held gives the leases that have not ended whose names begin with prefix, in order of
	// name.
	Held(ctx context.Context, prefix string) ([]Lease, error)
}

// Lease is one exclusive right.
type Lease struct {
	Name   string          `json:"name"`
	Holder string          `json:"holder"`
	Fence  int64           `json:"fence"` // 1 or more; grows with every change of the holder
	Left   time.Duration   `json:"left"`  // until its end, by the store's clock, above 0
	Info   json.RawMessage `json:"info,omitempty"`
}

// infoBytes is the most that stands beside a lease.
const infoBytes = 4 << 10

// CheckHold refuses what no driver would keep.
func CheckHold(holder string, info json.RawMessage, ttl time.Duration) error {
	switch {
	case holder == "":
		return errors.New("hold leases: the holder has no name")
	case ttl <= 0:
		return fmt.Errorf("hold leases: %s is no time to hold them for", ttl)
	case len(info) > infoBytes:
		return fmt.Errorf("hold leases: %d bytes of information, at most %d are kept", len(info), infoBytes)
	}
	return nil
}

// ShardLease names the lease whose fence number guards the commits of a shard.
func ShardLease(shard byte) string { return fmt.Sprintf("shard/%02x", shard) }

// Sharded reads like the methods of the same names without In, of jobs in some shards only.
type Sharded interface {
	ReadyIn(ctx context.Context, in ShardSet, after string, limit int) ([]string, error)
	DueIn(ctx context.Context, in ShardSet, now time.Time, limit int) ([]Wake, error)
	NextDueIn(ctx context.Context, in ShardSet) (at time.Time, ok bool, err error)
	MessagesIn(ctx context.Context, in ShardSet, now time.Time, limit int) ([]job.Message, error)
	ScanTasksIn(ctx context.Context, in ShardSet, s job.TaskState, fn func(job.Task) bool) error
}

// Kept is a store that knows who keeps it: one with replicas, which may take over without the
// newest rows.
type Kept interface {
	// Keeper names the servers that take the writes, by marks that each gets anew with each of its
	// starts. When it gives another text than before, writes that were acknowledged may be undone;
	// when it gives the same, some may be undone all the same, later than it was asked.
	Keeper(ctx context.Context) (string, error)
}

// ShardSet is a set of shards; the zero value is empty.
type ShardSet [job.Shards / 64]uint64

// AllShards gives the full set.
func AllShards() (s ShardSet) {
	for i := range s {
		s[i] = ^uint64(0)
	}
	return s
}

// Has reports whether the shard is in the set.
func (s ShardSet) Has(shard byte) bool { return s[shard/64]&(1<<(shard%64)) != 0 }

// Add puts a shard into the set.
func (s *ShardSet) Add(shard byte) { s[shard/64] |= 1 << (shard % 64) }

// Remove takes a shard out of the set.
func (s *ShardSet) Remove(shard byte) { s[shard/64] &^= 1 << (shard % 64) }

// Len is the number of shards in the set.
func (s ShardSet) Len() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// Each gives the shards in order.
func (s ShardSet) Each(yield func(shard byte) bool) {
	for i := range job.Shards {
		if s.Has(byte(i)) && !yield(byte(i)) {
			return
		}
	}
}
