package engine

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"orrery/engine/blueprint"
	"orrery/engine/job"
)

// This file tests the sql module as scripts see it, over SQLite; the kinds of databases have
// tests of their own.

//go:embed testdata/sql.star
var sqlScript string

func newSQLRig(t *testing.T, addresses map[string]string) *rig {
	t.Helper()
	return newRig(t, func(c *Config) {
		bps, err := blueprint.LoadFS(t.Context(), fstest.MapFS{"sql.star": {Data: []byte(sqlScript)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if bad := bps.Status().Errors(); len(bad) > 0 {
			t.Fatal(bad)
		}
		bps.UseStore(c.Store)
		c.Blueprints = bps
		if addresses != nil {
			c.Databases = NewDatabases(addresses, nil)
			t.Cleanup(func() {
				if err := c.Databases.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// way runs one way of the script and gives its job.
func (r *rig) way(name, do string) (*View, map[string]any) {
	r.t.Helper()
	data, err := json.Marshal(map[string]string{"name": name, "do": do})
	if err != nil {
		r.t.Fatal(err)
	}
	id, _, err := r.Submit(r.ctx, Request{Blueprint: "sql", InitialData: data})
	if err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	v, err := r.View(r.ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	var history map[string]any
	if err := json.Unmarshal(v.StateHistory, &history); err != nil {
		r.t.Fatal(err)
	}
	return v, history
}

func TestSQLModule(t *testing.T) {
	r := newSQLRig(t, map[string]string{"reports": "sqlite:" + filepath.Join(t.TempDir(), "reports.db"), "other": "postgresql://h/x"})
	row := map[string]any{"data": map[string]any{"a": []any{1.0, nil, "x"}}, "n": float64(1 << 40), "f": 0.5, "z": nil}
	for _, c := range []struct {
		do   string
		want any
	}{
		{"kinds", []any{row, nil, []any{}}},
		{"committed", 3.0},
		{"undone", []any{false, 3.0}},
	} {
		if _, got := r.way("reports", c.do); !reflect.DeepEqual(got["value"], c.want) {
			t.Errorf("%s: %v, want %v", c.do, got, c.want)
		}
	}
	for do, want := range map[string][2]string{
		"connect": {"error", `there is no database "nowhere"; the operator has named: other, reports`},
		"pragma":  {"database", "statements that begin with PRAGMA are not run"},
		"again":   {"database", "UNIQUE constraint failed"},
		"big":     {"error", "parameter 1 does not fit into 64 bits"},
		"nested":  {"AttributeError", "no .tx"},
		"escaped": {"error", "the transaction has ended"},
		"built":   {"database", ""},
	} {
		if _, got := r.way("reports", do); got["kind"] != want[0] || !strings.Contains(fmt.Sprint(got["message"]), want[1]) {
			t.Errorf("%s: %v, want %v", do, got, want)
		}
	}
}

// A repetition of the step changes nothing when the row has the step's id; history shows what
// was done, without the values.
func TestSQLActsInHistory(t *testing.T) {
	r := newSQLRig(t, map[string]string{"reports": "sqlite:" + filepath.Join(t.TempDir(), "reports.db")})
	v, _ := r.way("reports", "kinds")
	records, err := r.Records(r.ctx, v.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	var acts []job.Act
	for _, rec := range records {
		acts = append(acts, rec.Acts...)
	}
	if len(acts) != 2 || acts[1].What != "sql.exec" || acts[1].Detail != "reports: INSERT INTO t VALUES (?, ?, ?)" {
		t.Errorf("history has the acts %+v", acts)
	}
}

func TestSQLWithoutDatabases(t *testing.T) {
	r := newSQLRig(t, nil)
	v, _ := r.way("reports", "kinds")
	if v.Status != job.Quarantined || !strings.Contains(v.Error.Message, "no database has been named here") || !strings.Contains(v.Error.Message, "SQL_DATABASE_REPORTS") {
		t.Errorf("without any database: %s %+v", v.Status, v.Error)
	}
}
