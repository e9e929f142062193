// This file draws a PNG from the drawing operations that Graphviz gives as JSON.

package draw

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/fogleman/gg"
	"github.com/golang/freetype/truetype"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
)

const (
	scale     = 2.0      // pixels per point, for sharp text
	maxSide   = 12_000   // pixels
	maxPixels = 60 << 20 // pixels, 4 bytes each
	haloWidth = 2.0      // points around the labels of edges
	haloSides = 8        // copies of a text that make its halo
)

// drawing is what one object, edge or the graph itself is drawn with, in the order of Graphviz.
type drawing struct {
	BB     string `json:"bb"`
	Draw   []op   `json:"_draw_"`
	Label  []op   `json:"_ldraw_"`
	Head   []op   `json:"_hdraw_"`
	HLabel []op   `json:"_hldraw_"`
	Tail   []op   `json:"_tdraw_"`
	TLabel []op   `json:"_tldraw_"`
}

// op is one drawing operation; which fields it has depends on Op.
type op struct {
	Op     string       `json:"op"`
	Points [][2]float64 `json:"points"`
	Rect   [4]float64   `json:"rect"` // centre and radii of an ellipse
	Pt     [2]float64   `json:"pt"`
	Align  string       `json:"align"`
	Width  float64      `json:"width"`
	Text   string       `json:"text"`
	Color  string       `json:"color"`
	Style  string       `json:"style"`
	Size   float64      `json:"size"`
}

// picturePlan is the whole JSON.
type picturePlan struct {
	drawing
	Objects []drawing `json:"objects"`
	Edges   []drawing `json:"edges"`
}

var regular = sync.OnceValues(func() (*truetype.Font, error) { return truetype.Parse(goregular.TTF) })

// rasterize draws the PNG on a ground of that colour.
func rasterize(plan []byte, ground string) ([]byte, error) {
	var p picturePlan
	if err := json.Unmarshal(plan, &p); err != nil {
		return nil, fmt.Errorf("draw: read the layout: %w", err)
	}
	fontFile, err := regular()
	if err != nil {
		return nil, fmt.Errorf("draw: font: %w", err)
	}
	width, height, err := boundingBox(p.BB)
	if err != nil {
		return nil, err
	}
	const margin = 12 // points around the picture
	w, h := width+2*margin, height+2*margin
	zoom := min(scale, maxSide/w, maxSide/h, math.Sqrt(maxPixels/(w*h)))
	dc := gg.NewContext(int(math.Ceil(w*zoom)), int(math.Ceil(h*zoom)))
	dc.SetColor(parseColor(ground))
	dc.Clear()
	pen := &pen{dc: dc, font: fontFile, zoom: zoom, margin: margin, height: height, faces: map[float64]font.Face{}}
	for _, d := range append([]drawing{p.drawing}, p.Objects...) {
		pen.all(d.Draw, d.Label)
	}
	for _, d := range p.Edges {
		pen.all(d.Draw, d.Tail, d.Head)
	}
	pen.halo = parseColor(ground)
	for _, d := range p.Edges { // over all lines
		pen.all(d.Label, d.HLabel, d.TLabel)
	}
	var b bytes.Buffer
	if err := dc.EncodePNG(&b); err != nil {
		return nil, fmt.Errorf("draw: write PNG: %w", err)
	}
	return b.Bytes(), nil
}

func boundingBox(bb string) (width, height float64, err error) {
	parts := strings.Split(bb, ",")
	if len(parts) == 4 {
		if width, err = strconv.ParseFloat(parts[2], 64); err == nil {
			height, err = strconv.ParseFloat(parts[3], 64)
		}
	}
	if err != nil || len(parts) != 4 || !(width > 0) || !(height > 0) || width > 1e6 || height > 1e6 {
		return 0, 0, fmt.Errorf("draw: the layout has no usable size: %q", bb)
	}
	return width, height, nil
}

// pen is the state that operations change: colours, line, font.
type pen struct {
	dc     *gg.Context
	font   *truetype.Font
	zoom   float64
	margin float64
	height float64
	faces  map[float64]font.Face

	halo       color.Color // around texts; nil: none
	line, fill color.Color
	width      float64
	dash       []float64
	size       float64
}

// all draws lists of operations, each from the first state of the pen.
func (p *pen) all(lists ...[]op) {
	for _, ops := range lists {
		p.reset()
		for _, o := range ops {
			p.draw(o)
		}
	}
}

func (p *pen) reset() {
	p.line, p.fill, p.width, p.dash, p.size = color.Black, color.Black, 1, nil, 14
}

