package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orrery/cli/config"
	"orrery/engine/analysis"
	"orrery/engine/blob/s3"
	"orrery/engine/blueprint"
	"orrery/engine/database"
	"orrery/engine/store"
)

// This file looks at what a server reads and writes beside its store: blueprints, files,
// databases, other nodes.

func blueprints(ctx context.Context, s *Subject) []store.Finding {
	const check = "blueprints"
	dir := s.Config.BlueprintsDir
	c, err := blueprint.LoadDir(ctx, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return []store.Finding{store.Bad(check, err.Error(), "make the folder, or name another in BLUEPRINTS_DIR")}
	}
	var out []store.Finding
	status := c.Status()
	if len(status.LeftOut) > 0 {
		out = append(out, store.Bad(check, fmt.Sprintf("left out because of errors: %s", strings.Join(status.LeftOut, ", ")), "orrery check "+dir))
	}
	warnings := 0
	for _, f := range status.Findings {
		if f.Severity != analysis.Error {
			warnings++
		}
	}
	if warnings > 0 {
		out = append(out, store.Warn(check, fmt.Sprintf("remarks about them: %d", warnings), "orrery check "+dir))
	}
	if len(c.All()) == 0 {
		out = append(out, store.Warn(check, "there is none in "+dir, "put one there (README, \"Your first blueprint\"), or name another folder in BLUEPRINTS_DIR"))
	} else {
		out = append(out, store.Fine(check, fmt.Sprintf("%d of %s can be used", len(c.All()), dir)))
	}
	return append(out, needs(s.Config, c.Current())...)
}

// needs names what scripts use and the configuration has not got.
func needs(cfg *config.Config, now *blueprint.Snapshot) []store.Finding {
	var out []store.Finding
	for _, n := range now.Needs() {
		place := fmt.Sprintf("%s:%d:%d", n.File, n.Line, n.Col)
		_, named := cfg.Databases[n.Database]
		switch {
		case n.Database == "" && cfg.TaskFilesDir == config.FilesOff && cfg.S3.Endpoint == "":
			out = append(out, store.Warn(place, "uses task_files, and files are turned off", "set TASK_FILES_DIR or S3_ENDPOINT_URL"))
		case n.Database != "" && !named:
			out = append(out, store.Warn(place, fmt.Sprintf("uses the database %q, which is not configured", n.Database), "set SQL_DATABASE_"+strings.ToUpper(n.Database)))
		}
	}
	ways := map[string]bool{"telegram": cfg.Approvals.TelegramToken != "", "webhook": cfg.Approvals.WebhookURL != ""}
	for _, a := range now.Approvals {
		if !ways[a.Integration] {
			out = append(out, store.Warn(fmt.Sprintf("%s:%d:%d", a.File, a.Line, a.Col),
				fmt.Sprintf("asks for decisions by the integration %q, which is not configured: its jobs wait", a.Integration),
				"configure it (README, \"Approvals\"), or decide with orrery approvals"))
		}
	}
	return out
}

func files(ctx context.Context, s *Subject) []store.Finding {
	var out []store.Finding
	if dir := s.Config.TaskFilesDir; dir == config.FilesOff {
		out = append(out, store.Fine("TASK_FILES_DIR", "off"))
	} else if err := tryWrite(dir); err != nil {
		out = append(out, store.Bad("TASK_FILES_DIR", err.Error(), "give the user of this process the right to write in "+dir+", or name another folder"))
	} else {
		out = append(out, store.Fine("TASK_FILES_DIR", dir+" can be written"))
	}
	c := s.Config.S3
	if c.Endpoint == "" {
		return out
	}
	bucket, err := s3.New(s3.Options{Endpoint: c.Endpoint, AccessKey: c.AccessKey.Reveal(), SecretKey: c.SecretKey.Reveal(), Bucket: c.Bucket, Region: c.Region, Concurrency: c.Concurrency})
	if err == nil {
		err = bucket.Check(ctx)
	}
	if err != nil {
		return append(out, store.Bad("bucket", err.Error(), "look at S3_ENDPOINT_URL, S3_ACCESS_KEY, S3_SECRET_KEY and S3_DEFAULT_BUCKET, and whether the bucket is there"))
	}
	return append(out, store.Fine("bucket", fmt.Sprintf("%s at %s answers", c.Bucket, c.Endpoint)))
}

func databases(ctx context.Context, s *Subject) []store.Finding {
	var out []store.Finding
	if s.Config.HistoryURI != "" {
		out = append(out, databaseFinding(ctx, "HISTORY_DATABASE_URI", s.Config.HistoryURI))
	} else {
		out = append(out, store.Fine("HISTORY_DATABASE_URI", "not set: there is no copy of the history"))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Config.Databases)) {
		out = append(out, databaseFinding(ctx, "SQL_DATABASE_"+strings.ToUpper(name), s.Config.Databases[name]))
	}
	return out
}

// databaseFinding asks a database for an answer. A SQLite file that is not there is not made.
func databaseFinding(ctx context.Context, name string, address config.Secret) store.Finding {
	const remedy = "look at its address and whether it runs; jobs that need it fail or wait until it answers"
	kind, path, err := database.Parse(address.Reveal())
	if err != nil {
		return store.Bad(name, err.Error(), remedy)
	}
	if kind == database.SQLite {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if err := tryWrite(filepath.Dir(path)); err != nil {
				return store.Bad(name, err.Error(), "give the user of this process the right to write there")
			}
			return store.Fine(name, path+" is not there yet; its first use makes it")
		}
	}
	db, err := database.Open(address.Reveal())
	if err != nil {
		return store.Bad(name, err.Error(), remedy)
	}
	_, err = db.Query(ctx, "SELECT 1", nil, database.Most{Rows: 1, Bytes: 1 << 10})
	if err = errors.Join(err, db.Close()); err != nil {
		return store.Bad(name, err.Error(), remedy)
	}
	return store.Fine(name, "answers")
}

func nodes(ctx context.Context, s *Subject) []store.Finding {
	if s.Nodes == nil {
		return []store.Finding{store.Fine("nodes", "the store is of one process")}
	}
	all, err := s.Nodes(ctx)
	if err != nil {
		return []store.Finding{store.Bad("nodes", err.Error(), "look at the store first")}
	}
	var out []store.Finding
	for _, l := range all {
		var info struct {
			URL     string `json:"url"`
			Version string `json:"version"`
		}
		if err := json.Unmarshal(l.Info, &info); err != nil {
			out = append(out, store.Warn(l.Name, "its lease says something unknown: "+err.Error(), "run one version of Orrery on all nodes"))
			continue
		}
		out = append(out, store.Fine(l.Name, fmt.Sprintf("runs at %s, version %s; its lease stands for %.0f s more", info.URL, info.Version, l.Left.Seconds())))
	}
	if len(out) == 0 {
		out = append(out, store.Fine("nodes", "none runs"))
	}
	return out
}
