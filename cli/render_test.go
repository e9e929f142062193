package cli

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This file tests recipe 15: what a file asks for with render_graph is the picture that
// `orrery render -o` draws.

func TestRenderGraphIsTheSamePicture(t *testing.T) {
	file, err := filepath.Abs("../examples/15-render-graph/blueprint.star")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	draw := func(args ...string) string {
		t.Helper()
		out, errs := newScreen(), newScreen()
		p := &program{ctx: t.Context(), stdin: strings.NewReader(""), stdout: out, stderr: errs, env: os.LookupEnv}
		if code := p.main(append([]string{"render", file}, args...)); code != 0 {
			t.Fatalf("render %s ends with %d: %s", args, code, errs)
		}
		return out.String()
	}
	if got := draw(); got != "conditional_flow: drawn as conditional_flow_diagram.png\n" {
		t.Errorf("it says %q", got)
	}
	draw("-o", "other.png", "--blueprint", "conditional_flow")
	asked, err := os.ReadFile("conditional_flow_diagram.png")
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile("other.png")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(asked, other) {
		t.Error("the two pictures differ")
	}
	if img, err := png.Decode(bytes.NewReader(asked)); err != nil || img.Bounds().Dx() < 100 || img.Bounds().Dy() < 100 {
		t.Errorf("no picture: %v", err)
	}
	dot := draw("--format", "dot")
	for _, part := range []string{"start", "process_data", "finished", "failed", "task_a", "task_b", "'A'", "'B'"} {
		if !strings.Contains(dot, part) {
			t.Errorf("the graph has no %s:\n%s", part, dot)
		}
	}
}

func TestRenderGraphStaysInItsFolder(t *testing.T) {
	for name, c := range map[string]struct{ call, want string }{
		"a parent":           {`"../out"`, "leaves the present folder"},
		"an absolute path":   {`"/tmp/out"`, "leaves the present folder"},
		"an unknown format":  {`"out", format = "bmp"`, "bmp"},
		"a path of a run":    {`"out" + str(len(env.get("X", "")))`, "only known when the file runs"},
		"below, with suffix": {`"deep/out.svg", format = "svg"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			text := "bp = blueprint(name = \"one\")\nbp.handler_for(\"start\", is_start = True)(lambda actions: actions.transition_to(\"finished\"))\nbp.render_graph(" + c.call + ")\n"
			if err := os.WriteFile("one.star", []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			out, errs := newScreen(), newScreen()
			p := &program{ctx: t.Context(), stdin: strings.NewReader(""), stdout: out, stderr: errs, env: os.LookupEnv}
			code := p.main([]string{"render", "one.star"})
			if c.want == "" {
				if _, err := os.Stat(filepath.Join("deep", "out.svg")); err != nil || code != 0 {
					t.Errorf("ends with %d: %v, %s", code, err, errs)
				}
				return
			}
			if code != 1 || !strings.Contains(errs.String(), c.want) {
				t.Errorf("ends with %d: %s; want %q", code, errs, c.want)
			}
		})
	}
}
