package storetest

import (
	"fmt"
	"strings"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests the data stores of blueprints: one transaction with the job's step.

var valueTests = []test{
	{"absent, set, replaced, deleted", valueLife},
	{"a stale read is a conflict and writes nothing", staleRead},
	{"a deleted and rewritten key is not what was read", noSameVersionTwice},
	{"a version chosen by the caller is kept", chosenVersion},
	{"changes in line follow each other", queuedInOrder},
	{"a page of large values is short", largePage},
	{"keys are apart by blueprint and store, and sorted", valueKeys},
}

// value reads one key of the blueprint "orders".
func (b *bed) value(name, key string) (string, int64) {
	b.Helper()
	v, version, err := b.Value(b.ctx, "orders", name, key)
	b.must(err)
	return string(v), version
}

func valueLife(b *bed) {
	j := b.create()
	if v, n := b.value("s", "k"); v != "" || n != 0 {
		b.Fatalf("an absent key is %q at version %d", v, n)
	}
	j = b.step(j, write("s", "k", `{"a":2.0}`))
	v, first := b.value("s", "k")
	if v != `{"a":2.0}` || first < 1 {
		b.Fatalf("the key is %q at version %d", v, first)
	}
	j = b.step(j, read("s", "k", first), write("s", "k", "null"))
	v, second := b.value("s", "k")
	if v != "null" || second <= first {
		b.Fatalf("replaced, the key is %q at version %d after %d", v, second, first)
	}
	j = b.step(j, write("s", "k", ""))
	if v, n := b.value("s", "k"); v != "" || n != 0 {
		b.Fatalf("a deleted key is %q at version %d", v, n)
	}
	b.step(j, write("s", "k", ""), read("s", "k", 0)) // deleting nothing is fine
}

func staleRead(b *bed) {
	j := b.step(b.create(), write("s", "n", "1"))
	_, version := b.value("s", "n")
	b.step(b.create(), read("s", "n", version), write("s", "n", "2"))
	for _, stale := range []mod{read("s", "n", version), read("s", "n", 0), read("s", "never", 5)} {
		c := next(j, write("s", "n", "3"), write("s", "k", "9"), stale, message("m", epoch))
		b.want(b.Commit(b.ctx, c), store.ErrConflict)
		b.nothingOf(c)
	}
	fresh := b.fresh(read("s", "n", version), write("s", "k", "9")) // also when it would insert
	b.want(b.Commit(b.ctx, fresh), store.ErrConflict)
	_, err := b.Job(b.ctx, fresh.Job.ID)
	b.want(err, store.ErrNotFound)
	if v, _ := b.value("s", "n"); v != "2" {
		b.Fatalf("the value is %s, want the other job's 2", v)
	}
}

func noSameVersionTwice(b *bed) {
	j := b.step(b.create(), write("s", "k", "1"))
	_, version := b.value("s", "k")
	j = b.step(j, write("s", "k", ""))
	j = b.step(j, write("s", "k", "2"))
	if _, again := b.value("s", "k"); again <= version {
		b.Fatalf("the rewritten key has version %d, not above %d", again, version)
	}
	b.want(b.Commit(b.ctx, next(j, read("s", "k", version))), store.ErrConflict)
}

// versioned writes a value under a version of the caller's choice.
func versioned(key, value string, version int64) mod {
	return func(c *job.Change) {
		c.Writes = append(c.Writes, job.StoreWrite{Store: "s", Key: key, Value: []byte(value), Version: version})
	}
}

func chosenVersion(b *bed) {
	const chosen = 1<<62 + 5
	j := b.step(b.create(), versioned("k", "1", chosen))
	if v, n := b.value("s", "k"); v != "1" || n != chosen {
		b.Fatalf("the key is %q at version %d, want 1 at %d", v, n, int64(chosen))
	}
	j = b.step(j, read("s", "k", chosen), versioned("k", "2", chosen+1))
	b.want(b.Commit(b.ctx, next(j, read("s", "k", chosen))), store.ErrConflict)
	b.step(j, read("s", "k", chosen+1), write("s", "k", "3"))
	if _, n := b.value("s", "k"); n == chosen || n == chosen+1 {
		b.Fatalf("the store gave the version %d again", n)
	}
}

// queuedInOrder lets each change read what the one before it in line writes.
func queuedInOrder(b *bed) {
	q, ok := b.Store.(store.Queuer)
	if !ok {
		return // Queuer is an extra
	}
	const changes = 50
	fates := make(chan error, changes)
	for i := range int64(changes) {
		c := b.fresh(read("s", "n", i), versioned("n", fmt.Sprint(i), i+1))
		queued := make(chan struct{})
		go func() { fates <- q.CommitQueued(b.ctx, c, func() { close(queued) }) }()
		<-queued
	}
	for range changes {
		b.must(<-fates)
	}
	if v, n := b.value("s", "n"); v != "49" || n != changes {
		b.Fatalf("the value is %s at version %d", v, n)
	}
	called := false
	bad := b.fresh()
	bad.Job.Version = 7
	if err := q.CommitQueued(b.ctx, bad, func() { called = true }); err == nil || called {
		b.Fatalf("a change that no store takes: %v, in line %v", err, called)
	}
}

func largePage(b *bed) {
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	j := b.create()
	for i := range 7 {
		j = b.step(j, write("s", fmt.Sprint(i), large))
	}
	page, more, err := b.ValuePage(b.ctx, "orders", "s", "", 100)
	b.must(err)
	if len(page) != store.PageBytes>>20 || !more {
		b.Fatalf("a page has %d values of 1 MiB, more: %v", len(page), more)
	}
	page, more, err = b.ValuePage(b.ctx, "orders", "s", "5", 100)
	b.must(err)
	if len(page) != 2 || more {
		b.Fatalf("the last page has %d values, more: %v", len(page), more)
	}
}

func valueKeys(b *bed) {
	j := b.create()
	for i := range 12 {
		j = b.step(j, write("s", fmt.Sprintf("k%02d", 11-i), "1"), write("t", "ñ/"+fmt.Sprint(i), "1"))
	}
	b.step(b.create(func(c *job.Change) { c.Job.Blueprint = "other" }), write("s", "k99", "1"))
	got, err := b.ValueKeys(b.ctx, "orders", "s")
	b.must(err)
	var want []string
	for i := range 12 {
		want = append(want, fmt.Sprintf("k%02d", i))
	}
	b.same("keys", got, want)
	got, err = b.ValueKeys(b.ctx, "other", "s")
	b.must(err)
	b.same("keys of the other blueprint", got, []string{"k99"})
	page, more, err := b.ValuePage(b.ctx, "orders", "s", "", 5)
	b.must(err)
	next, evenMore, err := b.ValuePage(b.ctx, "orders", "s", page[len(page)-1].Key+"\x00", 7)
	b.must(err)
	if len(page) != 5 || !more || evenMore {
		b.Fatalf("pages of %d (more: %v) and %d (more: %v), want 5 and 7 of 12", len(page), more, len(next), evenMore)
	}
	var paged []string
	for _, v := range append(page, next...) {
		if paged = append(paged, v.Key); string(v.Text) != "1" || v.Version < 1 {
			b.Fatalf("key %s is %q at version %d", v.Key, v.Text, v.Version)
		}
	}
	b.same("keys by pages of 5 and 7", paged, want)
	stores, err := b.ValueStores(b.ctx)
	b.must(err)
	b.same("stores", stores, []store.ValueStore{{Blueprint: "orders", Store: "s", Keys: 12}, {Blueprint: "orders", Store: "t", Keys: 12}, {Blueprint: "other", Store: "s", Keys: 1}})
	v, _, err := b.Value(b.ctx, "other", "t", "ñ/1")
	b.must(err)
	if v != nil {
		b.Fatalf("a value shows in another blueprint: %s", v)
	}
}
