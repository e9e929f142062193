// This file runs the layout library: in a child process that can be killed, or in this one for small graphs.

package draw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"boot.orrery/lazy"
	graphviz "github.com/goccy/go-graphviz"
	"github.com/goccy/go-graphviz/cgraph"
)

const (
	childVariable = "ORRERY_DRAW_CHILD" // in the environment of a child: the format it is to make
	layoutTime    = 20 * time.Second
	maxDOTBytes   = 16 << 20
	maxOutBytes   = 64 << 20
	maxChildren   = 2 // layouts at once
)

var (
	childReady bool // this program turns into a child when asked to: ChildMain was called
	children   = make(chan struct{}, maxChildren)
)

// ChildMain must be the first thing that main does. In a process that was started to lay out one graph it does that and ends the process; in any other it returns at once,
// and from then on layouts of this process run in children.
func ChildMain() {
	format := os.Getenv(childVariable)
	if format == "" {
		childReady = true
		return
	}
	// The parent kills a child that is too slow; a child whose parent is gone ends itself.
	time.AfterFunc(layoutTime+time.Second, func() { os.Exit(3) })
	dot, err := io.ReadAll(io.LimitReader(os.Stdin, maxDOTBytes))
	if err == nil {
		var out []byte
		if out, err = inline(dot, format); err == nil {
			_, err = os.Stdout.Write(out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// layout gives what Graphviz makes of a DOT text: "svg", or "json" with drawing operations.
func layout(ctx context.Context, dot []byte, format string, nodes, edges int) ([]byte, error) {
	if len(dot) > maxDOTBytes {
		return nil, fmt.Errorf("%w: its text has %d bytes, the limit is %d", ErrTooLarge, len(dot), maxDOTBytes)
	}
	if childReady {
		return inChild(ctx, dot, format)
	}
	if nodes > maxInlineNodes || edges > maxInlineEdges {
		return nil, fmt.Errorf("%w: %d states and %d edges, the limits without a child process are %d and %d", ErrTooLarge, nodes, edges, maxInlineNodes, maxInlineEdges)
	}
	return inline(dot, format)
}

// inChild starts this program again for one layout.
func inChild(ctx context.Context, dot []byte, format string) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("draw: find this program for a layout: %w", err)
	}
	select {
	case children <- struct{}{}:
		defer func() { <-children }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, layoutTime)
	defer cancel()
	cmd := exec.CommandContext(limited, self)
	cmd.Env = append(os.Environ(), childVariable+"="+format)
	cmd.Stdin = bytes.NewReader(dot)
	out, errText := &bounded{limit: maxOutBytes}, &bounded{limit: 4096}
	cmd.Stdout, cmd.Stderr = out, errText
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("draw: layout stopped: %w", ctx.Err())
	case limited.Err() != nil:
		return nil, fmt.Errorf("draw: the layout took longer than %v and was stopped; use the formats dot, mermaid or json", layoutTime)
	case err != nil:
		return nil, fmt.Errorf("draw: layout: %w: %s", err, strings.TrimSpace(errText.String()))
	}
	return out.Bytes(), nil
}

// bounded is a buffer that refuses to grow beyond its limit, which stops the child that writes to it.
type bounded struct {
	bytes.Buffer
	limit int
}

var _ io.Writer = (*bounded)(nil)

// Write fails when the limit is passed.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, fmt.Errorf("more than %d bytes", b.limit)
	}
	return b.Buffer.Write(p)
}

// The library is one WebAssembly module for the whole process. It must never be used by two goroutines, and one instance leaks the least.
var library struct {
	sync.Mutex
	instance *graphviz.Graphviz
	broken   bool
}

// inline lays out in this process. It can not be interrupted: a context that ends would leave the module unusable, so it gets one that does not.
func inline(dot []byte, format string) (out []byte, err error) {
	library.Lock()
	defer library.Unlock()
	if library.broken {
		return nil, errors.New("draw: the layout library failed earlier in this process; restart it for pictures")
	}
	defer func() {
		if r := recover(); r != nil {
			library.broken = true
			out, err = nil, fmt.Errorf("draw: the layout library failed: %v", r)
		}
	}()
	if library.instance == nil {
		lazy.Wake()
		if library.instance, err = graphviz.New(context.Background()); err != nil {
			return nil, fmt.Errorf("draw: start the layout library: %w", err)
		}
	}
	graph, err := cgraph.ParseBytes(dot)
	if err != nil {
		return nil, fmt.Errorf("draw: DOT text: %w", err)
	}
	defer func() {
		if e := graph.Close(); e != nil && err == nil {
			err = fmt.Errorf("draw: close the graph: %w", e)
		}
	}()
	var b bytes.Buffer
	if err := library.instance.Render(context.Background(), graph, graphviz.Format(format), &b); err != nil {
		return nil, fmt.Errorf("draw: layout: %w", err)
	}
	if b.Len() == 0 {
		return nil, errors.New("draw: the layout library gave nothing")
	}
	return b.Bytes(), nil
}
