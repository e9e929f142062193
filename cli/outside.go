package cli

import (
	"fmt"
	"sync/atomic"

	"orrery/cli/config"
	"orrery/engine/approval"
	"orrery/engine/outbound"
	"orrery/engine/webhook"
)

// This file makes what speaks to the outside, all through one guard.

// outside is what leaves the server.
type outside struct {
	guard     *outbound.Guard
	keys      atomic.Pointer[keyBook]
	webhooks  *webhook.Sender
	approvals map[string]approval.Integration
}

// keyBook holds the keys that webhooks are signed with.
type keyBook struct {
	own    []webhook.Key            // of the server
	client map[string][]webhook.Key // of clients that have their own
}

// newOutside makes everything from a configuration that was checked.
func newOutside(cfg *config.Config) (*outside, error) {
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
	return o, nil
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
