// Package draw turns the graphs of blueprints (engine/analysis) into pictures and texts: DOT, SVG, PNG, Mermaid, JSON. It alone imports the layout library.
//
// Its words: a *format* is one of the Format constants. A *layout* is Graphviz at work, compiled to WebAssembly inside go-graphviz; DOT, Mermaid and JSON need none.
//
// A layout can take minutes on an unlucky graph and can not be interrupted, and the library leaks a little with each. So it runs in a child process, which is this same program started again,
// killed when its time is up: see ChildMain. A program that does not call ChildMain (a test of another package) gets its layouts in its own process, one at a time, and only of small graphs.
//
// The library's own PNG is wrong (edges as filled wedges, outlines missing), so pictures are drawn here from the drawing operations that Graphviz gives as JSON (raster.go).
//
// Same graph, same bytes: nothing depends on time, maps or the machine's fonts. Results are kept by the hash of their DOT text (cache.go).
package draw
