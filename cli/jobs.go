package cli

// This file lists the commands below `orrery jobs`.

type jobsCmd struct {
	Start   jobsStartCmd   `cmd:"" help:"Start a job."`
	List    jobsListCmd    `cmd:"" help:"List jobs, newest first."`
	Get     jobsGetCmd     `cmd:"" help:"Show one job."`
	Why     jobsWhyCmd     `cmd:"" help:"Say why a job does not move."`
	Watch   jobsWatchCmd   `cmd:"" help:"Follow a job to its end."`
	Cancel  jobsCancelCmd  `cmd:"" help:"Ask to cancel a job."`
	Retry   jobsRetryCmd   `cmd:"" help:"Run a failed or quarantined job again."`
	Migrate jobsMigrateCmd `cmd:"" help:"Move waiting jobs to the newest revision of their blueprint."`
	Close   jobsCloseCmd   `cmd:"" help:"End a failed or quarantined job for good."`
	History jobsHistoryCmd `cmd:"" help:"Show what happened to a job."`
	Results jobsResultsCmd `cmd:"" help:"Show the results of a job's parallel branches."`
}

func (jobsCmd) Help() string { return "Example:\n  orrery jobs list --status failed" }
