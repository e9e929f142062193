package config

import (
	"fmt"
	"strings"
)

// This file reads STORE_URL.

// Kinds of store that this build has.
const (
	StoreSQLite = "sqlite"
	StoreMemory = "memory"
)

// StoreURL names the durable store.
type StoreURL struct {
	Kind string // StoreSQLite or StoreMemory
	Path string // sqlite: the database file
}

// String gives the URL back; it holds no secret.
func (u StoreURL) String() string { return u.Kind + ":" + u.Path }

// ParseStoreURL reads "sqlite:PATH" or "memory:". A store that the product knows but this
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
	case "redis", "rediss", "redis-cluster", "postgres", "postgresql":
		return StoreURL{}, fmt.Errorf("this build has no %s store yet; sqlite: and memory: are there", scheme)
	}
	return StoreURL{}, fmt.Errorf("knows no store %q; sqlite: and memory: are there", scheme)
}
