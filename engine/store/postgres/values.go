package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orrery/engine/store"
)

// This file reads the data stores of blueprints.

// Value gives a key of a data store.
func (s *Store) Value(ctx context.Context, blueprint, name, key string) (v json.RawMessage, version int64, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		var body []byte
		v, version = nil, 0
		err := p.QueryRow(ctx, "SELECT version, body FROM data_stores WHERE blueprint=$1 AND store=$2 AND key=$3",
			[]byte(blueprint), []byte(name), []byte(key)).Scan(&version, &body)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		v = json.RawMessage(body)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return v, version, nil
}

// ValueKeys gives the keys of a data store in order.
func (s *Store) ValueKeys(ctx context.Context, blueprint, name string) (keys []string, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		keys = nil
		return all(ctx, p, "SELECT key FROM data_stores WHERE blueprint=$1 AND store=$2 ORDER BY key", func(r pgx.Rows) error {
			var key []byte
			err := r.Scan(&key)
			keys = append(keys, string(key))
			return err
		}, []byte(blueprint), []byte(name))
	})
	return keys, err
}

// ValuePage gives the next values of a data store.
func (s *Store) ValuePage(ctx context.Context, blueprint, name, from string, limit int) (page []store.Value, more bool, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		page, more = nil, false
		return all(ctx, p, "SELECT key, CASE WHEN before<=$6 AND nth<=$5 THEN body END, version FROM "+
			measured("SELECT key, body, version FROM data_stores WHERE blueprint=$1 AND store=$2 AND key>=$3 ORDER BY key LIMIT $4", "key")+
			" ORDER BY key", func(r pgx.Rows) error {
			var key, body []byte
			var version int64
			if err := r.Scan(&key, &body, &version); err != nil {
				return err
			}
			if more = more || body == nil; !more {
				page = append(page, store.Value{Key: string(key), Text: json.RawMessage(body), Version: version})
			}
			return nil
		}, []byte(blueprint), []byte(name), []byte(from), int64(limit)+1, limit, store.PageBytes)
	})
	if err != nil {
		return nil, false, err
	}
	return page, more, nil
}

// ValueStores counts the keys of every data store.
func (s *Store) ValueStores(ctx context.Context) (list []store.ValueStore, err error) {
	err = s.on(ctx, func(ctx context.Context, p *pgxpool.Pool) error {
		list = nil
		return all(ctx, p, "SELECT blueprint, store, count(*) FROM data_stores GROUP BY blueprint, store ORDER BY blueprint, store", func(r pgx.Rows) error {
			var blueprint, name []byte
			var keys int64
			err := r.Scan(&blueprint, &name, &keys)
			list = append(list, store.ValueStore{Blueprint: string(blueprint), Store: string(name), Keys: keys})
			return err
		})
	})
	return list, err
}
