package lsp

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// This file tests what an editor's user sees, through the client.

const flow = `load("//lib/steps.star", "finish")

flow = blueprint("flow", api_endpoint = "jobs/flow", description = "añade 😀")

def start(context, actions):
    actions.dispatch_task(
        task_type = "resize",
        transitions = {"success": "review", "failure": "failed"},
    )

def review(context, actions):
    finish(actions, "finished")

flow.handler_for("start", is_start = True)(start)
flow.handler_for("review")(review)
`

var library = map[string]string{
	"lib/steps.star": "def finish(actions, where):\n    actions.transition_to(where)\n",
	"other.star":     "other = blueprint(\"other\", api_endpoint = \"jobs/other\")\nother.handler_for(\"start\", is_start = True)(lambda actions: actions.dispatch_task(\"encode\", transitions = {\"success\": \"finished\", \"failure\": \"failed\", \"odd\": \"finished\"}))\n",
	"flow.star":      flow,
}

func TestDiagnosticsAsYouType(t *testing.T) {
	c := start(t, library)
	c.open("flow.star", flow)
	c.diagnostics("flow.star", 0)
	c.edit("flow.star", strings.Replace(flow, `"success": "review"`, `"success": "reveiw"`, 1))
	list := c.diagnostics("flow.star", 1)
	d := list[0]
	if d.Code != "unknown-target" || d.Severity != severityError || !strings.Contains(d.Message, `did you mean "review"?`) || d.Range != (span{position{7, 34}, position{7, 42}}) {
		t.Errorf("%+v", d)
	}
	// Over several files: the same name twice is told in the other one.
	c.edit("flow.star", strings.Replace(flow, `blueprint("flow"`, `blueprint("other"`, 1))
	if d := c.diagnostics("other.star", 1)[0]; d.Code != "duplicate-blueprint" {
		t.Errorf("%+v", d)
	}
	c.edit("flow.star", flow)
	c.diagnostics("other.star", 0)
	// A place behind a character of two UTF-16 units.
	c.edit("flow.star", strings.Replace(flow, `description = "añade 😀")`, `description = "añade 😀", nothing = 1)`, 1))
	if d := c.diagnostics("flow.star", 1)[0]; d.Range.Start != (position{2, 79}) {
		t.Errorf("%+v", d)
	}
	c.quit()
}

func TestIncrementalChanges(t *testing.T) {
	c := start(t, library)
	c.open("flow.star", flow)
	c.tell("textDocument/didChange", map[string]any{"textDocument": map[string]any{"uri": c.uri("flow.star"), "version": 2}, "contentChanges": []any{
		map[string]any{"range": span{position{7, 35}, position{7, 41}}, "text": "start"},
		map[string]any{"range": span{position{14, 0}, position{15, 0}}, "text": ""},
	}})
	c.diagnostics("flow.star", 0) // review is gone, and nothing leads there
	c.quit()
}

