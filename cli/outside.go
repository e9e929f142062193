package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"orrery/cli/config"
	"orrery/engine/approval"
	"orrery/engine/approval/hook"
	"orrery/engine/approval/telegram"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/engine/outbound"
	"orrery/engine/webhook"
)

// This file makes what speaks to the outside, all through one kind of guard.

// outside is what leaves the server.
type outside struct {
	guard     *outbound.Guard
	keys      atomic.Pointer[keyBook]
	webhooks  *webhook.Sender
	approvals map[string]approval.Integration
}

// Names that scripts give to await_human_approval, and the settings that switch them on.
const (
	viaTelegram = "telegram"
	viaWebhook  = "webhook"
)

var approvalSettings = map[string]string{viaTelegram: "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID", viaWebhook: "APPROVAL_WEBHOOK_URL"}

// keyBook holds the keys that webhooks are signed with.
type keyBook struct {
	own    []webhook.Key            // of the server
	client map[string][]webhook.Key // of clients that have their own
}

// newOutside makes everything from a configuration that was checked.
func newOutside(cfg *config.Config, log *slog.Logger) (*outside, error) {
	guard, err := outbound.New(cfg.OutgoingAllow)
	if err != nil {
		return nil, fmt.Errorf("OUTGOING_ALLOW: %w", err)
	}
	o := &outside{guard: guard, approvals: map[string]approval.Integration{}}
	if err := o.useKeys(cfg.WebhookSecret, cfg.Clients); err != nil {
		return nil, err
	}
	o.webhooks = webhook.New(guard, func(client string) []webhook.Key {
		book := o.keys.Load()
		if keys, ok := book.client[client]; ok {
			return keys
		}
		return book.own
	})
	return o, o.addApprovals(cfg.Approvals, cfg.OutgoingAllow, log)
}

// addApprovals makes the integrations that are configured. Their addresses are the
// operator's own choice, so they are allowed wherever they point.
func (o *outside) addApprovals(a config.Approvals, allow []string, log *slog.Logger) error {
	if a.TelegramToken != "" {
		guard, err := guardFor(a.TelegramURL, allow)
		if err != nil {
			return fmt.Errorf("TELEGRAM_API_URL: %w", err)
		}
		o.approvals[viaTelegram] = telegram.New(telegram.Config{Token: a.TelegramToken.Reveal(), URL: a.TelegramURL,
			Chats: a.TelegramChats, Approvers: a.TelegramApprovers, Guard: guard, Clock: clock.Real{}, Log: log})
	}
	if a.WebhookURL != "" {
		guard, err := guardFor(a.WebhookURL, allow)
		if err != nil {
			return fmt.Errorf("APPROVAL_WEBHOOK_URL: %w", err)
		}
		keys, err := webhook.ParseKeys(a.WebhookSecret.Reveal())
		if err != nil {
			return fmt.Errorf("APPROVAL_WEBHOOK_SECRET: %w", err)
		}
		o.approvals[viaWebhook] = hook.New(a.WebhookURL, keys, guard, clock.Real{})
	}
	return nil
}

// guardFor also lets through the host of one address.
func guardFor(address string, allow []string) (*outbound.Guard, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return outbound.New(append(slices.Clone(allow), u.Hostname()))
}

// listen hands answers that come to integrations over to the engine, until ctx ends.
func (o *outside) listen(ctx context.Context, d approval.Decider) {
	var busy sync.WaitGroup
	for _, one := range o.approvals {
		if l, ok := one.(approval.Listener); ok {
			busy.Go(func() { l.Listen(ctx, d) })
		}
	}
	busy.Wait()
}

// warnApprovals says at each load which scripts ask by a way that is not configured.
func (o *outside) warnApprovals(s *blueprint.Snapshot, log *slog.Logger) {
	for _, a := range s.Approvals {
		if _, ok := o.approvals[a.Integration]; ok {
			continue
		}
		set := "there is none of that name"
		if names, known := approvalSettings[a.Integration]; known {
			set = "set " + names
		}
		log.Warn(fmt.Sprintf("the blueprint %q asks for decisions by the integration %q, which is not configured (%s): its jobs wait, and are decided by command, API or page",
			a.Blueprint, a.Integration, set), "file", a.File, "line", a.Line, "col", a.Col)
	}
}

// useKeys takes the keys of the server and of its clients over; it may be called again.
func (o *outside) useKeys(own config.Secret, clients []config.Client) error {
	book := &keyBook{client: map[string][]webhook.Key{}}
	var err error
	if own != "" {
		if book.own, err = webhook.ParseKeys(own.Reveal()); err != nil {
			return fmt.Errorf("WEBHOOK_SECRET: %w", err)
		}
	}
	for _, c := range clients {
		if c.WebhookSecret == "" {
			continue
		}
		if book.client[c.Name], err = webhook.ParseKeys(c.WebhookSecret.Reveal()); err != nil {
			return fmt.Errorf("webhook_secret of the client %q: %w", c.Name, err)
		}
	}
	o.keys.Store(book)
	return nil
}
