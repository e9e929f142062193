package cli

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"orrery/cli/config"
	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/historydb"
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

// warnNeeds says at each load which scripts use what this server has not got.
func (s *server) warnNeeds(now *blueprint.Snapshot) {
	s.outside.warnApprovals(now, s.log)
	for _, need := range now.Needs() {
		place := []any{"file", need.File, "line", need.Line, "col", need.Col}
		_, named := s.cfg.Databases[need.Database]
		switch {
		case need.Database == "" && s.files.kept == nil:
			s.log.Warn("a script uses task_files, and files are turned off here (TASK_FILES_DIR, S3_ENDPOINT_URL): its calls fail", place...)
		case need.Database != "" && !named && s.dev:
			s.log.Info(fmt.Sprintf("the database %q is not configured; a SQLite file below %s stands in for it", need.Database, standInFolder), place...)
		case need.Database != "" && !named:
			s.log.Warn(fmt.Sprintf("a script uses the database %q, which is not configured (%s%s, or [sql] in orrery.toml): its calls fail",
				need.Database, "SQL_DATABASE_", strings.ToUpper(need.Database)), place...)
		}
	}
}

// openHistory opens the copy of the history; nil when none is configured.
func openHistory(cfg *config.Config, log *slog.Logger) (*historydb.Sink, error) {
	if cfg.HistoryURI == "" {
		return nil, nil
	}
	sink, err := historydb.Open(cfg.HistoryURI.Reveal(), log)
	if err != nil {
		return nil, fmt.Errorf("HISTORY_DATABASE_URI: %w", err)
	}
	return sink, nil
}

// historySink gives what the engine feeds; a nil *Sink in the interface would not be nil.
func (s *server) historySink() engine.HistorySink {
	if s.history == nil {
		return nil
	}
	return s.history
}
