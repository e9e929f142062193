package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/store"
)

// This file looks at the server: what it can not be used for, and what weakens what the store
// promises. Opening a store and `orrery doctor` use it.

// oldest is the first version that has all that the statements use.
const oldest = 130000

// facts are what a server says of itself.
type facts struct {
	version     int    // as in server_version_num
	shown       string // as people read it
	replica     bool
	fsync       string
	synchronous string // synchronous_commit
	fullPages   string // full_page_writes
	autovacuum  string
	encoding    string
	standbys    string // synchronous_standby_names
	followers   int    // standbys that are connected
	most, used  int    // connections
	reserved    int    // of them, for superusers
	secure      bool   // the connection is encrypted
	near        bool   // it does not leave this machine
	skew        time.Duration
	latency     time.Duration // the median of a few lone calls
}

// lookAt asks the server.
func lookAt(ctx context.Context, c *pgx.Conn) (f facts, err error) {
	err = c.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
		current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'), current_setting('autovacuum'),
		current_setting('server_encoding'), current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication)::int,
		current_setting('max_connections')::int, (SELECT count(*) FROM pg_stat_activity WHERE backend_type='client backend')::int,
		current_setting('superuser_reserved_connections')::int, COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid=pg_backend_pid()), false)`).
		Scan(&f.version, &f.shown, &f.replica, &f.fsync, &f.synchronous, &f.fullPages, &f.autovacuum, &f.encoding, &f.standbys, &f.followers, &f.most, &f.used, &f.reserved, &f.secure)
	if err != nil {
		return f, err
	}
	f.near = isNear(c.PgConn().Conn().RemoteAddr())
	return f, f.measure(ctx, c)
}

func isNear(addr net.Addr) bool {
	tcp, is := addr.(*net.TCPAddr)
	return !is || tcp.IP.IsLoopback()
}

var _ store.Kept = (*Store)(nil)

// Keeper gives the moment at which the server was started, to the microsecond: a standby that took
// over has another one.
func (s *Store) Keeper(ctx context.Context) (started string, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		return p.QueryRow(ctx, "SELECT extract(epoch FROM pg_postmaster_start_time())::text").Scan(&started)
	})
	if err != nil {
		return "", fmt.Errorf("find out who keeps the store: %w", err)
	}
	return started, nil
}

// looks is how often the server is asked for its time.
const looks = 5

// measure finds the latency and the difference of the clocks; the quickest answer tells the
// second best.
func (f *facts) measure(ctx context.Context, c *pgx.Conn) error {
	var took []time.Duration
	for range looks {
		var theirs time.Time
		began := time.Now()
		if err := c.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
			return err
		}
		d := time.Since(began)
		if len(took) == 0 || d < slices.Min(took) {
			f.skew = theirs.Sub(began.Add(d / 2))
		}
		took = append(took, d)
	}
	slices.Sort(took)
	f.latency = took[len(took)/2]
	return nil
}

// refusal says why there can be no store on the server.
func (f *facts) refusal() error {
	switch {
	case f.version < oldest:
		return fmt.Errorf("the server is PostgreSQL %s, the store needs %d or newer: upgrade the server, or name another", f.shown, oldest/10000)
	case f.replica:
		return errors.New("the server is a replica, which can only be read: name the primary, or all of them, as in postgres://user@host1,host2/database")
	}
	return nil
}

// Limits of what is in order.
const (
	skewTold    = 2 * time.Second
	latencyTold = 10 * time.Millisecond
)

// settings judges what decides what a crash may lose.
func (f *facts) settings() (all []store.Finding) {
	add := func(check, value string, good bool, risk, remedy string) {
		if good {
			all = append(all, store.Fine(check, value))
			return
		}
		all = append(all, store.Warn(check, value+": "+risk, remedy))
	}
	add("fsync", f.fsync, f.fsync == "on", "a crash of the server's machine can destroy the database", "set fsync = on in postgresql.conf")
	add("full_page_writes", f.fullPages, f.fullPages == "on", "a power cut in the middle of a page can destroy it", "set full_page_writes = on in postgresql.conf")
	add("synchronous_commit", f.synchronous, f.synchronous != "off", "a crash loses what was confirmed in the last moments; Orrery turns it on for its own sessions, other programs are not safe",
		"set synchronous_commit = on in postgresql.conf, and for the role and database if they have one of their own")
	add("autovacuum", f.autovacuum, f.autovacuum == "on", "the tables grow without end and the store becomes slow", "set autovacuum = on in postgresql.conf")
	waits := f.standbys != "" && f.synchronous != "local" && f.synchronous != "off"
	switch {
	case f.followers == 0 && !waits:
		add("failover", "no standby is connected", true, "", "")
	default:
		add("failover", fmt.Sprintf("%d standbys are connected, synchronous_standby_names is %q", f.followers, f.standbys), waits,
			"commits do not wait for a standby, and a failover loses the last of them", "set synchronous_standby_names (and synchronous_commit = on) at the server")
	}
	return all
}

// room judges connections, clock, way and distance.
func (f *facts) room(need int) (all []store.Finding) {
	free := f.most - f.reserved - f.used
	saw := fmt.Sprintf("%d in use of %d (%d kept for superusers); a server of Orrery takes up to %d", f.used, f.most, f.reserved, need)
	if free < need {
		all = append(all, store.Warn("max_connections", saw, "raise max_connections, end other clients, or lower pool_max_conns in STORE_URL"))
	} else {
		all = append(all, store.Fine("max_connections", saw))
	}
	if skew := f.skew.Round(time.Millisecond); skew > skewTold || skew < -skewTold {
		all = append(all, store.Warn("clock of the server", fmt.Sprintf("differs by %s from this machine's", skew), "let both follow the same time servers (chrony, systemd-timesyncd)"))
	} else {
		all = append(all, store.Fine("clock of the server", fmt.Sprintf("differs by %s from this machine's", skew)))
	}
	if f.latency > latencyTold {
		all = append(all, store.Warn("latency", f.latency.Round(time.Microsecond).String()+" for a lone call: every step of a job waits about twice that", "run Orrery nearer to the database"))
	} else {
		all = append(all, store.Fine("latency", f.latency.Round(time.Microsecond).String()+" for a lone call"))
	}
	switch {
	case f.secure:
		all = append(all, store.Fine("encryption", "TLS"))
	case f.near:
		all = append(all, store.Fine("encryption", "none, on this machine"))
	default:
		all = append(all, store.Warn("encryption", "none: jobs can be read on the way to the server", "turn ssl on at the server and add sslmode=verify-full to STORE_URL"))
	}
	return all
}

// look refuses a server on which the store can not keep its promises, warns of settings that
// weaken them, and mends what a session can mend.
func (s *Store) look(ctx context.Context, c *pgx.Conn, conf *config) error {
	f, err := lookAt(ctx, c)
	if err != nil {
		return err
	}
	if err := f.refusal(); err != nil {
		return &ours{err}
	}
	for _, found := range f.settings() {
		if found.Verdict != store.FineVerdict {
			s.opts.Log.Warn(found.Check+" is "+found.Saw, "store", s.name, "remedy", found.Remedy)
		}
	}
	if f.synchronous == "off" {
		conf.extra["synchronous_commit"] = "on"
	}
	if f.version >= 170000 { // of a node that was stopped in the middle of sending, so that others need not wait for it
		conf.extra["transaction_timeout"] = millisText(s.opts.AnswerWait)
	}
	return nil
}