func TestCompletion(t *testing.T) {
	c := start(t, library)
	c.open("flow.star", flow)
	c.diagnostics("flow.star", 0)
	in := func(line string) string { return flow + "\ndef more(context, actions):\n    " + line + "\n" }
	for what, x := range map[string]struct {
		text   string
		want   []string
		unlike string
	}{
		"context":       {in("context.|"), []string{"job_id", "state_history", "initial_data"}, "transition_to"},
		"client":        {in("context.client.pl|"), []string{"plan", "config"}, "job_id"},
		"actions":       {in("actions.|"), []string{"transition_to", "dispatch_task"}, "job_id"},
		"through":       {in("context.actions.d|"), []string{"dispatch_parallel"}, "job_id"},
		"module":        {in("x = json.|"), []string{"encode", "loads"}, "sqrt"},
		"blueprint":     {flow + "\nflow.|\n", []string{"handler_for", "add_data_store"}, "encode"},
		"registration":  {flow + "\nflow.handler_for(\"x\").|\n", []string{"when"}, "handler_for"},
		"match":         {in("m = re.search(\"a\", \"b\")\n    m.|"), []string{"group", "groupdict"}, "search"},
		"target":        {in("actions.transition_to(\"|"), []string{"review", "start", "finished", "failed"}, "resize"},
		"target named":  {in("actions.transition_to(state = \"re|"), []string{"review"}, "resize"},
		"not a target":  {in("actions.transition_to(\"review\", error_message = \"|"), nil, "review"},
		"transitions":   {in("actions.dispatch_task(task_type = \"a\", transitions = {\"success\": \"|\"})"), []string{"review"}, "success"},
		"keys":          {in("actions.dispatch_task(task_type = \"a\", transitions = {\"|"), []string{"success", "failure", "odd"}, "review"},
		"decisions":     {in("actions.await_human_approval(\"x\", transitions = {\"|"), []string{"timeout"}, "review"},
		"task types":    {in("actions.dispatch_task(task_type = \"|"), []string{"resize", "encode"}, "review"},
		"first":         {in("actions.dispatch_task(\"|"), []string{"resize", "encode"}, "review"},
		"parallel":      {in("actions.dispatch_parallel(tasks = [{\"task_type\": \"|"), []string{"resize", "encode"}, "review"},
		"strategies":    {in("actions.dispatch_task(dispatch_strategy = \"|"), []string{"cheapest"}, "review"},
		"children":      {in("actions.run_blueprint(blueprint_name = \"|"), []string{"other", "flow"}, "review"},
		"keywords":      {in("actions.dispatch_task(ti|"), []string{"timeout_seconds = ", "task_type = "}, "job_id"},
		"names":         {in("fi|"), []string{"context", "actions", "review", "json", "catch", "len"}, "job_id"},
		"parameters":    {flow + "\ndef more(|", []string{"context", "state_history", "job_id"}, "json"},
		"condition":     {flow + "\nflow.handler_for(\"x\").when(\"context.|", []string{"initial_data"}, "transition_to"},
		"files":         {"load(\"|", []string{"//lib/steps.star", "//other.star"}, "//flow.star"},
		"end statuses":  {flow + "\nflow.handler_for(\"x\", is_end = True, status = \"|", []string{"cancelled"}, "review"},
		"rules":         {flow + "\n# orrery: ignore[|", []string{"no-action"}, "review"},
		"plain comment": {flow + "\n# context.|", nil, "job_id"},
		"plain text":    {in("x = \"context.|\""), nil, "job_id"},
	} {
		p := c.edit("flow.star", x.text)
		var got struct {
			Items []completionItem `json:"items"`
		}
		if err := c.ask("textDocument/completion", c.at("flow.star", p), &got); err != nil {
			t.Fatal(what, err)
		}
		var labels []string
		for _, item := range got.Items {
			labels = append(labels, item.Label)
		}
		for _, want := range x.want {
			if !slices.Contains(labels, want) {
				t.Errorf("%s: no %q in %q", what, want, labels)
			}
		}
		if slices.Contains(labels, x.unlike) || x.want == nil && len(labels) > 0 {
			t.Errorf("%s: %q in %q", what, x.unlike, labels)
		}
		c.edit("flow.star", flow)
		c.diagnostics("flow.star", 0)
	}
	c.quit()
}

func TestHover(t *testing.T) {
	c := start(t, library)
	c.open("flow.star", flow)
	for what, x := range map[string]struct{ text, want string }{
		"action":    {strings.Replace(flow, "actions.dispatch_task", "actions.dispatch_|task", 1), "actions.dispatch_task(task_type, params = {}"},
		"keyword":   {strings.Replace(flow, "task_type =", "task|_type =", 1), "what workers register for"},
		"state":     {strings.Replace(flow, `"success": "review"`, `"success": "re|view"`, 1), "- from `start` by success of resize"},
		"parameter": {strings.Replace(flow, "def review(context,", "def review(con|text,", 1), "What a handler knows about its job"},
		"module":    {flow + "\nx = js|on.encode(1)\n", "**json**"},
		"function":  {flow + "\nx = json.enc|ode(1)\n", "json.encode(x, indent = 0)"},
		"method":    {strings.Replace(flow, "flow.handler_for", "flow.handler|_for", 1), "is_start = False"},
	} {
		p := c.edit("flow.star", x.text)
		var got hover
		if err := c.ask("textDocument/hover", c.at("flow.star", p), &got); err != nil || !strings.Contains(got.Contents.Value, x.want) {
			t.Errorf("%s: %v %q, want in it %q", what, err, got.Contents.Value, x.want)
		}
	}
	c.quit()
}

