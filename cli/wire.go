package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"orrery/api"
	"orrery/cli/config"
	"orrery/engine"
	"orrery/engine/analysis"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/engine/historydb"
	"orrery/engine/ledger"
	"orrery/engine/observe"
	"orrery/engine/sandbox"
	"orrery/engine/scheduler"
	"orrery/engine/store"
	"orrery/starlib/guard"
	"orrery/workers"
	"orrery/workers/emulate"
)

// This file joins the parts of a server: store, catalog, workers' hub, engine, HTTP. serve
// and dev differ in their settings only.

// shutdownGrace is how long requests and steps under way may take after the first signal.
const shutdownGrace = 25 * time.Second

// server is a joined program that has not begun to work.
type server struct {
	cfg       *config.Config
	log       *slog.Logger
	listener  net.Listener
	tls       *certificates // nil without TLS
	store     store.Store
	ledger    *ledger.Ledger // nil: none could be kept
	nodes     *nodes         // nil: no other process can open the store
	files     *files
	databases *engine.Databases
	dev       bool
	history   *historydb.Sink // nil: there is no copy
	catalog   *blueprint.Catalog
	hub       *workers.Hub
	engine    *engine.Engine
	tracer    *observe.Tracer // nil: no traces
	http      *api.Server
	emulator  *emulate.Emulator // nil without emulation
	outside   *outside
	scheduler *scheduler.Scheduler
}

// wiring says what serve and dev do differently.
type wiring struct {
	dev     bool      // the console signs in by itself
	emulate bool      // answer tasks of types that no real worker ever served
	people  io.Writer // where questions of integrations that are not configured are printed; nil parks them
}

