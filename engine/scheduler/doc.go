// Package scheduler starts jobs at dates: by interval, on days at a time, by cron expression.
//
// Words: a Schedule names a blueprint, its data and a Timing. A fire is one date of a
// schedule. Every fire leads to one job: its id is derived from the schedule's name and the
// fire's date, and a fire that was dealt with is claimed in the store, so that a crash in
// between, or a second server, changes nothing.
//
// A fire that finds no server running is missed. What happens to it then is the schedule's
// policy: one job for the newest missed fire, none, or one for each, and never one that is
// older than the catch-up time. Fires before the server first saw a schedule (or its changed
// timing) are not missed.
//
// Who is authoritative: the claims in the store; the file says what shall be.
package scheduler
