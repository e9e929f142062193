// The package comment and the limits that hold for every message.

// Package protocol knows how workers speak: it turns the messages of every
// published worker SDK into one internal form and writes replies that all of
// them understand. It does no I/O and keeps no state.
//
// Words used here:
//
//   - age: a family of SDK releases that share a wire form (see Age);
//   - registration, heartbeat, result, event: what a worker sends;
//   - task, cancel frame, reply: what the server sends;
//   - skill: a task type that a worker can do ("supported_tasks" in old SDKs);
//   - artifact: a model or file installed at the worker.
//
// Two habits make one reader enough for all ages. A member that is null is
// treated as absent, because some SDKs write out every unset field and others
// write none. A member this package does not know is ignored, because SDKs may
// be newer than the server. What is authoritative is the recorded traffic of
// the unmodified SDKs; the tests replay it.
//
// The size of a body is checked by the caller before it is read into memory.
// Nesting, list lengths and texts are bounded here.
package protocol

const (
	// MaxDepth is how deep objects and lists of a message may nest.
	MaxDepth = 100
	// MaxNames is how many entries a list of skills, tasks or artifacts may have.
	MaxNames = 10_000
	// MaxRawBytes is the size up to which a registration is kept as it came.
	MaxRawBytes = 64 << 10
	// MaxTextBytes is where messages of errors and of progress are cut.
	MaxTextBytes = 16 << 10
)

// ValidID tells whether id may name a worker: 1 to 128 of A-Z a-z 0-9 _ and -.
func ValidID(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return 1 <= len(id) && len(id) <= 128
}

// Codes of an Error.
const (
	CodeBadJSON     = "bad_json"      // not one JSON object
	CodeTooDeep     = "too_deep"      // nests deeper than MaxDepth
	CodeTooMany     = "too_many"      // a list longer than MaxNames
	CodeBadField    = "bad_field"     // a member has the wrong type or value
	CodeMissing     = "missing_field" // a member that is needed is not there
	CodeBadWorkerID = "bad_worker_id" // see ValidID
	CodeUnsigned    = "unsigned"      // a signature is needed and there is none
	CodeBadSign     = "bad_signature" // the signature does not fit the message
)

// Error is a message that cannot be read, or a task that cannot be written.
// Code is stable and for programs; the text says what was found and what is
// wanted instead. It never quotes the message itself, which may hold secrets.
type Error struct {
	Code  string // one of the Code constants
	Field string // the member at fault, with dots for nesting; may be empty
	What  string // what is wrong and what to do
}

// Error returns the member at fault and what to do about it.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.What
	}
	return e.Field + ": " + e.What
}
