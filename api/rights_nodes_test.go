package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"orrery/api/peers"
	"orrery/engine"
	"orrery/engine/node"
)

// This file walks the table of routes once more, on a server that has other nodes beside it:
// what a request says of itself as another node's opens nothing that its token does not open.

// alone is a membership in which this node owns everything.
type alone struct{ node.Peer }

func (a alone) Current() bool                { return true }
func (a alone) Leads(string) bool            { return true }
func (a alone) Fenced(byte, int64)           {}
func (a alone) Refused() int64               { return 0 }
func (a alone) Owner(byte) (node.Peer, bool) { return a.Peer, true }
func (a alone) Peers() []node.Peer           { return nil }
func (a alone) All() []node.Peer             { return []node.Peer{a.Peer} }
func (a alone) Changed() <-chan struct{}     { return make(chan struct{}) }
func (a alone) Look()                        {}
func (alone) MigrateHere(context.Context, string, string) (*engine.Move, error) {
	return nil, engine.ErrElsewhere
}
func (alone) CancelHere(context.Context, string, string) error { return nil }

const nodeSecret = "the secret of this store"

func newNode(t *testing.T, id, secret string) *peers.Peers {
	t.Helper()
	p, err := peers.New(peers.Config{ID: id, Secret: []byte(secret)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// sealer gives what a node writes into the header of a request: it sends it to a server that
// only notes the header.
func sealer(t *testing.T, from *peers.Peers, to string) func(method, target, body string) string {
	t.Helper()
	var header string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header = r.Header.Get(peers.Header) }))
	t.Cleanup(s.Close)
	return func(method, target, body string) string {
		t.Helper()
		if _, err := from.Relay(t.Context(), node.Peer{ID: to, URL: s.URL}, peers.Request{Method: method, Target: target, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
		return header
	}
}

func TestRightsOfNodes(t *testing.T) {
	b := newRealBench(t)
	here := newNode(t, "here", nodeSecret)
	here.Bind(alone{node.Peer{ID: "here", Self: true}}, nil, b.hub)
	b.s.peers = here
	seal := sealer(t, newNode(t, "there", nodeSecret), "here")
	strange := sealer(t, newNode(t, "there", "the secret of another store"), "here")
	astray := sealer(t, newNode(t, "there", nodeSecret), "elsewhere")
	forgers := map[string]func(method, path, body string) string{
		"a guess":                 func(_, _, _ string) string { return "v1;there;here;0;;;00" },
		"a node of another store": strange,
		"for another node":        astray,
		"for another path":        func(method, path, body string) string { return seal(method, path+"x", body) },
		"for another method":      func(_, path, body string) string { return seal("DELETE", path, body) },
		"for another body":        func(method, path, body string) string { return seal(method, path, body+" ") },
	}
	for _, r := range b.s.table() {
		if strings.Contains(r.path, "/ws") || r.method == del {
			continue // an upgrade is asked for with GET; the one DELETE is like all others
		}
		path, body, id := b.request(r, actors[0])
		path = strings.Replace(path, ":word", "unserved", 1)
		for what, forge := range forgers {
			if r.need&ownBody != 0 && what == "for another body" {
				continue // a file is never relayed: it streams
			}
			got := b.doFromAfar(r.method, path, body, peers.Header, forge(r.method, path, body), "X-Client-Token", "t-admin", "X-Worker-Token", "w-own", "X-Worker-ID", "own")
			if got.status != http.StatusUnauthorized {
				t.Errorf("%s %s with a seal that is %s: %s", r.method, r.path, what, got)
			}
		}
		// A true seal is no token.
		got := b.doFromAfar(r.method, path, body, peers.Header, seal(r.method, path, body), "X-Worker-ID", "own")
		switch {
		case r.need&fellow != 0:
			if got.status == http.StatusUnauthorized || got.status == http.StatusForbidden {
				t.Errorf("%s %s refused a node: %s", r.method, r.path, got)
			}
		case r.need&(public|page) != 0:
			if strings.Contains(got.body, id) {
				t.Errorf("%s %s tells a node without a token of a job: %s", r.method, r.path, got)
			}
		default:
			if got.want(t, http.StatusUnauthorized, "unauthorized"); strings.Contains(got.body, "another node") {
				t.Errorf("%s %s: the seal was not true: %s", r.method, r.path, got)
			}
		}
	}
}

// A request that another node has handed on does not come from this machine, though that node
// may stand on it.
func TestWhatANodeHandsOnIsNotLocal(t *testing.T) {
	b := newRealBench(t)
	here := newNode(t, "here", nodeSecret)
	here.Bind(alone{node.Peer{ID: "here", Self: true}}, nil, b.hub)
	b.s.peers = here
	seal := sealer(t, newNode(t, "there", nodeSecret), "here")
	b.listen()
	if got := b.ask("GET", "/_public/metrics", ""); got.status != http.StatusOK {
		t.Fatalf("metrics from this machine: %s", got)
	}
	b.ask("GET", "/_public/metrics", "", peers.Header, seal("GET", "/_public/metrics", "")).want(t, http.StatusUnauthorized, "unauthorized")
}
