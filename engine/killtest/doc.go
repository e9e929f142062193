// Package killtest kills the server and checks that no accepted job is lost.
//
// It holds tests only. They build the program, run it as its own process on SQLite or on a
// PostgreSQL of their own, give it jobs over HTTP and work through the Go worker SDK, and kill
// it with SIGKILL, or the database, or the way to it: the shipped binary at random moments (the seed is printed; ORRERY_KILL_SEED repeats it), and a build
// with -tags killpoints at each numbered point of the path (engine/killpoint). After the
// last kill every job must end, and the invariants must hold:
//
//	I1 every accepted job ends or waits on a named, dated reason
//	I2 no accepted job is missing
//	I3 steps are numbered without gap or repetition
//	I4 at most one result is taken per hand-out
//	I5 what has ended does not change
//	I6 branches add up, a parent is resumed once
//	I7 a shared counter counts each job exactly once
//	I8 the history, folded, equals the state
//	I9 a job ends on the revision of its blueprint that it began with
package killtest
