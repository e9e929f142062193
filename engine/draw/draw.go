// This file is the entry: which formats there are, and how a graph becomes one of them.

package draw

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"orrery/engine/analysis"
)

// Format is what a graph is turned into.
type Format string

// The formats.
const (
	DOT     Format = "dot"
	SVG     Format = "svg"
	PNG     Format = "png"
	Mermaid Format = "mermaid"
	JSON    Format = "json"
)

// ErrTooLarge says that a graph has more states or edges than a picture is made of. DOT, Mermaid and JSON have no such limit.
var ErrTooLarge = errors.New("the graph is too large for a picture")

// ParseFormat gives the format with that name.
func ParseFormat(name string) (Format, error) {
	switch f := Format(strings.ToLower(name)); f {
	case DOT, SVG, PNG, Mermaid, JSON:
		return f, nil
	}
	return "", fmt.Errorf("unknown picture format %q: use png, svg, dot, mermaid or json", name)
}

// FormatOf gives the format that a file's suffix asks for.
func FormatOf(file string) (Format, error) {
	switch ext := strings.ToLower(filepath.Ext(file)); ext {
	case ".gv":
		return DOT, nil
	case ".mmd":
		return Mermaid, nil
	case "":
		return "", fmt.Errorf("the file name %q has no suffix that names a picture format: use .png, .svg, .dot, .mmd or .json", file)
	default:
		return ParseFormat(ext[1:])
	}
}

// Render draws one graph. The context ends a layout only where it runs in a child process.
func Render(ctx context.Context, g *analysis.Graph, format Format) ([]byte, error) {
	return RenderAll(ctx, []*analysis.Graph{g}, format)
}

// RenderAll draws the graphs of a file beside each other, in one picture.
func RenderAll(ctx context.Context, graphs []*analysis.Graph, format Format) ([]byte, error) {
	return RenderLook(ctx, graphs, format, Look{})
}

// RenderLook draws graphs with what Look lays over them. JSON shows none of it, Mermaid only what happened in states.
func RenderLook(ctx context.Context, graphs []*analysis.Graph, format Format, look Look) ([]byte, error) {
	switch format {
	case DOT:
		return dotText(graphs, look), nil
	case Mermaid:
		return mermaidText(graphs, look), nil
	case JSON:
		return jsonText(graphs)
	case SVG, PNG:
		return picture(ctx, graphs, format, look)
	}
	return nil, fmt.Errorf("draw: unknown format %q", format)
}

// picture lays a graph out and draws it, or takes it from the cache.
func picture(ctx context.Context, graphs []*analysis.Graph, format Format, look Look) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dot := dotText(graphs, look)
	key := keyOf(string(format), dot)
	if data, ok := pictures.get(key); ok {
		return data, nil
	}
	nodes, edges := size(graphs)
	if nodes > maxNodes || edges > maxEdges {
		return nil, fmt.Errorf("%w: %d states and %d edges, the limits are %d and %d; use the formats dot, mermaid or json", ErrTooLarge, nodes, edges, maxNodes, maxEdges)
	}
	layoutFormat := "svg"
	if format == PNG {
		layoutFormat = "json"
	}
	data, err := layout(ctx, dot, layoutFormat, nodes, edges)
	if err != nil {
		return nil, err
	}
	if format == PNG {
		if data, err = rasterize(data, look.ground()); err != nil {
			return nil, err
		}
	}
	if format == SVG {
		data = haloed(bytes.ReplaceAll(data, []byte(`font-family="`+fontName+`"`), []byte(`font-family="`+fontFamily+`"`)), look.ground())
	}
	pictures.put(key, data)
	return data, nil
}

// haloed gives the labels of edges in an SVG a rim in the colour of the ground: a line that crosses a label stops before its letters. Graphviz writes each element on a line of its own.
func haloed(svg []byte, ground string) []byte {
	var out bytes.Buffer
	edge := false
	for line := range bytes.Lines(svg) {
		switch {
		case bytes.HasPrefix(line, []byte("<g ")):
			edge = bytes.Contains(line, []byte(` class="edge`))
		case edge && bytes.HasPrefix(line, []byte("<text ")):
			fmt.Fprintf(&out, `<text paint-order="stroke" stroke="%s" stroke-width="4" stroke-linejoin="round" `, ground)
			line = line[len("<text "):]
		}
		out.Write(line)
	}
	return out.Bytes()
}

// fontFamily is what an SVG asks a browser for. Quotes within texts are entities, so the replacement meets attributes only.
const fontFamily = fontName + ",DejaVu Sans,Arial,Helvetica,sans-serif"

// The largest graphs that are laid out, and the largest that are laid out in the caller's own process, where nothing can stop it.
const (
	maxNodes, maxEdges             = 3000, 6000
	maxInlineNodes, maxInlineEdges = 300, 600
)

func size(graphs []*analysis.Graph) (nodes, edges int) {
	for _, g := range graphs {
		nodes += len(g.States)
		edges += len(g.Edges)
	}
	return nodes, edges
}

// jsonText writes the shape that `orrery render --format json` promises.
func jsonText(graphs []*analysis.Graph) ([]byte, error) {
	if graphs == nil {
		graphs = []*analysis.Graph{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(struct {
		Blueprints []*analysis.Graph `json:"blueprints"`
	}{graphs})
	return b.Bytes(), err
}
