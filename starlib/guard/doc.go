// Package guard keeps single operations of a script from taking gigabytes or minutes.
//
// go.starlark.net counts steps, but one step may copy, compare or print without bound. So
// Rewrite changes a parsed file before it is compiled: operators that make values, literals
// of lists and dicts, slices, comprehensions and attributes that are growing methods go
// through checked builtins (Names). Positions stay those of the user's text, and the names
// of the builtins cannot be written in a script.
//
// Words: an Account belongs to one run (or one load) and is charged for what operations
// create; it never goes down. Work is what an operation costs beyond one step; it counts as
// Starlark steps. A LimitError ends the run; scripts cannot catch it.
package guard
