package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// This file reads the URL of a store. Errors never repeat it: it may hold a password.

// Kinds of URL, by their schemes.
const (
	single   = "redis"
	secure   = "rediss"
	cluster  = "redis-cluster"
	sentinel = "redis-sentinel"
)

// Schemes are those that this driver knows.
var Schemes = []string{single, secure, cluster, sentinel}

// mostReplicas is the most that may be waited for.
const mostReplicas = 100

// defaultPrefix begins every key.
const defaultPrefix = "orrery"

// target is what a URL says.
type target struct {
	scheme   string
	user     string
	password string
	hosts    []string
	master   string // of Sentinel
	db       int
	prefix   string
	tls      bool
	ca       string // file with the authority of the servers' certificates; "": the machine's
	roots    *x509.CertPool
	wait     int    // replicas that must have a write before it counts
	watch    string // the Sentinels' own password
	watcher  string // and user, if they have one
}

// CheckURL says what is wrong with the URL of a store, or gives it without user and settings:
//
//	redis://[USER:PASSWORD@]HOST[:6379][/DB]      one server; rediss:// with TLS
//	redis-cluster://HOST:PORT[,HOST:PORT...]      a Redis Cluster: some of its servers
//	redis-sentinel://HOST[:26379][,HOST...]/NAME[/DB]   the master that Sentinels watch as NAME
//
// with ?prefix=orrery (what all keys begin with), ?tls=true (cluster, sentinel), ?ca=FILE (whom
// to believe, of TLS, instead of the machine's authorities), ?wait=1 (how many replicas must have
// a write before it counts; 0 by default) and ?sentinel_password=, ?sentinel_user= (of Sentinels
// that want their own).
func CheckURL(text string) (shown string, err error) {
	t, err := parseURL(text)
	return t.name(), err
}

// KeyPrefix is what all keys of the store at a URL begin with; "" when the URL is none.
func KeyPrefix(text string) string {
	t, err := parseURL(text)
	if err != nil {
		return ""
	}
	return t.prefix + ":"
}

func parseURL(text string) (t target, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return t, errors.New("has no scheme such as redis://")
	}
	t = target{scheme: scheme, prefix: defaultPrefix}
	rest, query, _ := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if err := t.readUser(rest[:at]); err != nil {
			return t, err
		}
		rest = rest[at+1:]
	}
	hosts, path, _ := strings.Cut(rest, "/")
	port := "6379"
	switch scheme {
	case single:
	case secure:
		t.tls = true
	case cluster:
	case sentinel:
		port = "26379"
		t.master, path, _ = strings.Cut(path, "/")
		if t.master == "" {
			return t, errors.New("names no master behind its Sentinels, as in redis-sentinel://HOST/mymaster")
		}
	default:
		return t, fmt.Errorf("has the scheme %q; %s are known", scheme, strings.Join(Schemes, ", "))
	}
	if err := t.readHosts(hosts, port); err != nil {
		return t, err
	}
	if path != "" {
		if t.db, err = strconv.Atoi(path); err != nil || t.db < 0 || scheme == cluster {
			return t, errors.New("ends in something that is no database number (a cluster has none)")
		}
	}
	if err := t.readQuery(query); err != nil {
		return t, err
	}
	return t, t.check()
}

// check says what does not fit together, once all is read.
func (t *target) check() error {
	switch {
	case t.ca != "" && !t.tls:
		return fmt.Errorf("has ca= and no TLS: use %s:// or tls=true", secure)
	case t.watch == "" && t.watcher != "":
		return errors.New("has sentinel_user= without sentinel_password=")
	case t.watch != "" && t.scheme != sentinel:
		return fmt.Errorf("has sentinel_password= and no Sentinels: they are named by %s://", sentinel)
	case t.ca == "":
		return nil
	}
	text, err := os.ReadFile(t.ca)
	if err != nil {
		return fmt.Errorf("names an authority (ca=) that can not be read: %w", err)
	}
	if t.roots = x509.NewCertPool(); !t.roots.AppendCertsFromPEM(text) {
		return fmt.Errorf("names the authority %s, in which there is no certificate (PEM)", t.ca)
	}
	return nil
}

