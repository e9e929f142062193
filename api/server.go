package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"orrery/api/peers"
	"orrery/engine/clock"
	"orrery/engine/observe"
	"orrery/engine/store"
	"orrery/workers"
)

// This file makes the server, starts and stops it, and wraps every route.

// Config is what a server is told.
type Config struct {
	Clients         []Client
	ClientAPI       bool                                           // serve /api; workers and the public paths are served always
	Dev             bool                                           // the console signs in by itself for requests of this machine
	PollHold        time.Duration                                  // how long a worker's poll is held; 0 is 30 s
	ShownToken      string                                         // a public default token that the console may put into its curl lines
	Version         string                                         // of the program, for /_public/status
	ReloadWorkers   func(context.Context) (workers int, err error) // reads workers.toml again; nil refuses
	ReloadClients   func(context.Context) (clients int, err error) // reads clients.toml again, and calls SetClients; nil refuses
	Rates           Rates
	Limits          Limits
	Patience        Patience
	ReloadSchedules func(context.Context) (schedules int, err error) // reads schedules.toml again; nil refuses
}

// Patience says how long slow clients are borne; 0 takes the default of each.
type Patience struct {
	Header time.Duration // for a request's first line and headers; 15 s
	Body   time.Duration // for its body; 60 s
	Answer time.Duration // for taking the answer; 60 s. A stream starts anew with each event
	Idle   time.Duration // between two requests; 120 s
}

func (p Patience) orDefault() Patience {
	return Patience{
		Header: cmp.Or(p.Header, 15*time.Second), Body: cmp.Or(p.Body, time.Minute),
		Answer: cmp.Or(p.Answer, time.Minute), Idle: cmp.Or(p.Idle, 2*time.Minute),
	}
}

// Deps are the parts behind the server. Log and Clock have defaults.
type Deps struct {
	Jobs       Engine
	Blueprints Blueprints
	Editions   Editions
	Hub        Hub
	Schedules  Schedules // nil: there are none
	Files      Files
	Tracer     *observe.Tracer // nil: no traces
	Peers      *peers.Peers    // other nodes of the store; nil: there are none
	Paces      store.Paces     // of the store that Peers share; nil: each counts the rates for itself
	Sessions   Sessions
	Clock      clock.Clock
	Log        *slog.Logger
}

// Server serves HTTP. Make it with New.
type Server struct {
	app       *fiber.App
	cfg       Config
	lines     []route // the table
	jobs      Engine
	prints    Blueprints
	editions  Editions
	hub       Hub
	tracer    *observe.Tracer
	clock     clock.Clock
	log       *slog.Logger
	doors     atomic.Pointer[doors]
	requests  *limit // of clients; nil: without a limit
	polls     *limit // of workers
	beats     *limit // of workers
	paces     store.Paces
	sessions  *sessions
	metrics   *metrics
	started   time.Time
	schedules Schedules
	peers     *peers.Peers // nil: this server has the store for itself

	creates gate // starts of jobs in flight
	backlog backlog
	bodies  gate // bytes of large bodies in memory
	uploads gate // files on their way in
	files   Files

	idPrefix string
	idCount  atomic.Uint64
	refusal  atomic.Int64 // when a worker's refusal was logged last, in Unix seconds
	foreign  atomic.Int64 // when a node's was

	// held is cancelled first at a shutdown: polls, streams and sockets end then, everything
	// else may finish.
	held    context.Context
	release context.CancelFunc
	streams sync.WaitGroup
	fresh   freshList
}

