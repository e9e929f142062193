package storetest

import (
	"orrery/engine/job"
)

// This file tests the outbox.

var outboxTests = []test{
	{"due messages, earliest first", messagesDue},
	{"delivered messages are gone", delivered},
	{"a postponed message comes later", postponed},
	{"the same cause gives one message", messageOnce},
}

// messages gives the ids of what is due.
func (b *bed) messages(seconds, limit int) []string {
	b.Helper()
	ms, err := b.Messages(b.ctx, at(seconds), limit)
	b.must(err)
	ids := []string{}
	for _, m := range ms {
		ids = append(ids, m.ID)
	}
	return ids
}

func messagesDue(b *bed) {
	j := b.create(message("z", at(5)), message("y", at(1)), message("x", at(5)), message("w", at(9)))
	j = b.step(j, message("a", at(5)))
	b.same("at 5 s", b.messages(5, 10), []string{"y", "z", "x", "a"}) // equal dates: order of commit
	b.same("two of them", b.messages(5, 2), []string{"y", "z"})
	b.same("at 0 s", b.messages(0, 10), []string{})
	ms, err := b.Messages(b.ctx, at(1), 1)
	b.must(err)
	want := job.Change{Job: j}
	message("y", at(1))(&want)
	b.same("message", ms, want.Outbox)
}

func delivered(b *bed) {
	b.create(message("a", at(1)), message("b", at(1)), message("c", at(1)))
	b.must(b.Delivered(b.ctx, "a", "c", "never was"))
	b.must(b.Delivered(b.ctx, "a"))
	b.must(b.Delivered(b.ctx))
	b.same("left", b.messages(1, 10), []string{"b"})
}

func postponed(b *bed) {
	b.create(message("a", at(1)), message("b", at(2)))
	ms, err := b.Messages(b.ctx, at(1), 1)
	b.must(err)
	m := ms[0]
	m.Due, m.Attempts, m.Error = at(10), 1, "connection refused"
	b.must(b.Postpone(b.ctx, m))
	b.same("before", b.messages(9, 10), []string{"b"})
	ms, err = b.Messages(b.ctx, at(10), 10)
	b.must(err)
	if len(ms) != 2 {
		b.Fatalf("%d messages at 10 s, want 2", len(ms))
	}
	b.same("postponed", ms[1], m)
	b.must(b.Delivered(b.ctx, "a"))
	b.must(b.Postpone(b.ctx, m)) // delivered meanwhile: it stays gone
	b.same("left", b.messages(99, 10), []string{"b"})
}

func messageOnce(b *bed) {
	j := b.create(message("a", at(1)))
	b.step(j, message("a", at(7)))
	b.same("the first one stands", b.messages(1, 10), []string{"a"})
	b.same("once", b.messages(99, 10), []string{"a"})
}
