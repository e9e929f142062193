package database_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery/engine/database"
)

// This file tests both kinds by one list of promises. A PostgreSQL server is started by
// scripts/test, which names it in ORRERY_TEST_POSTGRES.

// databases opens what there is to test.
func databases(t *testing.T, test func(t *testing.T, db database.DB, address string)) {
	t.Helper()
	run := func(name, address string) {
		t.Run(name, func(t *testing.T) {
			db, err := database.Open(address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, db, address)
		})
	}
	run("sqlite", "sqlite:"+filepath.Join(t.TempDir(), "deep", "test.db"))
	t.Run("postgresql", func(t *testing.T) {
		address := os.Getenv("ORRERY_TEST_POSTGRES")
		if address == "" {
			t.Skip("ORRERY_TEST_POSTGRES names no PostgreSQL server; scripts/test starts one")
		}
		run("server", address)
	})
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// table makes a table of the test's own and gives its name.
func table(t *testing.T, db database.DB, columns string) string {
	t.Helper()
	name := fmt.Sprintf("t%d", time.Now().UnixNano())
	must[int64](t)(db.Exec(t.Context(), "CREATE TABLE "+name+" ("+columns+")", nil))
	return name
}

func count(t *testing.T, c database.Conn, table string) any {
	t.Helper()
	return must[*database.Rows](t)(c.Query(t.Context(), "SELECT count(*) AS n FROM "+table, nil, database.Most{})).Values[0][0]
}

func TestValues(t *testing.T) {
	databases(t, func(t *testing.T, db database.DB, _ string) {
		name := table(t, db, "id INTEGER PRIMARY KEY, b BOOLEAN, i BIGINT, f DOUBLE PRECISION, s TEXT, j JSONB, at TIMESTAMP, raw "+
			map[database.Kind]string{database.SQLite: "BLOB", database.Postgres: "BYTEA"}[db.Kind()])
		in := []any{int64(1), true, int64(-1 << 62), 0.1, "it's; -- text $1 ?", database.JSON(`{"a": [1, "x"]}`), "2024-01-01 12:00:00.5", []byte{0, 255}}
		n := must[int64](t)(db.Exec(t.Context(), "INSERT INTO "+name+" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", in))
		if n != 1 {
			t.Errorf("one row was inserted, %d counted", n)
		}
		must[int64](t)(db.Exec(t.Context(), "INSERT INTO "+name+" (id) VALUES ($1)", []any{int64(2)}))
		got := must[*database.Rows](t)(db.Query(t.Context(), "SELECT * FROM "+name+" ORDER BY id", nil, database.Most{}))
		want := append([]any{}, in...)
		want[6] = "2024-01-01T12:00:00.500Z"
		if !reflect.DeepEqual(got.Columns, []string{"id", "b", "i", "f", "s", "j", "at", "raw"}) || !reflect.DeepEqual(got.Values[0], want) {
			t.Errorf("got %v %#v, want %#v", got.Columns, got.Values[0], want)
		}
		if !reflect.DeepEqual(got.Values[1], []any{int64(2), nil, nil, nil, nil, nil, nil, nil}) {
			t.Errorf("absent values: %#v", got.Values[1])
		}
		got = must[*database.Rows](t)(db.Query(t.Context(), "SELECT j ->> 'a' AS a FROM "+name+" WHERE id = $1", []any{int64(1)}, database.Most{}))
		if a := strings.ReplaceAll(got.Values[0][0].(string), " ", ""); a != `[1,"x"]` {
			t.Errorf("a member of the JSON column: %q", a)
		}
	})
}

// A text that would be SQL stays a value.
func TestParametersAreValues(t *testing.T) {
	databases(t, func(t *testing.T, db database.DB, _ string) {
		name := table(t, db, "s TEXT")
		evil := "x'); DROP TABLE " + name + "; --"
		must[int64](t)(db.Exec(t.Context(), "INSERT INTO "+name+" VALUES ($1)", []any{evil}))
		got := must[*database.Rows](t)(db.Query(t.Context(), "SELECT s FROM "+name+" WHERE s = $1", []any{evil}, database.Most{}))
		if len(got.Values) != 1 || got.Values[0][0] != evil {
			t.Errorf("got %v", got.Values)
		}
	})
}

func TestRefusedStatements(t *testing.T) {
	databases(t, func(t *testing.T, db database.DB, _ string) {
		other := filepath.Join(t.TempDir(), "other.db")
		for _, text := range []string{
			"", "  ; ", "SELECT 1; SELECT 2", "SELECT 1;;DROP TABLE x", "BEGIN", "COMMIT", "ROLLBACK", "PRAGMA writable_schema = 1", "ATTACH '" + other + "' AS o",
			"/* SELECT */ ATTACH '" + other + "' AS o", "VACUUM INTO '" + other + "'", "SAVEPOINT a", "SET search_path TO x", "COPY x FROM STDIN", "LISTEN x", "DO 'x'",
			"SELECT 1\x00", "-- SELECT\nPRAGMA x", "(PRAGMA x)", "DISCARD ALL", "detach o",
		} {
			_, err := db.Exec(t.Context(), text, nil)
			var e *database.Error
			if !errors.As(err, &e) || e.Passing {
				t.Errorf("%q: %v, want a lasting refusal", text, err)
			}
		}
		for _, text := range []string{"SELECT ';' AS a;", "SELECT 1 -- ; x", "/* ; */ SELECT 1 ;\n-- end", "(SELECT 1)", `SELECT 1 AS ";"`, "WITH a AS (SELECT 1 AS n) SELECT n FROM a"} {
			if _, err := db.Query(t.Context(), text, nil, database.Most{}); err != nil && !(db.Kind() == database.SQLite && text[0] == '(') {
				t.Errorf("%q: %v", text, err)
			}
		}
		if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("another file was opened: %v", err)
		}
	})
}

