package outbound

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// This file attacks the guard: every way to write an internal address, redirects, allow lists.

func TestInternalAddresses(t *testing.T) {
	for _, s := range []string{
		"127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
		"100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1",
		"::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1", "::ffff:0:7f00:1", "4000::1", "8000::1",
	} {
		if !internal(netip.MustParseAddr(s).Unmap()) {
			t.Errorf("%s counts as public", s)
		}
	}
	for _, s := range []string{"1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001:800::200e", "64:ff9b::101:101", "2002:101:101::1"} {
		if internal(netip.MustParseAddr(s).Unmap()) {
			t.Errorf("%s counts as internal", s)
		}
	}
}

// server listens on loopback and counts what reaches it.
func server(t *testing.T, h http.HandlerFunc) (s *httptest.Server, port string) {
	t.Helper()
	s = httptest.NewServer(h)
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return s, port
}

func guard(t *testing.T, allow ...string) *Guard {
	t.Helper()
	g, err := New(allow)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Each of these names the machine itself; what the system's resolver does not know at all is
// an error too, which is as good.
func TestLoopbackIsRefusedInEverySpelling(t *testing.T) {
	reached := false
	_, port := server(t, func(http.ResponseWriter, *http.Request) { reached = true })
	for _, g := range []*Guard{nil, guard(t), guard(t, "10.0.0.0/8", "127.0.0.1:1", "other.internal")} {
		for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"} {
			res, err := g.Client(5 * time.Second).Get("http://" + host + ":" + port + "/")
			if err == nil {
				res.Body.Close()
				t.Errorf("http://%s was called", host)
			}
		}
		_, err := g.Client(5 * time.Second).Get("http://127.0.0.1:" + port + "/")
		if !IsRefused(err) || !strings.Contains(err.Error(), "OUTGOING_ALLOW") {
			t.Errorf("the refusal of 127.0.0.1 is %v", err)
		}
	}
	if reached {
		t.Error("a call came through")
	}
}

func TestAllowList(t *testing.T) {
	_, port := server(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, allow := range []string{"127.0.0.1", "127.0.0.0/8", "127.0.0.1:" + port, "localhost", "LocalHost:" + port, "*"} {
		res, err := guard(t, " "+allow+" ", "").Client(5 * time.Second).Get("http://" + hostFor(allow) + ":" + port + "/")
		if err != nil {
			t.Errorf("allowed %q, but: %v", allow, err)
			continue
		}
		res.Body.Close()
	}
	for _, bad := range []string{"http://x", "10.0.0.0/99", "a b", "host:port", "x/y"} {
		if _, err := New([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func hostFor(allow string) string {
	if strings.HasPrefix(strings.ToLower(allow), "localhost") {
		return "localhost"
	}
	return "127.0.0.1"
}

func TestRedirectIsNotFollowed(t *testing.T) {
	inside := false
	target, _ := server(t, func(http.ResponseWriter, *http.Request) { inside = true })
	s, port := server(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.URL, http.StatusFound) })
	res, err := guard(t, "127.0.0.1:"+port).Client(5*time.Second).Post(s.URL, "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusFound || inside {
		t.Errorf("status %d, redirect followed: %v", res.StatusCode, inside)
	}
}

func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	tr, ok := guard(t).Client(time.Second).Transport.(*http.Transport)
	if !ok || tr.Proxy != nil {
		t.Error("a proxy would choose the address")
	}
}

// The name is checked where it points at the moment of the call, not before.
func TestDialChecksTheResolvedAddress(t *testing.T) {
	g := guard(t)
	if err := g.check("harmless.example", "93.184.216.34:443"); err != nil {
		t.Error(err)
	}
	var refused *Refused
	if err := g.check("harmless.example", "[::ffff:10.0.0.1]:443"); !errors.As(err, &refused) || refused.Host != "harmless.example" || refused.Addr != "10.0.0.1" {
		t.Errorf("got %v", err)
	}
	if err := g.check("x", "[fe80::1%lo]:443"); !IsRefused(err) {
		t.Errorf("an address with a zone: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := g.DialContext(ctx, "tcp", "127.0.0.1:1"); err == nil {
		t.Error("a cancelled dial succeeded")
	}
	if _, err := g.Client(time.Second).Get((&url.URL{Scheme: "file", Path: "/etc/passwd"}).String()); err == nil {
		t.Error("file: was read")
	}
}
