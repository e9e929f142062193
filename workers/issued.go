package workers

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"orrery/workers/protocol"
)

// This file holds the tokens that /_worker/auth/token gives out. Nothing of them is kept: each
// says whose it is and until when, under a MAC, so that any node of a store knows what another
// has issued, also after a restart. The MAC covers the digest of the token that the worker
// proved itself with: when that one changes, those issued for it end.

// Lifetimes of issued tokens.
const (
	accessLife  = time.Hour
	refreshLife = 24 * time.Hour
)

// kind is what an issued token is good for.
type kind string

const (
	access  kind = "a"
	refresh kind = "r" // counts once
)

// Keys is the part of the store that remembers which refresh tokens were used (store.Keys).
type Keys interface {
	Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) (stands []byte, claimed bool, err error)
}

// issuer makes and checks issued tokens.
type issuer struct {
	secret []byte
	keys   Keys // nil: what was used is known to this process only

	mu   sync.Mutex
	used map[Digest]time.Time // refresh tokens, until their end; without keys
}

func newIssuer(cfg *Config) issuer {
	secret := cfg.Secret
	if len(secret) == 0 {
		secret = make([]byte, 32)
		rand.Read(secret) // never fails (crypto/rand, Go 1.24 and later)
	}
	return issuer{secret: secret, keys: cfg.Keys, used: map[Digest]time.Time{}}
}

// tokenPrefix begins every issued token; its fields have dots between them, which no worker id
// has.
const tokenPrefix = "orrery1"

// issueFor makes a new pair.
func (t *tokens) issueFor(id string, now time.Time) protocol.Token {
	return protocol.Token{
		Access: t.issue(id, access, now.Add(accessLife)), Refresh: t.issue(id, refresh, now.Add(refreshLife)),
		ExpiresIn: int(accessLife / time.Second), WorkerID: id,
	}
}

func (t *tokens) issue(id string, k kind, expires time.Time) string {
	var salt [12]byte
	rand.Read(salt[:])
	text := strings.Join([]string{tokenPrefix, string(k), strconv.FormatInt(expires.Unix(), 36), hex.EncodeToString(salt[:]), id}, ".")
	return text + "." + t.mac(text, id)
}

func (t *tokens) mac(text, id string) string {
	m := hmac.New(sha256.New, t.secret)
	force := t.inForce(id)
	m.Write([]byte("worker token\x00" + text + "\x00")) // a hash never fails
	m.Write(force[:])
	return hex.EncodeToString(m.Sum(nil))
}

// verify gives whose a token is, if it was issued, is of the kind and has not ended.
func (t *tokens) verify(token string, k kind, now time.Time) (worker string, ok bool) {
	text, ok := strings.CutPrefix(token, tokenPrefix+"."+string(k)+".")
	if !ok {
		return "", false
	}
	parts := strings.Split(text, ".")
	if len(parts) != 4 {
		return "", false
	}
	signed := token[:strings.LastIndexByte(token, '.')]
	if !hmac.Equal([]byte(t.mac(signed, parts[2])), []byte(parts[3])) {
		return "", false
	}
	expires, err := strconv.ParseInt(parts[0], 36, 64)
	if err != nil || !now.Before(time.Unix(expires, 0)) {
		return "", false
	}
	return parts[2], true
}

// redeem takes a refresh token, which counts once, and gives the worker it was issued to.
func (t *tokens) redeem(ctx context.Context, token string, now time.Time) (id string, ok bool, err error) {
	if id, ok = t.verify(token, refresh, now); !ok {
		return "", false, nil
	}
	d := DigestOf(token)
	if t.keys != nil {
		_, first, err := t.keys.Claim(ctx, "worker/refreshed/"+hex.EncodeToString(d[:16]), []byte{1}, refreshLife, now)
		if err != nil {
			return "", false, &Error{Code: CodeUnavailable, Message: "the token can not be renewed just now; try again", Cause: fmt.Errorf("note a used token: %w", err)}
		}
		return id, first, nil
	}
	t.issuer.mu.Lock()
	defer t.issuer.mu.Unlock()
	if _, again := t.used[d]; again {
		return "", false, nil
	}
	t.used[d] = now.Add(refreshLife)
	return id, true, nil
}

// expire forgets used tokens that have ended.
func (t *tokens) expire(now time.Time) {
	t.issuer.mu.Lock()
	defer t.issuer.mu.Unlock()
	for d, until := range t.used {
		if !now.Before(until) {
			delete(t.used, d)
		}
	}
}
