// Package killpoint marks the places where a crash would hurt most, so that tests can die
// exactly there.
//
// In the shipped binary At is empty. Built with the tag "killpoints" it reads the variable
// ORRERY_KILLPOINT ("name:count") once and, at the count-th passage of that name, kills its
// own process so that nothing is flushed, closed or deferred. Named kills at each passage of
// something that the variable ORRERY_KILLNAMED lists: the handler of a state ("step"), the
// conditions of a state ("when"), the top level of a file ("load").
package killpoint

// All lists every name that is passed to At; a test asks for no other.
var All = []string{
	"engine.submit-claimed", // the idempotency key belongs to an id, the job is not there yet
	"engine.submit-kept",    // the job is durable, its client does not know
	"engine.step-decided",   // a handler ran, nothing of it is kept
	"engine.step-kept",      // its commit is durable, and what follows was started
	"engine.before-commit",  // any change of a job, before it is written
	"engine.after-commit",   // durable, but no task offered, no timer set, nobody told
	"engine.handout-noted",  // a task goes to a worker that does not have it yet
	"engine.result-came",    // a worker's result is here, nothing is written
	"engine.result-kept",    // it is durable, the worker does not know
	"engine.child-kept",     // a child is there, the message that asked for it too
	"engine.parent-told",    // a parent was resumed, the message that did it is still there
	"engine.outbox-sent",    // messages were delivered, none is crossed out
	"engine.outbox-noted",   // they are crossed out
	"engine.timer-due",      // a date has come, nothing is written
	"engine.timer-kept",     // what it means is durable
	"engine.cancel-kept",    // a cancel is durable, no worker was told
	"engine.cancel-told",    // the workers were told, the person was not
	"engine.decision-kept",  // a person's decision is durable, the person does not know
	"engine.retry-kept",     // a job was reopened, the person does not know

	"postgres.before-send",  // a batch is gathered, the server has nothing of it
	"postgres.after-commit", // the server has committed it, nobody was told

	"sqlite.before-begin",     // a batch is gathered, nothing of it is written
	"sqlite.before-commit",    // all is written, nothing is durable
	"sqlite.after-commit",     // in the redo log, nobody was told
	"sqlite.before-fold",      // batches are in the redo log, readers do not see them
	"sqlite.after-fold",       // readers see them
	"sqlite.after-checkpoint", // pages went from the log to the file
}
