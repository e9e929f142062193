package postgres

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/store"
	"orrery/engine/store/storetest"
)

// This file tests rows whose text can not be decoded.

func TestUnreadableRows(t *testing.T) {
	spoil := func(s store.Store, text string, args ...any) {
		err := s.(*Store).on(t.Context(), func(ctx context.Context, p *pgxpool.Pool) error {
			_, err := p.Exec(ctx, text, args...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	storetest.RunUnreadable(t, func(t testing.TB) store.Store { return open(t, freshURL(t), Options{}) },
		storetest.Spoil{
			Job: func(s store.Store, id string) { spoil(s, "UPDATE heads SET body='no row' WHERE id=$1::text::uuid", id) },
			Task: func(s store.Store, id string, n int) {
				spoil(s, "UPDATE tasks SET body='no row' WHERE job=$1::text::uuid AND n=$2", id, n)
			},
			Message: func(s store.Store, _, id string) { spoil(s, "UPDATE outbox SET body='no row' WHERE id=$1", []byte(id)) },
		})
}
