package nodes

import (
	"net/http"
	"strings"
	"testing"
)

// This file tests the console where a load balancer sends each request to another node.

// form posts as a page of the node itself does, with a cookie, and gives the answer.
func (s *server) form(path, body, cookie string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	s.check(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", s.url)
	r.Header.Set("Cookie", cookie)
	resp, err := s.cluster.http.Transport.RoundTrip(r)
	s.check(err)
	resp.Body.Close()
	return resp
}

func (s *server) isIn(cookie string) bool {
	s.t.Helper()
	status, body := s.call("GET", "/", nil, "Cookie", cookie)
	if status != http.StatusOK {
		s.t.Fatalf("the console at %s: %d %s", s.id, status, body)
	}
	return strings.Contains(string(body), "/logout")
}

func TestASignInHoldsAtEveryNode(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	a, b := c.nodes["a"], c.nodes["b"]
	cookie, _, _ := strings.Cut(a.form("/login", "token="+clientToken, "").Header.Get("Set-Cookie"), ";")
	other, _, _ := strings.Cut(b.form("/login", "token="+clientToken, "").Header.Get("Set-Cookie"), ";")
	for _, s := range c.nodes {
		if !s.isIn(cookie) || !s.isIn(other) {
			t.Errorf("a sign-in at another node does not hold at %s", s.id)
		}
	}
	if out := b.form("/logout", "", cookie); out.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign out: %s", out.Status)
	}
	for _, s := range c.nodes {
		if s.isIn(cookie) {
			t.Errorf("a sign-out at another node does not hold at %s", s.id)
		}
		if !s.isIn(other) {
			t.Errorf("the other session has ended at %s", s.id)
		}
	}
}
