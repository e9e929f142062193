package api

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// This file finds names that an object has twice. Readers differ in which of the two counts,
// so what one of them checked could be another than what the next one does.

// fewNames is up to how many names of an object are compared one by one.
const fewNames = 16

// object is one that is open at a place in a text.
type object struct {
	list bool                // a list: it has no names
	from int                 // where its names begin among those of all open objects
	more map[string]struct{} // all of them, once there are many
}

// checkNames refuses valid JSON in which an object has a name twice. Small data costs no
// allocation: this is on the way of every job.
func checkNames(raw []byte) error {
	var (
		objects [16]object
		texts   [32][]byte
		open    = objects[:0]
		names   = texts[:0]
		name    = false // the next text is a name
	)
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			open, name = append(open, object{list: raw[i] == '[', from: len(names)}), raw[i] == '{'
		case '}', ']':
			last := len(open) - 1
			open, names, name = open[:last], names[:open[last].from], false
		case ',':
			name = !open[len(open)-1].list
		case '"':
			end := endOfText(raw, i)
			if name {
				text, in := nameOf(raw[i:end]), &open[len(open)-1]
				if in.has(names[in.from:], text) {
					return problem(codeBadJSON, "an object has the name "+strconv.Quote(shortened(string(text)))+" twice; which of the two counts is not clear, so send it once")
				}
				if in.more == nil {
					names = append(names, text)
				}
			}
			i, name = end-1, false
		}
	}
	return nil
}

// endOfText gives where the text that begins at i has ended.
func endOfText(raw []byte, i int) int {
	for i++; raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// has tells whether the object had the name before; it notes it when there are many.
func (o *object) has(names [][]byte, name []byte) bool {
	if o.more == nil && len(names) >= fewNames {
		o.more = make(map[string]struct{}, 4*fewNames)
		for _, one := range names {
			o.more[string(one)] = struct{}{}
		}
	}
	if o.more != nil {
		_, twice := o.more[string(name)]
		o.more[string(name)] = struct{}{}
		return twice
	}
	for _, one := range names {
		if bytes.Equal(one, name) {
			return true
		}
	}
	return false
}

// nameOf gives a name as readers see it: one and the same may be written in several ways.
func nameOf(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	if json.Unmarshal(quoted, &text) != nil { // it was checked to be valid
		return quoted
	}
	return []byte(text)
}
