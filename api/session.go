package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
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
	sessionsMost  = 1000 // signing in beyond it forgets the one that ends first
)

type session struct {
	who  *Client
	ends time.Time
}

// sessions live in memory: a restart signs everybody out, and a cookie is worth nothing
// elsewhere. They are found by the hash of the cookie, like tokens.
type sessions struct {
	clock clock.Clock
	mu    sync.Mutex
	by    map[[sha256.Size]byte]session
}

func newSessions(c clock.Clock) *sessions {
	return &sessions{clock: c, by: map[[sha256.Size]byte]session{}}
}

// open makes a session and gives the cookie's value.
func (s *sessions) open(who *Client) string {
	var raw [32]byte
	rand.Read(raw[:]) // never fails (crypto/rand, Go 1.24 and later)
	id := base64.RawURLEncoding.EncodeToString(raw[:])
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var first [sha256.Size]byte
	var ends time.Time
	for key, one := range s.by {
		if !one.ends.After(now) {
			delete(s.by, key)
		} else if ends.IsZero() || one.ends.Before(ends) {
			first, ends = key, one.ends
		}
	}
	if len(s.by) >= sessionsMost {
		delete(s.by, first)
	}
	s.by[sha256.Sum256([]byte(id))] = session{who, now.Add(sessionLife)}
	return id
}

func (s *sessions) find(id string) *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.by[sha256.Sum256([]byte(id))]
	if !ok || !one.ends.After(s.clock.Now()) {
		return nil
	}
	return one.who
}

// follow ends the sessions of those who are not on a new list with the same token, and gives
// the others the rights that they have there.
func (s *sessions) follow(keys keyring) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, one := range s.by {
		who := keys[one.who.Hash]
		if who == nil || who.Name != one.who.Name {
			delete(s.by, id)
			continue
		}
		s.by[id] = session{who, one.ends}
	}
}

func (s *sessions) close(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, sha256.Sum256([]byte(id)))
}

// visitor gives who looks at the console, or nil. In `dev` everybody on this machine is
// the admin, unless a proxy passed the request on or the page was asked for by another name.
func (s *Server) visitor(c *fiber.Ctx) *Client {
	if !s.cfg.ClientAPI {
		return nil
	}
	if cookie := c.Cookies(sessionCookie); cookie != "" {
		if who := s.sessions.find(cookie); who != nil {
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
