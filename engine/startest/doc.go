// Package startest runs the tests that stand beside blueprints: *_test.star files.
//
// Its words:
//
//   - A *case* is one function test_NAME() of a test file, or one row of a table().
//   - A *world* is a store, a clock and what a case keeps over several jobs; run() alone makes one for its job.
//   - A *reply* is what the worker does with a task: success(), failure(), reply(), dies().
//   - The *book* is the catalog of blueprints that a test file can run: those of its folder.
//   - *Coverage* is which states and transitions of a blueprint the jobs of all cases took.
//
// Nothing here decides how jobs go: engine/simulate runs the real engine over a store in
// memory and a clock that jumps, so that a wait of thirty days takes no time. A case is
// strict: a task or an approval that it says nothing about is a failure, never a guess.
//
// Test files are the same Starlark as blueprints, with the same modules and limits of
// values, and the names of names.go beside them.
package startest
