// Reading JSON with the tolerance that all ages need: null is absent, unknown
// is ignored, nesting is bounded, and a fault names the member it is in.

package protocol

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is a decoded JSON object whose members are still text. path is where
// it stands in the message, for errors.
type object struct {
	path    string
	members []member
}

// member is one of an object, as it was written, without the space around it.
type member struct {
	name  string
	value json.RawMessage
}

// get gives a member, nil when there is none. Of several with one name the last counts, as
// in encoding/json.
func (o object) get(name string) json.RawMessage {
	for i := len(o.members) - 1; i >= 0; i-- {
		if o.members[i].name == name {
			return o.members[i].value
		}
	}
	return nil
}

// decodeObject reads body as one JSON object. Bytes that are no UTF-8 become U+FFFD, as a
// decoder of texts would have it: members are kept as they were written, and a result is not
// refused for a character, which some workers would answer by losing it.
func decodeObject(body []byte) (object, error) {
	if !utf8.Valid(body) {
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	if err := checkDepth(body); err != nil {
		return object{}, err
	}
	body = bytes.Trim(body, jsonSpace)
	if len(body) == 0 || body[0] != '{' || !json.Valid(body) {
		return object{}, &Error{Code: CodeBadJSON, What: "the body must be one JSON object, sent as application/json"}
	}
	return object{members: membersOf(bytes.Clone(body))}, nil // cloned: the server uses the body's memory again
}

// byName gives all members; asking a long object for one after the other would take long.
func (o object) byName() map[string]json.RawMessage {
	all := make(map[string]json.RawMessage, len(o.members))
	for _, m := range o.members {
		all[m.name] = m.value
	}
	return all
}

const jsonSpace = " \t\r\n"

// membersOf splits an object that is known to be valid JSON. A map made by encoding/json costs
// three times as much, and results are read by the thousand.
func membersOf(text []byte) []member {
	members := make([]member, 0, 8)
	for rest := bytes.TrimLeft(text[1:], jsonSpace); rest[0] != '}'; {
		if rest[0] == ',' {
			rest = bytes.TrimLeft(rest[1:], jsonSpace)
		}
		n := valueEnd(rest)
		name := textOf(rest[:n])
		rest = bytes.TrimLeft(rest[n:], jsonSpace)
		rest = bytes.TrimLeft(rest[1:], jsonSpace) // behind the colon
		n = valueEnd(rest)
		members = append(members, member{name, rest[:n:n]})
		rest = bytes.TrimLeft(rest[n:], jsonSpace)
	}
	return members
}

// valueEnd gives the length of the value that valid JSON begins with.
func valueEnd(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				return i + 1 + depth // of a bare value before the bracket: without it
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// textOf gives the value of a text that is valid JSON.
func textOf(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw) // can not be: it is valid
	}
	return s
}

func checkDepth(body []byte) error {
	if Deeper(body, MaxDepth) {
		return &Error{Code: CodeTooDeep, What: "objects and lists nest deeper than " + strconv.Itoa(MaxDepth) + "; send flatter data"}
	}
	return nil
}

