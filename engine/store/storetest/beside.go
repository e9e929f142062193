package storetest

import (
	"bytes"
	"encoding/json"
	"time"
)

// This file tests what stands beside the jobs: keys and workers; revisions have their own.

var keyTests = []test{
	{"the first claim stands", claimOnce},
	{"a claim ends with its time", claimEnds},
	{"a claim is read", claimRead},
}

var besideTests = []test{
	{"the first revision of a hash stands", revisions},
	{"revisions are listed without their texts", revisionList},
	{"a revision is dropped unless it was put since", revisionDrop},
	{"one act decides between putting and dropping a revision", revisionRace},
	{"files", sourceFiles},
	{"workers", workers},
}

func (b *bed) claim(key, value string, ttl time.Duration, now time.Time) (string, bool) {
	b.Helper()
	stands, claimed, err := b.Claim(b.ctx, key, []byte(value), ttl, now)
	b.must(err)
	return string(stands), claimed
}

func claimOnce(b *bed) {
	if v, ok := b.claim("k", "one", 0, epoch); !ok || v != "one" {
		b.Fatalf("the first claim gives %q, %v", v, ok)
	}
	if v, ok := b.claim("k", "two", 0, epoch.AddDate(50, 0, 0)); ok || v != "one" {
		b.Fatalf("a claim for ever gives %q, %v after fifty years", v, ok)
	}
	if v, ok := b.claim("K", "three", 0, epoch); !ok || v != "three" {
		b.Fatalf("another key gives %q, %v", v, ok)
	}
	if v, ok := b.claim("empty", "", 0, epoch); !ok || v != "" {
		b.Fatalf("an empty value gives %q, %v", v, ok)
	}
	if _, ok := b.claim("empty", "x", 0, epoch); ok {
		b.Fatal("an empty value did not hold its key")
	}
}

func claimEnds(b *bed) {
	b.claim("k", "one", time.Minute, epoch)
	if v, ok := b.claim("k", "two", time.Minute, at(59)); ok || v != "one" {
		b.Fatalf("within its time: %q, %v", v, ok)
	}
	if v, ok := b.claim("k", "three", time.Minute, at(60)); !ok || v != "three" {
		b.Fatalf("at its end: %q, %v", v, ok)
	}
	if v, ok := b.claim("k", "four", time.Minute, at(119)); ok || v != "three" {
		b.Fatalf("within the second one's time: %q, %v", v, ok)
	}
}

func claimRead(b *bed) {
	read := func(key string, now time.Time, want string, there bool) {
		b.Helper()
		v, ok, err := b.Claimed(b.ctx, key, now)
		b.must(err)
		if string(v) != want || ok != there {
			b.Fatalf("%s at %s: %q, %v; want %q, %v", key, now, v, ok, want, there)
		}
	}
	read("k", epoch, "", false)
	b.claim("k", "one", time.Minute, epoch)
	b.claim("ever", "two", 0, epoch)
	read("k", at(59), "one", true)
	read("k", at(60), "", false)
	read("ever", at(1<<30), "two", true)
	read("K", epoch, "", false)
}

func workers(b *bed) {
	b.must(b.PutWorker(b.ctx, "w1", json.RawMessage(`{"age":"A"}`), epoch))
	b.must(b.PutWorker(b.ctx, "w2", json.RawMessage(`{"n":1}`), epoch))
	b.must(b.PutWorker(b.ctx, "w2", json.RawMessage(`{"n":2}`), at(1)))
	all, err := b.AllWorkers(b.ctx)
	b.must(err)
	b.same("workers", all, map[string]json.RawMessage{"w1": json.RawMessage(`{"age":"A"}`), "w2": json.RawMessage(`{"n":2}`)})
	b.must(b.DeleteWorker(b.ctx, "w1"))
	b.must(b.DeleteWorker(b.ctx, "w1"))
	large := append(append([]byte(`"`), bytes.Repeat([]byte("x"), 256<<10)...), '"')
	if b.PutWorker(b.ctx, "w3", large, epoch) == nil {
		b.Fatal("a registration over 256 KiB is taken")
	}
	all, err = b.AllWorkers(b.ctx)
	b.must(err)
	if len(all) != 1 {
		b.Fatalf("workers left: %v", all)
	}
}
