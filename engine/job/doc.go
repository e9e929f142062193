// Package job is the vocabulary of Orrery and the one function that changes a job.
//
// Words:
//
//   - A Job is one run of a blueprint: a small row with the state it stands in,
//     its Status and, while it stands still, one dated Wait that says for what.
//   - A Task is one piece of work for a remote worker. It is known by its job and
//     number (N); each hand-out to a worker gets a new task id, the fence, and only
//     a result with the current fence counts.
//   - A step is one run of a handler. It produces a Decision: what the script wants.
//   - An Event is anything that can move a job: a Decision, a worker's result, a
//     timer, a person's decision, the end of a child, a request to cancel.
//   - A Change is what an event does to the store, as one atomic commit in one shard.
//
// Next is the only way from an Event to a Change. It is pure: it reads no clock, no
// store and no random source beyond what it is given, so every legal move can be
// enumerated in a test. Who is authoritative: the row in the store, guarded by its
// version; Next only proposes.
//
// The package imports the standard library only, and everything else imports it.
package job
