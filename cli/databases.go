package cli

import (
	"path/filepath"

	"orrery/cli/config"
	"orrery/engine"
)

// This file gives scripts their databases.

// standInFolder is where `dev` keeps databases that nobody configured.
const standInFolder = ".orrery/sql"

// databases names those of the configuration. In dev any other name is a SQLite file below
// .orrery, so that every example runs as it stands.
func databases(cfg *config.Config, dev bool) *engine.Databases {
	addresses := map[string]string{}
	for name, address := range cfg.Databases {
		addresses[name] = address.Reveal()
	}
	if !dev {
		return engine.NewDatabases(addresses, nil)
	}
	return engine.NewDatabases(addresses, func(name string) string {
		return "sqlite:" + filepath.Join(standInFolder, name+".db")
	})
}

// historySink gives what the engine feeds; a nil *Sink in the interface would not be nil.
func (s *server) historySink() engine.HistorySink {
	if s.history == nil {
		return nil
	}
	return s.history
}
