package cli

import (
	"context"

	"orrery/api"
	"orrery/engine/analysis"
	"orrery/engine/blueprint"
	"orrery/engine/draw"
	"orrery/engine/job"
	"orrery/engine/simulate"
	"orrery/engine/startest"
)

// This file shows the catalog of blueprints to the API.

// prints is a catalog as the API asks it.
type prints struct{ catalog *blueprint.Catalog }

var _ api.Blueprints = prints{}

// List gives the blueprints in the order of their names.
func (p prints) List() []api.Blueprint {
	var all []api.Blueprint
	for _, bp := range p.catalog.All() {
		i := bp.Info()
		all = append(all, api.Blueprint{
			Name: i.Name, Endpoint: i.APIEndpoint, Version: i.APIVersion, Revision: i.Revision, File: i.File,
			Start: i.Start, States: i.States, Description: i.Description, Example: i.Example, Stores: bp.Stores,
		})
	}
	return all
}

// ByEndpoint finds the blueprint behind an address.
func (p prints) ByEndpoint(version, endpoint string) (name string, ok bool) {
	bp, ok := p.catalog.ByEndpoint(version, endpoint)
	if !ok {
		return "", false
	}
	return bp.Name, true
}

// Faults gives what the last load found wrong.
func (p prints) Faults() []blueprint.Finding { return p.catalog.Status().Errors() }

// drawn bounds the layouts under way: each takes a process of its own for a moment.
var drawn = make(chan struct{}, 2)

// Graph draws a blueprint from the source it was loaded from.
func (p prints) Graph(ctx context.Context, bp *blueprint.Blueprint, look api.GraphLook) ([]byte, error) {
	g, err := bp.Graph()
	if err != nil {
		return nil, err
	}
	return picture(ctx, g, nil, look)
}

// JobGraph draws a job's blueprint at the job's revision with its ways laid over it.
func (p prints) JobGraph(ctx context.Context, j *job.Job, records []job.Record, look api.GraphLook) ([]byte, error) {
	bp, err := p.catalog.AtRevision(ctx, j.Revision, j.Blueprint)
	if err != nil {
		return nil, err
	}
	g, err := bp.Graph()
	if err != nil {
		return nil, err
	}
	path, moves := simulate.Trace(records)
	taken := startest.Follow(g, bp, path, moves)
	return picture(ctx, g, &draw.Overlay{States: taken.States, Edges: taken.Edges, Current: j.State}, look)
}

// picture draws when its turn has come.
func picture(ctx context.Context, g *analysis.Graph, over *draw.Overlay, look api.GraphLook) ([]byte, error) {
	format, err := draw.ParseFormat(look.Format)
	if err != nil {
		return nil, err
	}
	select {
	case drawn <- struct{}{}:
		defer func() { <-drawn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return draw.RenderLook(ctx, []*analysis.Graph{g}, format, draw.Look{Dark: look.Dark, Legend: look.Legend, Over: map[*analysis.Graph]*draw.Overlay{g: over}})
}
