package blueprint

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"orrery/engine/store"
)

// This file lists the revisions of a blueprint that are kept, and finds one by what a person
// types.

// Version is one kept revision of a blueprint.
type Version struct {
	Revision string    `json:"revision"`
	File     string    `json:"file"`
	InForce  bool      `json:"in_force"`
	Since    time.Time `json:"since,omitzero"` // when the store was given it first; zero when it was not yet
	Used     time.Time `json:"last_used,omitzero"`
}

// Versions lists the kept revisions of a blueprint, newest first, with the one in force at
// the top. Errors: ErrUnknown when there is none, and those of the store.
func (c *Catalog) Versions(ctx context.Context, name string) ([]Version, error) {
	var all []store.Revision
	if rows := c.rows(); rows != nil {
		var err error
		if all, err = rows.Revisions(ctx); err != nil {
			return nil, err
		}
	}
	inForce, ok := c.ByName(name)
	out := []Version{}
	if ok {
		out = append(out, Version{Revision: inForce.Revision, File: inForce.File, InForce: true})
	}
	for i := range all {
		r := &all[i]
		switch {
		case !slices.Contains(r.Blueprints, name):
		case ok && r.Hash == inForce.Revision:
			out[0].Since, out[0].Used = r.Created, r.LastUse()
		default:
			out = append(out, Version{Revision: r.Hash, File: r.Main, Since: r.Created, Used: r.LastUse()})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: there is no blueprint %q, and no revision of one is kept", ErrUnknown, name)
	}
	older := out
	if ok {
		older = out[1:]
	}
	slices.SortStableFunc(older, func(a, b Version) int { return b.Since.Compare(a.Since) })
	return out, nil
}

func (c *Catalog) rows() store.Blueprints {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	return c.store
}

// shortRevision is the least of a revision that a person may type.
const shortRevision = 6

// Find gives a blueprint by its name and what a person typed for its revision: "" or
// "latest" for the one in force, "previous" for the one before, else the beginning of a
// hash. Errors: ErrUnknown, and those of AtRevision.
func (c *Catalog) Find(ctx context.Context, name, revision string) (*Blueprint, error) {
	if revision == "" || revision == "latest" {
		if b, ok := c.ByName(name); ok {
			return b, nil
		}
		return nil, fmt.Errorf("%w: there is no blueprint %q in force", ErrUnknown, name)
	}
	all, err := c.Versions(ctx, name)
	if err != nil {
		return nil, err
	}
	if revision == "previous" {
		older := slices.DeleteFunc(all, func(v Version) bool { return v.InForce })
		if len(older) == 0 {
			return nil, fmt.Errorf("%w: no earlier revision of %q is kept", ErrUnknown, name)
		}
		return c.AtRevision(ctx, older[0].Revision, name)
	}
	if len(revision) < shortRevision {
		return nil, fmt.Errorf("%w: %q is too short for a revision; give at least %d characters of it", ErrUnknown, revision, shortRevision)
	}
	var found []string
	for _, v := range all {
		if strings.HasPrefix(v.Revision, revision) {
			found = append(found, v.Revision)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: no revision of %q that begins with %q is kept", ErrUnknown, name, revision)
	case 1:
		return c.AtRevision(ctx, found[0], name)
	}
	return nil, fmt.Errorf("%w: %d revisions of %q begin with %q; give more of it", ErrUnknown, len(found), name, revision)
}
