package cli

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"orrery/api/peers"
	"orrery/engine"
	"orrery/engine/approval"
	"orrery/engine/clock"
	"orrery/engine/node"
	"orrery/engine/scheduler"
	"orrery/engine/store"
	"orrery/workers"
)

// This file makes a server one node of several, on a store that processes share.

// workTelegram and its like are integrations that only one node may listen for: the other
// side gives each answer once.
const workListen = "answers"

// leadsAgain is how often a node looks whether another's work has become its own.
const leadsAgain = time.Second

// nodes is a server's place among others; nil on a store that only one process opens.
type nodes struct {
	store store.Shared
	id    string
	peers *peers.Peers
	self  *node.Node
}

// newNodes makes what the other parts are built with; join completes it.
func (s *server) newNodes(secret []byte) (*nodes, error) {
	shared, ok := s.store.(store.Shared)
	if !ok || !s.store.Features().Shared {
		return nil, nil
	}
	n := &nodes{store: shared, id: nodeID(s.cfg.InstanceID)}
	trust, err := s.nodeTrust()
	if err != nil {
		return nil, err
	}
	n.peers, err = peers.New(peers.Config{ID: n.id, Secret: secret, TLS: trust, Log: s.log})
	return n, err
}

// clusterSecret gives the secret that all nodes of a store share; the first one makes it.
func clusterSecret(ctx context.Context, keys store.Keys) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails (crypto/rand, Go 1.24 and later)
	secret, _, err := keys.Claim(ctx, "secret/nodes", fresh, 0, time.Now())
	if err != nil {
		return nil, fmt.Errorf("keep the secret that nodes know each other by: %w", err)
	}
	return secret, nil
}

// workerSecret is what the tokens are signed with that workers are given.
func workerSecret(cluster []byte) []byte {
	m := hmac.New(sha256.New, cluster)
	m.Write([]byte("tokens of workers")) // a hash never fails
	return m.Sum(nil)
}

// nodeID names this process alone: one that was started again must not renew the leases of
// the one before.
func nodeID(instance string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, instance)
	b := make([]byte, 4)
	rand.Read(b) // never fails
	return cmp.Or(plain[:min(len(plain), 64)], "node") + "-" + hex.EncodeToString(b)
}

// nodeTrust says by which certificates other nodes are believed: those of the machine, the
// authority of the workers, and this node's own, which several often share.
func (s *server) nodeTrust() (*tls.Config, error) {
	if s.tls == nil {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, path := range []string{s.cfg.TLSCert, s.cfg.TLSAuthority} {
		if path == "" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		roots.AppendCertsFromPEM(text)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &s.tls.now.Load().Certificates[0], nil
	}}, nil
}

// asEngine gives what the engine asks; a nil *nodes in the interface would not be nil.
func (n *nodes) asEngine() engine.Nodes {
	if n == nil {
		return nil
	}
	return n.peers
}

func (n *nodes) asNeighbors() workers.Neighbors {
	if n == nil {
		return nil
	}
	return n.peers
}

func (n *nodes) forHTTP() *peers.Peers {
	if n == nil {
		return nil
	}
	return n.peers
}

// forRates gives what counts the rates of all nodes together.
func (n *nodes) forRates() store.Paces {
	if n == nil {
		return nil
	}
	return n.store
}

// leads gives the question whether a work is this node's; nil where it always is.
func (n *nodes) leads(work string) func() bool {
	if n == nil {
		return nil
	}
	return func() bool { return n.self.Leads(work) }
}

// join makes the node itself, when engine and hub are there.
func (n *nodes) join(e *engine.Engine, h *workers.Hub, url string, log *slog.Logger) (err error) {
	if n == nil {
		return nil
	}
	n.self, err = node.New(node.Config{
		ID: n.id, URL: url, Version: readVersion().Version, Leases: n.store, Shards: e, Log: log,
		Work: []string{engine.WorkFiles, engine.WorkRevisions, scheduler.Work, workListen}, Tell: n.peers.Tell,
	})
	if err != nil {
		return err
	}
	n.peers.Bind(n.self, e, h)
	return nil
}

// nodeURL is where other nodes reach this one. A server on every address names one of the
// machine's own that others can use.
func (s *server) nodeURL() string {
	if s.cfg.NodeURL != "" {
		return s.cfg.NodeURL
	}
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return s.baseURL()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ownAddress()
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// ownAddress gives an address of this machine that others can reach, loopback without any.
func ownAddress() string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return "127.0.0.1"
	}
	found := ""
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			return n.IP.String()
		}
		found = cmp.Or(found, n.IP.String())
	}
	return cmp.Or(found, "127.0.0.1")
}

// leave gives this node's shards to the others, when the steps under way have ended.
func (n *nodes) leave(ctx context.Context, log *slog.Logger) {
	if n == nil {
		return
	}
	if err := n.self.Leave(ctx); err != nil {
		log.Warn("the other nodes could not be given this one's jobs; they take them when its leases end", "error", err)
	}
}

func (n *nodes) close() {
	if n != nil {
		n.peers.Close()
	}
}

// listen hands answers that come to integrations over to the engine, while that is this
// node's work.
func (s *server) listenForAnswers(ctx context.Context, d approval.Decider) {
	leads := s.nodes.leads(workListen)
	if leads == nil {
		s.outside.listen(ctx, d)
		return
	}
	for ctx.Err() == nil {
		if leads() {
			s.whileLeading(ctx, leads, func(ctx context.Context) { s.outside.listen(ctx, d) })
		} else {
			nap(ctx, clock.Real{}, leadsAgain) //nolint:errcheck // its error is the context's
		}
	}
}

// whileLeading runs f until it ends, or this node does not lead any more.
func (s *server) whileLeading(ctx context.Context, leads func() bool, f func(context.Context)) {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); f(ctx) }()
	defer func() { stop(); <-ended }()
	for leads() && nap(ctx, clock.Real{}, leadsAgain) == nil {
	}
}

// nap waits; its error is the context's.
func nap(ctx context.Context, clk clock.Clock, d time.Duration) error {
	t := clk.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
