package postgres

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery/engine/store"
)

// This file tests what is said of servers: of good ones, of bad ones, and of those that are not
// what STORE_URL says.

// altered gives the server's address with a change.
func altered(t *testing.T, change func(u *url.URL)) string {
	t.Helper()
	u, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

// Whatever is wrong with a server is said with its remedy, and never with the password.
func TestOpenSaysWhatToDo(t *testing.T) {
	ctx := context.Background()
	for want, change := range map[string]func(u *url.URL){
		"make it with createdb": func(u *url.URL) { u.Path = "/absent" },
		"look at its pg_hba":    func(u *url.URL) { u.User = url.UserPassword("nobody_here", "hush") },
		"none that the server":  func(u *url.URL) { u.RawQuery = "nonsense=1" },
		"can not be reached":    func(u *url.URL) { u.Host, u.User = "127.0.0.1:1", url.UserPassword("u", "hush") },
		"refused TLS":           func(u *url.URL) { u.RawQuery = "sslmode=require" },
	} {
		address := altered(t, change)
		s, err := Open(ctx, address, Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err == nil {
			t.Errorf("%s: opened", want)
			s.Close()
			continue
		}
		found := Inspect(ctx, address)
		if len(found) != 1 || found[0].Verdict != store.BadVerdict || found[0].Remedy == "" {
			t.Errorf("%s: doctor finds %+v", want, found)
			continue
		}
		for _, text := range []string{err.Error(), found[0].Saw} {
			if !strings.Contains(text, want) || strings.Contains(text, "hush") || strings.Contains(text, "\n") {
				t.Errorf("want %q, got %q", want, text)
			}
		}
		if _, err := Schema(ctx, address); err == nil {
			t.Errorf("%s: it has a schema", want)
		}
	}
}

func TestRefusedServers(t *testing.T) {
	for want, f := range map[string]facts{
		"12.4, the store needs 13": {version: 120004, shown: "12.4"},
		"is a replica":             {version: 150000, shown: "15.0", replica: true},
	} {
		if err := f.refusal(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// checks gives the names of findings that are not in order.
func checks(all []store.Finding) (names []string) {
	for _, f := range all {
		if f.Verdict != store.FineVerdict && f.Remedy != "" {
			names = append(names, f.Check)
		}
	}
	return names
}

func TestEveryWeakSettingIsTold(t *testing.T) {
	good := facts{version: 150000, fsync: "on", fullPages: "on", synchronous: "remote_apply", autovacuum: "on", most: 100, used: 80, reserved: 3, secure: true}
	if got := checks(append(good.settings(), good.room(13)...)); len(got) != 0 {
		t.Errorf("a good server: %v", got)
	}
	safe := good
	safe.followers, safe.standbys = 1, "ANY 1 (a, b)"
	if got := checks(safe.settings()); len(got) != 0 {
		t.Errorf("a server that waits for its standby: %v", got)
	}
	for check, weaken := range map[string]func(f *facts){
		"fsync":               func(f *facts) { f.fsync = "off" },
		"full_page_writes":    func(f *facts) { f.fullPages = "off" },
		"synchronous_commit":  func(f *facts) { f.synchronous = "off" },
		"autovacuum":          func(f *facts) { f.autovacuum = "off" },
		"failover":            func(f *facts) { f.followers = 2 },
		"max_connections":     func(f *facts) { f.used = 90 },
		"clock of the server": func(f *facts) { f.skew = -3 * time.Second },
		"latency":             func(f *facts) { f.latency = 30 * time.Millisecond },
		"encryption":          func(f *facts) { f.secure = false },
	} {
		f := good
		weaken(&f)
		if got := checks(append(f.settings(), f.room(13)...)); !slices.Equal(got, []string{check}) {
			t.Errorf("%s: %v", check, got)
		}
	}
}

func TestInspectMakesNothing(t *testing.T) {
	ctx := context.Background()
	address := freshURL(t)
	for _, want := range []string{"the first start makes it", "version 1"} {
		found := Inspect(ctx, address)
		at := slices.IndexFunc(found, func(f store.Finding) bool { return f.Check == "schema" })
		if at < 0 || !strings.Contains(found[at].Saw, want) {
			t.Fatalf("want %q, got %+v", want, found)
		}
		for _, check := range []string{"version", "fsync", "full_page_writes", "synchronous_commit", "max_connections", "latency", "clock of the server"} {
			if !slices.ContainsFunc(found, func(f store.Finding) bool { return f.Check == check }) {
				t.Errorf("nothing is said of %s: %+v", check, found)
			}
		}
		had, err := Schema(ctx, address)
		if err != nil || had.Want != len(migrations) || len(had.Steps) != had.Want-had.Have {
			t.Errorf("schema: %+v, %v", had, err)
		}
		open(t, address, Options{}) // it is there the second time
	}
}

// A server that does not sync by itself is made to for what Orrery writes.
func TestSessionsCommitDurably(t *testing.T) {
	address := freshURL(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	// As a setting of the role would be: known before the session begins, and not the URL's.
	sql(t, "ALTER ROLE "+u.User.Username()+" SET synchronous_commit = off")
	t.Cleanup(func() { sql(t, "ALTER ROLE "+u.User.Username()+" RESET synchronous_commit") })
	var log strings.Builder
	s := open(t, address, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "synchronous_commit is off") {
		t.Errorf("no word of synchronous_commit in the log: %s", &log)
	}
	var value string
	if err := s.pool.QueryRow(context.Background(), "SHOW synchronous_commit").Scan(&value); err != nil || value != "on" {
		t.Errorf("readers have synchronous_commit=%s, %v", value, err)
	}
	conn, err := s.writers[0].connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRow(context.Background(), "SHOW synchronous_commit").Scan(&value); err != nil || value != "on" {
		t.Errorf("writers have synchronous_commit=%s, %v", value, err)
	}
}
