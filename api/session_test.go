package api

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"orrery/engine/clock"
	"orrery/engine/store/memory"
)

// This file tests who is let in by a cookie of the console.

func clientsNamed(t *testing.T, all ...Client) map[string]*Client {
	t.Helper()
	d, err := newDoors(all)
	if err != nil {
		t.Fatal(err)
	}
	return d.names
}

func TestACookieHoldsForItsClientAlone(t *testing.T) {
	c := clock.NewFake(epoch)
	ann, bob := Client{Name: "ann.x", Token: "ta", Role: "client"}, Client{Name: "bob", Token: "tb", Role: "admin"}
	clients := clientsNamed(t, ann, bob)
	a, b := newSessions(c, Sessions{Secret: []byte("of both"), Keys: memory.New()}), newSessions(c, Sessions{Secret: []byte("of both"), Keys: memory.New()})
	find := func(s *sessions, cookie string, clients map[string]*Client) string {
		t.Helper()
		who, err := s.find(t.Context(), cookie, clients)
		if err != nil {
			t.Fatal(err)
		}
		if who == nil {
			return ""
		}
		return who.Name
	}
	cookie := a.open(clients["ann.x"])
	for _, s := range []*sessions{a, b} {
		if got := find(s, cookie, clients); got != "ann.x" {
			t.Errorf("the cookie is %q's", got)
		}
	}
	part := strings.Split(cookie, ".")
	bobs := strings.Split(a.open(clients["bob"]), ".")
	later := strings.Split(cookie, ".")
	later[2] = "9999999999"
	for what, forged := range map[string]string{
		"none": "", "cut": cookie[:len(cookie)-1], "longer": cookie + "A", "a part more": cookie + ".x", "dots": "....",
		"another's name": strings.Join([]string{part[0], bobs[1], part[2], part[3], part[4]}, "."),
		"another's mac":  strings.Join([]string{part[0], part[1], part[2], part[3], bobs[4]}, "."),
		"a later end":    strings.Join(later, "."),
		"another key":    newSessions(c, Sessions{Secret: []byte("of others")}).open(clients["ann.x"]),
		"no key":         newSessions(c, Sessions{}).open(clients["ann.x"]),
	} {
		if got := find(a, forged, clients); got != "" {
			t.Errorf("%s: it is %q's", what, got)
		}
	}
	other := ann
	other.Token = "new"
	for what, now := range map[string]map[string]*Client{"with another token": clientsNamed(t, other, bob), "that is gone": clientsNamed(t, bob)} {
		if got := find(a, cookie, now); got != "" {
			t.Errorf("a client %s is let in as %q", what, got)
		}
	}
	up := ann
	up.Role = "operator"
	if who, _ := a.find(t.Context(), cookie, clientsNamed(t, up)); who == nil || who.role != roleOperator {
		t.Errorf("a client with another role is %+v", who)
	}
	c.Advance(sessionLife)
	if got := find(a, cookie, clients); got != "" {
		t.Error("the cookie holds for ever")
	}
}

func TestASignOutIsKept(t *testing.T) {
	clients := clientsNamed(t, Client{Name: "ann", Token: "ta", Role: "client"})
	for what, keys := range map[string]Keys{"in the store": memory.New(), "in this process": nil} {
		s := newSessions(clock.NewFake(epoch), Sessions{Keys: keys})
		first, second := s.open(clients["ann"]), s.open(clients["ann"])
		if err := s.close(t.Context(), first, clients); err != nil {
			t.Fatal(err)
		}
		if who, err := s.find(t.Context(), first, clients); who != nil || err != nil {
			t.Errorf("%s: who signed out is %v, %v", what, who, err)
		}
		if who, err := s.find(t.Context(), second, clients); who == nil || err != nil {
			t.Errorf("%s: the other session is %v, %v", what, who, err)
		}
		if err := s.close(t.Context(), "1.x.1.1.1", clients); err != nil {
			t.Errorf("%s: a forged sign-out: %v", what, err)
		}
	}
}

type awayKeys struct{}

func (awayKeys) Claim(context.Context, string, []byte, time.Duration, time.Time) ([]byte, bool, error) {
	return nil, false, errors.New("away")
}

func (awayKeys) Claimed(context.Context, string, time.Time) ([]byte, bool, error) {
	return nil, false, errors.New("away")
}

// While the store is away nobody is let in, for it might be who has signed out.
func TestWithoutTheStoreNobodyIsSignedIn(t *testing.T) {
	clients := clientsNamed(t, Client{Name: "ann", Token: "ta", Role: "client"})
	s := newSessions(clock.NewFake(epoch), Sessions{Keys: awayKeys{}})
	cookie := s.open(clients["ann"])
	if who, err := s.find(t.Context(), cookie, clients); who != nil || err == nil {
		t.Errorf("let in %v, %v", who, err)
	}
	if err := s.close(t.Context(), cookie, clients); err == nil {
		t.Error("a sign-out that is not kept is called done")
	}
}
