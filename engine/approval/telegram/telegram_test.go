package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery/engine/approval"
	"orrery/engine/approval/telegram/bottest"
	"orrery/engine/clock"
	"orrery/engine/outbound"
)

// This file tests the bot against a server that behaves as the Bot API's documentation says.

const (
	room  = int64(-1001234567890)
	other = int64(777)
	ana   = int64(11)
	bob   = int64(22)
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newBot(t *testing.T, s *bottest.Server, log *strings.Builder, mods ...func(*Config)) *Bot {
	t.Helper()
	g, err := outbound.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Token: bottest.Token, URL: s.URL, Chats: []int64{room, other}, Guard: g, Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler)}
	if log != nil {
		cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	for _, m := range mods {
		m(&cfg)
	}
	return New(cfg)
}

func newServer(t *testing.T) *bottest.Server {
	t.Helper()
	s := bottest.New(room, other)
	t.Cleanup(s.Close)
	return s
}

func question1() approval.Request {
	until := noon.Add(24 * time.Hour)
	return approval.Request{ID: "j/2/0", JobID: "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", Step: 2, Blueprint: "moderation", Message: "Publish <b>it</b>?",
		Decisions: []string{"approved", "rejected"}, Until: &until, Token: "abcdefghijklmnopqrstuvwxyz0123456789-_ABCDE"}
}

// desk takes one decision, as the engine does.
type desk struct {
	mu      sync.Mutex
	answers []approval.Answer
	end     *approval.Outcome
	fail    error
}

func (d *desk) Answer(_ context.Context, a approval.Answer) (approval.Verdict, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = append(d.answers, a)
	r := question1()
	switch {
	case d.fail != nil:
		err := d.fail
		d.fail = nil
		return approval.Verdict{}, err
	case a.Proof != r.Token[:approval.ProofSize] || a.JobID != r.JobID || a.Step != r.Step:
		return approval.Verdict{Why: "not a question of this server"}, nil
	case d.end != nil:
		return approval.Verdict{Ended: true, Why: "decided already by " + d.end.By, Outcome: d.end}, nil
	}
	d.end = &approval.Outcome{How: approval.Decided, Decision: r.Decisions[a.Choice], By: a.By, At: noon}
	return approval.Verdict{Taken: true, Ended: true, Outcome: d.end, Request: &r}, nil
}

func listen(t *testing.T, b *Bot, d approval.Decider) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.Listen(ctx, d); close(done) }()
	t.Cleanup(func() { stop(); <-done })
}

func mustPress(t *testing.T, s *bottest.Server, message int64, text string, who int64) bottest.Reply {
	t.Helper()
	reply, err := s.Press(message, text, who)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-reply:
		return r
	case <-t.Context().Done():
		t.Fatal("no reply")
	}
	return bottest.Reply{}
}

