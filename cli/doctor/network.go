package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"orrery/cli/config"
	"orrery/engine/store"
)

// This file looks at the port and the certificates.

func network(ctx context.Context, s *Subject) []store.Finding {
	out := []store.Finding{portFinding(ctx, s.Config)}
	if s.Config.TLSCert != "" {
		out = append(out, certificateFinding(s.Config, s.Now))
	}
	return out
}

// portFinding listens for a moment; where somebody else does, it asks whether that is us.
func portFinding(ctx context.Context, cfg *config.Config) store.Finding {
	check := "port " + strconv.Itoa(cfg.Port)
	ln, err := net.Listen("tcp", cfg.Addr())
	if err == nil {
		if err := ln.Close(); err != nil {
			return store.Bad(check, err.Error(), "look at the machine's network")
		}
		return store.Fine(check, "free on "+cfg.Host)
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return store.Bad(check, err.Error(), "look at API_HOST and API_PORT")
	}
	version, err := ask(ctx, cfg)
	if err != nil {
		return store.Bad(check, fmt.Sprintf("in use on %s, and not by an Orrery that answers: %v", cfg.Host, err), "stop what listens there, or set another API_PORT")
	}
	return store.Fine(check, "an Orrery server answers, version "+version)
}

// ask reads the public status of the server that listens there.
func ask(ctx context.Context, cfg *config.Config) (version string, err error) {
	host := cfg.Host
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, strconv.Itoa(cfg.Port))+"/_public/status", nil)
	if err != nil {
		return "", err
	}
	// Nothing secret is sent, and the certificate is for another name than this address.
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var status struct {
		Status  string `json:"status"`
		Version string `json:"version"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&status); err != nil || status.Version == "" {
		return "", fmt.Errorf("it answers %s with something else", res.Status)
	}
	return status.Version, nil
}

// soon is how long before its end a certificate should be renewed.
const soon = 21 * 24 * time.Hour

func certificateFinding(cfg *config.Config, now time.Time) store.Finding {
	const check = "certificate"
	pair, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return store.Bad(check, err.Error(), "look at TLS_CERT_PATH and TLS_KEY_PATH")
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return store.Bad(check, err.Error(), "look at TLS_CERT_PATH")
	}
	return leafFinding(leaf, now)
}

func leafFinding(leaf *x509.Certificate, now time.Time) store.Finding {
	const check = "certificate"
	saw := fmt.Sprintf("of %v, good until %s", leaf.DNSNames, leaf.NotAfter.UTC().Format(time.DateOnly))
	const remedy = "renew it; a running server takes the new files over by itself"
	switch {
	case now.After(leaf.NotAfter), now.Before(leaf.NotBefore):
		return store.Bad(check, saw+", and so not today", remedy)
	case now.Add(soon).After(leaf.NotAfter):
		return store.Warn(check, saw, remedy)
	}
	return store.Fine(check, saw)
}
