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
	list  bool                // a list: it has no names
	names [][]byte            // the first of them
	more  map[string]struct{} // all of them, once there are many
}

// has notes a name and tells whether it was there before.
func (o *object) has(name []byte) bool {
	if o.more != nil {
		_, twice := o.more[string(name)]
		o.more[string(name)] = struct{}{}
		return twice
	}
	for _, one := range o.names {
		if bytes.Equal(one, name) {
			return true
		}
	}
	if o.names = append(o.names, name); len(o.names) > fewNames {
		o.more = make(map[string]struct{}, 4*fewNames)
		for _, one := range o.names {
			o.more[string(one)] = struct{}{}
		}
	}
	return false
}

// checkNames refuses valid JSON in which an object has a name twice.
func checkNames(raw []byte) error {
	var room [8]object
	open, name := room[:0], false // name: the next text is a name, if it stands in an object
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			open, name = append(open, object{list: raw[i] == '['}), raw[i] == '{'
		case '}', ']':
			open, name = open[:len(open)-1], false
		case ',':
			name = !open[len(open)-1].list
		case '"':
			end := i + 1
			for raw[end] != '"' {
				if raw[end] == '\\' {
					end++
				}
				end++
			}
			if name {
				if text := nameOf(raw[i : end+1]); open[len(open)-1].has(text) {
					return problem(codeBadJSON, "an object has the name "+strconv.Quote(shortened(string(text)))+" twice; which of the two counts is not clear, so send it once")
				}
			}
			i, name = end, false
		}
	}
	return nil
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
