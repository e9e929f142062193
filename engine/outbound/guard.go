// Package outbound is the one way from the server to addresses that others choose: clients'
// webhooks, approval requests, http of scripts.
//
// A Guard decides at dial time, on the resolved address, so that neither a name that points
// inside nor one that changes between a check and the call gets through. Internal addresses
// (loopback, private, link-local and all that the public internet does not route) are
// refused unless the operator's allow list has them. Its Client follows no redirect and uses
// no proxy: either would choose another address than the one that was checked.
//
// Who is authoritative: the Guard. Nothing that calls out on somebody's wish may dial by itself.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// This file holds the guard and its HTTP client.

// Times that a call may take at most, whatever its caller allows.
const (
	dialTimeout = 5 * time.Second
	idleTimeout = 30 * time.Second
	maxHeader   = 64 << 10 // bytes of a response's header
)

// Refused says that an address is internal and not on the allow list.
type Refused struct {
	Host string // as it was asked for
	Addr string // what it resolved to
}

// Error names both and the remedy.
func (r *Refused) Error() string {
	return fmt.Sprintf("%s is the internal address %s, which this server does not call; the operator can allow it with OUTGOING_ALLOW", r.Host, r.Addr)
}

// Guard dials. Its methods may be called from any goroutine; nil refuses every internal address.
type Guard struct {
	networks []entry
	hosts    map[string]bool // lower case, "host" or "host:port"
}

// entry is a network that is allowed, on one port or (0) on all.
type entry struct {
	network netip.Prefix
	port    uint16
}

// New makes a guard that also lets through what the list names: addresses (10.0.0.5),
// networks (10.0.0.0/8), host names (hooks.internal), each with :port behind it or for
// every port; "*" switches the guard off. The error names the entry that is none of these.
func New(allow []string) (*Guard, error) {
	g := &Guard{hosts: map[string]bool{}}
	for _, text := range allow {
		text = strings.ToLower(strings.TrimSpace(text))
		if text == "" {
			continue
		}
		if err := g.add(text); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *Guard) add(text string) error {
	if text == "*" {
		g.networks = append(g.networks, entry{netip.MustParsePrefix("0.0.0.0/0"), 0}, entry{netip.MustParsePrefix("::/0"), 0})
		return nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		g.networks = append(g.networks, entry{p.Masked(), 0})
		return nil
	}
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		a = a.Unmap()
		g.networks = append(g.networks, entry{netip.PrefixFrom(a, a.BitLen()), 0})
		return nil
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		g.networks = append(g.networks, entry{netip.PrefixFrom(ap.Addr(), ap.Addr().BitLen()), ap.Port()})
		return nil
	}
	if !isHost(text) {
		return fmt.Errorf("%q is no address, network or host name", text)
	}
	g.hosts[text] = true
	return nil
}

// isHost reports whether s looks like a host name, with or without a port.
func isHost(s string) bool {
	if host, port, ok := strings.Cut(s, ":"); ok {
		if s = host; port == "" || strings.Trim(port, "0123456789") != "" {
			return false
		}
	}
	return s != "" && len(s) <= 253 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

// DialContext connects, as net.Dialer does, and returns *Refused for what is not allowed.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: dialTimeout}
	if !g.named(host, address) {
		// Called for each address that the name resolves to, right before it is connected to.
		d.Control = func(_, resolved string, _ syscall.RawConn) error { return g.check(host, resolved) }
	}
	return d.DialContext(ctx, network, address)
}

// named reports whether the allow list has the name itself: then wherever it points.
func (g *Guard) named(host, address string) bool {
	return g != nil && (g.hosts[strings.ToLower(host)] || g.hosts[strings.ToLower(address)])
}

func (g *Guard) check(host, resolved string) error {
	ap, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return fmt.Errorf("the resolved address %q can not be read: %w", resolved, err)
	}
	addr := ap.Addr().WithZone("").Unmap()
	if !internal(addr) {
		return nil
	}
	if g != nil {
		for _, e := range g.networks {
			if e.network.Contains(addr) && (e.port == 0 || e.port == ap.Port()) {
				return nil
			}
		}
	}
	return &Refused{Host: host, Addr: addr.String()}
}

// Permits gives *Refused for an address (not a name) that would be refused, so that its
// giver can be told at once. port is a number. It is no substitute for dialing through the
// guard.
func (g *Guard) Permits(host, port string) error {
	addr, err := netip.ParseAddr(host)
	if err != nil || g.named(host, net.JoinHostPort(host, port)) {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no port", port)
	}
	return g.check(host, netip.AddrPortFrom(addr, uint16(n)).String())
}

// Client gives an HTTP client that dials through the guard. timeout bounds a whole call,
// the response's body included. Callers bound what they read of a body themselves.
func (g *Guard) Client(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		// A redirect is an answer like any other: its target was not the caller's wish.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: g.DialContext, Proxy: nil, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: timeout, IdleConnTimeout: idleTimeout,
			MaxIdleConns: 64, MaxIdleConnsPerHost: 4, MaxResponseHeaderBytes: maxHeader,
		},
	}
}

// IsRefused reports whether an error comes from the guard.
func IsRefused(err error) bool {
	var r *Refused
	return errors.As(err, &r)
}
