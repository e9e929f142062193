package redis

import (
	"context"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/store/redis/redistest"
	"orrery/engine/store/yardstick"
)

// This file tests what the benchmark is told of the servers.

func TestYardstick(t *testing.T) {
	t.Run("one server", func(t *testing.T) { testYardstick(t, redistest.Start(t).URL()) })
	t.Run("cluster", func(t *testing.T) { testYardstick(t, redistest.StartCluster(t).URL()) })
}

func testYardstick(t *testing.T, url string) {
	ctx := t.Context()
	y, err := NewYardstick(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	before, err := y.Used(ctx)
	if err != nil {
		t.Fatal(err)
	}
	beside := open(t, y.Place("beside")) // an Orrery beside it; what it keeps must stay
	limit, err := y.Limit(ctx, "place")
	if err != nil {
		t.Fatal(err)
	}
	const jobs, commits = 200, 3
	if err := yardstick.Run(ctx, limit, jobs, commits, 20); err != nil {
		t.Fatal(err)
	}
	if err := limit.Close(); err != nil {
		t.Error(err)
	}
	after, err := y.Used(ctx)
	if err != nil {
		t.Fatal(err)
	}
	u := after.Since(before)
	if u.Commits != jobs*commits || u.RoundTrips <= 0 || u.RoundTrips > 4*jobs*commits || u.CPU <= 0 || u.CPUUnseen || u.Bytes < jobs*commits*1000 || u.Kept < jobs*1000 {
		t.Errorf("used %+v", u)
	}
	if n := keysOf(t, y); n < jobs {
		t.Errorf("%d keys after %d jobs", n, jobs)
	}
	if err := y.Drop(ctx, "place"); err != nil {
		t.Fatal(err)
	}
	if n := keysOf(t, y); n != 1 {
		t.Errorf("%d keys are left, want the one that says the layout of the store beside", n)
	}
	if err := beside.Close(); err != nil {
		t.Error(err)
	}
}

func keysOf(t *testing.T, y *Yardstick) (n int64) {
	t.Helper()
	err := y.masters(t.Context(), func(ctx context.Context, c *goredis.Client) error {
		size, err := c.DBSize(ctx).Result()
		n += size
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
