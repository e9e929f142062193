package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"orrery/cli/config"
	"orrery/engine/store"
	"orrery/engine/store/memory"
	"orrery/engine/store/move"
	"orrery/engine/store/postgres"
	"orrery/engine/store/redis"
	"orrery/engine/store/sqlite"
	"orrery/engine/store/yardstick"
)

// This file knows the store drivers: how each is opened, and how it is looked at without
// being opened.

// openStore opens the store for use, and brings its schema up to date.
func openStore(ctx context.Context, u config.StoreURL, log *slog.Logger) (store.Store, error) {
	switch u.Kind {
	case config.StoreMemory:
		return memory.New(), nil
	case config.StoreRedis:
		s, err := redis.Open(string(u.URL), redis.Options{Log: log})
		if err != nil {
			return nil, err
		}
		return s, nil
	case config.StorePostgres:
		s, err := postgres.Open(ctx, string(u.URL), postgres.Options{Log: log})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	s, err := sqlite.Open(u.Path, sqlite.Options{Log: log})
	if err != nil { // not returned as it is: a nil *sqlite.Store in the interface would not be nil
		return nil, err
	}
	return s, nil
}

// openWhole is openStore for a server: a store into which only a part was copied is refused.
func openWhole(ctx context.Context, u config.StoreURL, log *slog.Logger) (store.Store, error) {
	s, err := openStore(ctx, u, log)
	if err != nil {
		return nil, err
	}
	if err := move.Finished(ctx, s, time.Now()); err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w. %s", u, err, emptying(u)), s.Close())
	}
	return s, nil
}

// schemaOf tells the schema of a store, without opening it.
func schemaOf(ctx context.Context, u config.StoreURL) (store.Schema, error) {
	switch u.Kind {
	case config.StoreSQLite:
		return sqlite.Schema(ctx, u.Path)
	case config.StoreRedis:
		return redis.Schema(ctx, string(u.URL))
	case config.StorePostgres:
		return postgres.Schema(ctx, string(u.URL))
	}
	return store.Schema{}, fmt.Errorf("a %s: store has no schema", u.Kind)
}

// inspect says what can be seen of a store from outside.
func inspect(ctx context.Context, u config.StoreURL) []store.Finding {
	switch u.Kind {
	case config.StoreSQLite:
		return sqlite.Inspect(ctx, u.Path)
	case config.StoreRedis:
		return redis.Inspect(ctx, string(u.URL))
	case config.StorePostgres:
		return postgres.Inspect(ctx, string(u.URL))
	}
	return []store.Finding{store.Warn("store", "memory: forgets all jobs at the end of the process", "set STORE_URL=sqlite:PATH")}
}

// openYardstick looks at the server of a store that several processes share.
func openYardstick(ctx context.Context, u config.StoreURL) (yardstick.Server, error) {
	switch u.Kind {
	case config.StoreRedis:
		y, err := redis.NewYardstick(ctx, string(u.URL))
		if err != nil { // not returned as it is: a nil pointer in the interface would not be nil
			return nil, err
		}
		return y, nil
	case config.StorePostgres:
		y, err := postgres.NewYardstick(ctx, string(u.URL))
		if err != nil {
			return nil, err
		}
		return y, nil
	}
	return nil, fmt.Errorf("a %s: store is one process's alone", u.Kind)
}

// emptying says how a store is emptied.
func emptying(u config.StoreURL) string {
	switch u.Kind {
	case config.StoreSQLite:
		return fmt.Sprintf("To empty it, remove %s and the files beside it that begin with its name", u.Path)
	case config.StorePostgres:
		return fmt.Sprintf("To empty it: DROP SCHEMA %s CASCADE", postgres.SchemaName(string(u.URL)))
	case config.StoreRedis:
		return fmt.Sprintf("To empty it, delete all its keys, which begin with %q, or take another prefix: add ?prefix=NAME to its URL", redis.KeyPrefix(string(u.URL)))
	}
	return "Nothing has to be done to empty it"
}