// wire opens and joins everything; what was opened is closed again when a later part fails.
// The port is taken first: a server that is already there is the likeliest mistake, and
// the store would only say that it is in use.
func wire(ctx context.Context, cfg *config.Config, log *slog.Logger, how wiring) (*server, error) {
	s := &server{cfg: cfg, log: log}
	if err := s.join(ctx, how); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// join fills in the parts, in the order in which they need each other.
func (s *server) join(ctx context.Context, how wiring) (err error) {
	cfg, log := s.cfg, s.log
	tuneGarbage()
	if s.listener, err = s.listen(); err != nil {
		return err
	}
	guard.SetLoad(cfg.Limits.Job.Loading())
	if err = blueprintsFolder(cfg); err != nil {
		return err
	}
	if s.store, err = openWhole(ctx, cfg.Store, log); err != nil {
		return err
	}
	secret, err := clusterSecret(ctx, s.store)
	if err != nil {
		return err
	}
	s.openLedger(secret)
	if s.catalog, err = openCatalog(ctx, cfg, log, s.ledger); err != nil {
		return err
	}
	if s.nodes, err = s.newNodes(secret); err != nil {
		return err
	}
	if err = restore(ctx, s.catalog, s.store, cfg); err != nil {
		return err
	}
	s.dev, s.databases = how.dev, databases(cfg, how.dev)
	if s.history, err = openHistory(cfg, log); err != nil {
		return err
	}
	if s.files, err = openFiles(ctx, cfg, log.Warn); err != nil {
		return err
	}
	if s.hub, err = s.newHub(ctx, secret); err != nil {
		return err
	}
	if s.tracer, err = observe.New(ctx, os.LookupEnv, readVersion().Version, log); err != nil {
		return err
	}
	if s.outside, err = newOutside(cfg, log); err != nil {
		return err
	}
	if how.people != nil {
		s.outside.standInFor(how.people)
	}
	if s.engine, err = s.newEngine(); err != nil {
		return err
	}
	s.warnNeeds(s.catalog.Current())
	s.catalog.OnSwap(s.warnNeeds)
	s.scheduler = s.newScheduler()
	s.hub.Attach(s.engine)
	if err = s.nodes.join(s.engine, s.hub, s.nodeURL(), log); err != nil {
		return err
	}
	s.http, err = api.New(
		api.Deps{Jobs: s.engine, Blueprints: prints{s.catalog}, Editions: s.catalog, Hub: s.hub, Schedules: s.scheduler, Log: log, Tracer: s.tracer, Peers: s.nodes.forHTTP(), Paces: s.nodes.forRates(), Files: api.Files{Store: s.files.kept, Secret: s.engine.FileSecret()}, Sessions: api.Sessions{Secret: secret, Keys: s.store}},
		api.Config{
			Clients: clients(cfg.Clients, cfg.ClientToken), ClientAPI: cfg.ClientAPI, Dev: how.dev, PollHold: cfg.WorkerPollTimeout,
			ShownToken: shownToken(cfg), Version: readVersion().Version, ReloadWorkers: s.reloadWorkers, ReloadSchedules: s.reloadSchedules, ReloadClients: s.reloadClients,
			Rates:    api.Rates{Per: cfg.RatePeriod, Requests: cfg.RateLimit, Polls: cfg.RatePolls, Heartbeats: cfg.RateBeats},
			Limits:   cfg.Limits.Requests,
			Patience: api.Patience{Header: cfg.Limits.HeaderTime, Body: cfg.Limits.BodyTime, Answer: cfg.Limits.AnswerTime, Idle: cfg.Limits.BetweenTime},
		})
	if how.emulate && err == nil {
		s.emulator = &emulate.Emulator{Hub: s.hub, Clock: clock.Real{}, Log: log}
	}
	return err
}

// newHub makes the workers' side; secret is the one of all nodes of the store.
func (s *server) newHub(ctx context.Context, secret []byte) (*workers.Hub, error) {
	cfg := s.cfg
	return workers.New(ctx, workers.Config{
		Clock: clock.Real{}, Records: s.store, Log: s.log, TTL: cfg.WorkerTTL,
		SharedToken: cfg.WorkerToken.Reveal(), Tokens: workerTokens(cfg.Workers), Aging: cfg.PriorityAging, Limits: cfg.Limits.Workers,
		Neighbors: s.nodes.asNeighbors(), Secret: workerSecret(secret), Keys: s.store,
	})
}

// newEngine makes the engine from the parts that are there.
func (s *server) newEngine() (*engine.Engine, error) {
	cfg := s.cfg
	return engine.New(engine.Config{
		Store: s.store, Blueprints: s.catalog, Dispatcher: s.hub, Log: s.log, Tracer: s.tracer, Env: allowed(cfg.BlueprintEnv, os.LookupEnv),
		MaxRetries: retries(cfg.JobMaxRetries), WorkerTimeout: cfg.WorkerTimeout.Seconds(), CancelGrace: cfg.CancelGrace, Runners: cfg.Runners,
		Callers: cfg.Limits.CallSteps, Limits: cfg.Limits.Job,
		Webhooks: s.outside.webhooks, Approvals: s.outside.approvals, PublicURL: s.publicURL(),
		History: s.historySink(), Databases: s.databases, Files: s.files.kept, LocalFiles: s.files.local, FilesKept: filesKept(cfg), RevisionsKept: cfg.RevisionsKept,
		Ledger: s.ledger, Nodes: s.nodes.asEngine(),
	})
}

// run serves until ctx ends, then stops in order: no new requests, held polls released,
// running steps finished, store closed.
func (s *server) run(ctx context.Context) error {
	defer s.close()
	if err := s.engine.Start(ctx); err != nil {
		if ctx.Err() != nil { // asked to stop while it read the store: no fault
			s.log.Info("stopped before it began to serve")
			return nil
		}
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var working sync.WaitGroup
	working.Go(func() { s.hub.Run(background) })
	working.Go(func() { s.catalog.Watch(background) })
	working.Go(func() { s.listenForAnswers(background, s.engine) })
	working.Go(func() {
		config.Watch(background, clock.Real{}, func(path string) { s.reload(background, path) }, s.cfg.ClientsPath, s.cfg.WorkersPath, s.cfg.SchedulesPath,
			s.cfg.TLSCert, s.cfg.TLSKey, s.cfg.TLSAuthority)
	})
	working.Go(func() { s.scheduler.Run(background) })
	working.Go(func() { watchGarbage(background, s.log) })
	working.Go(func() { sandbox.WatchMemory(background, uint64(s.cfg.Limits.HeapBytes), s.log) })
	if s.emulator != nil {
		working.Go(func() { s.emulator.Run(background) })
	}
	if s.nodes != nil {
		working.Go(func() { s.nodes.self.Run(background) })
	}
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()

	var failed error
	select {
	case failed = <-served:
		s.log.Error("the server stopped listening", "error", failed)
	case <-ctx.Done():
		s.log.Info("stopping; a second signal ends at once")
	}
	s.ledger.Stopping()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	s.hub.Close()
	s.nodes.leave(grace, s.log) // while requests are still answered: others hand some on
	err := s.http.Shutdown(grace)
	stop()
	working.Wait() // they use the store, which is closed next
	s.nodes.close()
	return errors.Join(failed, err, s.engine.Stop(grace))
}

// close gives back what the process holds. It may be called on a half-built server.
func (s *server) close() {
	if s.listener != nil {
		s.listener.Close() // closed already after a shutdown
	}
	s.files.close()
	if s.history != nil {
		if err := s.history.Close(); err != nil {
			s.log.Error("the copy of the history was not closed cleanly", "error", err)
		}
	}
	if err := s.databases.Close(); err != nil {
		s.log.Error("a database was not closed cleanly", "error", err)
	}
	if err := s.tracer.Close(context.Background()); err != nil {
		s.log.Warn("tracing was not ended cleanly", "error", err)
	}
	if err := s.ledger.Close(); err != nil {
		s.log.Warn("the ledger was not closed cleanly", "error", err)
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("the store was not closed cleanly", "error", err)
		}
	}
}

// filesKept gives how long files stay after their job's end; below 0 is for ever.
func filesKept(cfg *config.Config) time.Duration {
	if !cfg.FilesCleanup {
		return -1
	}
	return cfg.FilesKept
}

// retries keeps "none" apart from "not said", which is 0 for the engine and means its default.
func retries(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// shownToken is the client's token when everybody knows it anyway.
func shownToken(cfg *config.Config) string {
	if cfg.ClientToken == config.DefaultClientToken {
		return config.DefaultClientToken
	}
	return ""
}

// listen takes the port, with TLS when a certificate is set.
func (s *server) listen() (net.Listener, error) {
	cfg := s.cfg
	ln, err := net.Listen("tcp", cfg.Addr())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &failure{
			line:   fmt.Sprintf("port %d on %s is in use: stop what listens there, or choose another with --listen %s", cfg.Port, cfg.Host, net.JoinHostPort(cfg.Host, "0")),
			detail: err.Error(),
		}
	case err != nil:
		return nil, &failure{line: fmt.Sprintf("%s can not be listened on: see --listen, API_HOST and API_PORT", cfg.Addr()), detail: err.Error()}
	case cfg.TLSCert == "":
		return ln, nil
	}
	s.tls = &certificates{cfg: cfg}
	if err := s.tls.load(); err != nil {
		ln.Close()
		return nil, &failure{line: "the certificates can not be used", detail: err.Error()}
	}
	return tls.NewListener(ln, &tls.Config{GetConfigForClient: s.tls.current}), nil
}

// blueprintsFolder refuses to go on without a folder of blueprints.
func blueprintsFolder(cfg *config.Config) error {
	info, err := os.Stat(cfg.BlueprintsDir)
	if err == nil && !info.IsDir() {
		return &failure{line: fmt.Sprintf("%s is a file: name the folder that holds it (orrery dev DIR, BLUEPRINTS_DIR), or run it alone with orrery run", cfg.BlueprintsDir)}
	}
	if err != nil {
		return &failure{line: fmt.Sprintf("there is no folder %s with blueprints: make it, or name another (orrery dev DIR, BLUEPRINTS_DIR)", cfg.BlueprintsDir)}
	}
	return nil
}

// openCatalog loads the blueprints. A bad file does not stop the start unless --strict.
func openCatalog(ctx context.Context, cfg *config.Config, log *slog.Logger, l *ledger.Ledger) (*blueprint.Catalog, error) {
	c, err := blueprint.LoadDir(ctx, cfg.BlueprintsDir, log, blueprint.Noted(l, cfg.Limits.Job.StepEnds))
	if err != nil {
		return nil, err
	}
	return c, strictly(c, cfg)
}

// restore joins the blueprints with what the store knows of them.
func restore(ctx context.Context, c *blueprint.Catalog, s store.Store, cfg *config.Config) error {
	c.UseStore(s)
	if err := c.Restore(ctx); err != nil {
		return err
	}
	return strictly(c, cfg) // uploads too
}

// strictly refuses files with errors when STRICT is set.
func strictly(c *blueprint.Catalog, cfg *config.Config) error {
	left := c.Status().LeftOut
	if len(left) == 0 || !cfg.Strict {
		return nil
	}
	var b strings.Builder
	if err := analysis.Text(&b, c.Status().Errors()); err != nil {
		return err
	}
	return &failure{line: fmt.Sprintf("%s with errors, and STRICT is set: %s", count(len(left), "blueprint file"), listing(left)), detail: b.String()}
}

// allowed gives env.get of scripts: the listed names and nothing else.
func allowed(names []string, lookup func(string) (string, bool)) func(string) (string, bool) {
	list := map[string]bool{}
	for _, name := range names {
		list[name] = true
	}
	return func(name string) (string, bool) {
		if !list[name] {
			return "", false
		}
		return lookup(name)
	}
}

// newLog writes to w in the configured form and zone.
func newLog(w io.Writer, cfg *config.Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	zone := cmp.Or(cfg.Zone, time.UTC)
	o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			a.Value = slog.StringValue(a.Value.Time().In(zone).Format("15:04:05.000"))
		}
		return a
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// publicURL is the address for links in messages; "" when the server can be reached from
// elsewhere and nobody said by which address.
func (s *server) publicURL() string {
	if s.cfg.PublicURL == "" && s.cfg.Loopback() {
		return s.baseURL()
	}
	return s.cfg.PublicURL
}

// baseURL is the address for people: a server on every address is reached by loopback.
func (s *server) baseURL() string {
	scheme := "http"
	if s.cfg.TLSCert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return scheme + "://" + s.listener.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(strings.Trim(host, "[]"), port)
}
