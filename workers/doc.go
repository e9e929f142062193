// Package workers brings queued tasks to remote workers and their results back. It speaks
// no HTTP: the api package calls the Hub's methods with bodies and gets bodies.
//
// Words:
//
//   - A worker is known by its id. The registry of workers is kept in the store, because
//     SDKs of ages A and B register once and never again.
//   - A type's queue holds tasks in the order (priority, time of dispatch, job, number).
//     Tasks with equal requirements form a class, so that a worker is judged once a class.
//   - A poll is a worker's held request for work. While it is open the worker has a seat on
//     the bench of every task type it takes; a new task picks a seat by its strategy.
//   - A lease is a task at a worker. Its id is the fence: a new one for each hand-out, and
//     only a result that names it counts.
//   - The Desk is the engine, as seen from here.
//
// Who is authoritative: the task rows in the store. Queues and leases are rebuilt from them
// at start (Offer, Recover); a hand-out that the store lost in a crash is made again.
//
// Locking: one mutex guards all memory of the Hub. It is never held while the Desk, the
// store or a connection is called.
package workers
