package examples

// This file tests recipe 2 with people: a Telegram bot against a server that behaves as the
// Bot API's documentation says.

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"orrery/engine"
	"orrery/engine/approval"
	"orrery/engine/approval/telegram"
	"orrery/engine/approval/telegram/bottest"
	"orrery/engine/clock"
	"orrery/engine/job"
	"orrery/engine/outbound"
)

const moderators = int64(-1001)

// withTelegram gives the bench a bot that hears until the test ends.
func withTelegram(t *testing.T) (*bench, *bottest.Server) {
	t.Helper()
	api := bottest.New(moderators)
	t.Cleanup(api.Close)
	guard, err := outbound.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	bot := telegram.New(telegram.Config{Token: bottest.Token, URL: api.URL, Chats: []int64{moderators}, Guard: guard, Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler)})
	b := newBench(t, "02-human-approval/blueprint.star", "data_generation", func(c *engine.Config) {
		c.Approvals = map[string]approval.Integration{"telegram": bot}
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { bot.Listen(ctx, b.engine); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return b, api
}

// question lets a job come to its question and gives the message that the moderators see.
func question(b *bench, api *bottest.Server) (id string, m bottest.Message) {
	b.t.Helper()
	id = b.start("moderation_flow", `{"topic": "spring"}`)
	b.give(b.take(), `"data": {"text": "Spring is here."}`)
	b.ended(id, job.WaitingHuman, "awaiting_approval")
	ms := api.Messages()
	m = ms[len(ms)-1]
	if !strings.Contains(m.Text, "Job "+id+" asks for approval") || len(m.Buttons) != 2 {
		b.t.Fatalf("the moderators see %+v", m)
	}
	return id, m
}

func press(b *bench, api *bottest.Server, m bottest.Message, text string) bottest.Reply {
	b.t.Helper()
	reply, err := api.Press(m.ID, text, 7)
	b.must(err)
	got := <-reply
	b.settle()
	return got
}

func TestModeratorDecidesInTelegram(t *testing.T) {
	for button, want := range map[string]string{"approved": "finished", "rejected": "rejected_by_moderator"} {
		b, api := withTelegram(t)
		id, m := question(b, api)
		if got := press(b, api, m, button); got.Text != "Taken: "+button {
			t.Errorf("the moderator saw %+v", got)
		}
		b.ended(id, job.Finished, want)
		if m := api.Messages()[0]; len(m.Buttons) != 0 || !strings.Contains(m.Text, "Decided: "+button+", by telegram:user7") {
			t.Errorf("the message was left as %+v", m)
		}
	}
}

func TestModeratorsAreTooLate(t *testing.T) {
	b, api := withTelegram(t)
	id, m := question(b, api)
	b.clock.Advance(24 * time.Hour)
	b.settle()
	b.ended(id, job.Failed, "approval_expired")
	if m := api.Messages()[0]; len(m.Buttons) != 0 || !strings.Contains(m.Text, "Nobody decided in time") {
		t.Errorf("the message was left as %+v", m)
	}
	reply := <-api.Forge(m, m.Buttons[0].Data, 7)
	if !reply.Alert || !strings.Contains(reply.Text, "deadline has passed") {
		t.Errorf("the late one saw %+v", reply)
	}
}

func TestModeratorsHearWhatOthersDecided(t *testing.T) {
	b, api := withTelegram(t)
	id, m := question(b, api)
	b.must(b.engine.Decide(b.ctx, id, "rejected", "ann"))
	b.settle()
	b.ended(id, job.Finished, "rejected_by_moderator")
	if m := api.Messages()[0]; len(m.Buttons) != 0 || !strings.Contains(m.Text, "Decided: rejected, by ann") {
		t.Errorf("the message was left as %+v", m)
	}
	if reply := <-api.Forge(m, m.Buttons[0].Data, 7); !strings.Contains(reply.Text, "rejected, by ann") {
		t.Errorf("the late one saw %+v", reply)
	}
}
