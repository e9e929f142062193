package blueprint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"sort"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"orrery/engine/job"
	"orrery/starlib"
)

// This file holds what a loaded file gives: Program, Blueprint and its states.

// Program is one file with all it loads. It is immutable.
type Program struct {
	Main       string            // root-relative name
	Revision   string            // hash of Files
	Files      map[string]string // the file and all it loads, by root-relative name
	Blueprints []*Blueprint      // in the order of the file; none for a library
	Log        []job.LogLine     // what the top level printed
	logged     int               // bytes printed
}

// Blueprint gives a blueprint of the program by its name, or nil.
func (p *Program) Blueprint(name string) *Blueprint {
	for _, b := range p.Blueprints {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// Line gives a line of the program's source (1-based), or "".
func (p *Program) Line(file string, n int) string { return sources(p.Files).line(file, n) }

// Blueprint is one state machine. It is immutable.
type Blueprint struct {
	Name, Endpoint, Version, Description string
	Example                              json.RawMessage // nil when none is given
	File, Revision, Start                string
	Line                                 int
	States                               map[string]*State
	Stores                               map[string]map[string]json.RawMessage // initial values
	Renders                              []starlib.Render
	Limits                               starlib.Limits // lower ones of its own; zero where it says nothing
	Program                              *Program
}

// State is one state with its handlers in the order of registration.
type State struct {
	Name       string
	Start      bool
	End        bool
	Aggregator bool
	Supplied   bool       // finished or failed without a handler of the file
	Status     job.Status // End only
	Handlers   []*Handler
	Line       int // of the first registration
}

// Handler is one registered function.
type Handler struct {
	Name   string
	Fn     *starlark.Function
	Params []Param
	When   *starlib.Condition // nil: the state's default
	Pos    syntax.Position    // of the function
}

// Param is one parameter of a handler.
type Param struct {
	Name        string
	Default     starlark.Value // nil when there is none
	KeywordOnly bool
	Pos         syntax.Position
}

var _ job.Chart = (*Blueprint)(nil)

// Place implements job.Chart. finished and failed exist in every blueprint.
func (b *Blueprint) Place(state string) (job.Place, bool) {
	s, ok := b.States[state]
	if !ok {
		return job.Place{}, false
	}
	return job.Place{End: s.End, Aggregator: s.Aggregator, Status: s.Status}, true
}

// StartState implements job.Chart.
func (b *Blueprint) StartState() string { return b.Start }

// Suggest implements job.Chart.
func (b *Blueprint) Suggest(state string) string { return nearest(state, b.StateNames()) }

// StateNames lists the states, sorted; supplied ones are included.
func (b *Blueprint) StateNames() []string {
	names := make([]string, 0, len(b.States))
	for name := range b.States {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// StoreView gives a data store as scripts see it: the kept values, and the initial ones of
// keys that were never kept. A declared key that a script deleted is kept as null.
func (b *Blueprint) StoreView(name string, kept map[string]json.RawMessage) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	maps.Copy(out, b.Stores[name])
	for key, text := range kept {
		if _, declared := b.Stores[name][key]; declared && string(text) == "null" {
			delete(out, key)
			continue
		}
		out[key] = text
	}
	return out
}

// Path is what follows /api/ in the blueprint's URL, or "" when clients cannot start it.
func (b *Blueprint) Path() string { return apiPath(b.Version, b.Endpoint) }

// Info is an entry of `orrery blueprints list --format json`.
type Info struct {
	Name        string          `json:"name"`
	APIEndpoint string          `json:"api_endpoint"`
	APIVersion  string          `json:"api_version"`
	Revision    string          `json:"revision"`
	File        string          `json:"file"`
	Start       string          `json:"start"`
	States      []string        `json:"states"`
	Description string          `json:"description"`
	Example     json.RawMessage `json:"example"` // null when none is given
}

// Info describes the blueprint for lists.
func (b *Blueprint) Info() Info {
	return Info{
		Name: b.Name, APIEndpoint: b.Endpoint, APIVersion: b.Version, Revision: b.Revision, File: b.File, Start: b.Start,
		States: b.StateNames(), Description: b.Description, Example: b.Example,
	}
}

// revision hashes names and texts. Lengths stand before them, so that no two sets of files
// give the same bytes.
func revision(files map[string]string) string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	h := sha256.New()
	put := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	for _, name := range names {
		put(name)
		put(files[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}
