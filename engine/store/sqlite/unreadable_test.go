package sqlite

import (
	"database/sql/driver"
	"path/filepath"
	"testing"

	"orrery/engine/store"
	"orrery/engine/store/storetest"
)

// This file tests rows whose text can not be decoded.

func TestUnreadableRows(t *testing.T) {
	spoil := func(s store.Store, text string, arg driver.Value) {
		err := s.(*Store).write(t.Context(), 0, func(w *writer) error {
			_, err := w.exec(text, arg)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	storetest.RunUnreadable(t, func(t testing.TB) store.Store { return open(t, filepath.Join(t.TempDir(), "o.db"), Options{}) },
		func(s store.Store, id string, n int) {
			var k int64
			err := s.(*Store).readJob(t.Context(), id, func(_ *conn, seq int64) error { k = partKey(seq, taskPart, int64(n)); return nil })
			if err != nil {
				t.Fatal(err)
			}
			spoil(s, "UPDATE parts SET body='no row' WHERE k=?", k)
		},
		func(s store.Store, _, id string) { spoil(s, "UPDATE outbox SET body='no row' WHERE id=?", id) })
}
