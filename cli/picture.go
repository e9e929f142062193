package cli

import (
	"context"
	"fmt"

	"orrery/engine/analysis"
)

// picture draws graphs.
func picture(ctx context.Context, graphs []*analysis.Graph, format string) ([]byte, error) {
	return nil, fmt.Errorf("this build can not draw %s: the drawing package is not in it; --format json works", format)
}

// Dot draws a blueprint of the catalog.
func (p prints) Dot(name string) (string, bool, error) {
	if _, ok := p.catalog.ByName(name); !ok {
		return "", false, nil
	}
	return "", true, fmt.Errorf("this build can not draw: the drawing package is not in it")
}
