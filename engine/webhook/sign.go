// Package webhook posts signed messages to addresses that clients or the operator named, by
// the Standard Webhooks scheme (webhook-id, webhook-timestamp, webhook-signature).
//
// A Key is a secret that sender and receiver share, written whsec_ and base64. The id is
// the same on every repetition of a message, so that a receiver can drop the second one;
// the timestamp is that of the try. Verify is for receivers written in Go, and for tests.
//
// The package sends once and says how it went; when to try again is the engine's business.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// This file holds keys, signatures and their check.

// The headers of the scheme.
const (
	HeaderID        = "Webhook-Id"
	HeaderTime      = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

const (
	keyPrefix = "whsec_"
	keyLeast  = 24 // bytes
	keyMost   = 64 // bytes
	tolerance = 5 * time.Minute
)

// Key is a shared secret; every way of formatting it gives a mask.
type Key struct{ secret []byte }

// String masks the key.
func (Key) String() string { return "(hidden)" }

// GoString masks the key.
func (Key) GoString() string { return "(hidden)" }

// ParseKeys reads keys with commas between them; a message is signed with each, so that a
// receiver can change from one to the next. The error never holds the text.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	for i, part := range strings.Split(text, ",") {
		coded, ok := strings.CutPrefix(strings.TrimSpace(part), keyPrefix)
		secret, err := base64.StdEncoding.DecodeString(coded)
		if !ok || err != nil || len(secret) < keyLeast || len(secret) > keyMost {
			return nil, fmt.Errorf("key %d is not %s and the base64 of %d to %d bytes; make one with: echo %s$(openssl rand -base64 32)", i+1, keyPrefix, keyLeast, keyMost, keyPrefix)
		}
		keys = append(keys, Key{secret})
	}
	return keys, nil
}

// Sign gives the value of the signature header: one signature for each key.
func Sign(id string, at time.Time, body []byte, keys []Key) string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = "v1," + base64.StdEncoding.EncodeToString(k.mac(id, strconv.FormatInt(at.Unix(), 10), body))
	}
	return strings.Join(all, " ")
}

func (k Key) mac(id, stamp string, body []byte) []byte {
	m := hmac.New(sha256.New, k.secret)
	m.Write([]byte(id + "." + stamp + "."))
	m.Write(body)
	return m.Sum(nil)
}

// ErrSignature says that a message is not from the holder of the key, or too old.
var ErrSignature = errors.New("the webhook's signature does not fit")

// Verify checks a received message: one signature of one key must fit, and its time must be
// within five minutes of now.
func Verify(h http.Header, body []byte, keys []Key, now time.Time) error {
	id, stamp := h.Get(HeaderID), h.Get(HeaderTime)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || id == "" {
		return fmt.Errorf("%w: %s or %s is missing", ErrSignature, HeaderID, HeaderTime)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return fmt.Errorf("%w: it was made %s ago", ErrSignature, age.Round(time.Second))
	}
	for part := range strings.FieldsSeq(h.Get(HeaderSignature)) {
		coded, ok := strings.CutPrefix(part, "v1,")
		got, err := base64.StdEncoding.DecodeString(coded)
		if !ok || err != nil {
			continue // another version of the scheme
		}
		for _, k := range keys {
			if hmac.Equal(got, k.mac(id, stamp, body)) {
				return nil
			}
		}
	}
	return ErrSignature
}
