//go:build killpoints

package killtest

import (
	"strings"
	"testing"

	"orrery/engine/store/postgres/pgtest"
)

// This file kills a test build on PostgreSQL at each numbered point of the path.

func TestPostgresKillPoints(t *testing.T) {
	bin := program(t, "killpoints")
	db := pgtest.Start(t)
	when := func(name string) []int {
		if strings.HasPrefix(name, "postgres.") {
			return []int{1, 2, 5, 20}
		}
		return []int{1}
	}
	killAtAll(t, "postgres", when, func(t *testing.T) *server { return newPostgresServer(t, bin, db, "") })
}
