// Package port turns Python blueprints into Starlark ones.
//
// Words: a *source* is a Python file as CPython's own parser read it (reader.py; nothing of
// the file is run); a *node* is one node of its tree; an *entry* is one line of the report.
//
// Text is carried over by copying: a node that means the same in Starlark is written with
// the author's own characters, comments and line breaks included, and only what differs is
// written anew. The result is formatted as `orrery fmt` does.
//
// What is carried over exactly, and so makes no entry: decorators (they become calls after
// the def), async and await, annotations, f-strings with conversions and format
// specifications, implicit concatenation, `is None`, chained comparisons, walrus where it is
// always evaluated, conditional expressions, comprehensions and generator arguments,
// unpacking, sets, assert, raise, try in all its parts, while, for with else, match, small
// exception and data classes, imports of the library and of modules that are predeclared,
// logging, json, re, math, random, uuid, and the small functions of collections and
// itertools.
//
// What is carried over with an entry (rewritten, dropped) or not at all (refused, and then
// no file is written) is said where it is decided: each call of note, drop and refuse in
// this package is one such decision, with its reason and what a person should do.
//
// Known differences that make no entry, since they can not be seen in the text: containers
// are printed with double quotes around their texts, floats from 1e6 on are printed with an
// exponent, len, slices and indexes of text count bytes, not characters, Booleans are no
// numbers (True + 1 fails), and nothing may be added to a list or dict while it is gone through.
package port
