package telegram

import (
	"context"
	"net/http"
	"time"

	"orrery/engine/approval"
)

// This file receives the buttons that people press.

const (
	pauseFirst = time.Second
	pauseLast  = time.Minute
)

// Listen polls for pressed buttons until ctx ends. Only one process may do so for a bot;
// Telegram refuses the other, which tries again.
func (b *Bot) Listen(ctx context.Context, d approval.Decider) {
	offset, pause, failing := int64(0), pauseFirst, false
	for ctx.Err() == nil {
		next, err := b.updates(ctx, d, offset)
		offset = next
		if err == nil {
			if failing {
				b.cfg.Log.Info("telegram: the bot hears again")
			}
			pause, failing = pauseFirst, false
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if !failing {
			b.cfg.Log.Warn("telegram: the bot does not hear buttons; it is tried again", "error", err)
		}
		failing = true
		wait := pause
		if e, ok := err.(*apiError); ok {
			wait = max(wait, e.wait)
			if e.Final() || e.Code == http.StatusConflict {
				wait = pauseLast
			}
		}
		pause = min(2*pause, pauseLast)
		t := b.cfg.Clock.NewTimer(wait)
		select {
		case <-t.C():
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// updates waits for what was pressed, and gives the offset that confirms what was dealt with.
func (b *Bot) updates(ctx context.Context, d approval.Decider, offset int64) (int64, error) {
	var list []update
	err := b.poll.call(ctx, "getUpdates", map[string]any{"offset": offset, "timeout": pollSeconds, "allowed_updates": []string{"callback_query"}}, &list)
	for _, u := range list {
		if u.Callback != nil {
			if err := b.pressed(ctx, d, u.Callback); err != nil {
				return offset, err // the same update comes again
			}
		}
		offset = max(offset, u.ID+1)
	}
	return offset, err
}

// pressed deals with one button. The error says that the decision may be taken later.
func (b *Bot) pressed(ctx context.Context, d approval.Decider, q *callbackQuery) error {
	a, ours := decode(q.Data)
	switch {
	case q.Message == nil || !ours:
		b.reply(ctx, q, "This button is not known here.", true)
		return nil
	case !b.allows(q.Message.Chat.ID, q.From.ID):
		b.cfg.Log.Warn("telegram: a button was pressed by somebody who may not decide", "user", q.From.ID, "chat", q.Message.Chat.ID, "job", a.JobID)
		b.reply(ctx, q, "You may not decide this.", true)
		return nil
	}
	v, err := d.Answer(ctx, answerAt(a, q.From, b.cfg.Clock.Now()))
	if err != nil {
		return err
	}
	if v.Taken {
		b.reply(ctx, q, "Taken: "+v.Outcome.Decision, false)
	} else {
		b.reply(ctx, q, v.Why, true)
	}
	if v.Ended {
		b.close(ctx, q.Message, v)
	}
	return nil
}

// close edits the message whose button was pressed: it may be a copy that nobody else knows.
func (b *Bot) close(ctx context.Context, m *message, v approval.Verdict) {
	text := m.Text
	if v.Request != nil {
		text = question(*v.Request)
	}
	switch {
	case v.Outcome != nil:
		text = answered(text, *v.Outcome)
	default:
		text += "\n\n" + v.Why
	}
	if m.Text == "" && v.Request == nil { // too old for Telegram to show; there is nothing to add to
		text = v.Why
	}
	if err := b.edit(ctx, m.Chat.ID, m.ID, text); err != nil {
		b.cfg.Log.Warn("telegram: a message could not be edited", "error", err)
	}
}

// reply shows the person who pressed a short text, as an alert when it is bad news. Without
// it the button only seems to hang.
func (b *Bot) reply(ctx context.Context, q *callbackQuery, text string, alert bool) {
	err := b.api.call(ctx, "answerCallbackQuery", map[string]any{"callback_query_id": q.ID, "text": clipped(text, 190), "show_alert": alert}, nil)
	if err != nil && ctx.Err() == nil {
		b.cfg.Log.Info("telegram: the person who pressed a button could not be answered", "error", err)
	}
}
