// Ages of the worker SDK: telling them apart and what each one can do.

package protocol

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Age is a family of worker SDK releases with the same habits. Ages are
// ordered: a later one compares greater.
type Age int

const (
	// AgeA is SDK 1.0b1 to 1.0b3: nested results, heartbeats without tasks.
	AgeA Age = iota
	// AgeB46 is SDK 1.0b4 to 1.0b6: flat results, "supported_tasks".
	AgeB46
	// AgeB7 is SDK 1.0b7: "supported_skills" as texts, cancels by heartbeat.
	AgeB7
	// AgeC is SDK 1.0b8 to 1.0b17: skills are objects, generic events.
	AgeC
	// AgeC18 is SDK 1.0b18 and later: sends its worker id in a header.
	AgeC18
)

// Names of the request headers that tell ages apart.
const (
	HeaderToken    = "X-Worker-Token"
	HeaderWorkerID = "X-Worker-ID"
	HeaderVersion  = "X-RXON-Version"
)

// String names the age as operators see it in lists and logs.
func (a Age) String() string {
	switch a {
	case AgeA:
		return "1.0b1-b3"
	case AgeB46:
		return "1.0b4-b6"
	case AgeB7:
		return "1.0b7"
	case AgeC:
		return "1.0b8-b17"
	case AgeC18:
		return "1.0b18+"
	}
	return "unknown"
}

// HeartbeatCancels tells whether a worker of this age stops the tasks named in
// the reply to its heartbeat. Older ones can only be told over a WebSocket.
func (a Age) HeartbeatCancels() bool { return a >= AgeB7 }

// ReRegisters tells whether a worker of this age registers again when a
// heartbeat is answered 404 "not found". A and B never do, so the server has to
// take such a worker in from its heartbeat.
func (a Age) ReRegisters() bool { return a >= AgeC }

// ListsTasks tells whether heartbeats of this age list the running tasks.
func (a Age) ListsTasks() bool { return a >= AgeB46 }

// RetriesResultOnServerError tells whether a result that was answered 5xx is
// sent again. For B every status from 400 up is final and the result is lost.
func (a Age) RetriesResultOnServerError() bool { return a == AgeA || a >= AgeC }

// HammersOnPollError tells whether a worker of this age polls again at once
// after an error, so that error replies have to be delayed by the server.
func (a Age) HammersOnPollError() bool { return a <= AgeB7 }

// DetectAge tells the age of a worker from the headers of a request and, where
// there is one, the body of its registration. headers returns a header's value
// or "". With a nil register the version header decides alone, which is less
// sure: prefer the age found at registration.
func DetectAge(headers func(string) string, register []byte) Age {
	version := headers(HeaderVersion)
	switch {
	case headers(HeaderWorkerID) != "":
		return AgeC18
	case version == "":
		return AgeA
	}
	if age, ok := ageOfSkills(register); ok {
		return age
	}
	switch n, ok := betaNumber(version); {
	case ok && n <= 2:
		return AgeB46
	case ok && n == 3:
		return AgeB7
	}
	return AgeC
}

// ageOfSkills tells the age from the way a registration writes its skills.
func ageOfSkills(register []byte) (Age, bool) {
	var body struct {
		Tasks  json.RawMessage   `json:"supported_tasks"`
		Skills []json.RawMessage `json:"supported_skills"`
	}
	if len(register) == 0 || json.Unmarshal(register, &body) != nil {
		return AgeA, false
	}
	switch {
	case len(body.Skills) > 0 && body.Skills[0][0] == '{':
		return AgeC, true
	case len(body.Skills) > 0 && body.Skills[0][0] == '"':
		return AgeB7, true
	case present(body.Tasks):
		return AgeB46, true
	}
	return AgeA, false
}

// betaNumber reads N from a library version "1.0bN".
func betaNumber(version string) (int, bool) {
	digits, ok := strings.CutPrefix(version, "1.0b")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0
}

// SignsCanonically tells whether a library of this version (the value of the
// X-RXON-Version header) signs in the form that Verify checks. 1.0b6 to 1.0b10
// sign another form, earlier ones do not sign.
func SignsCanonically(version string) bool {
	if n, ok := betaNumber(version); ok {
		return n >= 11
	}
	return version != ""
}
