package engine

import (
	"context"
	"errors"
	"strings"
	"sync"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file is for rows that can not be decoded: they are passed over, so that one of them does
// not stop the jobs of all others, named once in the log, counted, and shown by `why`.

// unreadMost bounds what is remembered: beyond it the store as a whole is damaged.
const unreadMost = 1000

// unreadList is the rows that were met since the start.
type unreadList struct {
	mu       sync.Mutex
	rows     map[string]string // what is wrong, by name
	messages int               // that the last look at the outbox passed over
}

// pass takes the rows out of an error that a reading passed over: they are noted, and any other
// error is given back.
func (e *Engine) pass(err error) error {
	var rows *store.Unreadable
	if !errors.As(err, &rows) {
		return err
	}
	for _, r := range rows.Rows {
		e.unread.note(e, r.Name, r.Err)
	}
	return nil
}

// The readings of many rows that pass over what can not be read.

func (e *Engine) list(ctx context.Context, q store.Query) (store.Page, error) {
	p, err := e.store.List(ctx, q)
	return p, e.pass(err)
}

func (e *Engine) messagesOf(ctx context.Context, jobID string) ([]job.Message, error) {
	all, err := e.store.MessagesOf(ctx, jobID)
	return all, e.pass(err)
}

func (e *Engine) givenUp(ctx context.Context, after string, limit int) ([]job.Message, error) {
	all, err := e.store.GivenUp(ctx, after, limit)
	return all, e.pass(err)
}

func (l *unreadList) note(e *Engine, name string, err error) {
	l.mu.Lock()
	_, known := l.rows[name]
	fresh := !known && len(l.rows) < unreadMost
	if fresh {
		if l.rows == nil {
			l.rows = map[string]string{}
		}
		l.rows[name] = err.Error()
	}
	l.mu.Unlock()
	if fresh {
		e.cfg.Log.Error("a row of the store can not be read and is passed over; look at the store's disk, and at what wrote the row", "row", name, "error", err)
	}
}

// Unreadable counts the rows that could not be read since the start; each counts once, and a
// thousand at most.
func (e *Engine) Unreadable() int {
	e.unread.mu.Lock()
	defer e.unread.mu.Unlock()
	return len(e.unread.rows)
}

// of gives what is wrong with rows of a job.
func (l *unreadList) of(jobID string) (words []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, wrong := range l.rows {
		if strings.Contains(name, jobID) {
			words = append(words, name+" can not be read and is passed over: "+wrong)
		}
	}
	return words
}

// passMessages is pass for a look at the outbox. What is passed over stays due, so the next look
// asks for so many more.
func (e *Engine) passMessages(err error) error {
	n := 0
	var rows *store.Unreadable
	if errors.As(err, &rows) {
		n = len(rows.Rows)
	}
	if err = e.pass(err); err == nil {
		e.unread.mu.Lock()
		e.unread.messages = n
		e.unread.mu.Unlock()
	}
	return err
}

func (l *unreadList) due() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.messages
}
