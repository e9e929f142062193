// Package ledgertest makes ledgers as processes leave them that did not end in order, for tests
// of what the next process does with them. Real processes that end are in killtest.
package ledgertest

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"orrery/engine/ledger"
)

// This file makes the ledger of a process that died.

// Died has a process take the ledger at path and end while it is at something. The ledger is
// given as the next process opens it; a test may close it before its end.
func Died(t testing.TB, path string, at func(l *ledger.Ledger)) *ledger.Ledger {
	t.Helper()
	l := open(t, path)
	at(l)
	text, err := os.ReadFile(path) // as it stands at the end of the process
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	})
	return l
}

func open(t testing.TB, path string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
