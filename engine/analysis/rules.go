// This file lists the rules: the names that users see and may write in `# orrery: ignore[name]`, each with its severity.

package analysis

import "sort"

// Severity says what a finding does to a load: only an Error stops it.
type Severity string

// The severities, from worst to mildest.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Hint    Severity = "hint"
)

// Finding is one remark about a file. Lines and columns count from 1, columns in characters.
type Finding struct {
	Rule       string   `json:"rule"`
	Severity   Severity `json:"severity"`
	File       string   `json:"file"`
	Line       int      `json:"line"`
	Col        int      `json:"col"`
	Message    string   `json:"message"`
	Source     string   `json:"source"` // the line of the file, without its end
	Suggestion string   `json:"suggestion"`

	EndCol int  `json:"-"` // one past the last character when it ends on the same line, else 0
	Hard   bool `json:"-"` // running is impossible: Errors keeps it although a comment switches it off
}

// Rule describes one rule for the reference and for editors.
type Rule struct {
	Name     string
	Severity Severity // the usual one; a finding that is not certain has a milder one
	Hard     bool
	Summary  string
}

const (
	ruleSyntax          = "syntax-error"
	ruleDialect         = "dialect"
	ruleLoad            = "load-error"
	ruleUnresolved      = "unresolved-name"
	ruleAttribute       = "unknown-attribute"
	ruleUnknownTarget   = "unknown-target"
	ruleUnreachable     = "unreachable-state"
	ruleNoStart         = "no-start"
	ruleTwoStarts       = "two-starts"
	ruleDuplicateState  = "duplicate-state"
	ruleUnapplied       = "unapplied-registration"
	ruleUnfed           = "unfed-aggregator"
	ruleToAggregator    = "transition-to-aggregator"
	ruleMixedParallel   = "mixed-parallel-targets"
	ruleNotAggregator   = "parallel-without-aggregator"
	ruleEndActs         = "end-state-acts"
	ruleNoAction        = "no-action"
	ruleTwoActions      = "two-actions"
	ruleUnknownBP       = "unknown-blueprint"
	ruleMisspeltParam   = "misspelt-parameter"
	ruleUnknownParam    = "unknown-parameter"
	ruleUnknownKeyword  = "unknown-keyword"
	ruleMissingArgument = "missing-argument"
	ruleBadArgument     = "bad-argument"
	ruleBadCondition    = "bad-condition"
	ruleReserved        = "reserved-endpoint"
	ruleDuplicateBP     = "duplicate-blueprint"
	ruleDuplicateEP     = "duplicate-endpoint"
	ruleUnusedBP        = "unused-blueprint"
	ruleEndStatus       = "end-status"
	ruleDynamicTarget   = "dynamic-target"
	ruleDynamicState    = "dynamic-state"
	ruleRecursion       = "recursion"
	ruleUnknownRule     = "unknown-rule"
	rulePathNoAction    = "path-without-action"
	ruleNoWayOut        = "no-way-out"
	ruleNoFailure       = "unhandled-failure"
	ruleNotJSON         = "not-json"
	ruleNeverWritten    = "never-written"
	ruleBlocking        = "blocking-call"
	ruleOutside         = "outside-handler"
)

var rules = map[string]Rule{}

func init() {
	for _, r := range []Rule{
		{ruleSyntax, Error, true, "the file is not Starlark"},
		{ruleDialect, Error, true, "Starlark, but not of the dialect that blueprints are written in"},
		{ruleLoad, Error, true, "a load() that can not be followed"},
		{ruleUnresolved, Error, true, "a name that nothing defines"},
		{ruleAttribute, Error, false, "an attribute that actions, context, a blueprint or a module does not have"},
		{ruleUnknownTarget, Error, true, "a transition to a state that nothing handles"},
		{ruleUnreachable, Error, false, "a state that no path from the start leads to"},
		{ruleNoStart, Error, true, "a blueprint without a start state"},
		{ruleTwoStarts, Error, true, "a blueprint with more than one start state"},
		{ruleDuplicateState, Error, true, "a state with two handlers that have no condition"},
		{ruleUnapplied, Warning, false, "a handler_for() or aggregator_for() that is given no function"},
		{ruleUnfed, Error, false, "an aggregator that no task leads to"},
		{ruleToAggregator, Error, true, "a way into an aggregator other than the success of a task"},
		{ruleMixedParallel, Error, true, "parallel tasks that do not agree on their success state"},
		{ruleNotAggregator, Error, true, "parallel tasks whose success state is not an aggregator"},
		{ruleEndActs, Error, true, "an end state that calls an action"},
		{ruleNoAction, Warning, false, "a handler that calls no action on any path"},
		{ruleTwoActions, Warning, false, "a handler that calls two kinds of action on one path"},
		{ruleUnknownBP, Error, true, "run_blueprint() of a name that nothing has"},
		{ruleMisspeltParam, Error, true, "a handler's parameter within two letters of a fixed name"},
		{ruleUnknownParam, Hint, false, "a handler's parameter that nothing is known to supply"},
		{ruleUnknownKeyword, Error, true, "a keyword that an action or registration does not have"},
		{ruleMissingArgument, Error, true, "an action or registration without an argument that it needs"},
		{ruleBadArgument, Error, true, "an argument of a kind that can not be meant"},
		{ruleBadCondition, Error, true, "a .when() text that does not parse or reads more than context"},
		{ruleReserved, Error, true, "an api_endpoint that meets one of the server's own"},
		{ruleDuplicateBP, Error, true, "two blueprints of one name"},
		{ruleDuplicateEP, Error, true, "two blueprints with one endpoint"},
		{ruleUnusedBP, Hint, false, "a blueprint that nothing can start"},
		{ruleEndStatus, Hint, false, "an end state that ends finished although it looks like a failure"},
		{ruleDynamicTarget, Hint, false, "a target that is only known when a job runs"},
		{ruleDynamicState, Hint, false, "a registration that is only known when the file is loaded"},
		{ruleRecursion, Error, false, "a function that calls itself"},
		{ruleUnknownRule, Warning, false, "an ignore comment that names no rule"},
		{rulePathNoAction, Warning, false, "a handler that calls no action on one of its ways"},
		{ruleNoWayOut, Warning, false, "a state from which no end state can be reached"},
		{ruleNoFailure, Hint, false, "a task or sub-blueprint whose failure leads nowhere"},
		{ruleNotJSON, Warning, false, "a value that can not be stored, because JSON does not have it"},
		{ruleNeverWritten, Hint, false, "a key of state_history that is read before anything can have written it"},
		{ruleBlocking, Hint, false, "a call that holds a handler up"},
		{ruleOutside, Error, false, "a call at the top level that works inside handlers only"},
	} {
		rules[r.Name] = r
	}
}

// Rules returns all rules in the order of their names.
func Rules() []Rule {
	all := make([]Rule, 0, len(rules))
	for _, r := range rules {
		all = append(all, r)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

func sortFindings(fs []Finding) {
	sort.SliceStable(fs, func(i, j int) bool {
		a, b := fs[i], fs[j]
		switch {
		case a.File != b.File:
			return a.File < b.File
		case a.Line != b.Line:
			return a.Line < b.Line
		case a.Col != b.Col:
			return a.Col < b.Col
		case a.Rule != b.Rule:
			return a.Rule < b.Rule
		}
		return a.Message < b.Message
	})
}