// x and y turn points from Graphviz, whose y grows upwards, into pixels.
func (p *pen) x(x float64) float64 { return (x + p.margin) * p.zoom }
func (p *pen) y(y float64) float64 { return (p.height - y + p.margin) * p.zoom }

func (p *pen) draw(o op) {
	switch o.Op {
	case "c":
		p.line = parseColor(o.Color)
	case "C":
		p.fill = parseColor(o.Color)
	case "S":
		p.style(o.Style)
	case "F":
		p.size = o.Size
	case "P", "p", "L":
		p.path(o.Points)
		if o.Op != "L" {
			p.dc.ClosePath()
		}
		p.paint(o.Op == "P")
	case "B", "b":
		p.curve(o.Points)
		p.paint(o.Op == "B")
	case "E", "e":
		p.dc.DrawEllipse(p.x(o.Rect[0]), p.y(o.Rect[1]), o.Rect[2]*p.zoom, o.Rect[3]*p.zoom)
		p.paint(o.Op == "E")
	case "T":
		p.text(o)
	}
}

// paint fills and strokes the present path.
func (p *pen) paint(filled bool) {
	if filled {
		p.dc.SetColor(p.fill)
		p.dc.FillPreserve()
	}
	p.dc.SetColor(p.line)
	p.dc.SetLineWidth(p.width * p.zoom)
	p.dc.SetDash(p.dash...)
	p.dc.Stroke()
}

func (p *pen) path(points [][2]float64) {
	for i, pt := range points {
		if i == 0 {
			p.dc.MoveTo(p.x(pt[0]), p.y(pt[1]))
		} else {
			p.dc.LineTo(p.x(pt[0]), p.y(pt[1]))
		}
	}
}

// curve draws cubic splines: a first point, then three for each piece.
func (p *pen) curve(points [][2]float64) {
	if len(points) == 0 {
		return
	}
	p.dc.MoveTo(p.x(points[0][0]), p.y(points[0][1]))
	for i := 1; i+2 < len(points); i += 3 {
		a, b, c := points[i], points[i+1], points[i+2]
		p.dc.CubicTo(p.x(a[0]), p.y(a[1]), p.x(b[0]), p.y(b[1]), p.x(c[0]), p.y(c[1]))
	}
}

func (p *pen) style(s string) {
	switch {
	case strings.HasPrefix(s, "setlinewidth("):
		if w, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimPrefix(s, "setlinewidth("), ")"), 64); err == nil {
			p.width = w
		}
	case s == "dashed":
		p.dash = []float64{5 * p.zoom, 3 * p.zoom}
	case s == "dotted":
		p.dash = []float64{1.2 * p.zoom, 3 * p.zoom}
	case s == "solid":
		p.dash = nil
	}
}

// text writes within the width that the layout has reserved: our font may be wider than the one it reckoned with.
func (p *pen) text(o op) {
	p.dc.SetFontFace(p.face(p.size * p.zoom))
	w, _ := p.dc.MeasureString(o.Text)
	x, y := p.x(o.Pt[0]), p.y(o.Pt[1])
	squeeze := 1.0
	if room := o.Width * p.zoom; room > 0 && w > room {
		squeeze = max(room/w, 0.7)
	}
	anchor := map[string]float64{"l": 0, "c": 0.5, "r": 1}[o.Align]
	p.dc.Push()
	p.dc.ScaleAbout(squeeze, 1, x, y)
	if p.halo != nil { // a line that crosses the label stops before its letters
		p.dc.SetColor(p.halo)
		for i := range haloSides {
			sin, cos := math.Sincos(2 * math.Pi * float64(i) / haloSides)
			p.dc.DrawStringAnchored(o.Text, x+cos*haloWidth*p.zoom, y+sin*haloWidth*p.zoom, anchor, 0)
		}
	}
	p.dc.SetColor(p.line)
	p.dc.DrawStringAnchored(o.Text, x, y, anchor, 0)
	p.dc.Pop()
}

func (p *pen) face(size float64) font.Face {
	f, ok := p.faces[size]
	if !ok {
		f = truetype.NewFace(p.font, &truetype.Options{Size: size, Hinting: font.HintingNone})
		p.faces[size] = f
	}
	return f
}

// parseColor reads "#rrggbb" and "#rrggbbaa", the only forms in the output; anything else is transparent.
func parseColor(s string) color.Color {
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil || !strings.HasPrefix(s, "#") {
		return color.Transparent
	}
	switch len(s) {
	case 7:
		return color.NRGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255}
	case 9:
		return color.NRGBA{uint8(v >> 24), uint8(v >> 16), uint8(v >> 8), uint8(v)}
	}
	return color.Transparent
}
