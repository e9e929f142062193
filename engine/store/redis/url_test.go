package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery/engine/store/redis/redistest"
)

// This file tests what URLs say, and TLS to a real server.

// ownAuthority writes a certificate for 127.0.0.1 that is its own authority, and its key.
func ownAuthority(t *testing.T) (cert, key string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis of a test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &pair.PublicKey, pair)
	check(err)
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	check(err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	check(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	check(os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return cert, key
}

func TestTLSWithAnOwnAuthority(t *testing.T) {
	cert, key := ownAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	redistest.Start(t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	url := fmt.Sprintf("rediss://127.0.0.1:%d/0?%s", port, fresh())
	if s, err := Open(url, Options{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		if err == nil {
			s.Close()
		}
		t.Fatalf("a server whose authority nobody knows: %v", err)
	}
	s, err := Open(url+"&ca="+cert, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	if _, claimed, err := s.Claim(t.Context(), "k", []byte("v"), time.Hour, now); err != nil || !claimed {
		t.Fatalf("claim over TLS: %v, %v", claimed, err)
	}
}

func TestWhatURLsSay(t *testing.T) {
	got, err := parseURL("redis-sentinel://u:p@a,b:7/main/2?sentinel_password=s%26x&sentinel_user=w&wait=1&prefix=q")
	if err != nil || got.watch != "s&x" || got.watcher != "w" || got.password != "p" || got.master != "main" || got.db != 2 || got.wait != 1 {
		t.Errorf("it says %+v, %v", got, err)
	}
	if shown, _ := CheckURL("redis-sentinel://u:p@a/main?sentinel_password=hidden"); strings.Contains(shown, "hidden") || strings.Contains(shown, "p@") {
		t.Errorf("it is shown as %q", shown)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for url, word := range map[string]string{
		"redis://a?sentinel_password=hidden":          "no Sentinels",
		"redis-sentinel://a/main?sentinel_user=w":     "without sentinel_password",
		"redis://a?ca=/x":                             "no TLS",
		"rediss://a?ca=/not/there.pem":                "can not be read",
		"redis-cluster://a:1?tls=true&ca=" + empty:    "no certificate",
		"redis://a?sentinel_passwort=hidden":          "unknown setting",
		"redis-sentinel://a/main?ca=/x&tls=false":     "no TLS",
		"redis-sentinel://a?sentinel_password=hidden": "no master",
	} {
		if _, err := CheckURL(url); err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want a word of %q", url, err, word)
		}
	}
}
