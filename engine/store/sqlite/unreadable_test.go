package sqlite

import (
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"testing"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/storetest"
)

// This file tests rows whose text can not be decoded.

func TestUnreadableRows(t *testing.T) {
	spoil := func(s store.Store, text string, arg driver.Value) {
		err := s.(*Store).see(t.Context()) // rows of new jobs are in memory for a while
		if err == nil {
			err = s.(*Store).write(t.Context(), 0, func(w *writer) error {
				if n, err := w.exec(text, arg); err != nil || n != 1 {
					return fmt.Errorf("%d rows were spoiled: %w", n, err)
				}
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	storetest.RunUnreadable(t, func(t testing.TB) store.Store { return open(t, filepath.Join(t.TempDir(), "o.db"), Options{}) },
		storetest.Spoil{Job: func(s store.Store, id string) {
			key, _ := job.ParseID(id)
			spoil(s, "UPDATE jobs SET body='no row' WHERE id=?", key[:])
		}, Task: func(s store.Store, id string, n int) {
			var k int64
			err := s.(*Store).readJob(t.Context(), id, func(_ *conn, seq int64) error { k = partKey(seq, taskPart, int64(n)); return nil })
			if err != nil {
				t.Fatal(err)
			}
			spoil(s, "UPDATE parts SET body='no row' WHERE k=?", k)
		}, Message: func(s store.Store, _, id string) { spoil(s, "UPDATE outbox SET body='no row' WHERE id=?", id) }})
}
