// Package blueprint loads blueprint files, keeps their revisions and tells the engine what
// a blueprint is.
//
// Words: a Program is one file with all it loads, run once; its Revision is the hash of
// those texts, and a job runs to its end on the revision it began with. A Blueprint is one
// state machine of a Program. A Catalog is a directory of Programs, swapped in whole when
// the directory changes and everything in it is good, and the way to older revisions.
//
// Compiled programs are frozen and shared by all goroutines. Files are only data: a load
// path never leaves the directory, and the top level of a file has no way to the outside.
package blueprint
