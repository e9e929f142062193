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
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address of the PostgreSQL server is no URL")
	}
	schema := fmt.Sprintf("test_%x_%d", time.Now().UnixNano(), places.Add(1))
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	t.Cleanup(func() { Exec(t, address, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") })
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