func TestNavigation(t *testing.T) {
	c := start(t, library)
	p := c.open("flow.star", strings.Replace(flow, `"success": "review"`, `"success": "rev|iew"`, 1))
	var at []location
	if err := c.ask("textDocument/definition", c.at("flow.star", p), &at); err != nil || len(at) != 1 || at[0].Range.Start != (position{14, 17}) {
		t.Errorf("definition of a state: %v %+v", err, at)
	}
	ask := c.at("flow.star", p)
	ask["context"] = map[string]bool{"includeDeclaration": true}
	if err := c.ask("textDocument/references", ask, &at); err != nil || len(at) != 2 {
		t.Errorf("references of a state: %v %+v", err, at)
	}
	if err := c.ask("textDocument/definition", c.at("flow.star", position{11, 6}), &at); err != nil || len(at) != 1 || !strings.HasSuffix(at[0].URI, "/lib/steps.star") || at[0].Range.Start != (position{0, 4}) {
		t.Errorf("definition of a loaded function: %v %+v", err, at)
	}
	if err := c.ask("textDocument/definition", c.at("flow.star", position{13, 43}), &at); err != nil || len(at) != 1 || at[0].Range.Start != (position{4, 4}) {
		t.Errorf("definition of a function: %v %+v", err, at)
	}
	var symbols []symbol
	if err := c.ask("textDocument/documentSymbol", c.at("flow.star", p), &symbols); err != nil || len(symbols) != 3 || symbols[0].Name != "flow" || len(symbols[0].Children) != 3 || symbols[1].Name != "start" {
		t.Errorf("symbols: %v %+v", err, symbols)
	}
	c.quit()
}

func TestRename(t *testing.T) {
	c := start(t, library)
	p := c.open("flow.star", strings.Replace(flow, `handler_for("review")`, `handler_for("rev|iew")`, 1))
	var range_ struct {
		Range       span   `json:"range"`
		Placeholder string `json:"placeholder"`
	}
	if err := c.ask("textDocument/prepareRename", c.at("flow.star", p), &range_); err != nil || range_.Placeholder != "review" || range_.Range.Start != (position{14, 18}) {
		t.Errorf("%v %+v", err, range_)
	}
	ask := c.at("flow.star", p)
	ask["newName"] = "check it"
	var edit workspaceEdit
	if err := c.ask("textDocument/rename", ask, &edit); err != nil {
		t.Fatal(err)
	}
	edits := edit.Changes[c.uri("flow.star")]
	text := flow
	slices.SortFunc(edits, func(a, b textEdit) int { return b.Range.Start.Line - a.Range.Start.Line })
	for _, e := range edits {
		text = text[:offset(text, e.Range.Start)] + e.NewText + text[offset(text, e.Range.End):]
	}
	if len(edits) != 2 || text != strings.ReplaceAll(flow, `"review"`, `"check it"`) {
		t.Errorf("%d edits make\n%s", len(edits), text)
	}
	for name, want := range map[string]string{"start": "already", "a\"b": "can not name", "": "can not name"} {
		ask["newName"] = name
		if err := c.ask("textDocument/rename", ask, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rename to %q: %v, want %q", name, err, want)
		}
	}
	// A computed name would be missed, so nothing is renamed.
	p = c.edit("flow.star", strings.Replace(strings.Replace(flow, `finish(actions, "finished")`, `finish(actions, "re" + "view")`, 1), `handler_for("review")`, `handler_for("rev|iew")`, 1))
	ask = c.at("flow.star", p)
	ask["newName"] = "other"
	if err := c.ask("textDocument/rename", ask, nil); err == nil || !strings.Contains(err.Error(), "computes the name") {
		t.Errorf("rename of a computed name: %v", err)
	}
	c.quit()
}

func TestFormattingAndLens(t *testing.T) {
	c := start(t, library)
	c.open("flow.star", strings.Replace(flow, "finish(actions, \"finished\")", "finish( actions,'finished' )", 1))
	var edits []textEdit
	if err := c.ask("textDocument/formatting", c.at("flow.star", position{}), &edits); err != nil || len(edits) != 1 || edits[0].NewText != flow {
		t.Errorf("%v %+v", err, edits)
	}
	c.edit("flow.star", flow)
	if err := c.ask("textDocument/formatting", c.at("flow.star", position{}), &edits); err != nil || len(edits) != 0 {
		t.Errorf("formatted again: %v %+v", err, edits)
	}
	var lenses []lens
	if err := c.ask("textDocument/codeLens", c.at("flow.star", position{}), &lenses); err != nil || len(lenses) != 1 || lenses[0].Range.Start.Line != 2 || lenses[0].Command.Title != "show graph (4 states, 3 ways)" {
		t.Fatalf("%v %+v", err, lenses)
	}
	var shown struct{ Path, Mermaid string }
	if err := c.ask("workspace/executeCommand", map[string]any{"command": lenses[0].Command.Command, "arguments": lenses[0].Command.Arguments}, &shown); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(shown.Path)
	picture, err := os.ReadFile(shown.Path)
	if err != nil || !strings.Contains(string(picture), "<svg") || !strings.Contains(shown.Mermaid, "review") || !slices.Contains(c.asked, "window/showDocument") {
		t.Errorf("%v %q %v", err, shown.Mermaid, c.asked)
	}
	c.quit()
}

