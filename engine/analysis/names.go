// This file holds the tables of names that a blueprint file may use: the predeclared ones, the fixed parameters of handlers, and the keywords of each call.

package analysis

import (
	"sort"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Dialect is the Starlark that blueprints are written in: loops and conditions at top level and sets, but no while, recursion or reassignment of globals. It must not be changed.
var Dialect = &syntax.FileOptions{Set: true, TopLevelControl: true}

// The names that every blueprint file finds defined, beside those of Starlark itself. A module is true.
var predeclared = map[string]bool{
	"StateMachineBlueprint": false, "blueprint": false, "catch": false, "fail_with": false, "sum": false, "sleep": false, "has": false, "struct": false,
	"json": true, "re": true, "time": true, "math": true, "random": true, "uuid": true, "logging": true, "env": true, "sql": true, "http": true,
}

// Predeclared returns the names that every blueprint file finds defined beside starlark.Universe, sorted.
func Predeclared() []string {
	names := make([]string, 0, len(predeclared))
	for name := range predeclared {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// TestSuffix is how the names of test files end.
const TestSuffix = "_test.star"

// testNames are the names that test files find defined beside those.
var testNames = []string{"dies", "expect", "failure", "reply", "run", "success", "table", "world"}

// TestNames returns the names that only test files (TestSuffix) find defined, sorted.
func TestNames() []string { return append([]string(nil), testNames...) }

// definedIn gives the test for names that a file finds defined.
func definedIn(file string) func(name string) bool {
	if !strings.HasSuffix(file, TestSuffix) {
		return isPredeclared
	}
	return func(name string) bool { return isPredeclared(name) || containsName(testNames, name) }
}

func isPredeclared(name string) bool { _, ok := predeclared[name]; return ok }
func isUniversal(name string) bool   { return starlark.Universe.Has(name) }

// fixedParameters are the names that a handler's parameters are filled by, in the order in which documentation lists them.
var fixedParameters = []string{
	"context", "actions", "job_id", "initial_data", "state_history", "client", "data_stores", "task_files", "aggregation_results", "storage", "error", "current_state", "tracing_context",
}

// FixedParameters returns the parameter names of handlers that have a fixed meaning.
func FixedParameters() []string { return append([]string(nil), fixedParameters...) }

var (
	contextAttrs = []string{
		"job_id", "step_id", "initial_data", "state_history", "client", "data_stores", "task_files", "aggregation_results", "storage", "actions", "error", "current_state", "tracing_context",
	}
	blueprintAttrs = []string{"handler_for", "aggregator_for", "add_data_store", "render_graph", "name", "api_endpoint", "api_version", "description"}
)

// A signature is what a call takes: params in their positional order, of which the first required ones must be given.
// An open signature hands further keywords on to an integration, so only one that is nearly a known one is wrong.
type signature struct {
	params   []string
	required int
	open     bool
}

// actionSignatures are the five actions of a handler.
var actionSignatures = map[string]signature{
	"transition_to": {params: []string{"state", "error_message", "after_seconds"}, required: 1},
	"dispatch_task": {params: []string{
		"task_type", "params", "transitions", "dispatch_strategy", "priority", "max_cost", "resource_requirements",
		"timeout_seconds", "dispatch_timeout_seconds", "result_timeout_seconds", "retry",
	}, required: 1},
	"dispatch_parallel":    {params: []string{"tasks", "aggregate_into", "failure", "cancelled"}, required: 2},
	"run_blueprint":        {params: []string{"blueprint_name", "initial_data", "transitions", "dispatch_timeout", "result_timeout"}, required: 1},
	"await_human_approval": {params: []string{"integration", "message", "transitions", "timeout_seconds"}, required: 1, open: true},
}

var (
	blueprintSignature  = signature{params: []string{"name", "api_endpoint", "api_version", "data_stores", "description", "example", "limits"}, required: 1}
	handlerSignature    = signature{params: []string{"state", "is_start", "is_end", "status"}, required: 1}
	aggregatorSignature = signature{params: []string{"state"}, required: 1}
	whenSignature       = signature{params: []string{"condition"}, required: 1}
	storeSignature      = signature{params: []string{"name", "initial"}, required: 1}
	renderSignature     = signature{params: []string{"path", "format"}, required: 1}
)

// endStatuses are the values of status= in handler_for.
var endStatuses = []string{"finished", "failed", "cancelled"}

func actionNames() []string {
	return []string{"transition_to", "dispatch_task", "dispatch_parallel", "run_blueprint", "await_human_approval"}
}
