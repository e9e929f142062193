package guard

import (
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// This file puts entries into dicts and sets: each new one is charged, and keys whose
// hashes crowd are found out. The hashes of integers, floats and short texts are known, so
// a script can choose keys that make a dict as slow as a list.

// Crowd counts where the keys of one operation fall. Its zero value is ready.
type Crowd struct {
	n    int
	cell []uint32 // by the lowest bits of the hash; made when there are enough keys
}

const cells = 4096

// Add gives the number of earlier keys in the same cell, beyond what chance would put there.
func (c *Crowd) Add(k starlark.Value) int {
	if c.n++; c.n < 256 {
		return 0
	}
	if c.cell == nil {
		c.cell = make([]uint32, cells)
	}
	h, err := k.Hash()
	if err != nil {
		return 0 // it is no key
	}
	at := &c.cell[h%cells]
	*at++
	if more := int(*at) - 4*c.n/cells; more > 512 { // keys that are multiples of 16 are no attack
		return more
	}
	return 0
}

// key charges what it takes to hash a key and to compare it, of one that is there already
// as well: a long text, a tuple or a struct may be gone through for each of them.
func (a *Account) key(thread *starlark.Thread, k starlark.Value) error {
	n := 0
	switch k := k.(type) {
	case starlark.String:
		n = len(k) / 64
	case starlark.Bytes:
		n = len(k) / 64
	case *starlark.Function: // its name is hashed
		n = len(k.Name()) / 64
	case starlark.Tuple, *starlarkstruct.Struct:
		w := weigher{limit: maxWeight, depth: a.limits.Depth}
		if err := w.value(k, 1); err != nil {
			return err
		}
		n = w.sum - lightKey
	}
	if n <= 0 {
		return nil
	}
	return a.Work(thread, n)
}

// lightKey is the weight of a tuple that costs no more than its step, such as (x, y).
const lightKey = 8

// keys charges the hashing of all keys of a dict or a set, without the step of each.
func (a *Account) keys(thread *starlark.Thread, x starlark.Value) error {
	switch x := x.(type) {
	case *starlark.Dict:
		for k := range x.Entries() {
			if err := a.key(thread, k); err != nil {
				return err
			}
		}
	case *starlark.Set:
		for k := range x.Elements() {
			if err := a.key(thread, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// enter charges a key that is about to be put into a dict or a set; one of many in one
// operation counts as a step of its own.
func (a *Account) enter(thread *starlark.Thread, k starlark.Value, c *Crowd) error {
	if c != nil {
		if err := a.Work(thread, 1); err != nil {
			return err
		}
	}
	return a.key(thread, k)
}

// setKey is d[k] = v. c is nil for a single assignment.
func (a *Account) setKey(thread *starlark.Thread, d *starlark.Dict, k, v starlark.Value, c *Crowd) error {
	if err := a.enter(thread, k, c); err != nil {
		return err
	}
	before := d.Len()
	if err := d.SetKey(k, v); err != nil || d.Len() == before {
		return err
	}
	return a.grown(thread, d.Len(), k, c, d.Entries())
}

func (a *Account) insert(thread *starlark.Thread, s *starlark.Set, x starlark.Value, c *Crowd) error {
	if err := a.enter(thread, x, c); err != nil {
		return err
	}
	before := s.Len()
	if err := s.Insert(x); err != nil || s.Len() == before {
		return err
	}
	return a.grown(thread, s.Len(), x, c, func(yield func(k, v starlark.Value) bool) {
		for x := range s.Elements() {
			if !yield(x, nil) {
				return
			}
		}
	})
}

// grown charges the latest entry of a dict or set that has n now.
func (a *Account) grown(thread *starlark.Thread, n int, k starlark.Value, c *Crowd, entries func(func(k, v starlark.Value) bool)) error {
	if n > a.limits.Elements {
		return a.Elements("[]=", n, 0)
	}
	if err := a.Alloc(entryBytes); err != nil {
		return err
	}
	if c != nil {
		if n := c.Add(k); n > 0 {
			return a.Work(thread, 2*n)
		}
		return nil
	}
	if n >= 256 && n&(n-1) == 0 {
		return a.crowded(thread, n, entries)
	}
	return nil
}

// crowded charges the pairs of keys with the same hash, for a dict or set that grows by
// single steps, between which a run can be stopped. It is called whenever the length is a
// power of two.
func (a *Account) crowded(thread *starlark.Thread, n int, entries func(func(k, v starlark.Value) bool)) error {
	if n < 256 {
		return nil
	}
	hashes := make([]uint32, 0, n)
	entries(func(k, _ starlark.Value) bool {
		h, err := k.Hash()
		if err != nil {
			return false // it is no key
		}
		hashes = append(hashes, h)
		return true
	})
	slices.Sort(hashes)
	pairs, same := 0, 0
	for i := 1; i < len(hashes); i++ {
		if hashes[i] != hashes[i-1] {
			same = 0
			continue
		}
		same++
		pairs += same
	}
	return a.Work(thread, 8*pairs) // comparing two long integers takes that long
}
