// Package pgtest gives tests PostgreSQL: places of their own on a server that is there, and
// servers of their own that they may crash.
//
// Words: a place is a schema, named by the search_path of a STORE_URL; every store of a test has
// its own. A crash is the end of all the server's processes at once, as in a power cut of a
// machine that keeps what it was told to sync.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// This file makes places on servers.

// Address is the variable that names the server that tests share.
const Address = "ORRERY_TEST_POSTGRES"

// Shared gives the address of the server that tests share, or skips the test.
func Shared(t testing.TB) string {
	t.Helper()
	address := os.Getenv(Address)
	if address == "" {
		t.Skip(Address + " names no PostgreSQL server; scripts/test starts one")
	}
	return address
}

var places atomic.Int64

// Fresh gives the STORE_URL of a place that is not there yet; what is there at the test's end goes.
func Fresh(t testing.TB, address string) string {
	t.Helper()
	schema := fmt.Sprintf("test_%x_%d", time.Now().UnixNano(), places.Add(1))
	t.Cleanup(func() { Exec(t, address, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") })
	return in(t, address, schema)
}

// FreshUnkept is Fresh on a server that ends with the test, and may be gone before: nobody cleans up.
func FreshUnkept(t testing.TB, address string) string {
	t.Helper()
	return in(t, address, fmt.Sprintf("test_%d", places.Add(1)))
}

// used are the places of this process that are empty again.
var used struct {
	sync.Mutex
	free []string
}

// staleAfter is when the places of a process that has surely ended are dropped.
const staleAfter = 6 * time.Hour

// Emptied gives a place that may have been another test's, whose rows are gone: making a place
// takes as long as most tests of an engine. Those of a process stay on the server until a later
// process drops them.
func Emptied(t testing.TB, address string) string {
	t.Helper()
	used.Lock()
	defer used.Unlock()
	var place string
	if n := len(used.free); n > 0 {
		place, used.free = used.free[n-1], used.free[:n-1]
	} else {
		place = makeReusable(t, address)
	}
	t.Cleanup(func() {
		Exec(t, place, `DO $do$ DECLARE r record; BEGIN
			FOR r IN SELECT tablename FROM pg_tables WHERE schemaname=current_schema() AND tablename<>'schema_version' LOOP
				EXECUTE format('DELETE FROM %I', r.tablename);
			END LOOP; END $do$`)
		used.Lock()
		defer used.Unlock()
		used.free = append(used.free, place)
	})
	return place
}

// makeReusable names a new place after the time, and drops those of old processes.
func makeReusable(t testing.TB, address string) string {
	t.Helper()
	Exec(t, address, `DO $do$ DECLARE r record; BEGIN
		FOR r IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^reused_[0-9]+_' AND split_part(nspname, '_', 2)::int8 < `+
		fmt.Sprint(time.Now().Add(-staleAfter).Unix())+` LOOP
			EXECUTE format('DROP SCHEMA %I CASCADE', r.nspname);
		END LOOP; END $do$`)
	return in(t, address, fmt.Sprintf("reused_%d_%d_%d", time.Now().Unix(), os.Getpid(), places.Add(1)))
}

// in gives the address of a schema.
func in(t testing.TB, address, schema string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address of the PostgreSQL server is no URL")
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// Exec runs statements beside a store, in the place that the address names.
func Exec(t testing.TB, address, text string, args ...any) {
	t.Helper()
	if err := TryExec(address, text, args...); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
}

// execWithin bounds a statement.
const execWithin = 20 * time.Second

// TryExec is Exec for a server that may be away.
func TryExec(address, text string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), execWithin)
	defer cancel()
	c, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, text, args...)
	return err
}

// Number reads one number beside a store.
func Number(t testing.TB, address, text string, args ...any) (n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), execWithin)
	defer cancel()
	c, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if err := c.QueryRow(ctx, text, args...).Scan(&n); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	return n
}

// EndLeases lets all leases of a place end, as time does when their holders are dead.
func EndLeases(t testing.TB, address string) {
	t.Helper()
	Exec(t, address, "UPDATE leases SET until=clock_timestamp()")
}

// HangUp ends all connections to the database but the one that says so.
func HangUp(address string) error {
	return TryExec(address, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname=current_database() AND pid<>pg_backend_pid()")
}

// With gives an address with another host, such as that of a proxy.
func With(address, host string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	user, rest, _ := strings.Cut(rest, "@")
	_, path, _ := strings.Cut(rest, "/")
	return scheme + "://" + user + "@" + host + "/" + path
}
