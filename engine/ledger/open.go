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
	"time"

	"orrery/engine/filelock"
)

// This file is the ledger's file: what stands on which line, and how a process takes it over.

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
