package cli

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "orrery/workers/client"
)

// This file tests TLS on a whole server: workers that prove themselves by certificate.

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, file string) *authority {
	a := &authority{t: t}
	a.cert, a.key = a.issue(file, "authority", func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	return a
}

// issue writes NAME.crt and NAME.key.
func (a *authority) issue(file, name string, adjust func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if adjust != nil {
		adjust(template)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	put(a.t, file+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	put(a.t, file+".key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
	return cert, key
}

// caller trusts the authority and shows a certificate, unless its name is "".
func (a *authority) caller(name string) *http.Client {
	a.t.Helper()
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(a.cert)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(name+".crt", name+".key")
		if err != nil {
			a.t.Fatal(err)
		}
		// Shown whatever authorities the server names: a stranger would not be polite either.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	return c
}

// registers tries to register a worker and gives the status, 0 when there was no connection.
func registers(t *testing.T, c *http.Client, url, id, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/_worker/workers/register", strings.NewReader(`{"worker_id": "`+id+`", "supported_tasks": ["read_document"]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Worker-Token", token)
	resp, err := c.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body) //nolint:errcheck // the status is what counts
	return resp.StatusCode
}

const shownTLS = `(https://127\.0\.0\.1:[0-9]+)`

func TestWorkersProveThemselvesByCertificate(t *testing.T) {
	inFolder(t)
	a := newAuthority(t, "ca")
	a.issue("server", "127.0.0.1", nil)
	a.issue("worker", "worker-001", nil)
	(&authority{t: t}).issue("stranger", "worker-001", nil) // signed by itself
	t.Setenv("TLS_CA_PATH", "ca.crt")
	put(t, "workers.toml", "[worker-001]\ntoken = \"one\"\n[worker-002]\ntoken = \"two\"\n")
	r := serveIn(t, "serve", "--listen", "127.0.0.1:0", "--blueprints-dir", "flows", "--tls-cert-path", "server.crt", "--tls-key-path", "server.key")
	url := r.find(t, r.err, shownTLS)
	for _, c := range []struct {
		cert, id, token string
		want            int
	}{
		{"worker", "worker-001", "", 200},
		{"worker", "worker-001", "wrong", 200}, // the certificate is enough
		{"worker", "worker-002", "two", 401},   // and is good for its own worker only
		{"", "worker-002", "two", 200},
		{"", "worker-001", "", 401},
		{"stranger", "worker-001", "", 0},
	} {
		if got := registers(t, a.caller(c.cert), url, c.id, c.token); got != c.want {
			t.Errorf("certificate %q, worker %s, token %q: %d, want %d", c.cert, c.id, c.token, got, c.want)
		}
	}

	// A renewed certificate of the server is taken over while it runs.
	r.err.clear()
	renewed, _ := a.issue("server", "127.0.0.1", nil)
	r.find(t, r.err, "a changed file was (taken over)")
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), a.caller("").Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().PeerCertificates[0].SerialNumber; got.Cmp(renewed.SerialNumber) != 0 {
		t.Errorf("the server shows certificate %s, not the renewed %s", got, renewed.SerialNumber)
	}
	conn.Close()

	// The Go worker reads the same variables as the Python one.
	t.Setenv("TLS_CERT_PATH", "worker.crt")
	t.Setenv("TLS_KEY_PATH", "worker.key")
	w := sdk.New(sdk.Config{URL: url, ID: "worker-001", Token: "not-needed", WebSockets: "true", ShutdownTimeout: time.Second})
	w.Handle("work", func(context.Context, *sdk.Task) (map[string]any, error) { return nil, nil })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r.err.clear()
	go func() { ended <- w.Run(ctx) }()
	r.find(t, r.err, "a worker (registered)")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.end(t)
}

func TestACertificateMayBeRequired(t *testing.T) {
	inFolder(t)
	a := newAuthority(t, "ca")
	a.issue("server", "127.0.0.1", nil)
	a.issue("worker", "worker-001", nil)
	t.Setenv("TLS_CA_PATH", "ca.crt")
	t.Setenv("TLS_REQUIRE_CLIENT_CERT", "true")
	r := serveIn(t, "serve", "--listen", "127.0.0.1:0", "--blueprints-dir", "flows", "--tls-cert-path", "server.crt", "--tls-key-path", "server.key")
	url := r.find(t, r.err, shownTLS)
	if got := registers(t, a.caller(""), url, "worker-001", "your-secret-worker-token"); got != 0 {
		t.Errorf("without a certificate: %d", got)
	}
	if got := registers(t, a.caller("worker"), url, "worker-001", ""); got != 200 {
		t.Errorf("with a certificate: %d", got)
	}
	r.end(t)
}
