// The package comment; everything else here is a test.

// Package conformance checks the server from outside, with the unmodified
// Python worker SDK of every age, the Go SDK, and workers written by hand.
//
// It builds the orrery binary, starts "orrery serve" as a process of its own,
// starts the workers as processes of theirs, and looks only at the public HTTP
// interface and at marks that the workers' handlers leave in a folder.
//
// The Python SDKs live in private virtual environments which
// scripts/python-sdks makes (under $ORRERY_VENVS, default: the user's cache
// folder). Without them the tests that need them are skipped and say so; with
// ORRERY_REQUIRE_PYTHON=1 they fail instead.
package conformance
