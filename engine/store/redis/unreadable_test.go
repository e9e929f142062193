package redis

import (
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/store"
	"orrery/engine/store/redis/redistest"
	"orrery/engine/store/storetest"
)

// This file tests rows whose text can not be decoded.

func TestUnreadableRows(t *testing.T) {
	server := redistest.Start(t)
	pipe := func(s store.Store, f func(p goredis.Pipeliner)) {
		if err := s.(*Store).pipe(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	// spoil keeps what the scripts read of a field, and damages the text behind it.
	spoil := func(s store.Store, key, field string) {
		var cmd *goredis.StringCmd
		pipe(s, func(p goredis.Pipeliner) { cmd = p.HGet(t.Context(), key, field) })
		text := cmd.Val()
		at := strings.IndexByte(text, '{')
		if at < 0 {
			t.Fatalf("%s has no row in %s: %q", key, field, text)
		}
		pipe(s, func(p goredis.Pipeliner) { p.HSet(t.Context(), key, field, text[:at]+"no row") })
	}
	storetest.RunUnreadable(t, func(t testing.TB) store.Store { return open(t, server.URL(fresh())) },
		storetest.Spoil{
			Job: func(s store.Store, id string) { spoil(s, jobKey(s.(*Store).keys.of(id), id), "b") },
			Task: func(s store.Store, id string, n int) {
				spoil(s, jobKey(s.(*Store).keys.of(id), id), "t"+taskNumber(n))
			},
			Message: func(s store.Store, jobID, id string) {
				spoil(s, messagesKey(s.(*Store).keys.of(jobID), jobID), id)
			},
		})
}
