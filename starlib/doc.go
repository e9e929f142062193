// Package starlib is everything that a blueprint's script can see.
//
// Words: a Scope is one run of a handler: what it was given and what it leaves behind. It
// hangs on the Starlark thread, and every builtin finds it there. A Registry is the other
// half: what the top level of a file declares while it is loaded. A call describes (noted
// in the Scope, done by the commit), reads (now, through the Host) or acts (now, at least
// once). A Host is what the engine lends to a run.
//
// One file holds one module or one value of the script. The authority for names and
// meaning is spec/semantics.md; package engine/sandbox runs handlers, engine/blueprint
// loads files; neither knows what a module does.
package starlib