// Deeper reports whether the objects and lists of a JSON text nest deeper than they may. It
// counts brackets outside texts, before any decoder, whose own bound is far higher: hostile
// nesting costs one pass and no memory.
func Deeper(text []byte, most int) bool {
	depth, inText := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// present tells a member that says something from one that is absent or null.
func present(raw json.RawMessage) bool {
	trimmed := bytes.TrimSpace(raw)
	return len(trimmed) > 0 && string(trimmed) != "null"
}

func (o object) has(name string) bool { return present(o.get(name)) }

// raw returns the member as it was written, nil when absent.
func (o object) raw(name string) json.RawMessage {
	if value := o.get(name); present(value) {
		return value
	}
	return nil
}

func (o object) at(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

func (o object) bad(name, want string) error {
	return &Error{Code: CodeBadField, Field: o.at(name), What: "must be " + want + "; leave it out if it is not known"}
}

func (o object) text(name string) (string, error) {
	if !o.has(name) {
		return "", nil
	}
	var s string
	if json.Unmarshal(o.get(name), &s) != nil {
		return "", o.bad(name, "a text")
	}
	return s, nil
}

// id reads a worker id; absent gives "".
func (o object) id(name string) (string, error) {
	s, err := o.text(name)
	if err == nil && s != "" && !ValidID(s) {
		return "", &Error{Code: CodeBadWorkerID, Field: o.at(name), What: "a worker id is 1 to 128 letters, digits, _ or -; set WORKER_ID so"}
	}
	return s, err
}

// number reads a finite number; absent gives nil.
func (o object) number(name string) (*float64, error) { return o.numberAt(name, o.get(name)) }

// numberAt is number for a member whose value is known.
func (o object) numberAt(name string, value json.RawMessage) (*float64, error) {
	if !present(value) {
		return nil, nil
	}
	var f float64
	if json.Unmarshal(value, &f) != nil {
		return nil, o.bad(name, "a number")
	}
	return &f, nil
}

// count reads a number that is meant as a whole one. Anything below 1 or beyond
// a sane size means "unknown" and gives 0, as when it is absent.
func (o object) count(name string) (int, error) {
	f, err := o.number(name)
	if err != nil || f == nil || *f < 1 || *f > math.MaxInt32 {
		return 0, err
	}
	return int(*f), nil
}

// child reads a nested object; absent gives an empty one.
func (o object) child(name string) (object, error) {
	inner := object{path: o.at(name)}
	if !o.has(name) {
		return inner, nil
	}
	value := o.get(name)
	if value[0] != '{' {
		return object{}, o.bad(name, "an object")
	}
	inner.members = membersOf(value)
	return inner, nil
}

// list reads a bounded list; ok tells whether the member was there.
func (o object) list(name string) (items []json.RawMessage, ok bool, err error) {
	if !o.has(name) {
		return nil, false, nil
	}
	if json.Unmarshal(o.get(name), &items) != nil {
		return nil, false, o.bad(name, "a list")
	}
	if len(items) > MaxNames {
		return nil, false, &Error{Code: CodeTooMany, Field: o.at(name), What: "has " + strconv.Itoa(len(items)) + " entries, at most " + strconv.Itoa(MaxNames) + " are taken"}
	}
	return items, true, nil
}

// names reads a list of names, each written as a text or as an object with a
// "name". Repetitions are dropped, the order is kept. The result is not nil
// when the member was there.
func (o object) names(name string) (out []string, ok bool, err error) {
	items, ok, err := o.list(name)
	if err != nil || !ok {
		return nil, ok, err
	}
	out = make([]string, 0, len(items))
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		s, err := nameOf(item)
		if err != nil || s == "" {
			return nil, false, o.bad(name, "a list of names, or of objects with a name")
		}
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out, true, nil
}

func nameOf(item json.RawMessage) (string, error) {
	if len(item) > 0 && item[0] == '{' {
		var named struct {
			Name string `json:"name"`
		}
		err := json.Unmarshal(item, &named)
		return named.Name, err
	}
	var s string
	err := json.Unmarshal(item, &s)
	return s, err
}

// looseText gives a text's value and any other JSON value as it is written, so
// that a field meant for people survives whatever a worker puts there.
func looseText(raw json.RawMessage) string {
	if !present(raw) {
		return ""
	}
	if raw = bytes.TrimSpace(raw); raw[0] == '"' {
		return cut(textOf(raw))
	}
	return cut(string(raw))
}

// cut shortens a text for people to MaxTextBytes, between characters.
func cut(s string) string {
	if len(s) <= MaxTextBytes {
		return s
	}
	end := MaxTextBytes
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.ToValidUTF8(s[:end], "") + "..."
}
