// Package historydb keeps the copy of all jobs' history in a database for others to read:
// HISTORY_DATABASE_URI, a SQLite file or a PostgreSQL server.
//
// Words: the copy is the table job_history, one row an event; record is the number of the
// job's history record that an event comes from, so that the rows of a job have an order.
//
// Who is authoritative: the server's own store. The copy is fed from it, late when the
// database was away, and nothing is ever read back from it but how far it is.
package historydb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"orrery/engine"
	"orrery/engine/database"
)

// This file is the whole sink.

// Sink is an open copy. Make it with Open.
type Sink struct {
	db  database.DB
	log *slog.Logger

	mu    sync.Mutex
	ready bool // the table is there
}

var _ engine.HistorySink = (*Sink)(nil)

// columns of the table, in the order in which rows are written.
var columns = []string{"event_id", "job_id", "record", "timestamp", "state", "event_type", "duration_ms", "previous_state", "next_state",
	"worker_id", "attempt_number", "task_id", "details", "context_snapshot"}

// rowsTogether is how many rows one statement writes.
const rowsTogether = 50

// tables make the table, and the index for reading one job. A table of the original, which has
// the same name, gets the columns that it lacks.
var tables = map[database.Kind]string{
	database.SQLite: `CREATE TABLE IF NOT EXISTS job_history (
	event_id TEXT PRIMARY KEY, job_id TEXT NOT NULL, record INTEGER, timestamp TEXT NOT NULL, state TEXT NOT NULL, event_type TEXT NOT NULL,
	duration_ms REAL, previous_state TEXT, next_state TEXT, worker_id TEXT, attempt_number INTEGER, task_id TEXT, details JSON, context_snapshot JSON);
CREATE INDEX IF NOT EXISTS job_history_job ON job_history (job_id, record);`,
	database.Postgres: `CREATE TABLE IF NOT EXISTS job_history (
	event_id TEXT PRIMARY KEY, job_id TEXT NOT NULL, record BIGINT, timestamp TIMESTAMPTZ NOT NULL, state TEXT NOT NULL, event_type TEXT NOT NULL,
	duration_ms DOUBLE PRECISION, previous_state TEXT, next_state TEXT, worker_id TEXT, attempt_number INTEGER, task_id TEXT, details JSONB, context_snapshot JSONB);
ALTER TABLE job_history ADD COLUMN IF NOT EXISTS record BIGINT, ADD COLUMN IF NOT EXISTS task_id TEXT, ADD COLUMN IF NOT EXISTS details JSONB;
CREATE INDEX IF NOT EXISTS job_history_job ON job_history (job_id, record);`,
}

// Open opens the database; a PostgreSQL server need not be there yet.
func Open(address string, log *slog.Logger) (*Sink, error) {
	db, err := database.Open(address)
	if err != nil {
		return nil, err
	}
	return &Sink{db: db, log: log}, nil
}

// Close ends all connections.
func (s *Sink) Close() error { return s.db.Close() }

// prepare makes the table at the first use.
func (s *Sink) prepare(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready {
		return nil
	}
	if err := s.db.Script(ctx, tables[s.db.Kind()]); err != nil {
		return fmt.Errorf("the table job_history can not be made: %w", err)
	}
	s.ready = true
	return nil
}

// Last gives the number of the newest record of a job that was kept.
func (s *Sink) Last(ctx context.Context, jobID string) (int64, error) {
	if err := s.prepare(ctx); err != nil {
		return 0, err
	}
	rows, err := s.db.Query(ctx, "SELECT max(record) AS n FROM job_history WHERE job_id = $1", []any{jobID}, database.Most{})
	if err != nil {
		return 0, err
	}
	n, _ := rows.Values[0][0].(int64) // NULL: none
	return n, nil
}

// Keep writes events in one transaction. An event that the database refuses for what it holds
// (PostgreSQL takes no zero character, for one) is kept without that, so that it does not stop
// those behind it.
func (s *Sink) Keep(ctx context.Context, events []engine.HistoryEvent) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	err := s.write(ctx, events)
	var refused *database.Error
	if !errors.As(err, &refused) || refused.Passing {
		return err
	}
	for i := range events {
		one := events[i : i+1]
		if err := s.write(ctx, one); errors.As(err, &refused) && !refused.Passing {
			s.log.Warn("the database of the history refuses what an event holds; it is kept without it", "event", events[i].EventID, "error", err)
			bare := plain(events[i], err)
			if err := s.write(ctx, []engine.HistoryEvent{bare}); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// plain takes everything off an event that came from scripts and workers.
func plain(e engine.HistoryEvent, why error) engine.HistoryEvent {
	note, err := json.Marshal(map[string]string{"left_out": why.Error()})
	if err != nil { // a text always encodes
		note = json.RawMessage(`{}`)
	}
	e.Details, e.Snapshot = note, nil
	for _, at := range []*string{&e.State, &e.Previous, &e.NextState, &e.Worker, &e.TaskID, &e.EventType, &e.EventID} {
		*at = strings.ReplaceAll(strings.ToValidUTF8(*at, "?"), "\x00", "?")
	}
	return e
}

func (s *Sink) write(ctx context.Context, events []engine.HistoryEvent) (err error) {
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return err
	}
	for from := 0; from < len(events) && err == nil; from += rowsTogether {
		text, args := insert(events[from:min(from+rowsTogether, len(events))])
		_, err = tx.Exec(ctx, text, args)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
	}
	return tx.Commit(ctx)
}

// insert is one statement for several rows.
func insert(events []engine.HistoryEvent) (text string, args []any) {
	var b strings.Builder
	b.WriteString("INSERT INTO job_history (" + strings.Join(columns, ", ") + ") VALUES ")
	for i := range events {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for k := range columns {
			if k > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "$%d", i*len(columns)+k+1)
		}
		b.WriteByte(')')
		args = append(args, row(&events[i])...)
	}
	b.WriteString(" ON CONFLICT (event_id) DO NOTHING")
	return b.String(), args
}

// row gives the values of an event, in the order of columns.
func row(e *engine.HistoryEvent) []any {
	var duration, attempt any
	if e.Duration != nil {
		duration = *e.Duration
	}
	if e.Attempt > 0 {
		attempt = int64(e.Attempt)
	}
	return []any{e.EventID, e.JobID, e.RecordN, time.Time(e.Timestamp).UTC().Format("2006-01-02T15:04:05.000Z"), e.State, e.EventType, duration,
		word(e.Previous), word(e.NextState), word(e.Worker), attempt, word(e.TaskID), document(e.Details), document(e.Snapshot)}
}

func word(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func document(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	return database.JSON(raw)
}