// New builds a server; nothing listens yet. It fails when the clients contradict each other.
func New(d Deps, cfg Config) (*Server, error) {
	if d.Jobs == nil || d.Blueprints == nil || d.Editions == nil || d.Hub == nil {
		return nil, errors.New("api: a server needs Jobs, Blueprints, Editions and Hub")
	}
	open, err := newDoors(cfg.Clients)
	if err != nil {
		return nil, err
	}
	if d.Clock == nil {
		d.Clock = clock.Real{}
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.PollHold <= 0 {
		cfg.PollHold = workers.MaxHold
	}
	cfg.Patience, cfg.Limits = cfg.Patience.orDefault(), cfg.Limits.orDefault()
	cfg.Clients = nil // they hold the tokens as text; the keyring has their hashes
	var prefix [6]byte
	rand.Read(prefix[:]) // never fails (crypto/rand, Go 1.24 and later)
	s := &Server{
		cfg: cfg, jobs: d.Jobs, prints: d.Blueprints, editions: d.Editions, hub: d.Hub, schedules: d.Schedules, tracer: d.Tracer, clock: d.Clock, log: d.Log,
		files: d.Files, peers: d.Peers, paces: d.Paces, sessions: newSessions(d.Clock, d.Sessions), metrics: &metrics{}, started: d.Clock.Now(), idPrefix: hex.EncodeToString(prefix[:]),
	}
	s.doors.Store(open)
	s.requests, s.polls, s.beats = s.newLimit("requests", cfg.Rates.Requests), s.newLimit("polls", cfg.Rates.Polls), s.newLimit("beats", cfg.Rates.Heartbeats)
	most := cfg.Limits
	s.creates.most, s.backlog.most, s.bodies.most, s.uploads.most = int64(most.Creates), int64(most.Backlog), int64(most.Bodies), int64(most.Uploads)
	s.held, s.release = context.WithCancel(context.Background())
	s.app = fiber.New(fiber.Config{
		AppName: "orrery", DisableStartupMessage: true, CaseSensitive: true, Immutable: true,
		BodyLimit: most.Body, ReadBufferSize: 16 << 10,
		ReadTimeout: cfg.Patience.Header, WriteTimeout: cfg.Patience.Answer, IdleTimeout: cfg.Patience.Idle,
		// The framework would make room for the announced length of a body before a byte of it
		// came and before anybody looked at the token; receive reads it instead.
		StreamRequestBody: true, DisablePreParseMultipartForm: true,
		ErrorHandler: s.fail, JSONEncoder: encodeJSON,
	})
	s.app.Server().HeaderReceived = s.bodyPatience
	if err := s.mount(); err != nil {
		return nil, err
	}
	return s, nil
}

// Listen serves at host:port until Shutdown; it returns nil then.
func (s *Server) Listen(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", addr, err)
	}
	return s.Serve(ln)
}

// Serve serves on a listener, which may speak TLS, until Shutdown.
func (s *Server) Serve(ln net.Listener) error {
	return s.app.Listener(freshListener{ln, &s.fresh})
}

// Shutdown ends held polls, streams and sockets, lets other requests finish and stops
// listening. It gives up waiting when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.release()
	s.fresh.end()
	err := s.app.ShutdownWithContext(ctx)
	done := make(chan struct{})
	go func() { s.streams.Wait(); close(done) }()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("some streams did not end in time: %w", ctx.Err()))
	}
}

// mount puts the table of routes in place. A line without an access is refused: forgetting
// it must not open a door.
func (s *Server) mount() error {
	s.app.Use(s.straighten)
	s.lines = s.table()
	for _, r := range s.lines {
		if r.need == 0 || r.do == nil {
			return fmt.Errorf("api: route %s %s has no access or no handler", r.method, r.path)
		}
		s.app.Add(r.method, r.path, s.guard(r))
		if r.hasHead() {
			s.app.Add(fiber.MethodHead, r.path, s.guard(r))
		}
	}
	s.app.Use(s.guard(route{need: public, do: s.noRoute}))
	return nil
}

// straighten takes one slash off "//_worker/...": the oldest SDKs join their base URL and
// the path with one too many.
func (s *Server) straighten(c *fiber.Ctx) error {
	if p := c.Path(); len(p) > 1 && p[0] == '/' && p[1] == '/' {
		c.Path(p[1:])
		return c.RestartRouting()
	}
	return c.Next()
}

