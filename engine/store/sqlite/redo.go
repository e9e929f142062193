package sqlite

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// This file is the redo log: a file beside the store's in which every batch stands as the
// statements that it ran, one entry after the other, and from which they are run again after
// a crash. It makes a batch durable with one write and one sync of some kilobytes, so that
// SQLite's own commit, which writes every page that was touched, is needed for many batches
// once (see fold.go).
//
// The form: a header, then entries. An entry is its payload's length and checksum, the
// number of its batch, and the payload: for each statement the number of its text (a text is
// spelled out where it stands first), and its arguments. Entries follow each other without a
// gap in their numbers. When all of them are in the store's file and that is synced, the log
// begins anew over the old bytes; those end it by their lower numbers.

// redo is the redo log as its one writer knows it.
type redo struct {
	path  string
	store uint64 // the number of the store that it belongs to
	file  *os.File
	at    int64             // where the next entry goes
	size  int64             // of the file
	batch uint64            // of the newest entry
	names []string          // of statements, in the order in which the log spells them
	texts map[string]uint64 // their places in names
	entry []byte            // of the batch under way
	known int               // names that stand in entries before it
}

const (
	redoMagic  = "OrrRedo1"
	redoHeader = 8 + 8 + 4     // magic, store, checksum of both
	entryHead  = 4 + 4 + 8     // length, checksum, batch
	redoStep   = 1 << 20       // bytes added to the file at once
	entryMost  = 1<<30 - 1<<10 // of one entry; a batch has far less
	textMost   = 1 << 16       // of one statement
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The kinds of arguments, as they stand in an entry.
const (
	argNull byte = iota
	argInt
	argText
	argBlob
)

// start begins the entry of the next batch.
func (r *redo) start() {
	for _, text := range r.names[r.known:] { // of one that failed
		delete(r.texts, text)
	}
	r.names = r.names[:r.known]
	r.entry = append(r.entry[:0], make([]byte, entryHead)...)
}

// note adds a statement to the entry.
func (r *redo) note(text string, args []driver.Value) error {
	r.begin(text, len(args))
	for _, arg := range args {
		if err := r.value(arg); err != nil {
			return fmt.Errorf("the statement %q: %w", text, err)
		}
	}
	return nil
}

// begin adds a statement whose so many arguments follow.
func (r *redo) begin(text string, args int) {
	n, known := r.texts[text]
	if !known {
		if r.texts == nil {
			r.texts = map[string]uint64{}
		}
		n = uint64(len(r.names))
		r.texts[text] = n
		r.names = append(r.names, text)
	}
	r.entry = binary.AppendUvarint(r.entry, n)
	if !known {
		r.entry = append(binary.AppendUvarint(r.entry, uint64(len(text))), text...)
	}
	r.entry = binary.AppendUvarint(r.entry, uint64(args))
}

func (r *redo) value(arg driver.Value) error {
	switch v := arg.(type) {
	case nil:
		r.entry = append(r.entry, argNull)
	case int64:
		r.int(v)
	case string:
		r.text(v)
	case []byte:
		r.blob(v)
	default:
		return fmt.Errorf("the redo log does not know arguments of type %T", arg)
	}
	return nil
}

func (r *redo) int(v int64) { r.entry = binary.AppendVarint(append(r.entry, argInt), v) }

func (r *redo) text(v string) {
	r.entry = append(binary.AppendUvarint(append(r.entry, argText), uint64(len(v))), v...)
}

func (r *redo) blob(v []byte) {
	if v == nil {
		r.entry = append(r.entry, argNull)
		return
	}
	r.entry = append(binary.AppendUvarint(append(r.entry, argBlob), uint64(len(v))), v...)
}

// empty reports whether the batch under way changes nothing.
func (r *redo) empty() bool { return len(r.entry) <= entryHead }

// seal completes the entry as that of the next batch.
func (r *redo) seal() []byte {
	binary.LittleEndian.PutUint32(r.entry, uint32(len(r.entry)-entryHead))
	binary.LittleEndian.PutUint64(r.entry[8:], r.batch+1)
	binary.LittleEndian.PutUint32(r.entry[4:], crc32.Checksum(r.entry[8:], castagnoli))
	return r.entry
}

// next gives the place of the next entry.
func (r *redo) next() int64 { return max(r.at, redoHeader) }

// write puts the sealed entry into the file, which is made when it is the first. It is
// durable when the file was synced.
func (r *redo) write() error {
	if err := r.room(int64(len(r.entry))); err != nil {
		return err
	}
	if _, err := r.file.WriteAt(r.entry, r.at); err != nil {
		return err
	}
	r.at += int64(len(r.entry))
	r.batch++
	r.known = len(r.names)
	return nil
}

// room makes the file long enough, ahead of what is needed: a sync that must also record a
// longer file costs two to three times one that writes over what is there.
func (r *redo) room(n int64) error {
	if r.file == nil {
		f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		r.file, r.size = f, 0
	}
	if r.size == 0 {
		head := append(make([]byte, 0, redoStep), redoMagic...)
		head = binary.LittleEndian.AppendUint64(head, r.store)
		head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
		if _, err := r.file.WriteAt(head[:redoStep], 0); err != nil {
			return err
		}
		r.at, r.size = redoHeader, redoStep
	}
	for r.at+n > r.size {
		wrote, err := r.file.WriteAt(zeros[:redoStep], r.size)
		if r.size += int64(wrote); err != nil {
			return err
		}
	}
	return nil
}

// anew begins the log over its old bytes; all entries are in the store's file, and synced.
func (r *redo) anew() {
	r.at, r.known, r.names = redoHeader, 0, nil
	clear(r.texts)
}

// since gives what the log holds from a place on, to its end.
func (r *redo) since(from int64) ([]byte, error) {
	text := make([]byte, r.at-from)
	if _, err := r.file.ReadAt(text, from); err != nil {
		return nil, redoFailed(r.path, err)
	}
	return text, nil
}

// remove ends the log: the store's file holds everything, and was synced.
func (r *redo) remove() error {
	if r.file == nil {
		return nil
	}
	return errors.Join(r.file.Close(), os.Remove(r.path))
}

// statement is one that is run again.
type statement struct {
	text string
	args []driver.Value
}

// errTorn ends the reading of a log: what follows was never whole, or is of an earlier round.
var errTorn = errors.New("no whole entry")

// replay calls run with the statements of each whole entry in order, from the beginning of
// the log. A log that is missing or has no whole header has no entries. It fails when the log
// belongs to another store.
func replay(path string, owner uint64, run func(batch uint64, all []statement) error) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(text) < redoHeader || string(text[:8]) != redoMagic || crc32.Checksum(text[:16], castagnoli) != binary.LittleEndian.Uint32(text[16:]) {
		return nil // it was never synced, so nothing in it was acknowledged
	}
	if binary.LittleEndian.Uint64(text[8:]) != owner {
		return fmt.Errorf("the file %s is of another store: move it away when the store was put in the place of another, or restore the store that it belongs to", filepath.Base(path))
	}
	if err := replayFrom(text[redoHeader:], nil, run); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}

