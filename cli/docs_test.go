package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

// This file tests `orrery docs`.

func TestDocs(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"actions", "re.match", "predeclared"}},
		{[]string{"actions"}, []string{"# actions", "actions.transition_to(state, error_message = None", "actions.run_blueprint("}},
		{[]string{"actions.dispatch_task"}, []string{"actions.dispatch_task(task_type, params = {}", "Describes: nothing happens before", "      task_type (text): what workers register for.", "    Example:\n        actions.dispatch_task(\n            task_type"}},
		{[]string{"catch"}, []string{"catch(fn, *args, **kwargs)", "gives a struct"}},
		{[]string{"context.job_id"}, []string{"context.job_id: text"}},
		{[]string{"json", "--format", "markdown"}, []string{"# json\n", "## json.encode\n\n    json.encode(x, indent = 0)"}},
		{[]string{"unreachable-state"}, []string{"## What it can not see"}},
	} {
		got := orrery(t, append([]string{"docs"}, c.args...)...)
		for _, want := range c.want {
			if got.code != 0 || !strings.Contains(got.out, want) {
				t.Errorf("docs %v lacks %q: %+v", c.args, want, got)
			}
		}
	}
	var m struct{ Name, Summary string }
	if err := json.Unmarshal([]byte(orrery(t, "docs", "json.encode", "--format", "json").out), &m); err != nil || m.Name != "encode" || m.Summary == "" {
		t.Errorf("%v %+v", err, m)
	}
	for name, want := range map[string]string{"dispatch_task": "did you mean actions.dispatch_task?", "json.encod": "json has: ", "nothing": "orrery docs lists all pages"} {
		if got := orrery(t, "docs", name); got.code != 2 || !strings.Contains(got.err, want) {
			t.Errorf("docs %s: %+v", name, got)
		}
	}
}
