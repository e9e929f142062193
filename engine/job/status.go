package job

// This file names the statuses a job can have.

// Status says what a job is doing. The strings are part of the public API.
type Status string

// The statuses of semantics part 4. The last four are terminal.
const (
	Pending         Status = "pending"                    // accepted, its first step has not run
	Running         Status = "running"                    // a step is due or under way
	WaitingWorker   Status = "waiting_for_worker"         // one task is queued or at a worker
	WaitingParallel Status = "waiting_for_parallel_tasks" // a group of tasks is open
	WaitingHuman    Status = "waiting_for_human"          // a person decides
	WaitingSubJob   Status = "waiting_for_sub_job"        // a child runs
	WaitingTimer    Status = "waiting_for_timer"          // transition_to(after_seconds=)
	AwaitingRetry   Status = "awaiting_retry"             // a task failed and is tried again later
	Finished        Status = "finished"
	Failed          Status = "failed"
	Cancelled       Status = "cancelled"
	Quarantined     Status = "quarantined"
)

// Statuses lists every status in the order of a job's life.
var Statuses = []Status{
	Pending, Running, WaitingWorker, WaitingParallel, WaitingHuman, WaitingSubJob,
	WaitingTimer, AwaitingRetry, Finished, Failed, Cancelled, Quarantined,
}

// Terminal reports whether a job with this status has ended.
func (s Status) Terminal() bool {
	switch s {
	case Finished, Failed, Cancelled, Quarantined:
		return true
	}
	return false
}

// Valid reports whether s is one of Statuses.
func (s Status) Valid() bool {
	for _, k := range Statuses {
		if s == k {
			return true
		}
	}
	return false
}