func TestFaultsAreNamed(t *testing.T) {
	databases(t, func(t *testing.T, db database.DB, _ string) {
		name := table(t, db, "id INTEGER PRIMARY KEY")
		must[int64](t)(db.Exec(t.Context(), "INSERT INTO "+name+" VALUES (1)", nil))
		for text, part := range map[string]string{"INSERT INTO " + name + " VALUES (1)": "", "SELECT * FROM absent_table": "absent_table", "SELEC 1": "SELEC"} {
			_, err := db.Query(t.Context(), text, nil, database.Most{})
			var e *database.Error
			if !errors.As(err, &e) || e.Passing || e.Code == "" || !strings.Contains(e.Message, part) {
				t.Errorf("%s: %+v", text, err)
			}
		}
		if _, err := db.Query(t.Context(), "SELECT * FROM "+name+" WHERE id = $1", nil, database.Most{}); err == nil {
			t.Error("a missing parameter passes")
		}
		must[int64](t)(db.Exec(t.Context(), "INSERT INTO "+name+" VALUES (2), (3)", nil))
		if _, err := db.Query(t.Context(), "SELECT * FROM "+name, nil, database.Most{Rows: 2}); err == nil || !strings.Contains(err.Error(), "more than 2 rows; add LIMIT") {
			t.Errorf("three rows with a limit of two: %v", err)
		}
		if _, err := db.Query(t.Context(), "SELECT 'xxxxxxxxxxxxxxxxxxxx' AS x", nil, database.Most{Bytes: 40}); err == nil {
			t.Error("too many bytes pass")
		}
	})
}

