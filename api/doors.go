package api

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
)

// This file lets the list of clients change while the server runs, and tells a client what is
// left of its quota.

// doors is who may come in now. It is replaced as a whole, so that no request sees half of a
// new list.
type doors struct {
	keys  keyring
	names map[string]*Client
	dev   *Client // who the console is in dev: the first admin
}

func newDoors(clients []Client) (*doors, error) {
	keys, err := newKeyring(clients)
	if err != nil {
		return nil, err
	}
	names := make(map[string]*Client, len(keys))
	for _, one := range keys {
		names[one.Name] = one
	}
	return &doors{keys: keys, names: names, dev: devClient(keys, clients)}, nil
}

// SetClients replaces the list of clients. Whoever is no longer on it with the same token is
// out: its next request is refused, also with a session at the console. It fails, and nothing
// changes, when the clients contradict each other.
func (s *Server) SetClients(clients []Client) error {
	next, err := newDoors(clients)
	if err != nil {
		return err
	}
	s.doors.Store(next)
	return nil
}

// client finds who has a token now; nil for nobody.
func (s *Server) client(token string) *Client { return s.doors.Load().keys.find(token) }

// reloadClients reads clients.toml again at an operator's word.
func (s *Server) reloadClients(c *fiber.Ctx, who *Client) error {
	return s.reload(c, who, "clients", "CLIENTS_CONFIG_PATH", s.cfg.ReloadClients)
}

// reloadWorkers reads workers.toml again at an operator's word.
func (s *Server) reloadWorkers(c *fiber.Ctx, who *Client) error {
	return s.reload(c, who, "workers", "WORKERS_CONFIG_PATH", s.cfg.ReloadWorkers)
}

func (s *Server) reload(c *fiber.Ctx, who *Client, what, setting string, do func(context.Context) (int, error)) error {
	if do == nil {
		return problem(codeBadRequest, "this server was started without a "+what+".toml; set "+setting+" and start it again")
	}
	n, err := do(c.UserContext())
	if err != nil {
		// The text names file and line, never a token; the old tokens stay in force.
		return problem(codeBadRequest, what+".toml was not taken over, the tokens from before stay in force: "+err.Error())
	}
	s.log.Info("tokens were read again", "of", what, "by", who.Name, "entries", n)
	return c.JSON(fiber.Map{"status": "reloaded", what: n})
}

// Standing is what a client has left of its quota.
type Standing struct {
	Client    string    `json:"client"`
	Plan      string    `json:"plan"`
	Attempts  *int64    `json:"monthly_attempts"` // null: without a bound
	Used      int64     `json:"used"`             // in this calendar month (UTC); not counted without a bound
	Remaining *int64    `json:"remaining"`
	Resets    time.Time `json:"resets_at"`
}

func (s *Server) showQuota(c *fiber.Ctx, who *Client) error {
	used, resets, err := s.jobs.AttemptsUsed(c.UserContext(), who.Name)
	if err != nil {
		return err
	}
	out := Standing{Client: who.Name, Plan: who.Plan, Attempts: who.Attempts, Used: used, Resets: resets}
	if who.Attempts != nil {
		left := max(0, *who.Attempts-used)
		out.Remaining = &left
	}
	return c.JSON(out)
}
