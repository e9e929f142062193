package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"orrery/engine/store/postgres"
	"orrery/engine/store/redis"
)

// This file reads STORE_URL, and the original's variables that name a Redis.

// Kinds of store that this build has.
const (
	StoreSQLite   = "sqlite"
	StoreMemory   = "memory"
	StoreRedis    = "redis" // one server, Sentinel or Cluster
	StorePostgres = "postgres"
)

// StoreURL names the durable store.
type StoreURL struct {
	Kind string // StoreSQLite, StoreMemory, StoreRedis or StorePostgres
	Path string // sqlite: the database file; redis, postgres: the URL without user and settings
	URL  Secret // redis, postgres: all of it
}

// String gives the URL back without secrets.
func (u StoreURL) String() string {
	if u.URL != "" {
		return u.Path
	}
	return u.Kind + ":" + u.Path
}

// ParseStoreURL reads "sqlite:PATH", "memory:" or the URL of a Redis or a PostgreSQL. The text is not repeated
// in errors: it may hold a password.
func ParseStoreURL(text string) (StoreURL, error) {
	scheme, rest, found := strings.Cut(text, ":")
	if !found {
		return StoreURL{}, fmt.Errorf("has no scheme")
	}
	switch scheme {
	case "sqlite":
		path := strings.TrimPrefix(rest, "//")
		if path == "" {
			return StoreURL{}, fmt.Errorf("names no file after its scheme")
		}
		return StoreURL{Kind: StoreSQLite, Path: path}, nil
	case "memory":
		if rest != "" && rest != "//" {
			return StoreURL{}, fmt.Errorf("memory: takes nothing behind it")
		}
		return StoreURL{Kind: StoreMemory}, nil
	case "redis", "rediss", "redis-cluster", "redis-sentinel":
		shown, err := redis.CheckURL(text)
		if err != nil {
			return StoreURL{}, err
		}
		return StoreURL{Kind: StoreRedis, Path: shown, URL: Secret(text)}, nil
	case "postgres", "postgresql":
		shown, err := postgres.CheckURL(text)
		if err != nil {
			return StoreURL{}, err
		}
		return StoreURL{Kind: StorePostgres, Path: shown, URL: Secret(text)}, nil
	}
	return StoreURL{}, fmt.Errorf("knows no store %q; sqlite:, memory:, redis: and postgres: are there", scheme)
}

// redisSettings are the original's variables, as they came; the password is ours.
type redisSettings struct {
	host, port, db string
	wait           string // replicas that must have a write
	password       Secret
	idle           bool // they do not decide where jobs are kept
}

// redisHost lets REDIS_HOST choose the store, unless somebody set STORE_URL. What stands in the
// other variables matters only then: Kubernetes sets REDIS_PORT=tcp://... beside a service redis.
func (l *loader) redisHost() {
	r := &l.cfg.redis
	if r.idle = r.host == "" || l.cfg.explicit[nameStore]; r.idle {
		return
	}
	bad := false
	check := func(is bool, name, example, problem string, args ...any) {
		if !is {
			bad = true
			l.fault(name, name+"="+example, problem, args...)
		}
	}
	colons := strings.Count(r.host, ":") // two or more are an IPv6 address
	check(!strings.ContainsAny(r.host, "/,@?# ") && colons != 1, nameRedisHost, "redis.internal",
		"%q is no name of one host; its port is REDIS_PORT, several hosts are named by %s", r.host, nameStore)
	port, err := whole(r.port, 1, 65535)
	check(err == nil, "REDIS_PORT", "6379", "%v", err)
	db, err := whole(r.db, 0, 1_000_000)
	check(err == nil, "REDIS_DB", "0", "%v", err)
	wait, err := whole(r.wait, 0, 100)
	check(err == nil, "REDIS_WAIT_REPLICAS", "1", "%v", err)
	if bad {
		return
	}
	text := "redis://"
	if r.password != "" {
		text += ":" + url.PathEscape(string(r.password)) + "@"
	}
	text += net.JoinHostPort(strings.Trim(r.host, "[]"), strconv.Itoa(port)) + "/" + strconv.Itoa(db)
	if wait > 0 {
		text += "?wait=" + strconv.Itoa(wait)
	}
	if l.cfg.Store, err = ParseStoreURL(text); err != nil {
		l.fault(nameRedisHost, nameRedisHost+"=redis.internal", "%v", err)
	}
}
