// Package analysis reads blueprint files (.star) as text and says which state machines they describe and what is wrong with them. It runs nothing: it walks the syntax tree.
//
// Its words:
//
//   - A *blueprint* is what a call of blueprint() or StateMachineBlueprint() makes. A *registration* is one bp.handler_for(...)(fn) or bp.aggregator_for(...)(fn).
//   - A *Graph* is one blueprint as states and edges. An *Edge* is one way out of a state; a *dynamic* edge has a target that is only known when a job runs.
//   - A *Finding* is one remark with a rule name, a severity and a position. A *hard* finding makes running impossible, so a comment can silence it for a reader but not for a load.
//   - A *value* is what an expression may be as far as the text tells: a constant, a list, a function, one of several, or unknown.
//
// How it works: each file is parsed and its names are resolved (parse.go). Then its statements are interpreted over values (exec.go, eval.go, call.go): loops over known lists are unrolled,
// branches whose condition is not known are both taken, calls of the blueprint's own functions are followed. Registrations are noted as they are met (register.go), and afterwards each handler
// is interpreted with stand-ins for context and actions, which note what it does (actions.go). What can not be known is never left out: it becomes a dynamic edge and a hint.
//
// The authority for what is an error is spec/semantics.md, parts 1 and 2; for the JSON shape of a Graph, design/contract.md.
package analysis
