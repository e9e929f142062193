// This file defines what the analysis gives: graphs, their states and edges, and the result as a whole. The JSON names are those that `orrery render --format json` promises.

package analysis

// The kinds of a State.
const (
	KindStart      = "start"
	KindEnd        = "end"
	KindAggregator = "aggregator"
	KindState      = "state"
)

// The kinds of an Edge, one for each action of a handler.
const (
	EdgeTransition   = "transition"
	EdgeTask         = "task"
	EdgeParallel     = "parallel"
	EdgeApproval     = "approval"
	EdgeSubBlueprint = "sub_blueprint"
)

// aggregateLabel is the label of the edge from dispatch_parallel to its aggregator.
const aggregateLabel = "aggregate"

// Graph is one blueprint: its states in the order of their names, its edges in the order of (From, To, Label, Kind, Condition).
type Graph struct {
	Name        string         `json:"name"`
	APIEndpoint string         `json:"api_endpoint"` // as written; empty when clients can not start it
	APIVersion  string         `json:"api_version"`
	Start       string         `json:"start"` // empty when there is none
	Ends        []string       `json:"ends"`
	DataStores  map[string]any `json:"data_stores"` // initial values; null where the text does not tell
	States      []*State       `json:"states"`
	Edges       []*Edge        `json:"edges"`

	Description string   `json:"-"`
	File        string   `json:"-"` // the file whose execution makes the blueprint
	Line        int      `json:"-"` // of the call that makes it
	Col         int      `json:"-"`
	Open        bool     `json:"-"` // more states may be registered than the text tells
	Renders     []Render `json:"-"` // render_graph calls
}

// Render is one render_graph call: a picture that the file asks for.
type Render struct {
	Path   string // "" when only a run could tell
	Format string // as written; "png" when nothing is; "" when only a run could tell
	File   string
	Line   int
}

// State is one state with all handlers that are registered for it.
type State struct {
	Name       string   `json:"name"`
	Kind       string   `json:"kind"` // one of the Kind constants; start wins over end
	IsStart    bool     `json:"is_start"`
	IsEnd      bool     `json:"is_end"`
	Status     string   `json:"status"` // how a job ends here: finished, failed or cancelled; empty when it does not end here
	Conditions []string `json:"conditions"`
	File       string   `json:"file"` // of the first registration, or of the first use of a supplied state
	Line       int      `json:"line"`

	Col      int      `json:"-"`
	Handlers []string `json:"-"` // function names in the order of registration; "lambda" for a lambda
	Supplied bool     `json:"-"` // finished or failed, made because something goes there and nothing handles it
}

// Edge is one way out of a state.
type Edge struct {
	From      string `json:"from"`
	To        string `json:"to"`        // empty when Dynamic
	Label     string `json:"label"`     // the key in transitions; empty for transition_to; "aggregate" for dispatch_parallel
	Kind      string `json:"kind"`      // one of the Edge constants
	Condition string `json:"condition"` // of the handler that takes it

	TaskType string `json:"-"` // task types, comma separated, or the name of the sub-blueprint, or the integration of an approval
	Dynamic  bool   `json:"-"` // the target is only known when a job runs
	File     string `json:"-"`
	Line     int    `json:"-"`
	Col      int    `json:"-"`
}

// State returns the state with that name, or nil.
func (g *Graph) State(name string) *State {
	for _, s := range g.States {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Result is what the analysis of some files gives.
type Result struct {
	Graphs   []*Graph  // in the order of files, then of creation
	Findings []Finding // in the order of file, line, column, rule; without those that a comment switches off
	Refs     []Ref     // every place that names a state, in the order of file, line, column

	suppressed []Finding
}

// Errors returns the findings that must stop a load: every error that is not switched off, and every hard one even if it is.
func (r *Result) Errors() []Finding {
	var errs []Finding
	for _, f := range r.Findings {
		if f.Severity == Error {
			errs = append(errs, f)
		}
	}
	for _, f := range r.suppressed {
		if f.Severity == Error && f.Hard {
			errs = append(errs, f)
		}
	}
	sortFindings(errs)
	return errs
}

// Suppressed returns the findings that a comment switches off.
func (r *Result) Suppressed() []Finding { return r.suppressed }
