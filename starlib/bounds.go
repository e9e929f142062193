package starlib

import (
	"fmt"

	"go.starlark.net/starlark"

	"orrery/engine/job"
)

// This file bounds what an action may put into the rows of a job and its tasks: lists read
// them by the thousand, and a step makes one row for each branch. A name that is too long is
// refused, because a part of it would be another name; words for people are cut, and say so.

// Bounds of what an action names. No limit of a step raises them.
const (
	MaxName       = 256 // bytes of a name: of a state, task type, decision, error code, integration, blueprint
	maxOutcomes   = 100 // keys of one transitions
	maxRetryCodes = 100 // codes of one retry's only
)

// What they take until the commit, in bytes: Go's tables and the row's text.
const (
	outcomesBytes = 320
	outcomeBytes  = 96
	keywordBytes  = 72
)

// nameFault refuses a name that is too long; what says whose it is.
func nameFault(call, what, name string) error {
	if len(name) <= MaxName {
		return nil
	}
	return &LimitError{Code: CodeName, Text: fmt.Sprintf("%s: %s has at most %d bytes, and this one has %d: %q...", call, what, MaxName, len(name), job.Clip(name, 40))}
}

// countFault refuses more entries than a row may hold; what says of what.
func countFault(code, call, what string, most, n int) error {
	if n <= most {
		return nil
	}
	asked := fmt.Sprint(n)
	if n == most+1 { // a list is read no further
		asked = "more"
	}
	return &LimitError{Code: code, Text: fmt.Sprintf("%s: %s has at most %d entries, and %s were asked for", call, what, most, asked)}
}

// charge counts entries that Go code reads, and the bytes that stay of them until the commit.
func (s *Scope) charge(thread *starlark.Thread, entries, bytes int) error {
	if s.account == nil { // before Enter nothing is counted
		return nil
	}
	if err := s.account.Work(thread, entries); err != nil {
		return err
	}
	return s.account.Alloc(bytes)
}
