package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"orrery/engine/node"
)

// This file hands requests on to other nodes.

// Request is a request as it came.
type Request struct {
	Method, Target string // as they stand in its first line
	Header         http.Header
	Body           []byte
	Certificate    string // common name of the caller's certificate, where it was verified
}

// Answer is a node's answer, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// ErrUnreachable: the node did not answer; whether it did what it was asked is not known. Where
// it was another one that answered nothing was done.
var ErrUnreachable = errors.New("the node did not answer")

// answerMost bounds what is read of an answer, in bytes.
const answerMost = 32 << 20

// hops are headers that belong to one connection, or that a relayed request has anew.
var hops = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Proxy-Connection": true,
	"Proxy-Authorization": true, "Expect": true, "Content-Length": true, "Host": true, Header: true,
}

// Relay hands a request on, and waits for the answer until ctx ends. The error is
// ErrUnreachable, and its cause.
func (p *Peers) Relay(ctx context.Context, to node.Peer, r Request) (*Answer, error) {
	base, err := url.Parse(to.URL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("%w: the node %s gives %q as its address", ErrUnreachable, to.ID, to.URL)
	}
	target := "/" + strings.TrimLeft(r.Target, "/") // two slashes would begin a host
	path, query, _ := strings.Cut(target, "?")
	// Opaque keeps the path byte by byte: the seal is over what is sent.
	req := (&http.Request{
		Method: r.Method, URL: &url.URL{Scheme: base.Scheme, Host: base.Host, Opaque: path, RawQuery: query}, Host: base.Host,
		Header: http.Header{}, Body: http.NoBody, ContentLength: int64(len(r.Body)),
	}).WithContext(ctx)
	if len(r.Body) > 0 {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
		req.Body, _ = req.GetBody()
	}
	for name, values := range r.Header {
		if !hops[http.CanonicalHeaderKey(name)] {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if query != "" {
		path += "?" + query
	}
	req.Header.Set(Header, p.seal(r.Method, path, to.ID, r.Certificate, r.Body))
	resp, err := p.http.Do(req)
	if err != nil {
		p.note(to.ID, ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded))
		return nil, fmt.Errorf("%w: %s at %s: %w", ErrUnreachable, to.ID, base.Host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMost+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %s at %s: %w", ErrUnreachable, to.ID, base.Host, err)
	}
	if len(body) > answerMost {
		return nil, fmt.Errorf("the answer of the node %s has more than %d bytes", to.ID, answerMost)
	}
	if resp.Header.Get(RefusedHeader) != "" { // another process has the address by now, as a rule
		p.note(to.ID, true)
		p.self.Look()
		return nil, fmt.Errorf("%w as the one it was taken for: %.300s", ErrUnreachable, body)
	}
	p.note(to.ID, false)
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// note remembers a node that does not answer.
func (p *Peers) note(id string, silent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if silent {
		p.silent[id] = p.cfg.Clock.Now().Add(silenceTime)
	} else {
		delete(p.silent, id)
	}
}

// RelayAll hands a request on to all other nodes at once and gives the answers that came
// within the time of a message. Nodes that lately did not answer are left out.
func (p *Peers) RelayAll(ctx context.Context, r Request) (answers []*Answer) {
	var mu sync.Mutex
	var busy sync.WaitGroup
	ctx, cancel := context.WithTimeout(ctx, messageTime)
	defer cancel()
	for _, to := range p.Others() {
		if p.isSilent(to.ID) {
			continue
		}
		busy.Go(func() {
			a, err := p.Relay(ctx, to, r)
			if err != nil {
				p.cfg.Log.Debug("a worker's message did not reach a node", "node", to.ID, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, a)
		})
	}
	busy.Wait()
	return answers
}

func (p *Peers) isSilent(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.silent[id]
	if ok && !p.cfg.Clock.Now().Before(until) {
		delete(p.silent, id)
		ok = false
	}
	return ok
}
