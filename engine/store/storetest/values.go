package storetest

import (
	"fmt"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file tests the data stores of blueprints: one transaction with the job's step.

var valueTests = []test{
	{"absent, set, replaced, deleted", valueLife},
	{"a stale read is a conflict and writes nothing", staleRead},
	{"a deleted and rewritten key is not what was read", noSameVersionTwice},
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
	v, _, err := b.Value(b.ctx, "other", "t", "ñ/1")
	b.must(err)
	if v != nil {
		b.Fatalf("a value shows in another blueprint: %s", v)
	}
}
