package api

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"orrery/engine/clock"
)

// This file keeps the console's sessions: who signed in, and that a form comes from our page.

const (
	sessionCookie = "orrery_session"
	sessionLife   = 12 * time.Hour
	sessionVer    = "1"
)

// Sessions is what sign-ins at the console are made with.
type Sessions struct {
	// Secret signs them, the same at all nodes of a store; nil: one of this process, whose end
	// signs everybody out.
	Secret []byte
	// Keys remembers who has signed out; nil: this process does.
	Keys Keys
}

// Keys is the part of the store that remembers who has signed out (store.Keys).
type Keys interface {
	Claim(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) (stands []byte, claimed bool, err error)
	Claimed(ctx context.Context, key string, now time.Time) (stands []byte, claimed bool, err error)
}

// sessions makes cookies and reads them. A cookie says whose it is and until when, under a MAC
// that covers the hash of the client's token: any node knows what another has made, also after
// a restart, and a client that is gone, or has another token, is out. Only who signed out is
// written down, and every look at a cookie asks for that, so that a sign-out counts at every
// node from the moment it is answered.
type sessions struct {
	clock  clock.Clock
	secret []byte
	keys   Keys

	mu  sync.Mutex
	out map[string]time.Time // who signed out, until the session's end; without keys
}

func newSessions(c clock.Clock, from Sessions) *sessions {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails (crypto/rand, Go 1.24 and later)
	if len(from.Secret) > 0 {
		m := hmac.New(sha256.New, from.Secret)
		m.Write([]byte("sign-ins at the console")) // a hash never fails
		secret = m.Sum(nil)
	}
	return &sessions{clock: c, secret: secret, keys: from.Keys, out: map[string]time.Time{}}
}

// open makes a session and gives the cookie's value.
func (s *sessions) open(who *Client) string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	body := strings.Join([]string{
		sessionVer, base64.RawURLEncoding.EncodeToString([]byte(who.Name)), strconv.FormatInt(s.clock.Now().Add(sessionLife).Unix(), 10), hex.EncodeToString(id[:]),
	}, ".")
	return body + "." + s.mac(body, who)
}

func (s *sessions) mac(body string, who *Client) string {
	m := hmac.New(sha256.New, s.secret)
	m.Write(who.Hash[:]) // a hash never fails; the length of this part is fixed
	m.Write([]byte(body))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// read checks a cookie against the clients of now; who is nil for one that does not hold. Who
// signed out is not looked at.
func (s *sessions) read(cookie string, clients map[string]*Client) (who *Client, id string, ends time.Time) {
	part := strings.Split(cookie, ".")
	if len(part) != 5 || part[0] != sessionVer {
		return nil, "", ends
	}
	name, err := base64.RawURLEncoding.DecodeString(part[1])
	unix, numErr := strconv.ParseInt(part[2], 10, 64)
	if who = clients[string(name)]; err != nil || numErr != nil || who == nil {
		return nil, "", ends
	}
	body := cookie[:len(cookie)-len(part[4])-1]
	if ends = time.Unix(unix, 0); !hmac.Equal([]byte(part[4]), []byte(s.mac(body, who))) || !ends.After(s.clock.Now()) {
		return nil, "", ends
	}
	return who, part[3], ends
}

// find gives who has a cookie, nil for nobody, with an error when it can not be said.
func (s *sessions) find(ctx context.Context, cookie string, clients map[string]*Client) (*Client, error) {
	who, id, _ := s.read(cookie, clients)
	if who == nil {
		return nil, nil
	}
	now := s.clock.Now()
	if s.keys == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.out[id].After(now) {
			return nil, nil
		}
		return who, nil
	}
	_, out, err := s.keys.Claimed(ctx, signedOut+id, now)
	if err != nil || out {
		return nil, err
	}
	return who, nil
}

// signedOut begins the keys of sessions that were ended.
const signedOut = "console/out/"

// close ends a session at every node.
func (s *sessions) close(ctx context.Context, cookie string, clients map[string]*Client) error {
	who, id, ends := s.read(cookie, clients)
	if who == nil {
		return nil
	}
	now := s.clock.Now()
	if s.keys == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		maps.DeleteFunc(s.out, func(_ string, ends time.Time) bool { return !ends.After(now) })
		s.out[id] = ends
		return nil
	}
	if _, _, err := s.keys.Claim(ctx, signedOut+id, []byte("1"), ends.Sub(now), now); err != nil {
		return fmt.Errorf("keep that %s has signed out: %w", who.Name, err)
	}
	return nil
}

// visitor gives who looks at the console, or nil. In `dev` everybody on this machine is
// the admin, unless a proxy passed the request on or the page was asked for by another name.
func (s *Server) visitor(c *fiber.Ctx) *Client {
	if !s.cfg.ClientAPI {
		return nil
	}
	if cookie := c.Cookies(sessionCookie); cookie != "" {
		who, err := s.sessions.find(c.UserContext(), cookie, s.doors.Load().names)
		if err != nil { // who can not be told from somebody who has signed out is not let in
			s.log.Warn("the store does not say whether a visitor of the console has signed out", "error", err)
		}
		if who != nil {
			return who
		}
	}
	if s.cfg.Dev && fromHere(c) {
		return s.doors.Load().dev
	}
	return nil
}

// devClient is the first admin, so that jobs from the page and from curl have one owner.
func devClient(keys keyring, clients []Client) *Client {
	for _, one := range clients {
		if one.Role == "admin" {
			if one.Token != "" {
				return keys.find(one.Token)
			}
			return keys[one.Hash]
		}
	}
	return &Client{Name: "console", Role: "admin", role: roleAdmin}
}

func (s *Server) signIn(c *fiber.Ctx, who *Client) {
	c.Cookie(&fiber.Cookie{
		Name: sessionCookie, Value: s.sessions.open(who), Path: "/", HTTPOnly: true, SameSite: "Strict",
		Secure: c.Context().IsTLS(), MaxAge: int(sessionLife.Seconds()),
	})
}

// ownForm refuses a form that another site sent: browsers name the page's origin with
// every POST, and a page of ours has our own host in it.
func ownForm(c *fiber.Ctx) error {
	from, err := url.Parse(c.Get(fiber.HeaderOrigin))
	if err != nil || from.Host == "" || !strings.EqualFold(from.Host, string(c.Context().Host())) {
		return problem(codeCrossSite, "this form was not sent by a page of this server; open the page here and try again")
	}
	return nil
}
