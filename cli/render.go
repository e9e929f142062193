package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orrery/engine/analysis"
	"orrery/engine/draw"
)

// This file is `orrery render`.

type renderCmd struct {
	File      string `arg:"" help:"Blueprint file (.star)."`
	Out       string `short:"o" help:"File to write (default: standard output)." placeholder:"OUT"`
	Format    string `enum:"png,svg,dot,mermaid,json," default:"" help:"png, svg, dot, mermaid or json (default: from the suffix of OUT, else dot)."`
	Blueprint string `help:"Only this blueprint." placeholder:"NAME"`
	Legend    bool   `help:"Explain the colours and shapes."`
	Dark      bool   `help:"Light lines on a dark ground."`
	Root      string `help:"Folder that // means in load paths (default: the file's folder)." placeholder:"DIR"`
}

func (renderCmd) Help() string {
	return `The graph is read from the text; nothing is run. A file with errors is drawn as far as it can be:
its findings go to stderr, and the exit code is 1.

Without -o and --format, the pictures are drawn that the file itself asks for with
bp.render_graph("NAME", format = "png"): below the present folder, each of its own blueprint. A file that
asks for none is printed as dot.

Examples:
  orrery render examples/01-linear-pipeline/blueprint.star -o flow.svg
  orrery render examples/15-render-graph/blueprint.star
  orrery render flow.star -o flow.png --legend --dark
  orrery render flow.star --format json`
}

// Run draws what can be drawn, then tells what is wrong with the file.
func (c *renderCmd) Run(p *program) error {
	format, err := c.chosenFormat()
	if err != nil {
		return err
	}
	asked := c.Format == "" && c.Out == ""
	if info, err := os.Stat(c.File); err == nil && info.IsDir() {
		return usagef("%s is a folder; orrery render takes one file", c.File)
	}
	a, err := analyse(c.File, c.Root)
	if err != nil {
		return err
	}
	graphs := slices.SortedStableFunc(slices.Values(a.graphs), func(a, b *analysis.Graph) int { return cmp.Compare(a.Name, b.Name) })
	if c.Blueprint != "" {
		if graphs, err = onlyGraph(graphs, c.Blueprint); err != nil {
			return err
		}
	}
	if asked && slices.ContainsFunc(graphs, func(g *analysis.Graph) bool { return len(g.Renders) > 0 }) {
		if err := drawAsked(p, graphs, draw.Look{Dark: c.Dark, Legend: c.Legend}); err != nil {
			return err
		}
		return p.tellFindings(c.File, a, true)
	}
	if len(graphs) > 0 || format == draw.JSON {
		image, err := draw.RenderLook(p.ctx, graphs, format, draw.Look{Dark: c.Dark, Legend: c.Legend})
		if err != nil {
			return err
		}
		if err := c.write(p, image); err != nil {
			return err
		}
	}
	return p.tellFindings(c.File, a, len(graphs) > 0)
}

// tellFindings puts all findings on stderr and fails when one is an error, or when there
// was nothing to draw.
func (p *program) tellFindings(file string, a *analysed, drawn bool) error {
	var text strings.Builder
	if err := analysis.Text(&text, a.findings); err != nil {
		return err
	}
	errors := 0
	for _, f := range a.findings {
		if f.Severity == analysis.Error {
			errors++
		}
	}
	switch {
	case errors > 0:
		return &failure{line: fmt.Sprintf("%s has %s", file, count(errors, "error")), detail: text.String()}
	case !drawn:
		return &failure{line: fmt.Sprintf("%s makes no blueprint, so there is nothing to draw", file)}
	}
	_, err := fmt.Fprint(p.stderr, text.String())
	return err
}

// chosenFormat is the given one, else that of the output's suffix, else dot.
func (c *renderCmd) chosenFormat() (draw.Format, error) {
	if c.Format != "" || c.Out == "" {
		return draw.ParseFormat(cmp.Or(c.Format, "dot"))
	}
	format, err := draw.FormatOf(c.Out)
	if err != nil {
		return "", usagef("%v, or --format", err)
	}
	return format, nil
}

func onlyGraph(graphs []*analysis.Graph, name string) ([]*analysis.Graph, error) {
	var names []string
	for _, g := range graphs {
		if g.Name == name {
			return []*analysis.Graph{g}, nil
		}
		names = append(names, g.Name)
	}
	return nil, usagef("there is no blueprint %q; there are: %s", name, listing(names))
}

func (c *renderCmd) write(p *program, image []byte) error {
	if c.Out == "" {
		_, err := p.stdout.Write(image)
		return err
	}
	if err := os.WriteFile(c.Out, image, 0o644); err != nil {
		return fmt.Errorf("the picture can not be written: %w", err)
	}
	return nil
}

// drawAsked draws what the file's render_graph calls ask for, and names the files.
func drawAsked(p *program, graphs []*analysis.Graph, look draw.Look) error {
	for _, g := range graphs {
		for _, r := range g.Renders {
			name, format, err := askedFile(r)
			if err != nil {
				return &failure{line: fmt.Sprintf("%s:%d: %v", r.File, r.Line, err)}
			}
			image, err := draw.RenderLook(p.ctx, []*analysis.Graph{g}, format, look)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return fmt.Errorf("the picture can not be written: %w", err)
			}
			if err := os.WriteFile(name, image, 0o644); err != nil {
				return fmt.Errorf("the picture can not be written: %w", err)
			}
			if _, err := fmt.Fprintf(p.stdout, "%s: drawn as %s\n", g.Name, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// suffixes are what a format's files end in.
var suffixes = map[draw.Format]string{draw.PNG: ".png", draw.SVG: ".svg", draw.DOT: ".dot", draw.Mermaid: ".mmd", draw.JSON: ".json"}

// askedFile gives the file that a render_graph call means: below the present folder, as a
// blueprint may come from somebody else, and with the suffix of its format.
func askedFile(r analysis.Render) (name string, format draw.Format, err error) {
	if r.Path == "" || r.Format == "" {
		return "", "", errors.New("the path or the format of render_graph is only known when the file runs; write it out, or draw with -o FILE")
	}
	if format, err = draw.ParseFormat(r.Format); err != nil {
		return "", "", err
	}
	name = filepath.FromSlash(r.Path)
	if !filepath.IsLocal(name) {
		return "", "", fmt.Errorf("render_graph(%q) leaves the present folder; draw it with -o FILE", r.Path)
	}
	if of, err := draw.FormatOf(name); err != nil || of != format {
		name += suffixes[format]
	}
	return name, format, nil
}
