package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/store"
	"orrery/engine/store/line"
)

// This file opens and closes a store.

// Options are what Open can be told; the zero value is good.
type Options struct {
	Log           *slog.Logger
	Writers       int           // connections for commits; 0 is 8
	MaxBatch      int           // commits in one pipeline; 0 is 256
	MaxBatchBytes int           // of text in one pipeline; 0 is 4 MiB
	Connections   int           // per server; 0 is 32
	Timeout       time.Duration // of one pipeline with all its tries; 0 is 20 s
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		n   *int
		def int
	}{{&o.Writers, 8}, {&o.MaxBatch, 256}, {&o.MaxBatchBytes, 4 << 20}, {&o.Connections, 32}} {
		if *d.n <= 0 {
			*d.n = d.def
		}
	}
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	return o
}

// Store is the driver. Make it with Open.
type Store struct {
	client  goredis.UniversalClient
	cluster bool
	target  target
	name    string // for messages
	keys    keys
	doubt   doubtful
	opts    Options
	durable bool
	process string       // what the tokens of this process begin with
	tokens  atomic.Int64 // given so far
	lines   []*line.Line[call]
	closing chan struct{}
	once    sync.Once
	failed  error // of Close
}

var _ store.Shared = (*Store)(nil)

// quiet takes what the client library would print: every failure comes back as an error, too.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { goredis.SetLogger(quiet{}) }

// openTimeout bounds what Open asks the servers.
const openTimeout = 10 * time.Second

// Open connects to the servers that a URL names (see CheckURL). An empty place becomes a
// store; one of a newer Orrery is refused.
func Open(rawURL string, opts Options) (*Store, error) {
	t, err := parseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the store's URL %w", err)
	}
	opts = opts.withDefaults()
	var id [5]byte
	rand.Read(id[:]) // never fails (crypto/rand, Go 1.24 and later)
	s := &Store{
		client: t.client(max(opts.Connections, opts.Writers+4)), cluster: t.scheme == cluster, target: t, name: t.name(), keys: keys{t.prefix},
		opts: opts, process: hex.EncodeToString(id[:]) + "-", closing: make(chan struct{}),
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("open the store: %w (closing: %v)", err, s.client.Close())
	}
	s.startLines()
	return s, nil
}

// prepare checks the layout and looks at how the servers keep data.
func (s *Store) prepare(ctx context.Context) error {
	if _, err := s.client.SetNX(ctx, s.keys.schema(), schema, 0).Result(); err != nil {
		return s.classify(err)
	}
	kept, err := s.client.Get(ctx, s.keys.schema()).Result()
	if err != nil {
		return s.classify(err)
	}
	n, err := strconv.Atoi(kept)
	if err != nil {
		return fmt.Errorf("%s: the key %s holds %.20q: another program uses this prefix; give another in STORE_URL, as in ?prefix=orrery2", s.name, s.keys.schema(), kept)
	}
	if n > schema {
		return fmt.Errorf("%s: the data has layout %d, this Orrery knows up to %d: start the Orrery that wrote it, or a newer one", s.name, n, schema)
	}
	look, err := s.look(ctx)
	if err != nil {
		return err
	}
	s.durable = look.Durable()
	for _, w := range look.Warnings() {
		s.opts.Log.Warn(w, "store", s.name)
	}
	return nil
}

// token makes a mark that no other write ever had: a script that meets its own mark knows
// that it was sent twice.
func (s *Store) token() string { return s.process + strconv.FormatInt(s.tokens.Add(1), 36) }

// Features says whether what was written survives the servers' end, too.
func (s *Store) Features() store.Features {
	return store.Features{Name: "redis", Durable: s.durable, Shared: true}
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// Close writes what is in line and disconnects. Whatever comes later is refused.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.closing)
		for _, l := range s.lines {
			<-l.Gone()
		}
		if err := s.client.Close(); err != nil {
			s.failed = fmt.Errorf("close the connections to %s: %w", s.name, err)
		}
	})
	return s.failed
}
