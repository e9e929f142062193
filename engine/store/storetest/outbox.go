package storetest

import (
	"time"

	"orrery/engine/job"
)

// This file tests the outbox.

var outboxTests = []test{
	{"due messages, earliest first", messagesDue},
	{"delivered messages are gone", delivered},
	{"a postponed message comes later", postponed},
	{"the same cause gives one message", messageOnce},
	{"a parked message has no date", parked},
	{"messages of a job", messagesOf},
	{"messages that were given up", givenUp},
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

// ids gives the ids of messages.
func ids(ms []job.Message) []string {
	out := []string{}
	for _, m := range ms {
		out = append(out, m.ID)
	}
	return out
}

// park replaces the message with the given id by one that is sent or given up.
func (b *bed) park(id string, sent bool) job.Message {
	b.Helper()
	ms, err := b.Messages(b.ctx, at(99), 99)
	b.must(err)
	for _, m := range ms {
		if m.ID != id {
			continue
		}
		now := at(3)
		mark := map[bool]**time.Time{true: &m.Sent, false: &m.GivenUp}[sent]
		*mark, m.Receipt, m.Attempts = &now, []byte(`{"message_id":7}`), 2
		b.must(b.Postpone(b.ctx, m))
		return m
	}
	b.Fatalf("there is no message %s", id)
	return job.Message{}
}

func parked(b *bed) {
	b.create(message("a", at(1)), message("b", at(1)), message("c", at(1)))
	b.park("a", true)
	m := b.park("b", false)
	b.same("due", b.messages(1<<30, 10), []string{"c"})
	m.GivenUp, m.Due = nil, at(50)
	b.must(b.Postpone(b.ctx, m)) // a person tries it again
	b.same("not yet", b.messages(49, 10), []string{"c"})
	b.same("again", b.messages(50, 10), []string{"c", "b"})
}

func messagesOf(b *bed) {
	j := b.create()
	j = b.step(j, message(j.ID+"/2/0", at(9)), message(j.ID+"/10/0", at(1)))
	other := b.create()
	b.step(other, message(other.ID+"/2/0", at(1)))
	m := b.park(j.ID+"/2/0", true)
	ms, err := b.MessagesOf(b.ctx, j.ID)
	b.must(err)
	b.same("messages", ids(ms), []string{j.ID + "/10/0", j.ID + "/2/0"})
	b.same("message", ms[1], m)
	b.must(b.Delivered(b.ctx, j.ID+"/2/0", j.ID+"/10/0"))
	ms, err = b.MessagesOf(b.ctx, j.ID)
	b.must(err)
	b.same("after delivery", ids(ms), []string{})
}

func givenUp(b *bed) {
	b.create(message("a", at(1)), message("b", at(1)), message("c", at(1)), message("d", at(1)), message("e", at(1)))
	b.park("d", false)
	b.park("a", true)
	b.park("b", false)
	b.park("e", false)
	ms, err := b.GivenUp(b.ctx, "", 2)
	b.must(err)
	b.same("two", ids(ms), []string{"b", "d"})
	ms, err = b.GivenUp(b.ctx, "d", 2)
	b.must(err)
	b.same("the rest", ids(ms), []string{"e"})
	ms, err = b.GivenUp(b.ctx, "e", 2)
	b.must(err)
	b.same("no more", ids(ms), []string{})
}
