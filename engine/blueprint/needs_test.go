package blueprint

import (
	"reflect"
	"testing"
	"testing/fstest"
)

func TestNeeds(t *testing.T) {
	c, err := LoadFS(t.Context(), fstest.MapFS{
		"a.star": {Data: []byte(`load("//lib.star", "keep")
bp = blueprint(name = "a")
def start(context, actions):
    sql.connect("reports")
    sql.connect("reports")
    sql.connect(context.initial_data["name"])
    keep(context)
    actions.transition_to("finished")
bp.handler_for("start", is_start = True)(start)
`)},
		"b.star": {Data: []byte(`bp = blueprint(name = "b")
def start(actions, task_files):
    task_files.list()
    actions.transition_to("finished")
bp.handler_for("start", is_start = True)(start)
`)},
		"lib.star": {Data: []byte("def keep(context):\n    return sql.connect(\"other\")\n")},
	}, nil)
	if err != nil || len(c.Status().Errors()) > 0 {
		t.Fatal(err, c.Status().Errors())
	}
	want := []Need{{"reports", "a.star", 4, 5}, {"other", "lib.star", 2, 12}, {"", "b.star", 2, 20}}
	if got := c.Current().Needs(); !reflect.DeepEqual(got, want) {
		t.Errorf("needs are %+v, want %+v", got, want)
	}
}
