package cli

import (
	"fmt"

	"orrery/api"
	"orrery/engine/blueprint"
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
			Start: i.Start, States: i.States, Description: i.Description, Example: i.Example,
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

// Faults gives what the last load found wrong, a text each.
func (p prints) Faults() []string {
	var all []string
	for _, f := range p.catalog.Status().Errors() {
		all = append(all, fmt.Sprintf("%s:%d:%d: %s [%s]", f.File, f.Line, f.Col, f.Message, f.Rule))
	}
	return all
}
