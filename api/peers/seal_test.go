package peers

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"orrery/engine/clock"
)

// This file tests that only a node of the same store can seal a request, and that a seal holds
// for one request alone.

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func newPeers(t *testing.T, id, secret string, c clock.Clock) *Peers {
	t.Helper()
	p, err := New(Config{ID: id, Secret: []byte(secret), Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestASealHoldsForOneRequest(t *testing.T) {
	c := clock.NewFake(noon)
	const secret, target = "0123456789abcdef0123", "/_worker/tasks/result?x=1"
	a, b, d := newPeers(t, "a", secret, c), newPeers(t, "b", secret, c), newPeers(t, "d", secret, c)
	body := []byte(`{"task_id":"t"}`)
	header := a.seal(http.MethodPost, target, "b", "worker one", body)
	s, err := b.Open(header, http.MethodPost, target)
	if err != nil || s.From != "a" || s.Certificate != "worker one" || !s.Fits(body) {
		t.Fatalf("the seal opens as %+v, %v", s, err)
	}
	if s.Fits([]byte(`{"task_id":"u"}`)) {
		t.Error("another body fits")
	}
	for what, open := range map[string]func() (*Seal, error){
		"another method": func() (*Seal, error) { return b.Open(header, http.MethodGet, target) },
		"another path":   func() (*Seal, error) { return b.Open(header, http.MethodPost, target+"1") },
		"another node":   func() (*Seal, error) { return d.Open(header, http.MethodPost, target) },
		"another sender": func() (*Seal, error) {
			return b.Open(strings.Replace(header, ";a;", ";d;", 1), http.MethodPost, target)
		},
		"another store": func() (*Seal, error) {
			return newPeers(t, "b", "f123456789abcdef0123", c).Open(header, http.MethodPost, target)
		},
		"a cut one":       func() (*Seal, error) { return b.Open(header[:len(header)-1], http.MethodPost, target) },
		"none":            func() (*Seal, error) { return b.Open("v1", http.MethodPost, target) },
		"another version": func() (*Seal, error) { return b.Open("v2"+header[2:], http.MethodPost, target) },
	} {
		if s, err := open(); err == nil {
			t.Errorf("a seal for %s opens as %+v", what, s)
		}
	}
	c.Advance(sealLife + time.Second)
	if _, err := b.Open(header, http.MethodPost, target); err == nil || !strings.Contains(err.Error(), "clocks") {
		t.Errorf("an old seal: %v", err)
	}
}

func TestPeersNeedASecret(t *testing.T) {
	if _, err := New(Config{ID: "a", Secret: []byte("short")}); err == nil {
		t.Error("a short secret is taken")
	}
}
