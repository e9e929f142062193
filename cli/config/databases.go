package config

import (
	"maps"
	"slices"
	"strings"

	"orrery/engine/database"
)

// This file reads the databases that scripts may connect to by name:
//
//	[sql]
//	reports = "sqlite:reports.db"
//	warehouse = "postgresql://user:password@host/database"
//
// or SQL_DATABASE_REPORTS=sqlite:reports.db, which goes over the file.

const (
	databaseTable = "sql"
	databaseEnv   = "SQL_DATABASE_"
	historyURI    = "HISTORY_DATABASE_URI"
)

// databases joins both sources and checks every address; none is opened.
func (l *loader) databases() {
	c := l.cfg
	c.Databases = map[string]Secret{}
	from := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(l.sql)) {
		from[name] = place(l.path, lineOf(l.lines, databaseTable, name)) + ": " + name
		address, ok := l.sql[name].(string)
		if !ok {
			l.fault(from[name], name+` = "sqlite:reports.db"`, "the address of a database is a text")
			continue
		}
		c.Databases[name] = Secret(address)
	}
	for env, address := range l.env {
		if upper, ok := strings.CutPrefix(env, databaseEnv); ok && address != "" {
			name := strings.ToLower(upper)
			c.Databases[name], from[name] = Secret(address), env
		}
	}
	if uri := c.HistoryURI.Reveal(); uri != "" {
		const example = historyURI + "=sqlite:history.db"
		kind, path, err := database.Parse(uri)
		switch {
		case err != nil:
			l.fault(historyURI, example, "%v", err)
		case kind == database.SQLite && c.Store.Path != "" && database.SameFile(path, c.Store.Path):
			l.fault(historyURI, example, "this is the file in which the server keeps its jobs (STORE_URL); the copy needs a file of its own")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Databases)) {
		if err := database.CheckName(name); err != nil {
			l.fault(from[name], "reports", "%v", err)
			continue
		}
		kind, path, err := database.Parse(c.Databases[name].Reveal())
		switch {
		case err != nil:
			l.fault(from[name], databaseEnv+"REPORTS=sqlite:reports.db", "%v", err)
		case kind == database.SQLite && c.Store.Path != "" && database.SameFile(path, c.Store.Path):
			l.fault(from[name], databaseEnv+"REPORTS=sqlite:reports.db", "this is the file in which the server keeps its jobs (STORE_URL); scripts never get at it: name another file")
		}
	}
}
