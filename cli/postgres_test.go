package cli

import (
	"strings"
	"testing"

	"orrery/engine/store/postgres/pgtest"
)

// This file tests the commands on a real PostgreSQL, the one that tests share.

func TestAJobGoesOnInPostgres(t *testing.T) {
	u := strings.Replace(pgtest.Fresh(t, pgtest.Shared(t)), "orrery@", "orrery:hush@", 1)
	inFolder(t)
	t.Setenv("STORE_URL", "sqlite:a.db")
	r := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0", "--no-emulation")
	id := startJob(t, r.find(t, r.out, shownURL))
	r.end(t)
	if got := orrery(t, "store", "migrate", u, "--dry-run"); got.code != 0 || !strings.Contains(got.out, "from schema 0 to 1") {
		t.Errorf("migrate where nothing is: %+v", got)
	}
	if got := orrery(t, "store", "copy", "sqlite:a.db", u); got.code != 0 || !strings.Contains(got.out, "both sides were read and are equal") || strings.Contains(got.out+got.err, "hush") {
		t.Fatalf("copy: %+v", got)
	}

	t.Setenv("STORE_URL", u)
	r = serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	url := r.find(t, r.out, shownURL)
	waitFor(t, url, id, "waiting_for_human")
	if got := orrery(t, "store", "copy", u, "sqlite:b.db"); got.code != 1 || !strings.Contains(got.err, "in use by") || strings.Contains(got.err, "hush") {
		t.Errorf("a copy beside a running server: %+v", got)
	}
	if got := orrery(t, "doctor", "--store-url", u, "--listen", "127.0.0.1:0"); !strings.Contains(got.out, "synchronous_commit") || !strings.Contains(got.out, "max_connections") || strings.Contains(got.out+got.err, "hush") {
		t.Errorf("doctor beside a running server: %+v", got)
	}
	if got := orrery(t, "approvals", "approve", id, "approved", "--url", url, "--token", "dev-client-token"); got.code != 0 {
		t.Fatalf("decide: %+v", got)
	}
	waitFor(t, url, id, "finished")
	r.end(t)

	if got := orrery(t, "store", "copy", u, "sqlite:b.db"); got.code != 0 {
		t.Fatalf("copy back: %+v", got)
	}
	here, there := orrery(t, "store", "check", "sqlite:b.db"), orrery(t, "store", "check", u)
	if here.code != 0 || there.code != 0 || here.out != there.out || !strings.Contains(here.out, "jobs finished") {
		t.Errorf("check: %+v and %+v", here, there)
	}
	if got := orrery(t, "store", "copy", "sqlite:a.db", u); got.code != 1 || !strings.Contains(got.err, "DROP SCHEMA") {
		t.Errorf("a copy into a store that is in use: %+v", got)
	}
}