// Bad requests have answers, and the server goes on.
func TestBadRequests(t *testing.T) {
	c := start(t, library)
	c.open("flow.star", flow)
	if err := c.ask("no/such/method", nil, nil); err == nil || err.(*rpcError).Code != codeMethodNotFound {
		t.Errorf("%v", err)
	}
	if err := c.ask("textDocument/hover", []int{1}, nil); err == nil || err.(*rpcError).Code != codeInvalidParams {
		t.Errorf("%v", err)
	}
	for _, p := range []position{{-1, -1}, {10000, 5}, {2, 10000}} {
		for _, method := range []string{"completion", "hover", "definition", "references", "prepareRename"} {
			_ = c.ask("textDocument/"+method, c.at("flow.star", p), nil)
		}
	}
	elsewhere := map[string]any{"textDocument": map[string]any{"uri": "file:///elsewhere/x.star"}, "position": position{}}
	if err := c.ask("textDocument/hover", elsewhere, nil); err != nil {
		t.Errorf("a document elsewhere: %v", err)
	}
	c.edit("flow.star", "def f(:\n")
	if list := c.diagnostics("flow.star", 1); list[0].Code != "syntax-error" {
		t.Errorf("%+v", list)
	}
	c.quit()
}

// BenchmarkCompletion is what is felt while typing: a change and the completion after it, in a workspace of a hundred files.
func BenchmarkCompletion(b *testing.B) {
	s := New(b.TempDir())
	s.ctx, s.out = b.Context(), io.Discard
	for name, text := range library {
		if err := os.MkdirAll(filepath.Join(s.root, filepath.Dir(name)), 0o700); err != nil {
			b.Fatal(err)
		}
		for i := range 33 {
			text := strings.NewReplacer(`blueprint("`, fmt.Sprintf(`blueprint("f%d_`, i), `"jobs/`, fmt.Sprintf(`"jobs/f%d_`, i)).Replace(text)
			if err := os.WriteFile(filepath.Join(s.root, strings.Replace(name, ".star", fmt.Sprintf("%d.star", i), 1)), []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	if _, err := s.initialize([]byte(`{}`)); err != nil {
		b.Fatal(err)
	}
	text, at := strings.Replace(flow, `"success": "review"`, `"success": "re`, 1), position{7, 37}
	s.ws.open["flow1.star"] = flow
	if err := s.publish(); err != nil {
		b.Fatal(err)
	}
	p := &place{TextDocument: textDocument{URI: s.ws.uriOf("flow1.star")}, Position: at}
	for b.Loop() {
		s.ws.open["flow1.star"], s.ws.dirty = text, true
		if _, err := s.complete(p, "flow1.star"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDiagnostics is a change and the findings of the whole workspace after it.
func BenchmarkDiagnostics(b *testing.B) {
	s := New(b.TempDir())
	s.ctx, s.out = b.Context(), io.Discard
	if _, err := s.initialize([]byte(`{}`)); err != nil {
		b.Fatal(err)
	}
	for i := range 100 {
		s.ws.open[fmt.Sprintf("flow%d.star", i)] = strings.NewReplacer(`load("//lib/steps.star", "finish")`, "", `finish(actions, "finished")`, `actions.transition_to("finished")`, `blueprint("flow"`, fmt.Sprintf(`blueprint("flow%d"`, i), "jobs/flow", fmt.Sprintf("jobs/flow%d", i)).Replace(flow)
	}
	for b.Loop() {
		s.ws.dirty = true
		if err := s.publish(); err != nil || len(s.ws.result.Findings) > 0 {
			b.Fatal(err, s.ws.result.Findings)
		}
	}
}
