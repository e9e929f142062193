// This file holds the tables of names that a blueprint file may use: the predeclared ones, the fixed parameters of handlers, and the keywords of each call.

package analysis

import (
	"sort"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"orrery/starlib/stub"
)

// Dialect is the Starlark that blueprints are written in: loops and conditions at top level and sets, but no while, recursion or reassignment of globals. It must not be changed.
var Dialect = &syntax.FileOptions{Set: true, TopLevelControl: true}

// The names that every blueprint file finds defined, beside those of Starlark itself. A module is true.
var predeclared = map[string]bool{
	"StateMachineBlueprint": false, "blueprint": false, "catch": false, "fail_with": false, "sum": false, "sleep": false, "has": false, "struct": false,
	"round": false, "pow": false, "format": false,
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

// What values have and calls take is read from the stubs, which a test holds equal to the real ones.
var (
	contextAttrs   = stub.Get("context").Names()
	blueprintAttrs = stub.Get("blueprint").Names()
)

// moduleAttrs are the members of each predeclared module.
var moduleAttrs = func() map[string][]string {
	all := map[string][]string{}
	for name, isModule := range predeclared {
		if isModule {
			all[name] = stub.Get(name).Names()
		}
	}
	return all
}()

// pythonMembers are what Python's modules of these names have, with what to write instead.
var pythonMembers = map[string]string{
	"time.sleep": `let the job wait, not the handler: actions.transition_to("state", after_seconds = 5)`,
	"time.time":  "write time.now(); its field unix is in seconds",
}

// A signature is what a call takes: params in their positional order, of which the first required ones must be given.
// An open signature hands further keywords on to an integration, so only one that is nearly a known one is wrong.
type signature struct {
	params   []string
	required int
	open     bool
}

// signatureOf reads a signature from a stub.
func signatureOf(page, name string) signature {
	m := stub.Get(page).Member(name)
	return signature{params: m.Keywords(), required: m.Required(), open: m.Open()}
}

// actionSignatures are the five actions of a handler.
var actionSignatures = func() map[string]signature {
	all := map[string]signature{}
	for _, name := range actionNames() {
		all[name] = signatureOf("actions", name)
	}
	return all
}()

var (
	blueprintSignature  = signatureOf(stub.Predeclared, "blueprint")
	handlerSignature    = signatureOf("blueprint", "handler_for")
	aggregatorSignature = signatureOf("blueprint", "aggregator_for")
	whenSignature       = signatureOf("registration", "when")
	storeSignature      = signatureOf("blueprint", "add_data_store")
	renderSignature     = signatureOf("blueprint", "render_graph")
)

// endStatuses are the values of status= in handler_for.
var endStatuses = []string{"finished", "failed", "cancelled"}

func actionNames() []string { return stub.Get("actions").Names() }
