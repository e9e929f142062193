package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"orrery/engine/store"
)

// This file says what the server's and the driver's errors mean.

// SQLSTATE codes that matter here (PostgreSQL's manual, appendix A).
const (
	uniqueViolation = "23505"
	readOnly        = "25006"
	serialization   = "40001"
	deadlock        = "40P01"
	lockTimeout     = "55P03"
	queryCanceled   = "57014"
	diskFull        = "53100"
	limitReached    = "53400"
	tooLong         = "54000"
)

// unavailable is a failure of the server or of the way to it: the same may work later. Whether a
// write was done is open.
type unavailable struct{ error }

func (u *unavailable) Unwrap() error { return u.error }

// Unavailable tells the HTTP side, which does not know this package, to ask for a repetition.
func (u *unavailable) Unavailable() bool { return true }

// passing tells failures that may be gone at the next try.
func passing(err error) bool {
	var u *unavailable
	return errors.Is(err, store.ErrFull) || errors.As(err, &u)
}

// code gives the SQLSTATE of an error, "" for what is not the server's.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// isFatal tells what ends the connection. The server may have committed before it said so.
func isFatal(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err != nil
	}
	return e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC"
}

// isGuard tells that something a batch was built on is no longer so. Nothing of it was written.
func isGuard(err error) bool {
	c := code(err)
	return errors.Is(err, errGuard) || !isFatal(err) && (c == guardFailed || c == uniqueViolation)
}

// isVictim tells that the server rolled a batch back for the sake of another transaction.
func isVictim(err error) bool {
	c := code(err)
	return !isFatal(err) && (c == serialization || c == deadlock)
}

// isOwn tells that the server refused something in the batch, not the batch as such: nothing of
// it was written, and the others of it may be good.
func isOwn(err error) bool {
	if err == nil || isFatal(err) {
		return false
	}
	switch c := code(err); c {
	case lockTimeout, queryCanceled, readOnly:
		return c != readOnly
	default:
		switch c[:2] {
		case "53", "57", "58", "XX":
			return false
		}
	}
	return true
}

// explain says what an error of the server or of the way to it means for the caller.
func (s *Store) explain(err error) error {
	c := code(err)
	switch {
	case err == nil:
		return nil
	case c == diskFull || c == limitReached:
		return fmt.Errorf("%w (%w); make room on the server's disk", store.ErrFull, err)
	case c == readOnly:
		return &unavailable{fmt.Errorf("%w; the server takes no writes: is it a replica?", err)}
	case c == tooLong:
		return fmt.Errorf("a key is too long for PostgreSQL's index: %w", err)
	case c == "": // not wrapped: a time limit of this package must not look like one of the caller
		return &unavailable{fmt.Errorf("the PostgreSQL server can not be reached, or the connection to it broke: %v", err)}
	}
	switch c[:2] {
	case "08", "40", "53", "55", "57", "58":
		return &unavailable{fmt.Errorf("%w; look at the PostgreSQL server and its log", err)}
	case "28", "3D", "42":
		return fmt.Errorf("%w; look at the user, the database and its rights", err)
	}
	return err
}