func ask(t *testing.T, b *Bot, r approval.Request) json.RawMessage {
	t.Helper()
	kept, err := b.Ask(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestAskPressAndEdit(t *testing.T) {
	s := newServer(t)
	b, d := newBot(t, s, nil), &desk{}
	kept := ask(t, b, question1())
	ms := s.Messages()
	if len(ms) != 1 || ms[0].Chat != room || len(ms[0].Buttons) != 2 || ms[0].Buttons[0].Text != "approved" {
		t.Fatalf("%+v", ms)
	}
	for _, want := range []string{"moderation", "Publish <b>it</b>?", question1().JobID, "question 2", "2026-11-24 12:00 UTC"} {
		if !strings.Contains(ms[0].Text, want) {
			t.Errorf("%q is missing in %q", want, ms[0].Text)
		}
	}
	listen(t, b, d)
	if got := mustPress(t, s, ms[0].ID, "rejected", ana); got.Text != "Taken: rejected" || got.Alert {
		t.Errorf("the person saw %+v", got)
	}
	edited := func(ms []bottest.Message) bool { return ms[0].Edits == 1 }
	if !s.Wait(t.Context().Done(), edited) {
		t.Fatal("not edited")
	}
	if m := s.Messages()[0]; len(m.Buttons) != 0 || !strings.Contains(m.Text, "Decided: rejected, by telegram:user11 (11)") || !strings.HasPrefix(m.Text, ms[0].Text) {
		t.Errorf("%+v", m)
	}
	// The engine's own word comes as well, and changes nothing.
	if err := b.Settle(t.Context(), question1(), *d.end, kept); err != nil {
		t.Error(err)
	}
	if a := d.answers[0]; a.By != "telegram:user11 (11)" || a.Choice != 1 {
		t.Errorf("%+v", a)
	}
}

func TestDecidedElsewhere(t *testing.T) {
	s := newServer(t)
	b := newBot(t, s, nil)
	kept := ask(t, b, question1())
	for how, want := range map[string]string{approval.Expired: "Nobody decided in time", approval.Cancelled: "cancelled", approval.Decided: "Decided: approved, by bea"} {
		if err := b.Settle(t.Context(), question1(), approval.Outcome{How: how, Decision: "approved", By: "bea", At: noon}, kept); err != nil {
			t.Fatal(err)
		}
		if m := s.Messages()[0]; !strings.Contains(m.Text, want) || len(m.Buttons) != 0 {
			t.Errorf("%s: %+v", how, m)
		}
	}
}

// Two copies of one request are in the chat, and only the second was noted.
func TestBothCopiesAreEdited(t *testing.T) {
	for _, noted := range []bool{true, false} {
		s := newServer(t)
		b := newBot(t, s, nil)
		lost := ask(t, b, question1())
		another := question1()
		another.Step, another.Message = 3, "Something else?"
		ask(t, b, another)
		r := question1()
		r.Doubt = true
		kept := json.RawMessage(nil)
		if noted {
			kept = ask(t, b, r)
		}
		if string(lost) == string(kept) {
			t.Fatal("not sent again")
		}
		if err := b.Settle(t.Context(), r, approval.Outcome{How: approval.Decided, Decision: "approved", By: "bea", At: noon}, kept); err != nil {
			t.Fatal(err)
		}
		edited, untouched := 0, 0
		for _, m := range s.Messages() {
			switch {
			case strings.Contains(m.Text, "Decided: approved") && len(m.Buttons) == 0:
				edited++
			case strings.Contains(m.Text, "Something else?") && len(m.Buttons) == 2:
				untouched++
			default:
				t.Errorf("left in the chat: %+v", m)
			}
		}
		if edited != 2 || untouched != 1 {
			t.Errorf("noted %v: %d edited, %d of another question", noted, edited, untouched)
		}
	}
}

func TestSecondPressIsTold(t *testing.T) {
	s := newServer(t)
	b, d := newBot(t, s, nil), &desk{}
	ask(t, b, question1())
	ask(t, b, question1()) // a copy
	listen(t, b, d)
	ms := s.Messages()
	mustPress(t, s, ms[0].ID, "approved", ana)
	if got := mustPress(t, s, ms[1].ID, "rejected", bob); !got.Alert || !strings.Contains(got.Text, "decided already by telegram:user11") {
		t.Errorf("the second one saw %+v", got)
	}
	if !s.Wait(t.Context().Done(), func(ms []bottest.Message) bool { return ms[0].Edits == 1 && ms[1].Edits == 1 }) {
		t.Fatal("a copy was not edited")
	}
	if m := s.Messages()[1]; !strings.Contains(m.Text, "Decided: approved") {
		t.Errorf("%+v", m)
	}
}

func TestWhoMayDecide(t *testing.T) {
	s := newServer(t)
	var log strings.Builder
	b, d := newBot(t, s, &log, func(c *Config) { c.Approvers = []int64{ana} }), &desk{}
	ask(t, b, question1())
	m := s.Messages()[0]
	strange := m
	strange.Chat = 999
	replies := []<-chan bottest.Reply{
		s.Forge(m, m.Buttons[0].Data, bob),                                          // may not decide
		s.Forge(strange, m.Buttons[0].Data, ana),                                    // another chat
		s.Forge(m, "hello", ana),                                                    // no button of ours
		s.Forge(m, m.Buttons[0].Data[:len(m.Buttons[0].Data)-1]+"x", ana),           // a forged proof
		s.Forge(m, strings.Replace(m.Buttons[0].Data, "1", "2", 1), ana),            // another version
		s.Forge(m, "1"+strings.Repeat("!", len(m.Buttons[0].Data)-1), ana),          // no base64
		s.Forge(m, m.Buttons[0].Data+strings.Repeat("A", 64), ana),                  // too long
		s.Forge(bottest.Message{ID: m.ID, Chat: room}, m.Buttons[0].Data+"\x00", 0), // nobody
	}
	listen(t, b, d)
	for i, c := range replies {
		if got := <-c; !got.Alert || strings.HasPrefix(got.Text, "Taken") {
			t.Errorf("%d: %+v", i, got)
		}
	}
	if d.end != nil {
		t.Errorf("decided by %s", d.end.By)
	}
	if got := mustPress(t, s, m.ID, "approved", ana); got.Alert {
		t.Errorf("the one who may: %+v", got)
	}
	if strings.Contains(log.String(), "TEST-bot-token") {
		t.Error("the token is in the log")
	}
}

// What could not be kept is not confirmed to Telegram: the same press comes again.
func TestPressIsNotLostWhenTheStoreFails(t *testing.T) {
	s := newServer(t)
	b, d := newBot(t, s, nil), &desk{fail: errors.New("the disk is full")}
	ask(t, b, question1())
	listen(t, b, d)
	if got := mustPress(t, s, s.Messages()[0].ID, "approved", ana); got.Text != "Taken: approved" {
		t.Errorf("%+v", got)
	}
	if len(d.answers) != 2 {
		t.Errorf("%d answers", len(d.answers))
	}
}

func TestFailures(t *testing.T) {
	s := newServer(t)
	b := newBot(t, s, nil)
	type tells interface {
		Final() bool
		NotSent() bool
		RetryAfter() time.Duration
	}
	for _, c := range []struct {
		code           int
		params         map[string]any
		final, notSent bool
		wait           time.Duration
		text           string
	}{
		{429, map[string]any{"retry_after": 7}, false, true, 7 * time.Second, "429"},
		{400, map[string]any{"migrate_to_chat_id": -100555}, true, true, 0, "TELEGRAM_CHAT_ID=-100555"},
		{403, nil, true, true, 0, "bot was kicked"},
		{500, nil, false, false, 0, "500"},
	} {
		s.Fail("sendMessage", c.code, "bot was kicked", c.params)
		_, err := b.Ask(t.Context(), question1())
		e, ok := err.(tells)
		if !ok || e.Final() != c.final || e.NotSent() != c.notSent || e.RetryAfter() != c.wait || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%d: %#v", c.code, err)
		}
	}
	wrong := newBot(t, s, nil, func(c *Config) { c.Token = "1:wrong-token" })
	_, err := wrong.Ask(t.Context(), question1())
	if e, ok := err.(tells); !ok || !e.Final() || strings.Contains(err.Error(), "wrong-token") {
		t.Errorf("a wrong token: %v", err)
	}
	s.Close()
	_, err = newBot(t, s, nil).Ask(t.Context(), question1())
	if e, ok := err.(tells); !ok || e.Final() || !e.NotSent() || strings.Contains(err.Error(), bottest.Token) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestChatThatTheScriptNames(t *testing.T) {
	s := newServer(t)
	b := newBot(t, s, nil)
	for _, extra := range []string{`{"chat_id": 777}`, `{"chat_id": "777", "x": 1}`} {
		r := question1()
		r.Extra = json.RawMessage(extra)
		ask(t, b, r)
	}
	for _, m := range s.Messages() {
		if m.Chat != other {
			t.Errorf("%+v", m)
		}
	}
	r := question1()
	r.Extra = json.RawMessage(`{"chat_id": 778}`)
	if _, err := b.Ask(t.Context(), r); err == nil || !strings.Contains(err.Error(), "TELEGRAM_CHAT_ID") {
		t.Errorf("a chat of somebody else: %v", err)
	}
}

func TestLongTextsFit(t *testing.T) {
	s := newServer(t)
	b := newBot(t, s, nil)
	for _, char := range []string{"x", "ñ", "🙂", "\xff"} {
		r := question1()
		r.Message, r.Blueprint, r.Decisions = strings.Repeat(char, 10_000), strings.Repeat(char, 500), []string{strings.Repeat(char, 300)}
		ask(t, b, r)
	}
	for n := 2; n < 9; n++ {
		if got := clipped("a🙂b🙂c", n); len([]rune(got)) == 0 || strings.Contains(got, "\uFFFD") {
			t.Errorf("clipped to %d: %q", n, got)
		}
	}
}

func TestButtonsData(t *testing.T) {
	r := question1()
	for _, choice := range []int{0, 1, 255} {
		data, err := encode(r, choice)
		if err != nil || len(data) > 64 {
			t.Fatal(len(data), err)
		}
		a, ok := decode(data)
		if !ok || a.JobID != r.JobID || a.Step != r.Step || a.Choice != choice || a.Proof != r.Token[:approval.ProofSize] {
			t.Errorf("%+v", a)
		}
	}
	if _, err := encode(r, 256); err == nil {
		t.Error("256 fits in a byte")
	}
}

func FuzzButtonsData(f *testing.F) {
	data, err := encode(question1(), 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add("")
	f.Fuzz(func(t *testing.T, data string) {
		if a, ok := decode(data); ok && (len(a.JobID) != 36 || len(a.Proof) != approval.ProofSize) {
			t.Errorf("%q gives %s", data, fmt.Sprint(a))
		}
	})
}
