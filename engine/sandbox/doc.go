// Package sandbox runs one handler of one blueprint on a fresh Starlark thread, inside
// limits, and gives what it decided.
//
// A run cannot fail in any other way than by a Decision with a Failure: script errors,
// broken limits and panics of the interpreter all become a job.Error with file, line,
// column and a backtrace. Nothing of a run survives it but its Decision.
package sandbox