// guard wraps a route: request id, rights, panics, access log.
func (s *Server) guard(r route) fiber.Handler {
	return func(c *fiber.Ctx) (err error) {
		if r.need&worker == 0 { // a worker's request has an id when somebody wants to know it
			s.label(c)
		}
		if s.log.Enabled(context.Background(), slog.LevelDebug) {
			began := time.Now()
			defer func() { s.access(c, began) }()
		}
		defer func() {
			if v := recover(); v != nil {
				s.log.Error("handler panicked", "method", r.method, "path", r.path, "panic", v, "stack", string(debug.Stack()))
				err = problem(codeInternal, "the server failed to do this; its log names the cause under the request id")
			}
			// Answered here and not by the framework, so that the access log sees the status.
			if err != nil {
				err = s.fail(c, err)
			} else {
				s.metrics.answered(c.Response().StatusCode())
			}
		}()
		if err := checkPath(c.Path()); err != nil {
			s.discard(c)
			return err
		}
		if err := s.unseal(c); err != nil {
			s.discard(c)
			return err
		}
		who, err := s.admit(c, r.need)
		if err != nil {
			s.discard(c)
			return err
		}
		if r.need&ownBody != 0 {
			return r.do(c, who)
		}
		held, err := s.receive(c, r.need, who)
		defer s.bodies.leave(held)
		if err == nil {
			err = checkSeal(c, c.Request().Body())
		}
		if err != nil {
			return err
		}
		held, err = s.unpack(c, r.need, who)
		defer s.bodies.leave(held)
		if err != nil {
			return err
		}
		if err := s.handle(c, r, who); err != nil {
			return err
		}
		pack(c, r.need)
		return nil
	}
}

// handle does what a request asks, here or at the node that can.
func (s *Server) handle(c *fiber.Ctx, r route, who *Client) error {
	if r.need&atOwner != 0 {
		if done, err := s.toOwner(c, c.Params("id")); done {
			return err
		}
	}
	return r.do(c, who)
}

// admit finds the client behind a request and checks its role. Ways in that are not a
// client's give nil.
func (s *Server) admit(c *fiber.Ctx, need access) (*Client, error) {
	if need&fellow != 0 {
		if sealed(c) == nil {
			return nil, problem(codeUnauthorized, "this path is for other nodes of the same store")
		}
		return nil, nil
	}
	if need&(public|worker|page) != 0 || need&local != 0 && fromHere(c) {
		return nil, nil
	}
	if need&signed != 0 && s.cfg.ClientAPI && s.signedFile(c) {
		return nil, nil
	}
	if !s.cfg.ClientAPI {
		return nil, problem(codeForbidden, "the client API of this server is switched off (ENABLE_CLIENT_API=false)")
	}
	token := clientToken(c)
	who := s.client(token)
	switch {
	case who == nil && token == "":
		return nil, problem(codeUnauthorized, "no token; send it as X-Client-Token or as Authorization: Bearer")
	case who == nil:
		return nil, problem(codeUnauthorized, "this token is not known here; the server's CLIENT_TOKEN and its clients.toml say which are")
	case !who.may(need):
		return nil, problem(codeForbidden, fmt.Sprintf("the client %q has the role %q, which may not do this", who.Name, who.Role))
	}
	if sealed(c) != nil { // the first node has counted it
		return who, nil
	}
	return who, s.tooOften(who)
}

// label gives the request an id: the caller's, when it is short and plain, else a new one.
func (s *Server) label(c *fiber.Ctx) {
	id := c.Get(fiber.HeaderXRequestID)
	if !plainWord(id, 128) {
		id = s.idPrefix + "-" + strconv.FormatUint(s.idCount.Add(1), 36)
	}
	c.Set(fiber.HeaderXRequestID, id)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
}

func (s *Server) requestID(c *fiber.Ctx) string {
	if len(c.Response().Header.Peek(fiber.HeaderXRequestID)) == 0 {
		s.label(c)
	}
	return string(c.Response().Header.Peek(fiber.HeaderXRequestID))
}

// plainWord reports whether s is 1 to most letters, digits, '.', '_' or '-'.
func plainWord(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '.' && b != '_' && b != '-' {
			return false
		}
	}
	return true
}

// access writes one line of the access log: the path without its query, which may hold an
// approval's token.
func (s *Server) access(c *fiber.Ctx, began time.Time) {
	s.log.Debug("request", "method", c.Method(), "path", c.Path(), "status", c.Response().StatusCode(),
		"ms", float64(time.Since(began).Microseconds())/1000, "ip", c.IP(), "request_id", s.requestID(c))
}

// noRoute is what the paths outside the table get.
func (s *Server) noRoute(c *fiber.Ctx, _ *Client) error {
	if known := s.methodsOf(c.Path()); known != nil {
		return wrongMethod(c.Method(), known)
	}
	return problem(codeNoRoute, "there is nothing at "+c.Method()+" "+c.Path())
}
