// Package telegram asks for decisions by a Telegram bot: a message with a button for each
// answer, edited when the question has ended.
//
// Answers come by long polling (getUpdates), so the server needs no address that Telegram
// could reach. The chats that may be asked, and the users who may answer, are the
// operator's choice; a button counts only in such a chat, from such a user, and with the
// proof that stands in its data. An update is confirmed to Telegram after its decision is
// durable, so a crash in between brings it again.
//
// A message that was sent while the process died is known to Telegram only. Before the
// request is sent again its earlier copies are looked for, so that all are edited at the end.
package telegram

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"orrery/engine/approval"
	"orrery/engine/clock"
	"orrery/engine/outbound"
)

// This file sends and edits messages.

const (
	callTimeout = 20 * time.Second
	pollSeconds = 50
	lookBack    = 60  // messages of others before a repeated one that may be its earlier copies
	triesBack   = 400 // numbers that are tried for them: many belong to messages that are gone
)

// Config is what a bot is told.
type Config struct {
	Token     string
	URL       string  // of the Bot API, without a slash at its end
	Chats     []int64 // that may be asked; the first one when the script names none
	Approvers []int64 // users who may decide; none: everybody in the chats
	Guard     *outbound.Guard
	Clock     clock.Clock
	Log       *slog.Logger
}

// Bot is the integration. Make it with New.
type Bot struct {
	cfg  Config
	api  *api
	poll *api
	own  own
}

var _ approval.Listener = (*Bot)(nil)

// New makes a bot; nothing is called yet.
func New(cfg Config) *Bot {
	base := cfg.URL + "/bot" + cfg.Token + "/"
	return &Bot{cfg: cfg,
		api:  &api{base, cfg.Guard.Client(callTimeout)},
		poll: &api{base, cfg.Guard.Client(pollSeconds*time.Second + callTimeout)},
	}
}

// receipt is what Ask leaves behind.
type receipt struct {
	Chat     int64   `json:"chat_id"`
	Messages []int64 `json:"message_ids"` // one, and copies that a crash left
}

// refusal is a request that this bot can not send as it stands.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

// Final says that trying again is pointless.
func (r *refusal) Final() bool { return true }

// NotSent says that nobody was asked.
func (r *refusal) NotSent() bool { return true }

// chatFor gives the chat that a script may name, among those of the operator.
func (b *Bot) chatFor(r approval.Request) (int64, error) {
	var extra struct {
		Chat any `json:"chat_id"`
	}
	if len(r.Extra) > 0 {
		if err := json.Unmarshal(r.Extra, &extra); err != nil {
			return 0, &refusal{"the keywords of await_human_approval can not be read: " + err.Error()}
		}
	}
	if extra.Chat == nil {
		return b.cfg.Chats[0], nil
	}
	for _, id := range b.cfg.Chats {
		if want := fmt.Sprint(id); extra.Chat == want || fmt.Sprintf("%.0f", extra.Chat) == want {
			return id, nil
		}
	}
	return 0, &refusal{fmt.Sprintf("chat_id = %v is not among the chats that the operator allows (TELEGRAM_CHAT_ID)", extra.Chat)}
}

// Ask sends the message with its buttons.
func (b *Bot) Ask(ctx context.Context, r approval.Request) (json.RawMessage, error) {
	to, err := b.chatFor(r)
	if err != nil {
		return nil, err
	}
	keys := keyboard{}
	for i, name := range r.Decisions {
		data, err := encode(r, i)
		if err != nil {
			return nil, &refusal{err.Error()}
		}
		keys.Rows = append(keys.Rows, []button{{Text: clipped(name, 60), Data: data}})
	}
	sent, err := b.send(ctx, to, question(r), &keys)
	if err != nil {
		return nil, err
	}
	kept := receipt{Chat: to, Messages: []int64{sent.ID}}
	if r.Doubt {
		kept.Messages = append(kept.Messages, b.copies(ctx, to, sent.ID, question(r))...)
	}
	return json.Marshal(kept)
}

func (b *Bot) send(ctx context.Context, to int64, text string, keys *keyboard) (*message, error) {
	in := map[string]any{"chat_id": to, "text": text, "link_preview_options": map[string]bool{"is_disabled": true}}
	if keys != nil {
		in["reply_markup"] = keys
	}
	sent := new(message)
	err := b.api.call(ctx, "sendMessage", in, sent)
	if err == nil {
		b.own.add(to, sent.ID, text)
	}
	return sent, err
}

// copies finds earlier messages of the chat with the same text. The Bot API reads no
// messages, but it gives the text of one that is forwarded; the forwarded one is deleted.
func (b *Bot) copies(ctx context.Context, in, before int64, text string) (found []int64) {
	looked, tries := 0, 0
	for id := before - 1; id > 0 && looked < lookBack && tries < triesBack; id-- {
		if said, mine := b.own.text(in, id); mine {
			if said == text {
				found = append(found, id)
			}
			continue
		}
		tries++
		var forwarded message
		err := b.api.call(ctx, "forwardMessage", map[string]any{"chat_id": in, "from_chat_id": in, "message_id": id, "disable_notification": true}, &forwarded)
		if err != nil {
			if e, ok := err.(*apiError); ok && e.Code == http.StatusBadRequest {
				continue // no such message, or none that can be forwarded
			}
			b.cfg.Log.Warn("telegram: earlier copies of a repeated request were not looked for to the end", "error", err)
			return found
		}
		looked++
		b.own.add(in, forwarded.ID, "")
		if err := b.api.call(ctx, "deleteMessage", map[string]any{"chat_id": in, "message_id": forwarded.ID}, nil); err != nil {
			b.cfg.Log.Warn("telegram: a message that was forwarded to read it could not be deleted", "message_id", forwarded.ID, "error", err)
		}
		if forwarded.Text == text {
			found = append(found, id)
		}
	}
	return found
}

// Settle edits every copy of the message: the buttons go, the outcome comes.
func (b *Bot) Settle(ctx context.Context, r approval.Request, o approval.Outcome, kept json.RawMessage) error {
	text := answered(question(r), o)
	var at receipt
	if kept == nil { // it may have been sent, and where it stands is not known
		to, err := b.chatFor(r)
		if err != nil {
			return err
		}
		last, err := b.send(ctx, to, text, nil)
		if err != nil {
			return err
		}
		at = receipt{Chat: to, Messages: b.copies(ctx, to, last.ID, question(r))}
	} else if err := json.Unmarshal(kept, &at); err != nil {
		return &refusal{"the receipt can not be read: " + err.Error()}
	}
	for _, id := range at.Messages {
		if err := b.edit(ctx, at.Chat, id, text); err != nil {
			return err
		}
	}
	return nil
}

// edit replaces a message and takes its buttons away.
func (b *Bot) edit(ctx context.Context, in, id int64, text string) error {
	err := b.api.call(ctx, "editMessageText", map[string]any{"chat_id": in, "message_id": id, "text": text,
		"link_preview_options": map[string]bool{"is_disabled": true}}, nil)
	if gone(err) {
		return nil // edited before, or removed by somebody
	}
	return err
}

// allows reports whether a user may decide in a chat.
func (b *Bot) allows(in, who int64) bool {
	return slices.Contains(b.cfg.Chats, in) && (len(b.cfg.Approvers) == 0 || slices.Contains(b.cfg.Approvers, who))
}

// name says who pressed, for the history and for others.
func (u user) name() string {
	return fmt.Sprintf("telegram:%s (%d)", cmp.Or(u.Username, strings.TrimSpace(u.FirstName+" "+u.LastName), "user"), u.ID)
}
