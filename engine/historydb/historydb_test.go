package historydb

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/clock"
	"orrery/engine/database"
	"orrery/engine/job"
	"orrery/engine/store/memory"
	"orrery/workers"
)

// This file tests the copy over SQLite, and over the PostgreSQL server of scripts/test, which is
// named in ORRERY_TEST_POSTGRES.

func sinks(t *testing.T, test func(t *testing.T, address string, log *strings.Builder, s *Sink)) {
	t.Helper()
	run := func(t *testing.T, address string) {
		log := &strings.Builder{}
		s, err := Open(address, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		test(t, address, log, s)
	}
	t.Run("sqlite", func(t *testing.T) { run(t, "sqlite:"+filepath.Join(t.TempDir(), "history.db")) })
	t.Run("postgresql", func(t *testing.T) {
		address := os.Getenv("ORRERY_TEST_POSTGRES")
		if address == "" {
			t.Skip("ORRERY_TEST_POSTGRES names no PostgreSQL server; scripts/test starts one")
		}
		run(t, address)
	})
}

func (s *Sink) rows(t *testing.T, jobID string) [][]any {
	t.Helper()
	got, err := s.db.Query(t.Context(), "SELECT "+strings.Join(columns, ", ")+" FROM job_history WHERE job_id = $1 ORDER BY record, timestamp, event_id", []any{jobID}, database.Most{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Values
}

var at = time.Date(2024, 8, 27, 10, 0, 1, 456e6, time.UTC)

func event(id string, n int64, name string) engine.HistoryEvent {
	return engine.HistoryEvent{EventID: fmt.Sprintf("%s/%d/%s", id, n, name), JobID: id, Timestamp: engine.Time(at), State: "start", EventType: name, RecordN: n}
}

func newID() string { return job.NewID(time.Now(), 1) }

func TestKeep(t *testing.T) {
	sinks(t, func(t *testing.T, _ string, _ *strings.Builder, s *Sink) {
		id, ms := newID(), 1333.5
		full := event(id, 2, "state_finished")
		full.Duration, full.Previous, full.NextState, full.Worker, full.Attempt, full.TaskID = &ms, "before", "processing", "w-1", 2, "t-1"
		full.Details, full.Snapshot = json.RawMessage(`{"by":"ann"}`), json.RawMessage(`{"status": "running"}`)
		events := []engine.HistoryEvent{event(id, 1, "created"), full}
		if last, err := s.Last(t.Context(), id); err != nil || last != 0 {
			t.Errorf("of an unknown job: %d, %v", last, err)
		}
		for range 2 { // the second time changes nothing
			if err := s.Keep(t.Context(), events); err != nil {
				t.Fatal(err)
			}
		}
		if last, err := s.Last(t.Context(), id); err != nil || last != 2 {
			t.Errorf("the last record is %d, %v", last, err)
		}
		rows := s.rows(t, id)
		if len(rows) != 2 {
			t.Fatalf("%d rows", len(rows))
		}
		got := fmt.Sprintf("%v %s %s", rows[1][:12], rows[1][12], rows[1][13])
		want := fmt.Sprintf(`[%s/2/state_finished %s 2 2024-08-27T10:00:01.456Z start state_finished 1333.5 before processing w-1 2 t-1] `, id, id)
		got = strings.ReplaceAll(got, `": "`, `":"`)
		if got != want+`{"by":"ann"} {"status":"running"}` {
			t.Errorf("the row is\n%s, want\n%s", got, want)
		}
		for i, v := range rows[0][6:] {
			if v != nil {
				t.Errorf("column %d of a bare event is %v", 6+i, v)
			}
		}
	})
}

// Many events go in one transaction, and one that the database refuses stops nobody.
func TestKeepManyAndOdd(t *testing.T) {
	sinks(t, func(t *testing.T, address string, log *strings.Builder, s *Sink) {
		id := newID()
		var events []engine.HistoryEvent
		for n := range int64(173) {
			events = append(events, event(id, n+1, "step"))
		}
		events[70].Snapshot = json.RawMessage(`{"state_history": {"zero": "a\u0000b", "half": "\ud800"}}`)
		if err := s.Keep(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		if rows := s.rows(t, id); len(rows) != len(events) {
			t.Errorf("%d of %d events were kept", len(rows), len(events))
		}
		if strings.HasPrefix(address, "postgresql") && !strings.Contains(log.String(), "kept without it") {
			t.Error("an event was cut without a word in the log")
		}
	})
}

const script = `
bp = blueprint(name = "linear")
def start(context, actions):
    context.state_history["seen"] = True
    actions.transition_to("middle")
bp.handler_for("start", is_start = True)(start)
bp.handler_for("middle")(lambda actions: actions.transition_to("finished"))
`

// The whole way: an engine, its outbox and the database, over two lives of the program.
func TestEngineFeedsTheCopy(t *testing.T) {
	sinks(t, func(t *testing.T, _ string, _ *strings.Builder, s *Sink) {
		ctx := t.Context()
		catalog, err := blueprint.LoadFS(ctx, fstest.MapFS{"linear.star": {Data: []byte(script)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows := memory.New()
		catalog.UseStore(rows)
		hub, err := workers.New(ctx, workers.Config{Clock: clock.Real{}, Records: rows, SharedToken: "x"})
		if err != nil {
			t.Fatal(err)
		}
		boot := func() *engine.Engine {
			e, err := engine.New(engine.Config{Store: rows, Blueprints: catalog, Dispatcher: hub, History: s})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		e, ids := boot(), []string{}
		for range 20 {
			id, _, err := e.Submit(ctx, engine.Request{Blueprint: "linear"})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		e = boot() // nothing was copied before the end of the first
		if err := e.Start(ctx); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			awaitRow(t, e, s, id)
		}
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		for _, id := range ids {
			want := 0
			err := e.History(ctx, id, func(events []engine.HistoryEvent) error { want += len(events); return nil })
			if err != nil || len(s.rows(t, id)) != want {
				t.Errorf("job %s has %d rows, and %d events (%v)", id, len(s.rows(t, id)), want, err)
			}
		}
	})
}

// awaitRow waits until the end of a job is in the copy.
func awaitRow(t *testing.T, e *engine.Engine, s *Sink, id string) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); {
		j, err := e.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if last, err := s.Last(t.Context(), id); err == nil && j.Status.Terminal() && last == j.Records {
			return
		}
	}
	t.Fatalf("job %s is not in the copy", id)
}
