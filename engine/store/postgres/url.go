package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// This file reads the URL of a store. Errors never repeat it: it may hold a password.

// Schemes are those of the URLs that this driver knows.
var Schemes = []string{"postgres", "postgresql"}

// defaultSchema holds the tables unless the URL says another.
const defaultSchema = "orrery"

// config is what the URL says.
type config struct {
	pool   *pgxpool.Config // as the URL says, pool_max_conns and its like included
	conn   *pgx.ConnConfig // as the URL says, nothing added
	opts   Options
	schema string
	name   string            // the URL without user and settings
	extra  map[string]string // settings that depend on the server
}

// CheckURL says what is wrong with the URL of a store, or gives it without user and settings:
//
//	postgres://USER:PASSWORD@HOST[:5432][,HOST...]/DATABASE
//
// with the parameters of PostgreSQL's own URLs (sslmode, sslrootcert, target_session_attrs, which
// is read-write here unless it says more), search_path=SCHEMA for tables elsewhere than in the schema "orrery", and pool_max_conns=N for
// the connections beside those of the writers. What it leaves out is taken from PGHOST,
// PGUSER and their like, and from ~/.pgpass.
func CheckURL(text string) (shown string, err error) {
	conf, err := parse(text, Options{}.withDefaults())
	if err != nil {
		return "", err
	}
	return conf.name, nil
}

// SchemaName gives the schema that holds a store's tables, as it is written in SQL; "" of a bad URL.
func SchemaName(text string) string {
	conf, err := parse(text, Options{}.withDefaults())
	if err != nil {
		return ""
	}
	return pgx.Identifier{conf.schema}.Sanitize()
}

// parse reads a URL. The driver's own words about a bad one may hold the password, so only those
// about a file are passed on.
func parse(text string, opts Options) (*config, error) {
	// The driver would take other forms too, in which a password is not found as easily.
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(Schemes, u.Scheme) || u.Opaque != "" {
		return nil, errForm
	}
	pool, err := pgxpool.ParseConfig(text)
	if file := new(fs.PathError); errors.As(err, &file) {
		return nil, fmt.Errorf("names a file that can not be used: %w", file)
	}
	if err != nil {
		return nil, errForm
	}
	if u.Query().Has("pool_max_conns") {
		opts.ReadConns = int(pool.MaxConns)
	}
	conn := pool.ConnConfig
	schema := strings.TrimSpace(strings.Split(conn.RuntimeParams["search_path"], ",")[0])
	schema = strings.Trim(schema, `"`)
	if schema == "" {
		schema = defaultSchema
	}
	conn.ConnectTimeout = opts.ConnectWait
	// A store that only reads is none: a name that still leads to the old primary, or a host of
	// several that came back as a standby, must not get a connection that is then kept.
	if conn.ValidateConnect == nil {
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return &config{pool: pool, conn: conn, opts: opts, schema: schema, name: nameOf(conn, schema), extra: map[string]string{}}, nil
}

var errForm = errors.New("is not of the form postgres://user:password@host:port/database?name=value with special characters percent-encoded, or a parameter has a value that it can not have")

// nameOf gives the URL without user and settings: what tells one store from another.
func nameOf(conn *pgx.ConnConfig, schema string) string {
	hosts := []string{hostName(conn.Host, conn.Port)}
	for _, f := range conn.Fallbacks { // the same host again without TLS, and other hosts
		if h := hostName(f.Host, f.Port); !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	name := "postgres://" + strings.Join(hosts, ",") + "/" + url.PathEscape(conn.Database)
	if schema != defaultSchema {
		name += "?search_path=" + url.QueryEscape(schema)
	}
	return name
}

// hostName writes a host with its port; a folder is that of a Unix socket.
func hostName(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		host = url.PathEscape(host)
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
