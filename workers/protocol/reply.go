// Replies: the bodies with which the server answers workers. All are sent as
// application/json; any other content type is a network error to B and C.

package protocol

// Reasons why a valid result is ignored. They are the words the SDKs log.
const (
	ReasonJobNotFound   = "job_not_found"
	ReasonStaleTask     = "stale_task"
	ReasonDeadline      = "deadline_exceeded"
	ReasonJobCancelled  = "job_cancelled"
	ReasonWrongWorker   = "worker_mismatch"
	ReasonJobTerminated = "job_already_terminated"
)

// RegisterReply accepts a registration. version echoes the caller's
// X-RXON-Version ("" leaves it out); a warning, if any, is logged by the worker.
func RegisterReply(version, warning string) []byte {
	return mustMarshal(struct {
		Status  string `json:"status"`
		Version string `json:"version,omitempty"`
		Warning string `json:"warning,omitempty"`
	}{"registered", version, warning})
}

// HeartbeatReply answers a heartbeat. The worker stops the tasks named (their
// ids must be those in its list); requireFullSync makes C send its whole
// catalogue with the next heartbeat.
func HeartbeatReply(cancelTaskIDs []string, requireFullSync bool) []byte {
	return mustMarshal(struct {
		Status string   `json:"status"`
		Cancel []string `json:"cancel_task_ids,omitempty"`
		Full   bool     `json:"require_full_sync,omitempty"`
	}{"ok", cancelTaskIDs, requireFullSync})
}

// Outcome is what became of a result. The zero value means accepted.
type Outcome struct {
	Ignored string // a Reason constant when the result does not count
	Message string // for the worker's log, with Ignored
}

// ResultReply answers a result. It is always sent with status 200: to B any
// other one is final, to A and C a reason to send again.
func ResultReply(o Outcome) []byte {
	if o == (Outcome{}) { // nearly all
		return []byte(`{"status":"accepted"}`)
	}
	reply := struct {
		Status  string `json:"status"`
		Reason  string `json:"reason,omitempty"`
		Message string `json:"message,omitempty"`
	}{"accepted", o.Ignored, o.Message}
	if o.Ignored != "" {
		reply.Status = "ignored"
	}
	return mustMarshal(reply)
}

// EventReply accepts an event.
func EventReply() []byte {
	return mustMarshal(struct {
		Status string `json:"status"`
	}{"event_accepted"})
}

// Token is an access token for one worker.
type Token struct {
	Access    string `json:"access_token"`
	ExpiresIn int    `json:"expires_in"` // seconds
	WorkerID  string `json:"worker_id"`
	Refresh   string `json:"refresh_token,omitempty"` // C only asks for it
}

// TokenReply answers /_worker/auth/token and its refresh.
func TokenReply(t Token) []byte { return mustMarshal(t) }

// NotFoundReply is the 404 body to the heartbeat of an unknown worker. C
// registers again when an error's text contains "not found".
func NotFoundReply() []byte { return ErrorReply("Worker not found") }

// ErrorReply writes an error's text where every age looks for it.
func ErrorReply(text string) []byte {
	return mustMarshal(struct {
		Error string `json:"error"`
	}{text})
}
