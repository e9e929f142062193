package lsp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This file tests what findings offer, and renames in the test beside a file.

func (c *client) actionsOn(line int) []action {
	var list []action
	at := map[string]any{"textDocument": map[string]any{"uri": c.uri("flow.star")}, "range": span{position{line, 0}, position{line, 0}}, "context": map[string]any{"diagnostics": []any{}}}
	if err := c.ask("textDocument/codeAction", at, &list); err != nil {
		c.t.Fatal(err)
	}
	return list
}

func TestActionTakesTheSuggestion(t *testing.T) {
	c := start(t, library)
	bad := strings.Replace(flow, `"success": "review"`, `"success": "reveiw"`, 1)
	c.open("flow.star", bad)
	list := c.actionsOn(7)
	if len(list) != 1 || !list[0].Preferred || list[0].Title != `Change it to "review"` { // the error can not be switched off
		t.Fatalf("%+v", list)
	}
	e := list[0].Edit.Changes[c.uri("flow.star")][0]
	if got := bad[:offset(bad, e.Range.Start)] + e.NewText + bad[offset(bad, e.Range.End):]; got != flow {
		t.Errorf("it makes\n%s", got)
	}
	if list := c.actionsOn(0); len(list) != 0 {
		t.Errorf("a line without findings offers %+v", list)
	}
	c.quit()
}

func TestRenameInTheTestBeside(t *testing.T) {
	c := start(t, library)
	tests := "def test_a(t):\n    t.expect(\"review\", 'review', \"reviewed\", \"a review\")\n"
	if err := os.WriteFile(filepath.Join(c.root, "flow_test.star"), []byte(tests), 0o600); err != nil {
		t.Fatal(err)
	}
	p := c.open("flow.star", strings.Replace(flow, `handler_for("review")`, `handler_for("rev|iew")`, 1))
	ask := c.at("flow.star", p)
	ask["newName"] = "check"
	var edit workspaceEdit
	if err := c.ask("textDocument/rename", ask, &edit); err != nil {
		t.Fatal(err)
	}
	edits := edit.Changes[c.uri("flow_test.star")]
	if len(edits) != 2 || edits[0].Range != (span{position{1, 14}, position{1, 20}}) || edits[0].NewText != "check" || edits[1].Range.Start != (position{1, 24}) {
		t.Errorf("%+v", edits)
	}
	c.quit()
}

func TestActionSwitchesAFindingOff(t *testing.T) {
	c := start(t, library)
	bad := strings.Replace(flow, `"success": "review"`, `"success": "finished"`, 1) // nothing leads to review then
	c.open("flow.star", bad)
	found := c.diagnostics("flow.star", 1)[0]
	for _, a := range c.actionsOn(found.Range.Start.Line) {
		if !strings.Contains(a.Title, "off here") {
			continue
		}
		e := a.Edit.Changes[c.uri("flow.star")][0]
		i := offset(bad, e.Range.Start)
		c.edit("flow.star", bad[:i]+e.NewText+bad[i:])
		c.diagnostics("flow.star", 0)
		c.quit()
		return
	}
	t.Errorf("%+v offers nothing", found)
}
