// Package engine runs jobs: it is the life of a job from its acceptance to its end.
//
// Read path.go first: its functions stand in the order in which a job meets them; commit.go
// makes durable what they decide. steps.go runs the steps that are due, timers.go what has become
// due, announce.go what leaves a job's shard, admin.go what people ask for, doubt.go what a
// failing store leaves open, suspects.go and atwork.go what steps that end the whole process do;
// view.go, history.go and why.go show it.
//
// Words: a step is one run of a handler; an event is anything that can move a job; a
// change is what an event does to the store. The package job decides what an event means,
// the store is authoritative, and everything kept here in memory (the list of ready jobs,
// the watchers) is rebuilt from the store at start.
//
// The engine declares Dispatcher, which brings tasks to workers, and offers Desk to it;
// only the command line joins the two.
package engine