// replayFrom is replay for entries in memory before which so many names were spelled out.
func replayFrom(rest []byte, names []string, run func(batch uint64, all []statement) error) error {
	for last := uint64(0); ; {
		batch, payload, err := readEntry(rest)
		if err != nil || last != 0 && batch != last+1 {
			return nil
		}
		var all []statement
		if all, names, err = readStatements(payload, names); err != nil {
			return fmt.Errorf("entry %d: %w", batch, err)
		}
		if err := run(batch, all); err != nil {
			return err
		}
		last, rest = batch, rest[entryHead+len(payload):]
	}
}

// readEntry gives the first entry of what is left.
func readEntry(b []byte) (batch uint64, payload []byte, err error) {
	if len(b) < entryHead {
		return 0, nil, errTorn
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n == 0 || n > entryMost || int64(len(b)) < entryHead+n {
		return 0, nil, errTorn
	}
	if crc32.Checksum(b[8:entryHead+n], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, nil, errTorn
	}
	return binary.LittleEndian.Uint64(b[8:]), b[entryHead : entryHead+n], nil
}

// readStatements decodes a payload whose checksum holds.
func readStatements(b []byte, texts []string) ([]statement, []string, error) {
	var all []statement
	d := decoder{rest: b}
	for len(d.rest) > 0 && d.err == nil {
		n := d.count(uint64(len(texts)))
		if n == uint64(len(texts)) {
			texts = append(texts, string(d.bytes(textMost)))
		}
		st := statement{args: make([]driver.Value, d.count(uint64(len(d.rest))))}
		for i := range st.args {
			st.args[i] = d.arg()
		}
		if d.err == nil {
			st.text = texts[n]
		}
		all = append(all, st)
	}
	return all, texts, d.err
}

// decoder reads an entry; after an error everything is zero.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail() {
	d.rest, d.err = nil, fmt.Errorf("it is not in the form of entries: %w", io.ErrUnexpectedEOF)
}

// count reads a number that is at most so large.
func (d *decoder) count(most uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > most {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) bytes(most uint64) []byte {
	n := d.count(most)
	if n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) arg() driver.Value {
	if len(d.rest) == 0 {
		d.fail()
		return nil
	}
	kind := d.rest[0]
	d.rest = d.rest[1:]
	switch kind {
	case argNull:
		return nil
	case argInt:
		v, n := binary.Varint(d.rest)
		if n <= 0 {
			d.fail()
			return nil
		}
		d.rest = d.rest[n:]
		return v
	case argText:
		return string(d.bytes(entryMost))
	case argBlob:
		return append([]byte{}, d.bytes(entryMost)...)
	}
	d.fail()
	return nil
}
