// Package when compiles and evaluates the conditions that blueprints give as text:
//
//	bp.handler_for("process_text").when("context.initial_data.language == 'en'")
//
// A condition is an expression of the script language over `context`. It may use names of
// values (True, true, None, null...), attributes, indexes, literals, lists, comparisons,
// in, and, or, not, + - * / // %, len(), has() and the dict method get(); everything else
// is an error when the blueprint is loaded. Two things differ from scripts: a.b also reads
// a dict's key, and a comparison with something that is missing is false whatever the
// operator, so no condition fails because a key is not there.
//
// An Expr is compiled once and shared by all threads.
package when
