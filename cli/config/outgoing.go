package config

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"orrery/engine/outbound"
	"orrery/engine/webhook"
)

// This file reads the settings of what leaves the server.

// webhookKeys is a setting that holds signing keys. Its text is never repeated in errors.
func webhookKeys(name, def, help string, at func(*Config) *Secret) setting {
	s := secret(name, nil, def, help, at)
	s.example = "whsec_ and the output of `openssl rand -base64 32`"
	s.set = func(c *Config, v string) error {
		if v != "" {
			if _, err := webhook.ParseKeys(v); err != nil {
				return err
			}
		}
		*at(c) = Secret(v)
		return nil
	}
	return s
}

// idList is a setting that holds whole numbers with commas.
func idList(name, example, help string, at func(*Config) *[]int64) setting {
	return setting{name: name, example: example, help: help,
		set: func(c *Config, v string) error {
			var ids []int64
			for part := range strings.SplitSeq(v, ",") {
				if part = strings.TrimSpace(part); part == "" {
					continue
				}
				id, err := strconv.ParseInt(part, 10, 64)
				if err != nil || id == 0 {
					return fmt.Errorf("%q is no id; ids are whole numbers", part)
				}
				ids = append(ids, id)
			}
			*at(c) = ids
			return nil
		},
		show: func(c *Config) string {
			var texts []string
			for _, id := range *at(c) {
				texts = append(texts, strconv.FormatInt(id, 10))
			}
			return strings.Join(texts, ",")
		}}
}

// httpURL is a setting that holds an address without a slash at its end. What stands in it
// before the host, or as a query, may be a secret: only the host is shown.
func httpURL(name, def, help string, at func(*Config) *string) setting {
	return setting{name: name, def: def, example: "https://example.com", help: help,
		set: func(c *Config, v string) error {
			if v != "" && !isHTTP(v) {
				return fmt.Errorf("is no absolute http or https address without a user name")
			}
			*at(c) = strings.TrimRight(v, "/")
			return nil
		},
		show: func(c *Config) string {
			if u, err := url.Parse(*at(c)); err == nil && u.Host != "" {
				return u.Scheme + "://" + u.Host
			}
			return ""
		}}
}

func isHTTP(v string) bool {
	u, err := url.Parse(v)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

func setPublicURL(c *Config, v string) error {
	u, err := url.Parse(v)
	if v != "" && (!isHTTP(v) || err != nil || u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("%q is no absolute http or https address", v)
	}
	c.PublicURL = strings.TrimRight(v, "/")
	return nil
}

// setNodeURL takes scheme, host and port alone: nodes speak to each other directly, and sign
// the path.
func setNodeURL(c *Config, v string) error {
	u, err := url.Parse(v)
	if v != "" && (!isHTTP(v) || err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.Trim(u.Path, "/") != "") {
		return fmt.Errorf("%q is no http or https address of a server, without a path", v)
	}
	c.NodeURL = strings.TrimRight(v, "/")
	return nil
}

func setOutgoingAllow(c *Config, v string) error {
	c.OutgoingAllow = nil
	for part := range strings.SplitSeq(v, ",") {
		if part = strings.TrimSpace(part); part != "" {
			c.OutgoingAllow = append(c.OutgoingAllow, part)
		}
	}
	_, err := outbound.New(c.OutgoingAllow)
	return err
}

// checkOutgoing checks what the settings of this file say together.
func (l *loader) checkOutgoing() {
	c := l.cfg
	if !c.Loopback() && c.WebhookSecret == DefaultWebhookSecret {
		c.WebhookSecret = "" // everybody knows it: then clients get no webhooks until one is set
	}
	a := &c.Approvals
	if a.TelegramToken != "" && len(a.TelegramChats) == 0 {
		l.fault("TELEGRAM_CHAT_ID", "TELEGRAM_CHAT_ID=-1001234567890", "TELEGRAM_BOT_TOKEN is set, but no chat to ask")
	}
	if a.WebhookSecret == "" {
		a.WebhookSecret = c.WebhookSecret
	}
	if a.WebhookURL != "" && a.WebhookSecret == "" {
		l.fault("APPROVAL_WEBHOOK_SECRET", "APPROVAL_WEBHOOK_SECRET=whsec_$(openssl rand -base64 32)", "APPROVAL_WEBHOOK_URL is set, but no key to sign with")
	}
}
