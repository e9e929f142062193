package cli

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"orrery/cli/config"
	"orrery/engine/ledger"
)

// This file opens the ledger of what this process is at: see package ledger.

// openLedger takes the ledger that belongs to the store. A server that can not have one serves
// all the same, and says what it is without. identity is the store's own secret, which tells
// stores apart that several processes reach by different addresses.
func (s *server) openLedger(identity []byte) {
	var err error
	if path := s.cfg.LedgerPath; path != "off" {
		s.ledger, err = ledgerOf(s.cfg.Store, path, identity)
	}
	if err != nil {
		s.log.Warn("no ledger can be kept here: a step that ends this process is run again at each start (LEDGER_PATH names another file)", "error", err)
	}
}

func ledgerOf(u config.StoreURL, path string, identity []byte) (*ledger.Ledger, error) {
	switch u.Kind {
	case config.StoreMemory: // forgets its jobs with the process
		return nil, nil
	case config.StoreSQLite:
		if path == "" {
			path = u.Path + ".ledger"
		}
		return ledger.Open(path)
	}
	if path == "" {
		m := hmac.New(sha256.New, identity)
		m.Write([]byte("ledger")) // a hash never fails
		path = filepath.Join(".orrery", "ledger-"+hex.EncodeToString(m.Sum(nil)[:6]))
	}
	return ledger.OpenBeside(path)
}