func TestTransactions(t *testing.T) {
	databases(t, func(t *testing.T, db database.DB, _ string) {
		name := table(t, db, "n INTEGER PRIMARY KEY")
		ctx, cancel := context.WithCancel(t.Context())
		tx := must[database.Tx](t)(db.Begin(ctx))
		cancel() // the call that began it has ended
		must[int64](t)(tx.Exec(t.Context(), "INSERT INTO "+name+" VALUES (1)", nil))
		if count(t, tx, name) != int64(1) || count(t, db, name) != int64(0) {
			t.Error("a row is seen outside before the commit, or not inside")
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		tx = must[database.Tx](t)(db.Begin(t.Context()))
		must[int64](t)(tx.Exec(t.Context(), "INSERT INTO "+name+" VALUES (2)", nil))
		if err := errors.Join(tx.Rollback(t.Context()), tx.Rollback(t.Context())); err != nil {
			t.Errorf("rolled back twice: %v", err)
		}
		if count(t, db, name) != int64(1) {
			t.Errorf("%v rows are kept, want the one that was committed", count(t, db, name))
		}
	})
}

// Writers of one database wait for each other, and a statement ends with its context.
func TestManyWritersAndDeadlines(t *testing.T) {
	databases(t, func(t *testing.T, db database.DB, _ string) {
		name := table(t, db, "n INTEGER")
		must[int64](t)(db.Exec(t.Context(), "INSERT INTO "+name+" VALUES (0)", nil))
		var busy sync.WaitGroup
		for range 20 {
			busy.Go(func() {
				if _, err := db.Exec(t.Context(), "UPDATE "+name+" SET n = n + 1", nil); err != nil {
					t.Error(err)
				}
			})
		}
		busy.Wait()
		got := must[*database.Rows](t)(db.Query(t.Context(), "SELECT n FROM "+name, nil, database.Most{}))
		if got.Values[0][0] != int64(20) {
			t.Errorf("20 writers counted to %v", got.Values[0][0])
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		long := "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT count(*) FROM a"
		began := time.Now()
		_, err := db.Query(ctx, long, nil, database.Most{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
			t.Errorf("an endless statement: %v after %v", err, time.Since(began))
		}
		if count(t, db, name) != int64(1) {
			t.Error("the database does not work after a deadline")
		}
	})
}

// What one job sets in a connection of the pool does not reach the next.
func TestConnectionsAreClean(t *testing.T) {
	databases(t, func(t *testing.T, db database.DB, _ string) {
		if db.Kind() != database.Postgres {
			return // SQLite has no settings that a permitted statement can change
		}
		for range 20 {
			must[*database.Rows](t)(db.Query(t.Context(), "SELECT set_config('search_path', 'evil', false)", nil, database.Most{}))
		}
		for range 20 {
			got := must[*database.Rows](t)(db.Query(t.Context(), "SELECT current_setting('search_path') AS s, current_setting('timezone') AS z", nil, database.Most{}))
			if got.Values[0][0] == "evil" || got.Values[0][1] != "UTC" {
				t.Fatalf("a connection came back with %v", got.Values[0])
			}
		}
	})
}

func TestServerThatIsNotThere(t *testing.T) {
	db, err := database.Open("postgresql://user:very-secret@127.0.0.1:1/db?connect_timeout=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.Query(t.Context(), "SELECT 1", nil, database.Most{})
	var e *database.Error
	if !errors.As(err, &e) || !e.Passing || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("no server: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"", "mysql://x", "sqlite:", "sqlite::memory:", "sqlite:a?mode=memory", "postgresql://u:very-secret@h:port/x"} {
		db, err := database.Open(bad)
		if err == nil {
			db.Close()
			t.Errorf("%q passes", bad)
		} else if strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%q: the error shows the password: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "Reports", "1a", "a-b", "ä", "a b", strings.Repeat("a", 33), "_a"} {
		if database.CheckName(bad) == nil {
			t.Errorf("the name %q passes", bad)
		}
	}
	folder := t.TempDir()
	file, link := filepath.Join(folder, "a.db"), filepath.Join(folder, "b.db")
	if database.SameFile(file, link) || !database.SameFile(file, filepath.Join(folder, "x", "..", "a.db")) {
		t.Error("files that do not exist are told apart wrongly")
	}
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	if !database.SameFile(file, link) {
		t.Error("a link to the file passes for another file")
	}
}
