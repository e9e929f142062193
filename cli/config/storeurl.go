package config

import (
	"fmt"
	"strings"

	"orrery/engine/store/redis"
)

// This file reads STORE_URL.

// Kinds of store that this build has.
const (
	StoreSQLite = "sqlite"
	StoreMemory = "memory"
	StoreRedis  = "redis" // one server, Sentinel or Cluster
)

// StoreURL names the durable store.
type StoreURL struct {
	Kind string // StoreSQLite, StoreMemory or StoreRedis
	Path string // sqlite: the database file; redis: the URL without user and settings
	URL  Secret // redis: all of it
}

// String gives the URL back without secrets.
func (u StoreURL) String() string {
	if u.Kind == StoreRedis {
		return u.Path
	}
	return u.Kind + ":" + u.Path
}

// ParseStoreURL reads "sqlite:PATH", "memory:" or the URL of a Redis. A store that the product knows but this
// build lacks is named as such. The text is not repeated in errors: it may hold a password.
func ParseStoreURL(text string) (StoreURL, error) {
	scheme, rest, found := strings.Cut(text, ":")
	if !found {
		return StoreURL{}, fmt.Errorf("has no scheme")
	}
	switch scheme {
	case "sqlite":
		path := strings.TrimPrefix(rest, "//")
		if path == "" {
			return StoreURL{}, fmt.Errorf("names no file after its scheme")
		}
		return StoreURL{Kind: StoreSQLite, Path: path}, nil
	case "memory":
		if rest != "" && rest != "//" {
			return StoreURL{}, fmt.Errorf("memory: takes nothing behind it")
		}
		return StoreURL{Kind: StoreMemory}, nil
	case "redis", "rediss", "redis-cluster", "redis-sentinel":
		shown, err := redis.CheckURL(text)
		if err != nil {
			return StoreURL{}, err
		}
		return StoreURL{Kind: StoreRedis, Path: shown, URL: Secret(text)}, nil
	case "postgres", "postgresql":
		return StoreURL{}, fmt.Errorf("this build has no %s store yet; sqlite:, memory: and redis: are there", scheme)
	}
	return StoreURL{}, fmt.Errorf("knows no store %q; sqlite:, memory: and redis: are there", scheme)
}
