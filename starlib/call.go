package starlib

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.starlark.net/starlark"

	"orrery/engine/job"
)

// This file is the one way out of a run. Every builtin that reads or acts through the Host
// goes through Call, which keeps these promises:
//
//   - the time of the call is not the handler's own: its second stands still;
//   - the call has a deadline of its own, and is given up when the Host does not heed it;
//   - a run makes a limited number of calls;
//   - the run leaves the places for pure steps before its first call that may have to wait
//     (see Scope.Depart);
//   - a call that acts is refused in a condition, and noted in the job's history.
//
// A module writes:
//
//	rows, err := starlib.Call(scope, starlib.HostCall{Name: "sql.query", Kind: starlib.Reads},
//		func(ctx context.Context) ([]Row, error) { return host.Query(ctx, text, args) })
//	if err != nil {
//		return nil, err
//	}
//
// fn must not touch the run or any Starlark value: it runs in a goroutine of its own, and
// may be running still when Call has given it up. It makes no Calls itself; what runs a
// script's function between two acts (a transaction) is several Calls.

// CallKind says what a call does, and so which deadline it has.
type CallKind int

// The kinds of calls.
const (
	Reads     CallKind = iota // Limits.CallTime
	Acts                      // Limits.CallTime; noted in history
	FileReads                 // Limits.FileTime
	FileActs                  // Limits.FileTime; noted in history
	naps                      // Limits.Sleep bounds it already
)

func (k CallKind) acts() bool { return k == Acts || k == FileActs }

// HostCall describes one call.
type HostCall struct {
	Name   string // as the script writes it: "http.post"
	Kind   CallKind
	Detail string // what history shows of an act, cut to 200 bytes; never a secret

	near bool // it waits for nobody: no reason to depart, and no goroutine of its own
}

// Lasting marks an error of a call that would come again if the call were repeated, such as
// a mistake in an SQL text. The step fails by it like by any error of the script; all other
// errors of a call are passing, and the step is tried again.
func Lasting(err error) error {
	if err == nil {
		return nil
	}
	return &lasting{err}
}

type lasting struct{ err error }

func (l *lasting) Error() string { return l.err.Error() }
func (l *lasting) Unwrap() error { return l.err }

// CallScope finds the run of a builtin, for modules outside of this package. call names the
// builtin for the error: at load there is no run.
func CallScope(thread *starlark.Thread, call string) (*Scope, error) { return scopeOf(thread, call) }

// Call runs fn outside of the handler's own time. Errors are a *HostError for what may pass,
// a *LimitError for too many calls, and fn's own where it is Lasting.
func Call[T any](s *Scope, c HostCall, fn func(ctx context.Context) (T, error)) (T, error) {
	var zero T
	if err := s.beginCall(c); err != nil {
		return zero, err
	}
	deadline := s.deadline(c.Kind)
	var answer answer[T]
	err := s.outside(func(ctx context.Context) error {
		if c.near {
			answer.value, answer.err = fn(ctx)
		} else {
			answer = bounded(ctx, deadline, fn)
		}
		return answer.err
	})
	if answer.panicked != nil {
		panic(answer.panicked)
	}
	if c.Kind.acts() {
		s.note(c, err)
	}
	if err != nil {
		return zero, s.callFault(c, deadline, err)
	}
	return answer.value, nil
}

// answer is what became of a call.
type answer[T any] struct {
	value    T
	err      error
	panicked any
}

// errLate is the cause of a deadline's end.
var errLate = errors.New("no answer in time")

// lateGrace is how long a call whose deadline has passed may take to say what became of it.
const lateGrace = 100 * time.Millisecond

// maxStray bounds the calls of this process that went on after they were given up: with so
// many, the part of the Host that does not heed its deadline is broken.
const maxStray = 1000

var stray atomic.Int64

// bounded runs fn in a goroutine of its own, so that one which does not heed its context
// can be left behind.
func bounded[T any](ctx context.Context, deadline time.Duration, fn func(context.Context) (T, error)) answer[T] {
	if stray.Load() >= maxStray {
		return answer[T]{err: fmt.Errorf("%d calls did not end at their deadlines; no further ones are made before some have", maxStray)}
	}
	if deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, deadline, errLate)
		defer cancel()
	}
	done := make(chan answer[T], 1)
	left := new(atomic.Bool) // true when the caller is gone
	go func() {
		var a answer[T]
		defer func() {
			if p := recover(); p != nil {
				a.panicked = p
			}
			done <- a
			if !left.CompareAndSwap(false, true) {
				stray.Add(-1)
			}
		}()
		a.value, a.err = fn(ctx)
	}()
	select {
	case a := <-done:
		return a
	case <-ctx.Done():
	}
	grace := time.NewTimer(lateGrace)
	defer grace.Stop()
	select {
	case a := <-done:
		return a
	case <-grace.C:
	}
	stray.Add(1)
	if !left.CompareAndSwap(false, true) { // it ended this moment
		stray.Add(-1)
		return <-done
	}
	return answer[T]{err: context.Cause(ctx)}
}

// beginCall counts a call and lets the run leave the places for pure steps.
func (s *Scope) beginCall(c HostCall) error {
	if c.Kind.acts() {
		if err := s.mayChange(c.Name); err != nil {
			return err
		}
	}
	if most := s.Limits.Calls; most > 0 && s.calls >= most {
		return &LimitError{Code: CodeCalls, Text: fmt.Sprintf("%s: a step makes at most %d calls that read or act, and this would be number %d", c.Name, most, s.calls+1)}
	}
	if s.Depart != nil && !c.near && !s.left {
		if err := s.Depart(); err != nil {
			return err
		}
		s.left = true
	}
	s.calls++
	return nil
}

// deadline gives the time of one call; 0 is none.
func (s *Scope) deadline(k CallKind) time.Duration {
	switch k {
	case FileReads, FileActs:
		return s.Limits.FileTime
	case naps:
		return 0
	}
	return s.Limits.CallTime
}

// callFault says what the failure of a call means for the step.
func (s *Scope) callFault(c HostCall, deadline time.Duration, err error) error {
	var last *lasting
	var host *HostError
	var limit *LimitError
	switch {
	case errors.As(err, &last):
		return fmt.Errorf("%s: %w", c.Name, last.err)
	case errors.As(err, &host), errors.As(err, &limit):
		return err
	case errors.Is(err, errLate), errors.Is(err, context.DeadlineExceeded):
		text := fmt.Sprintf("no answer within %s, the limit of such a call", deadline)
		if c.Kind.acts() {
			text += "; it may have been done all the same"
		}
		return &HostError{Call: c.Name, Err: errors.New(text)}
	}
	return &HostError{Call: c.Name, Err: err}
}

// note keeps an act for the job's history, also one of which nobody knows how it ended.
func (s *Scope) note(c HostCall, err error) {
	detail := c.Detail
	if len(detail) > 200 {
		detail = strings.ToValidUTF8(detail[:200], "") + "…"
	}
	if err != nil {
		detail = strings.TrimSpace(detail + " (failed, or not known to be done)")
	}
	s.out.Acts = append(s.out.Acts, job.Act{What: c.Name, Detail: detail})
}
