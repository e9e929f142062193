// Signatures: HMAC-SHA256 over canonical JSON, in both directions.

package protocol

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Signature is what a message of C says about who sent it and when.
type Signature struct {
	Value    string // lower-case hex
	SignerID string // the worker's id
	// UnixSeconds is the sender's clock when it signed, 0 when not said.
	UnixSeconds int64
	// Nonce is unlike in any two messages of a worker: the id of an event,
	// else the signature itself.
	Nonce string
}

// ReadSignature returns what a message carries; ok is false when it is not
// signed, which is normal for A, B and the first releases of C.
func ReadSignature(body []byte) (s Signature, ok bool, err error) {
	o, err := decodeObject(body)
	if err != nil {
		return Signature{}, false, err
	}
	security, err := o.child("security")
	if err != nil {
		return Signature{}, false, err
	}
	if s.Value, err = security.text("signature"); err != nil || s.Value == "" {
		return Signature{}, false, err
	}
	if s.SignerID, err = security.text("signer_id"); err != nil {
		return Signature{}, false, err
	}
	if at, err := o.number("timestamp"); err == nil && at != nil {
		s.UnixSeconds = int64(*at)
	}
	if s.Nonce = looseText(firstOf(o, "event_id", "nonce", "message_id")); s.Nonce == "" {
		s.Nonce = s.Value
	}
	return s, true, nil
}

// Verify checks the signature of a message of C against the token the worker
// was configured with. It returns nil when it fits, else an *Error with
// CodeUnsigned, CodeBadSign or that of a body which cannot be read. Whether the
// signer is the worker it claims to be, the clock and replays are the caller's.
func Verify(body []byte, key string) error {
	s, signed, err := ReadSignature(body)
	if err != nil {
		return err
	}
	if !signed {
		return &Error{Code: CodeUnsigned, Field: "security.signature", What: "is missing; use a worker SDK from 1.0b14 on, or switch strict signing off"}
	}
	want, err := Sign(body, key)
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(want), []byte(s.Value)) {
		return &Error{Code: CodeBadSign, Field: "security.signature", What: "does not fit the message; the worker signs with WORKER_TOKEN, check that both sides have the same"}
	}
	return nil
}

// Sign computes the signature of a message. Whatever carries signatures is left
// out of it, and of events the chain of workers that grows on the way.
func Sign(body []byte, key string) (string, error) {
	o, err := decodeObject(body)
	if err != nil {
		return "", err
	}
	leaveOut := []string{"security", "_signature", "sig", "orchestrator_signature"}
	if o.has("event_type") {
		leaveOut = append(leaveOut, "bubbling_chain")
	}
	message, err := Canonical(body, leaveOut...)
	if err != nil {
		return "", err
	}
	return hmacHex(message, key), nil
}

// SignTask writes a task as EncodeTask does, with a signature that workers
// check when they have the same secret in ORCHESTRATOR_SECRET_KEY.
func SignTask(t Task, secret string) ([]byte, error) {
	plain, err := EncodeTask(t)
	if err != nil {
		return nil, err
	}
	sig, err := Sign(plain, secret)
	if err != nil {
		return nil, err
	}
	return encodeTask(t, sig)
}

func hmacHex(message []byte, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(message)
	return hex.EncodeToString(mac.Sum(nil))
}
