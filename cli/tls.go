package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"orrery/cli/config"
)

// This file keeps the server's certificates, and takes renewed ones over while it runs.

// certificates is what connections are made with.
type certificates struct {
	cfg *config.Config
	now atomic.Pointer[tls.Config]
}

// load reads the files; with an error what was read before goes on holding.
func (c *certificates) load() error {
	pair, err := tls.LoadX509KeyPair(c.cfg.TLSCert, c.cfg.TLSKey)
	if err != nil {
		return fmt.Errorf("TLS_CERT_PATH, TLS_KEY_PATH: %w", err)
	}
	next := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if path := c.cfg.TLSAuthority; path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("TLS_CA_PATH: %w", err)
		}
		next.ClientCAs = x509.NewCertPool()
		if !next.ClientCAs.AppendCertsFromPEM(text) {
			return errors.New("TLS_CA_PATH: there is no PEM certificate in " + path)
		}
		// Who gives no certificate may still prove itself with a token; a bad one is refused.
		next.ClientAuth = tls.VerifyClientCertIfGiven
		if c.cfg.TLSRequire {
			next.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	c.now.Store(next)
	return nil
}

// current gives what a new connection is made with.
func (c *certificates) current(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now.Load(), nil }
