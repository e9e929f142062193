package cli

import (
	"context"
	"encoding/json"
	"errors"

	"orrery/api"
	"orrery/cli/config"
	"orrery/workers"
)

// This file gives the server those who may come in, at the start and when their files change.

// clients gives those who may come in: the file's, and the holder of the one token as admin.
func clients(list []config.Client, admin config.Secret) []api.Client {
	var all []api.Client
	for _, c := range list {
		one := api.Client{Name: c.Name, Hash: c.Token, Plan: c.Plan, Role: c.Role, Params: c.Params}
		if c.MonthlyAttempts >= 0 {
			one.Attempts = &c.MonthlyAttempts
		}
		all = append(all, one)
	}
	if admin != "" {
		all = append(all, api.Client{Name: "admin", Token: admin.Reveal(), Role: "admin", Params: json.RawMessage(`{}`)})
	}
	return all
}

func workerTokens(list []config.Worker) map[string]workers.Digest {
	tokens := map[string]workers.Digest{}
	for _, w := range list {
		tokens[w.ID] = workers.Digest(w.Token)
	}
	return tokens
}

// reloadClients reads clients.toml again; a file with faults changes nothing.
func (s *server) reloadClients(context.Context) (int, error) {
	if s.cfg.ClientsPath == "" {
		return 0, errors.New("there is no file of clients (CLIENTS_CONFIG_PATH)")
	}
	list, admin, faults := s.cfg.ReadClients()
	if len(faults) > 0 {
		return 0, faults
	}
	if err := s.http.SetClients(clients(list, admin)); err != nil {
		return 0, err
	}
	return len(list), s.outside.useKeys(s.cfg.WebhookSecret, list) // checked with the file
}

// reloadWorkers reads the workers' own tokens again; a file with faults changes nothing.
func (s *server) reloadWorkers(context.Context) (int, error) {
	if s.cfg.WorkersPath == "" {
		return 0, errors.New("there is no file of workers (WORKERS_CONFIG_PATH)")
	}
	list, shared, faults := s.cfg.ReadWorkers()
	if len(faults) > 0 {
		return 0, faults
	}
	s.hub.SetTokens(shared.Reveal(), workerTokens(list))
	return len(list), nil
}

// reload takes over a file that has changed. A file with faults is named in the log, and what
// held before goes on holding.
func (s *server) reload(ctx context.Context, path string) {
	again := s.reloadWorkers
	switch path {
	case s.cfg.ClientsPath:
		again = s.reloadClients
	case s.cfg.SchedulesPath:
		again = s.reloadSchedules
	case s.cfg.TLSCert, s.cfg.TLSKey, s.cfg.TLSAuthority:
		again = func(context.Context) (int, error) { return 1, s.tls.load() }
	}
	n, err := again(ctx)
	if err != nil {
		s.log.Error("a changed file was not taken over; what held before stays in force", "file", path, "error", err)
		return
	}
	s.log.Info("a changed file was taken over", "file", path, "entries", n)
}
