package starlib

import (
	"maps"
	"sort"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"orrery/engine/job"
)

// This file pins the surface: the names that scripts can rely on, module by module.

// surface is what each value and module has, sorted.
var surface = map[string]string{
	"context":      "actions aggregation_results client current_state data_stores error initial_data job_id state_history step_id storage task_files tracing_context",
	"actions":      "await_human_approval dispatch_parallel dispatch_task run_blueprint transition_to",
	"storage":      "get_job_state",
	"database":     "exec query query_one tx",
	"task_files":   "delete download exists list read_json read_text upload uri write_json write_text",
	"client":       "config id params plan",
	"blueprint":    "add_data_store aggregator_for api_endpoint api_version description handler_for name render_graph",
	"registration": "when",
	"data_store":   "delete get incr keys set update",
	"re":           "compile escape findall fullmatch match search split sub",
	"re.pattern":   "findall fullmatch match pattern search split sub",
	"re.match":     "end group groupdict groups start",
	"json":         "decode dumps encode indent loads",
	"time":         "from_timestamp hour is_valid_timezone microsecond millisecond minute nanosecond now parse_duration parse_time second time",
	"math":         "acos acosh asin asinh atan atan2 atanh ceil copysign cos cosh degrees e exp fabs floor gamma hypot log mod pi pow radians remainder round sin sinh sqrt tan tanh",
	"random":       "choice randint random sample shuffle uniform",
	"uuid":         "uuid4",
	"logging":      "critical debug error exception getLogger info warning",
	"logger":       "critical debug error exception info name warning",
	"env":          "get",
	"sql":          "connect",
	"http":         "delete get head patch post put request",
}

// surfaceValues makes one value of every kind.
func surfaceValues(t *testing.T) map[string]starlark.HasAttrs {
	t.Helper()
	s := &Scope{Job: &job.Job{ID: "j"}}
	th := new(starlark.Thread)
	ctx := s.Enter(th)
	attr := func(name string) starlark.HasAttrs {
		v, err := ctx.Attr(name)
		if err != nil {
			t.Fatal(err)
		}
		return v.(starlark.HasAttrs)
	}
	re, err := pattern(new(starlark.Thread), "", "(a)")
	if err != nil {
		t.Fatal(err)
	}
	logger, err := getLogger(th, starlark.NewBuiltin("getLogger", nil), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]starlark.HasAttrs{
		"context": ctx, "actions": attr("actions"), "storage": attr("storage"), "task_files": attr("task_files"), "database": &sqlValue{s: s, db: noDatabase{}}, "client": attr("client"), "blueprint": &Declared{},
		"data_store": &dataStore{}, "re.pattern": regexpValue{re}, "re.match": &matchValue{}, "registration": &decorator{},
		"logger": logger.(starlark.HasAttrs),
	}
	for name, v := range Predeclared() {
		if m, ok := v.(starlark.HasAttrs); ok {
			values[name] = m
		}
	}
	return values
}

func TestSurface(t *testing.T) {
	values, want := surfaceValues(t), maps.Clone(surface)
	for name, v := range values {
		names := v.AttrNames()
		sort.Strings(names)
		got := strings.Join(names, " ")
		if got != want[name] {
			t.Errorf("%s has\n%s\nwant\n%s", name, got, want[name])
		}
		for _, n := range names {
			if a, err := v.Attr(n); name != "re.match" && (a == nil || err != nil) {
				t.Errorf("%s lists %s and does not have it: %v", name, n, err)
			}
		}
		if a, err := v.Attr("no_such_name"); a != nil {
			t.Errorf("%s gives something for any name: %v, %v", name, a, err)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestPredeclaredNames(t *testing.T) {
	want := "StateMachineBlueprint blueprint catch env fail_with format has http json logging math pow random range re round sleep sql struct sum time uuid"
	names := Predeclared().Keys()
	sort.Strings(names)
	if got := strings.Join(names, " "); got != want {
		t.Errorf("predeclared names\n%s\nwant\n%s", got, want)
	}
}

// noDatabase stands for a database of which only the names of its methods are asked.
type noDatabase struct{ Database }
