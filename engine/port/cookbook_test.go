package port_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"orrery/engine/blueprint"
	"orrery/engine/port"
	"orrery/engine/simulate"
	"orrery/workers"
	"orrery/workers/emulate"
)

// This file takes the Python out of the cookbook itself, ports it, and runs what came out.

const cookbook = "../../../shared/spec/cookbook.es.md"

var recipeParts = regexp.MustCompile("(?ms)\\*\\*Receta (\\w+)|^```python\n(.*?)^```")

// recipes gives the Python blocks of the cookbook by recipe and number, such as 12a_1.
func recipes(t *testing.T) map[string]string {
	t.Helper()
	path := os.Getenv("ORRERY_COOKBOOK")
	if path == "" {
		path = cookbook
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("the cookbook is not here (%v); set ORRERY_COOKBOOK to its path", err)
	}
	blocks := map[string]string{}
	recipe, n := "", 0
	for _, m := range recipeParts.FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			recipe, n = m[1], 0
			continue
		}
		n++
		blocks[fmt.Sprintf("%s_%d", recipe, n)] = m[2]
	}
	if len(blocks) < 20 {
		t.Fatalf("only %d blocks of Python were found", len(blocks))
	}
	return blocks
}

// portAll converts the blocks, all in one go; none imports another.
func portAll(t *testing.T, blocks map[string]string) map[string]*port.Result {
	t.Helper()
	var files []port.File
	for name, text := range blocks {
		files = append(files, port.File{Name: "r" + name + ".py", Text: []byte(text)})
	}
	results, err := port.Convert(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*port.Result{}
	for _, r := range results {
		out[strings.TrimSuffix(strings.TrimPrefix(r.Python, "r"), ".py")] = r
	}
	return out
}

// What each block becomes: "" is a file that passes every check, else a part of what is
// said about it.
var recipeVerdicts = map[string]string{
	"1_1": "", "3_1": "", "5_1": "", "6_1": "", "7_1": "", "8_1": "", "9_1": "", "10_2": "", "14_1": "", "15_1": "", "17_1": "",
	"2_1":   `the state "process_approved_data" is registered twice`,
	"10_1":  "no blueprint in this file",
	"11_1":  "no blueprint in this file",
	"12a_1": `no state is called "config_missing"`,
	"12b_1": "no blueprint in this file",
	"12b_2": "nothing in this file makes the blueprint s3_pipeline",
	"13_1":  "no blueprint in this file",
	"13_2":  "nothing in this file makes the blueprint error_handling_bp",
	"16_1":  "no blueprint in this file",
	"18_1":  `no state is called "process_invoice"`,
	"18_2":  "os.remove has no counterpart",
	"19_1":  "has no start state",
	"21_1":  "no blueprint in this file",
	"22_1":  "no blueprint in this file",
}

func TestEveryBlockOfTheCookbook(t *testing.T) {
	needPython(t)
	for name, r := range portAll(t, recipes(t)) {
		t.Run(name, func(t *testing.T) {
			want, known := recipeVerdicts[name]
			if !known {
				t.Fatal("the cookbook has a block that this test does not know")
			}
			var said []string
			for _, e := range r.Entries {
				said = append(said, e.String())
			}
			for _, f := range r.Findings {
				said = append(said, f.Message)
			}
			if want == "" && !r.Good() || want != "" && (r.Good() || !strings.Contains(strings.Join(said, "\n"), want)) {
				t.Errorf("wanted %q; said\n%s", want, strings.Join(said, "\n"))
			}
			if strings.Contains(want, "no blueprint") && len(r.Entries) != 1 {
				t.Errorf("one reason is enough for a file without a blueprint: %q", said)
			}
		})
	}
}

// recipeRuns are jobs of the ported recipes and the way they must take.
var recipeRuns = []struct {
	recipe, blueprint, scenario, path, status, log string
}{
	{"1_1", "", `{"replies": [{"task_type": "simple_task", "reply": {"status": "success"}}]}`, "start step_A step_B finished", "finished", "completado exitosamente"},
	{"1_1", "", `{"replies": [{"task_type": "simple_task", "reply": {"status": "failure", "error": {"code": "PERMANENT_ERROR", "message": "no"}}}]}`, "start step_A failed", "quarantined", "falló"},
	{"3_1", "", `{}`, "start aggregate_results end", "finished", "Proceso completo. Datos finales:"},
	{"5_1", "", `{"initial_data": {"language": "de"}}`, "start process_text finished", "finished", "terminó el procesamiento"},
	{"5_1", "", `{"initial_data": {"language": "fr"}}`, "start process_text", "quarantined", ""},
	{"6_1", "", `{}`, "start finished", "finished", "terminada"},
	{"7_1", "", `{"initial_data": {"is_urgent": true}}`, "start finished", "finished", "terminada"},
	{"8_1", "", `{"worker": {"cost_per_second": 1.0, "supported_tasks": ["image_compression"]}}`, "start too_expensive", "failed", "criterios de costo"},
	{"9_1", "", `{"runs": 3}`, "start finished", "finished", "Número de solicitud 3"},
	{"10_2", "", `{"cancel": {"task_type": "long_video_processing"}, "replies": [{"task_type": "long_video_processing", "reply": {"status": "cancelled"}}]}`, "start task_cancelled", "cancelled", "cancelado exitosamente"},
	{"14_1", "main_flow", `{"initial_data": {"raw_text": "hola"}}`, "start process_user_text final_step finished", "finished", "Sub-blueprint terminó con resultado: success"},
	{"14_1", "main_flow", `{}`, "start process_user_text sub_job_failed failed", "failed", "manejando fallo en padre"},
	{"15_1", "", `{"initial_data": {"type": "B"}}`, "start process_data finished", "finished", "Terminado."},
	{"17_1", "", `{"client": {"plan": "premium", "params": {"languages": ["en", "de"]}}}`, "start finished", "finished", ""},
	{"17_1", "", `{"client": {"plan": "free", "params": {"languages": ["fr"]}}}`, "start failed", "failed", ""},
}

func TestPortedRecipesBehave(t *testing.T) {
	needPython(t)
	ported := portAll(t, recipes(t))
	for _, c := range recipeRuns {
		t.Run(c.recipe+" "+c.path, func(t *testing.T) {
			r := ported[c.recipe]
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, r.Star), []byte(r.Text), 0o644); err != nil {
				t.Fatal(err)
			}
			files, err := simulate.LoadFiles(simulate.File{Root: dir, Name: r.Star})
			if err != nil {
				t.Fatal(err)
			}
			scenario, err := simulate.ParseScenario([]byte(c.scenario))
			if err != nil {
				t.Fatal(err)
			}
			var bp *blueprint.Blueprint
			if bp, _, err = files.Choose(c.blueprint); err != nil {
				t.Fatal(err)
			}
			report, err := simulate.Run(t.Context(), simulate.Options{Catalog: files, Blueprint: bp.Name, Scenario: scenario, Fits: workers.Fits, Emulate: emulate.Reply})
			if err != nil {
				t.Fatal(err)
			}
			last := report.Runs[len(report.Runs)-1]
			log, err := json.Marshal(last.Log)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(last.Path, " "); got != c.path || string(last.Status) != c.status || !strings.Contains(string(log), c.log) {
				t.Errorf("it went %s and ended %s; the recipe says %s and %s\nlog %s\nerror %+v", got, last.Status, c.path, c.status, log, last.Error)
			}
		})
	}
}
