package ledger

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"orrery/engine/filelock"
)

// This file holds the ledger: opening, notes, and the orderly end.

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
	Part  string    `json:"part,omitempty"`  // Step: what Tally counts its handler by
	Alone bool      `json:"alone,omitempty"` // Step: it was run by itself, because it was suspected
	At    time.Time `json:"at"`
	Run   string    `json:"run"` // the process; Begin fills it in
}

// Slot is the place of a note; below 0 is none.
type Slot int

// None is the slot of what was not noted.
const None Slot = -1

const (
	lineBytes = 512
	notes     = 512 // more steps than can be under way at once with the usual settings
	tallies   = 128
	lines     = 1 + notes + tallies
	maxName   = 100 // bytes of a text in a note
)

// header is the first line.
type header struct {
	Format  int       `json:"orrery_ledger"`
	Run     string    `json:"run"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	State   string    `json:"state"`
}

const (
	format   = 1
	running  = "running"
	stopping = "stopping" // asked to end; what is left from then on is nobody's fault
)

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

// Open takes a ledger, which is made if it is not there; its folder too. One that another
// process has open is filelock.ErrHeld.
func Open(path string) (*Ledger, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("the ledger's folder: %w", err)
	}
	f, err := filelock.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	l := &Ledger{file: f, left: map[Slot]Note{}}
	if err := l.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", path, err), f.Close())
	}
	return l, nil
}

// places is how many processes may keep their ledgers beside each other.
const places = 64

// OpenBeside is Open for several processes of one machine: each takes the first path that is
// free (path, path.1, path.2 and so on), and takes over what dead ones left in the others.
func OpenBeside(path string) (*Ledger, error) {
	var own *Ledger
	for i := range places {
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		if _, err := os.Stat(name); own != nil && err != nil {
			break // they are taken in order, so there are no more
		}
		l, err := Open(name)
		switch {
		case errors.Is(err, filelock.ErrHeld):
		case err != nil:
			return own, err
		case own == nil:
			own = l
		default:
			own.adopt(l)
			if err := l.Close(); err != nil {
				return own, err
			}
		}
	}
	if own == nil {
		return nil, fmt.Errorf("the ledgers beside %s: %w", path, filelock.ErrHeld)
	}
	return own, nil
}

// begin reads what is there and writes the file as this process begins with it: first the
// slots, then the header, so that one that is killed between the two changes nothing.
func (l *Ledger) begin() error {
	text := make([]byte, lines*lineBytes)
	n, err := l.file.ReadAt(text, 0)
	if err != nil && !errors.Is(err, io.EOF) { // new, or cut short: what is missing is empty
		return err
	}
	var old header
	if json.Unmarshal(line(text, 0), &old) != nil || old.Format != format {
		old, n = header{}, 0 // no ledger of ours: it begins anew
	}
	l.unclean = old.State == running
	if n > 0 {
		l.read(text, old)
	}
	fresh := make([]byte, 8)
	rand.Read(fresh) // never fails
	l.head = header{Format: format, Run: hex.EncodeToString(fresh), PID: os.Getpid(), Started: now(), State: running}
	out := bytes.Repeat([]byte{' '}, len(text))
	for slot, note := range l.left {
		put(out, 1+int(slot), note)
	}
	for i, t := range l.tally {
		if t.Key != "" {
			put(out, 1+notes+i, t)
		}
	}
	put(out, 0, l.head)
	for i := range lines {
		out[(i+1)*lineBytes-1] = '\n'
	}
	if _, err := l.file.WriteAt(out[lineBytes:], lineBytes); err != nil {
		return err
	}
	if _, err := l.file.WriteAt(out[:lineBytes], 0); err != nil {
		return err
	}
	for i := range notes {
		if _, taken := l.left[Slot(i)]; !taken {
			l.free = append(l.free, Slot(i))
		}
	}
	slices.Reverse(l.free) // low ones first
	return nil
}

// read takes the notes of processes that did not end in order, and the tallies.
func (l *Ledger) read(text []byte, old header) {
	for i := range notes {
		var note Note
		if json.Unmarshal(line(text, 1+i), &note) != nil || note.Key == "" {
			continue // empty, or torn by a power cut
		}
		if note.Run != old.Run || old.State == running {
			l.left[Slot(i)] = note
		}
	}
	for i := range l.tally {
		var t Tally
		if json.Unmarshal(line(text, 1+notes+i), &t) == nil {
			l.tally[i] = t
		}
	}
}

// adopt takes over what another ledger's processes have left.
func (l *Ledger) adopt(from *Ledger) {
	l.unclean = l.unclean || from.unclean
	for slot, note := range from.left {
		if own := l.write(note); own != None {
			l.left[own] = note
			from.Settle(slot)
		}
	}
	for i := range from.tally {
		if t := from.tally[i]; t.Key != "" {
			l.add(t)
			from.tally[i] = Tally{}
			from.put(1+notes+i, nil)
		}
	}
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

// put writes one line; nil empties it.
func (l *Ledger) put(i int, v any) bool {
	text := blank()
	if v != nil {
		put(text[:], 0, v)
	}
	_, err := l.file.WriteAt(text[:], int64(i)*lineBytes)
	l.failed = cmp.Or(l.failed, err)
	return err == nil
}

func blank() (text [lineBytes]byte) {
	for i := range text {
		text[i] = ' '
	}
	text[lineBytes-1] = '\n'
	return text
}

// put writes a value at a line of a text. One that does not fit is left out: see cut.
func put(text []byte, i int, v any) {
	out, err := json.Marshal(v)
	if err != nil { // texts, numbers and dates
		panic(err)
	}
	if len(out) < lineBytes {
		copy(text[i*lineBytes:], out)
	}
}

func line(text []byte, i int) []byte {
	return bytes.TrimRight(text[i*lineBytes:(i+1)*lineBytes], " \n\x00")
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
