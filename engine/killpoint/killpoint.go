// Package killpoint marks the places where a crash would hurt most, so that tests can die
// exactly there.
//
// In the shipped binary At is empty. Built with the tag "killpoints" it reads the variable
// ORRERY_KILLPOINT ("name:count") once and, at the count-th passage of that name, kills its
// own process so that nothing is flushed, closed or deferred.
package killpoint

// All lists every name that is passed to At; a test asks for no other.
var All = []string{
	"sqlite.before-begin",     // a batch is gathered, nothing of it is written
	"sqlite.before-commit",    // all is written, nothing is durable
	"sqlite.after-commit",     // durable, nobody was told
	"sqlite.after-checkpoint", // pages went from the log to the file
}
