package ledger

import (
	"encoding/json"
	"os"
	"sync"
	"time"
)

// This file holds the ledger: notes, and the orderly end.

// Kinds of notes.
const (
	Step = "step" // Key: the job's id
	Load = "load" // Key: see blueprint; Name: the file
)

// Note is what a slot holds. Texts that are too long are cut.
type Note struct {
	Kind  string    `json:"kind"`
	Key   string    `json:"key"`
	Name  string    `json:"name,omitempty"`  // for people
	Step  int64     `json:"step,omitempty"`  // Step: its number
	State string    `json:"state,omitempty"` // Step: the job's
	Alone bool      `json:"alone,omitempty"` // Step: it was run by itself, because it was suspected
	At    time.Time `json:"at"`
	Run   string    `json:"run"` // the process; Begin fills it in
}

// Slot is the place of a note; below 0 is none.
type Slot int

// None is the slot of what was not noted.
const None Slot = -1

// Ledger is an open file.
type Ledger struct {
	mu      sync.Mutex
	file    *os.File
	head    header
	free    []Slot
	left    map[Slot]Note // of processes that did not end in order
	tally   [tallies]Tally
	unclean bool
	failed  error // the first write that failed
}

// Unclean reports whether the process before did not end in order.
func (l *Ledger) Unclean() bool { return l != nil && l.unclean }

// Run names this process.
func (l *Ledger) Run() string {
	if l == nil {
		return ""
	}
	return l.head.Run
}

// Left gives what processes that did not end in order were at, until Settle.
func (l *Ledger) Left() map[Slot]Note {
	out := map[Slot]Note{}
	if l == nil {
		return out
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for slot, note := range l.left {
		out[slot] = note
	}
	return out
}

// Settle takes out what was left.
func (l *Ledger) Settle(slot Slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.left[slot]; there {
		delete(l.left, slot)
		l.clear(slot)
	}
}

// Begin notes something that runs now. None says that there is no room for it, or that it could
// not be written: see Failed.
func (l *Ledger) Begin(n Note) Slot {
	if l == nil {
		return None
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n.Run, n.At = l.head.Run, now()
	return l.write(n)
}

// Change replaces the note in a slot.
func (l *Ledger) Change(slot Slot, n Note) {
	if l == nil || slot == None {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n.Run, n.At = l.head.Run, now()
	l.put(1+int(slot), n.cut())
}

// End takes a note out.
func (l *Ledger) End(slot Slot) {
	if l == nil || slot == None {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear(slot)
}

func (l *Ledger) write(n Note) Slot {
	if len(l.free) == 0 {
		return None
	}
	slot := l.free[len(l.free)-1]
	if !l.put(1+int(slot), n.cut()) {
		return None
	}
	l.free = l.free[:len(l.free)-1]
	return slot
}

func (l *Ledger) clear(slot Slot) {
	l.put(1+int(slot), nil)
	l.free = append(l.free, slot)
}

// Stopping says that this process was asked to end: what it has not finished when it does is
// not to blame.
func (l *Ledger) Stopping() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head.State = stopping
	l.put(0, l.head)
}

// Failed gives the first write that failed; steps run all the same.
func (l *Ledger) Failed() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// Close gives the file back, and says that the process ended in order.
func (l *Ledger) Close() error {
	if l == nil {
		return nil
	}
	l.Stopping()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// cut shortens the texts for people, so that a note fits its line.
func (n Note) cut() Note {
	n.Name, n.State = short(n.Name), short(n.State)
	return n
}

func short(s string) string {
	for { // as JSON a byte may take six
		out, _ := json.Marshal(s) // a string always encodes
		if len(out) <= maxName {
			return s
		}
		s = s[:len(s)*maxName/len(out)]
	}
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
