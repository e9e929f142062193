package guard

import (
	"strings"
	"sync/atomic"

	"go.starlark.net/starlark"
)

// This file holds the account of a run: what it may still create and do.

// What values take, in bytes, rounded up: an empty dict holds its first eight entries.
const (
	slotBytes     = 32 // a place in a list, with a small value behind it
	appendBytes   = 40 // a place made by append, with the room that append leaves
	listBytes     = 56
	tupleBytes    = 40
	dictBytes     = 560
	entryBytes    = 160 // with what is left behind when the table grows
	functionBytes = 240
)

// Account is what one run has created so far. One goroutine charges it; any may read Used.
type Account struct {
	limits  Limits
	used    atomic.Int64
	scratch int // the most that Scratch has charged
	stop    atomic.Pointer[stopping]
	growing [4]*strings.Builder // texts that + lengthens, see concat
	turn    int

	// What a function's operations need: see fast.go.
	thread  *starlark.Thread
	stack   []remembered
	owner   starlark.Value // whose method is looked up
	targets []*growing     // for use again
}

const accountKey = "orrery.account"

// NewAccount makes an empty account. A zero in limits stands for the default.
func NewAccount(limits Limits) *Account { return &Account{limits: limits.filled()} }

// Enter hangs the account on a thread.
func (a *Account) Enter(thread *starlark.Thread) { thread.SetLocal(accountKey, a) }

// Of gives the thread's account, and a new one of the defaults to a thread without any.
func Of(thread *starlark.Thread) *Account {
	if a, ok := thread.Local(accountKey).(*Account); ok {
		return a
	}
	a := NewAccount(Limits{})
	a.Enter(thread)
	return a
}

// Limits gives the limits, defaults filled in.
func (a *Account) Limits() Limits { return a.limits }

// Used gives the bytes charged so far. Any goroutine may ask.
func (a *Account) Used() int64 { return a.used.Load() }

// Left gives the bytes that may still be charged.
func (a *Account) Left() int { return a.limits.MemoryBytes - int(a.used.Load()) }

// stopping is why a run ends; a pointer to an interface cannot be swapped alone.
type stopping struct{ why error }

// Stop makes every later charge fail with why, so that a loop inside of one builtin ends as
// well: cancelling a thread is heeded between two steps only. The first reason stays. Any
// goroutine may call it.
func (a *Account) Stop(why error) { a.stop.CompareAndSwap(nil, &stopping{why}) }

// Stopped gives the reason of Stop, nil while the run may go on.
func (a *Account) Stopped() error {
	if s := a.stop.Load(); s != nil {
		return s.why
	}
	return nil
}

// Alloc charges bytes before they are created. The error is a *LimitError, or that of Stop.
func (a *Account) Alloc(bytes int) error {
	if s := a.stop.Load(); s != nil {
		return s.why
	}
	if used := a.used.Load(); bytes < 0 || int64(bytes) > int64(a.limits.MemoryBytes)-used {
		return limitf(CodeMemory, "a run creates at most %s of values; it has created %d bytes, and %d more were asked for", Size(a.limits.MemoryBytes), used, bytes)
	}
	a.used.Add(int64(bytes))
	return nil
}

// Work counts what an operation does beyond its one step. The error is a *LimitError, or
// that of Stop. What loops over a script's data calls it inside of the loop.
func (a *Account) Work(thread *starlark.Thread, n int) error {
	if s := a.stop.Load(); s != nil {
		return s.why
	}
	if n < 0 || uint64(n) > a.limits.Steps || thread.Steps+uint64(n) >= a.limits.Steps {
		return limitf(CodeSteps, "a run has at most %d Starlark steps; it has used %d, and this operation counts as %d more", a.limits.Steps, thread.Steps, n)
	}
	thread.Steps += uint64(n)
	return nil
}

// digits charges the way from so many digits to an integer, or back: it grows with their
// square, 20,000 decimal ones take half a millisecond.
func (a *Account) digits(thread *starlark.Thread, n int) error {
	if n < 256 {
		return nil
	}
	return a.Work(thread, n/32+n*n>>14)
}

// Text checks the length of a text to be made, and charges it.
func (a *Account) Text(call string, bytes int) error {
	if bytes > a.limits.TextBytes || bytes < 0 {
		return limitf(CodeText, "%s: a text has at most %s, and %d bytes were asked for", call, Size(a.limits.TextBytes), bytes)
	}
	return a.Alloc(bytes + 16)
}

// Elements checks the length of a list, dict, set or tuple to be made, and charges each
// element with the given bytes.
func (a *Account) Elements(call string, n, each int) error {
	if n > a.limits.Elements || n < 0 {
		return limitf(CodeElements, "%s: a list, dict, set or tuple has at most %d elements, and %d were asked for", call, a.limits.Elements, n)
	}
	return a.Alloc(n*each + listBytes)
}

// Integer checks the bits of an integer to be made, and charges a large one.
func (a *Account) Integer(call string, bits int) error {
	if bits > a.limits.IntegerBits || bits < 0 {
		return limitf(CodeInteger, "%s: an integer has at most %d bits, and up to %d were asked for", call, a.limits.IntegerBits, bits)
	}
	if bits <= 64 {
		return nil
	}
	return a.Alloc(bits/8 + 64)
}

// Scratch charges memory that a builtin takes for a while and that the next such call uses
// again: only what is more than ever before in the run.
func (a *Account) Scratch(bytes int) error {
	more := max(bytes-a.scratch, 0)
	a.scratch += more
	return a.Alloc(more)
}

// Dict charges an empty dict that Go code makes for a script.
func (a *Account) Dict() error { return a.Alloc(dictBytes) }

// length gives the number of elements, counted when the value does not know it, and charges
// the work of going through them.
func (a *Account) length(thread *starlark.Thread, call string, x starlark.Value) (int, error) {
	n := starlark.Len(x)
	if n < 0 {
		iter := starlark.Iterate(x)
		if iter == nil {
			return 0, nil // the builtin itself says that it cannot
		}
		defer iter.Done()
		var v starlark.Value
		for n = 0; n <= a.limits.Elements && iter.Next(&v); {
			n++
		}
	}
	if n > a.limits.Elements {
		return n, a.Elements(call, n, 0)
	}
	return n, a.Work(thread, n/8)
}

// concat joins two texts. A text that was made here a moment ago is lengthened in place:
// earlier values share its bytes, so that `s += piece` in a loop costs the pieces alone.
func (a *Account) concat(x, y starlark.String) (starlark.Value, error) {
	n := len(x) + len(y)
	if n < 256 {
		return x + y, a.Alloc(n + 16)
	}
	if n > a.limits.TextBytes {
		return nil, a.Text("+", n)
	}
	for i, b := range a.growing {
		if b == nil || b.Len() != len(x) || b.String() != string(x) {
			continue
		}
		if b.Cap()-b.Len() < len(y) {
			room := max(n, min(2*n, a.limits.TextBytes))
			if err := a.Alloc(room); err != nil {
				return nil, err
			}
			b = new(strings.Builder)
			b.Grow(room)
			b.WriteString(string(x))
			a.growing[i] = b
		}
		b.WriteString(string(y))
		return starlark.String(b.String()), a.Alloc(16)
	}
	if err := a.Alloc(n + 16); err != nil {
		return nil, err
	}
	a.turn = (a.turn + 1) % len(a.growing)
	b := new(strings.Builder)
	a.growing[a.turn] = b
	b.Grow(n)
	b.WriteString(string(x))
	b.WriteString(string(y))
	return starlark.String(b.String()), nil
}
