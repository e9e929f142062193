package workers

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"orrery/workers/protocol"
)

// This file decides who may speak for a worker. Tokens are kept as SHA-256 only.

// Digest is the SHA-256 of a token.
type Digest = [sha256.Size]byte

// DigestOf gives the digest of a token.
func DigestOf(token string) Digest { return sha256.Sum256([]byte(token)) }

// tokens knows the configured tokens, and checks those that were issued: see issued.go.
type tokens struct {
	mu     sync.RWMutex
	shared *Digest // nil: no shared token
	own    map[string]Digest
	issuer
}

func newTokens(cfg *Config) *tokens {
	t := &tokens{issuer: newIssuer(cfg)}
	t.set(cfg.SharedToken, cfg.Tokens)
	return t
}

// set replaces the configured tokens. It gives the workers whose token changed, and whether
// the shared one did: whoever proved an older token must prove the new one.
func (t *tokens) set(shared string, own map[string]Digest) (changed map[string]bool, sharedChanged bool) {
	var next *Digest
	if shared != "" {
		d := DigestOf(shared)
		next = &d
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	sharedChanged = (t.shared == nil) != (next == nil) || next != nil && *t.shared != *next
	changed = map[string]bool{}
	for _, list := range [2]map[string]Digest{t.own, own} {
		for id := range list {
			before, had := t.own[id]
			after, has := own[id]
			changed[id] = had != has || before != after
		}
	}
	t.shared, t.own = next, maps.Clone(own)
	return changed, sharedChanged
}

// individual tells whether the worker has a token of its own.
func (t *tokens) individual(id string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.own[id]
	return ok
}

func same(a, b Digest) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// check is the one rule: a worker with a token of its own proves itself with that, any other
// with the shared one; a token issued to the worker counts too.
func (t *tokens) check(id, token string, now time.Time) bool {
	if !protocol.ValidID(id) || token == "" { // the one door for ids, whatever header or path they came in
		return false
	}
	if worker, ok := t.verify(token, access, now); ok {
		return worker == id
	}
	d := sha256.Sum256([]byte(token))
	t.mu.RLock()
	defer t.mu.RUnlock()
	if own, ok := t.own[id]; ok {
		return same(own, d)
	}
	return t.shared != nil && same(*t.shared, d)
}

// owner finds whose token this is: a worker's own or issued one, or the shared one ("").
func (t *tokens) owner(token string, now time.Time) (id string, ok bool) {
	if token == "" {
		return "", false
	}
	if worker, ok := t.verify(token, access, now); ok {
		return worker, true
	}
	d := sha256.Sum256([]byte(token))
	t.mu.RLock()
	defer t.mu.RUnlock()
	for worker, own := range t.own { // all of them, so that time tells nothing
		if same(own, d) {
			id, ok = worker, true
		}
	}
	if ok {
		return id, true
	}
	return "", t.shared != nil && same(*t.shared, d)
}

// inForce gives the digest by which a worker proves itself, zeros for one that has only a
// certificate.
func (t *tokens) inForce(id string) (d Digest) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if own, ok := t.own[id]; ok {
		return own
	}
	if t.shared != nil {
		return *t.shared
	}
	return d
}

// Authenticate tells whether the token may speak for the worker.
func (h *Hub) Authenticate(workerID, token string) bool {
	return h.auth.check(workerID, token, h.clock.Now())
}

// Admits tells whether the caller may speak for the worker that it names.
func (h *Hub) Admits(c Caller) bool { return h.admits(c, c.WorkerID) }

// admits looks at the certificate first: who came with one must be the worker it was made for,
// and needs no token.
func (h *Hub) admits(c Caller, id string) bool {
	if c.Certificate != "" {
		return c.Certificate == id && protocol.ValidID(id)
	}
	return h.Authenticate(id, c.Token)
}

// WebSocketAuth identifies a connection that names no worker (ages A and B): an individual or
// issued token tells the worker, the shared one makes it anonymous.
func (h *Hub) WebSocketAuth(token string) (Identity, bool) {
	id, ok := h.auth.owner(token, h.clock.Now())
	return Identity{WorkerID: id}, ok
}

// SetTokens replaces the configured tokens (workers.toml was read again). What was proved by a
// token that changed ends at once: tokens issued for it, and connections.
func (h *Hub) SetTokens(shared string, own map[string]Digest) {
	changed, sharedChanged := h.auth.set(shared, own)
	h.mu.Lock()
	var over []*Link
	for l := range h.links {
		if _, has := own[l.id]; changed[l.id] || sharedChanged && !has {
			over = append(over, l)
		}
	}
	h.mu.Unlock()
	for _, l := range over {
		l.shut(1008, "the token has changed")
	}
}

// AuthToken answers POST /_worker/auth/token: an access token bound to the caller's id. Ages
// that name no worker get one only with an individual token.
func (h *Hub) AuthToken(_ context.Context, c Caller) ([]byte, error) {
	id := c.WorkerID
	if id == "" {
		id, _ = h.auth.owner(c.Token, h.clock.Now())
	}
	if !h.admits(c, id) {
		return nil, ErrUnauthorized
	}
	return protocol.TokenReply(h.auth.issueFor(id, h.clock.Now())), nil
}

// AuthRefresh answers POST /_worker/auth/token/refresh: a new pair for a refresh token, which
// counts once.
func (h *Hub) AuthRefresh(ctx context.Context, c Caller, body []byte) ([]byte, error) {
	var ask struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(body, &ask); err != nil {
		return nil, badRequest(err)
	}
	id, ok, err := h.auth.redeem(ctx, ask.Refresh, h.clock.Now())
	if err != nil {
		return nil, err
	}
	if !ok || c.WorkerID != "" && c.WorkerID != id {
		return nil, ErrUnauthorized
	}
	return protocol.TokenReply(h.auth.issueFor(id, h.clock.Now())), nil
}
