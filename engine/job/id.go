package job

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

// This file makes and checks job ids: UUIDs of version 7 whose last byte is the shard.

// Shards is the number of shards; ids are public and permanent, so it never changes.
const Shards = 256

// sequence orders the ids of one process within a millisecond (RFC 9562, 6.2, method 1).
var sequence struct {
	sync.Mutex
	ms int64
	n  uint16 // 12 bits
}

// NewID makes an id for a job created at the given time in the given shard. Of ids made by
// one process, later ones sort later, so that arrival order holds and inserts touch
// neighbouring pages.
func NewID(at time.Time, shard byte) string {
	var b [16]byte
	rand.Read(b[8:]) // never fails (crypto/rand, Go 1.24 and later)
	s := &sequence
	s.Lock()
	if ms := at.UnixMilli(); ms > s.ms {
		s.ms, s.n = ms, 0
	} else if s.n++; s.n == 1<<12 { // more than 4,096 in a millisecond: borrow from the next
		s.ms, s.n = s.ms+1, 0
	}
	ms, n := s.ms, s.n
	s.Unlock()
	b[6], b[7] = byte(n>>8), byte(n)
	return stamp(b, time.UnixMilli(ms), shard)
}

// NewShard picks a random shard.
func NewShard() byte {
	var b [1]byte
	rand.Read(b[:])
	return b[0]
}

// DerivedID makes the id that a cause always leads to, so that doing it again changes
// nothing. The time of the cause keeps the order of ids.
func DerivedID(at time.Time, shard byte, cause string) string {
	sum := sha256.Sum256([]byte(cause))
	var b [16]byte
	copy(b[6:], sum[:])
	return stamp(b, at, shard)
}

// ShardByName gives the one shard of a blueprint with data stores.
func ShardByName(name string) byte {
	sum := sha256.Sum256([]byte(name))
	return sum[0]
}

func stamp(b [16]byte, at time.Time, shard byte) string {
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	b[15] = shard
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// ParseID checks the form of an id from outside and gives its 16 bytes.
func ParseID(s string) (b [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return b, false
	}
	for i, span := range [5][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}} {
		at := [5]int{0, 4, 6, 8, 10}[i]
		for j := span[0]; j < span[1]; j++ {
			if s[j] >= 'A' && s[j] <= 'F' { // one spelling only: ids are compared as text
				return b, false
			}
		}
		if _, err := hex.Decode(b[at:at+(span[1]-span[0])/2], []byte(s[span[0]:span[1]])); err != nil {
			return b, false
		}
	}
	return b, true
}

// ShardOf gives the shard of a well-formed id.
func ShardOf(id string) byte {
	b, _ := ParseID(id)
	return b[15]
}
