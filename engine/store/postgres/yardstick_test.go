package postgres

import (
	"os"
	"testing"

	"orrery/engine/store/postgres/pgtest"
	"orrery/engine/store/yardstick"
)

// This file tests what the benchmark is told of the server.

func TestYardstick(t *testing.T) {
	ctx := t.Context()
	address := pgtest.Shared(t)
	y, err := NewYardstick(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	limit, err := y.Limit(ctx, "bench_test_limit")
	if err != nil {
		t.Fatal(err)
	}
	before, err := y.Used(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const jobs, commits = 200, 3
	if err := yardstick.Run(ctx, limit, jobs, commits, 20); err != nil {
		t.Fatal(err)
	}
	after, err := y.Used(ctx)
	if err != nil {
		t.Fatal(err)
	}
	u := after.Since(before)
	if u.Commits < jobs*commits/20 || u.RoundTrips != u.Commits || u.Bytes < jobs*commits*1000 {
		t.Errorf("used %+v", u)
	}
	if _, err := os.Stat("/proc/self/stat"); err == nil && u.CPU < 0 {
		t.Errorf("used %+v", u)
	}
	var finished, records int
	err = y.conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM bench_test_limit.heads WHERE status=9 AND version=3),
		(SELECT count(*) FROM bench_test_limit.records)`).Scan(&finished, &records)
	if err != nil || finished != jobs || records != jobs*commits {
		t.Errorf("%d jobs finished with %d rows of records, %v; want %d and %d", finished, records, err, jobs, jobs*commits)
	}
	if err := limit.Close(); err != nil {
		t.Error(err)
	}
	if err := y.Drop(ctx, "bench_test_limit"); err != nil {
		t.Fatal(err)
	}
	var there bool
	if err := y.conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname='bench_test_limit')").Scan(&there); err != nil || there {
		t.Errorf("the schema is there after Drop: %v, %v", there, err)
	}
}
