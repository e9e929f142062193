// Settings of a worker that serves several orchestrators, and of its TLS.

package client

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"strings"
)

// orchestrators gives those of the configuration in order of priority, completed.
func (e *environment) orchestrators(c Config) []Orchestrator {
	list := slices.Clone(c.Orchestrators)
	if list == nil && c.URL == "" {
		e.json(&list, "ORCHESTRATORS_CONFIG", `[{"url": "http://main:8080"}, {"url": "http://backup:8080"}]`)
	}
	if len(list) == 0 {
		list = []Orchestrator{{URL: e.text(c.URL, "http://localhost:8080", "ORCHESTRATOR_URL")}}
	}
	for i := range list {
		o := &list[i]
		o.URL = strings.TrimRight(o.URL, "/")
		if o.Token == "" {
			o.Token = c.Token
		}
		if o.Priority == 0 {
			o.Priority = 10
		}
		if o.Weight == 0 {
			o.Weight = 1
		}
	}
	slices.SortStableFunc(list, func(a, b Orchestrator) int { return a.Priority - b.Priority })
	return list
}

// tls reads TLS_CA_PATH, the authority that signed the servers' certificates, and
// TLS_CERT_PATH with TLS_KEY_PATH, by which the worker proves who it is. nil when
// none is set.
func (e *environment) tls() *tls.Config {
	authority, cert, key := os.Getenv("TLS_CA_PATH"), os.Getenv("TLS_CERT_PATH"), os.Getenv("TLS_KEY_PATH")
	if authority == "" && cert == "" && key == "" {
		return nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if authority != "" {
		text, err := os.ReadFile(authority)
		cfg.RootCAs = x509.NewCertPool()
		if err != nil || !cfg.RootCAs.AppendCertsFromPEM(text) {
			e.fault("TLS_CA_PATH is %q, which is no file of PEM certificates (%v)", authority, err)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			e.fault("TLS_CERT_PATH and TLS_KEY_PATH are no certificate with its key: %v", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg
}
