package store

import (
	"errors"
	"fmt"
)

// This file says what a reading of many rows does with one that can not be decoded: it passes it
// over, for one damaged row must not stop the jobs of all others, and says so at its end.

// ErrUnreadable: a row is there, and its text can not be decoded.
var ErrUnreadable = errors.New("the row can not be read")

// Unreadable is the error of a reading that gave all rows but these.
type Unreadable struct{ Rows []UnreadableRow }

// UnreadableRow is one of them.
type UnreadableRow struct {
	Name string // "task 3 of job ...", "message ..."; as much as the driver knows without the text
	Err  error  // is ErrUnreadable
}

// Error names the first row.
func (u *Unreadable) Error() string {
	first := u.Rows[0]
	return fmt.Sprintf("%d rows were passed over, the first is %s: %s", len(u.Rows), first.Name, first.Err)
}

// Is makes it an ErrUnreadable.
func (*Unreadable) Is(target error) bool { return target == ErrUnreadable }

// Pass notes a row if err is that it can not be read, and gives any other error back.
func (u *Unreadable) Pass(name string, err error) error {
	if !errors.Is(err, ErrUnreadable) {
		return err
	}
	u.Rows = append(u.Rows, UnreadableRow{name, err})
	return nil
}

// Any gives the error of the whole reading: nil when all rows could be read.
func (u *Unreadable) Any() error {
	if len(u.Rows) == 0 {
		return nil
	}
	return u
}

// Fill gathers values until there are most of them. part reads the next n rows, each of which
// it gives or passes over, and says how many it met; fewer than n are the last.
func Fill[T any](most int, part func(n int) (values []T, met int, err error)) (all []T, err error) {
	for len(all) < most {
		n := most - len(all)
		values, met, err := part(n)
		if err != nil {
			return nil, err
		}
		if all = append(all, values...); met < n {
			break
		}
	}
	return all, nil
}

// NameOfJob names a job's row.
func NameOfJob(id string) string { return "job " + id }

// NameOfTask names a task's row.
func NameOfTask(jobID string, n int) string { return fmt.Sprintf("task %d of job %s", n, jobID) }

// NameOfMessage names a message's row.
func NameOfMessage(id string) string { return "message " + id }