func (t *target) readUser(text string) (err error) {
	user, password, both := strings.Cut(text, ":")
	if t.user, err = url.PathUnescape(user); err == nil {
		t.password, err = url.PathUnescape(password)
	}
	if err != nil || !both {
		return errors.New("has a user without a password, or one that is not percent-encoded: USER:PASSWORD@ or :PASSWORD@")
	}
	return nil
}

func (t *target) readHosts(text, port string) error {
	for host := range strings.SplitSeq(text, ",") {
		if host == "" {
			return errors.New("names no host")
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		if _, p, err := net.SplitHostPort(host); err != nil || !isPort(p) {
			return errors.New("has a host whose port is none (1 to 65535)")
		}
		t.hosts = append(t.hosts, host)
	}
	if len(t.hosts) > 1 && (t.scheme == single || t.scheme == secure) {
		return fmt.Errorf("names several hosts; several need %s:// or %s://", cluster, sentinel)
	}
	return nil
}

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 1 && n <= 65535
}

func (t *target) readQuery(text string) error {
	q, err := url.ParseQuery(text)
	if err != nil {
		return errors.New("has a query that is not percent-encoded")
	}
	for name, values := range q {
		v := values[len(values)-1]
		switch name {
		case "prefix":
			if v == "" || strings.ContainsAny(v, "{}") {
				return errors.New("has a prefix that is empty or holds braces")
			}
			t.prefix = v
		case "tls":
			if t.tls, err = strconv.ParseBool(v); err != nil {
				return errors.New("has tls= without true or false")
			}
		case "ca":
			t.ca = v
		case "sentinel_password":
			t.watch = v
		case "sentinel_user":
			t.watcher = v
		case "wait":
			if t.wait, err = strconv.Atoi(v); err != nil || t.wait < 0 || t.wait > mostReplicas {
				return fmt.Errorf("has wait= without a number of replicas from 0 to %d", mostReplicas)
			}
		default:
			return fmt.Errorf("has the unknown setting %q; prefix, tls, ca, wait, sentinel_user and sentinel_password are known", name)
		}
	}
	return nil
}

// name is the URL without user and settings, for messages.
func (t *target) name() string {
	name := t.scheme + "://" + strings.Join(t.hosts, ",")
	if t.master != "" {
		name += "/" + t.master
	}
	return name
}

// Times of the client. A call is tried again twice, within a second, when its connection
// breaks: all scripts know their own repetition.
const (
	dialTimeout = 2 * time.Second
	callTimeout = 5 * time.Second
	tries       = 2 // after the first
	redirects   = 4 // of a cluster: as many moves of a slot, or tries
	leastPause  = 50 * time.Millisecond
	mostPause   = 300 * time.Millisecond
)

// client makes the client that fits; nothing is dialled yet.
func (t *target) client(connections int) goredis.UniversalClient {
	o := &goredis.UniversalOptions{
		Addrs: t.hosts, DB: t.db, Username: t.user, Password: t.password, MasterName: t.master, SentinelUsername: t.watcher, SentinelPassword: t.watch, IsClusterMode: t.scheme == cluster,
		Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true,
		DialTimeout: dialTimeout, ReadTimeout: callTimeout, WriteTimeout: callTimeout, PoolTimeout: callTimeout,
		MaxRetries: tries, MaxRedirects: redirects, MinRetryBackoff: leastPause, MaxRetryBackoff: mostPause,
		PoolSize: connections, DialerRetries: 1,
	}
	if t.tls {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.roots}
		if len(t.hosts) == 1 && t.scheme == secure {
			o.TLSConfig.ServerName, _, _ = net.SplitHostPort(t.hosts[0])
		}
	}
	return goredis.NewUniversalClient(o)
}
