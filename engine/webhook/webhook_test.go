package webhook

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"orrery/engine/outbound"
)

// This file tests the signature against the scheme's published vector, and the sender
// against receivers of every kind.

func keys(t *testing.T, text string) []Key {
	t.Helper()
	k, err := ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The vector is the one that the scheme's own libraries test themselves with.
func TestSignatureOfTheScheme(t *testing.T) {
	k := keys(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	at := time.Unix(1614265330, 0)
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	body := []byte(`{"test": 2432232314}`)
	if got := Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body, k); got != want {
		t.Errorf("signed %s, want %s", got, want)
	}
}

func TestVerify(t *testing.T) {
	one, two := "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 24)), "whsec_"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	at, body := time.Unix(1_800_000_000, 0), []byte(`{"a":1}`)
	h := http.Header{}
	h.Set(HeaderID, "msg_1")
	h.Set(HeaderTime, "1800000000")
	h.Set(HeaderSignature, "v2,zzz "+Sign("msg_1", at, body, keys(t, one+", "+two)))
	for _, k := range []string{one, two} {
		if err := Verify(h, body, keys(t, k), at.Add(4*time.Minute)); err != nil {
			t.Error(err)
		}
	}
	fails := func(what string, change func(h http.Header), body string, now time.Time) {
		t.Helper()
		other := h.Clone()
		change(other)
		if Verify(other, []byte(body), keys(t, one), now) == nil {
			t.Errorf("%s is not noticed", what)
		}
	}
	same := func(http.Header) {}
	fails("another body", same, `{"a":2}`, at)
	fails("another id", func(h http.Header) { h.Set(HeaderID, "msg_2") }, string(body), at)
	fails("another time", func(h http.Header) { h.Set(HeaderTime, "1800000001") }, string(body), at)
	fails("an old message", same, string(body), at.Add(6*time.Minute))
	fails("a message of the future", same, string(body), at.Add(-6*time.Minute))
	fails("no signature", func(h http.Header) { h.Del(HeaderSignature) }, string(body), at)
	fails("no id", func(h http.Header) { h.Del(HeaderID) }, string(body), at)
}

func TestKeys(t *testing.T) {
	for _, bad := range []string{"", "whsec_", "abc", "whsec_!!!", "whsec_c2hvcnQ=", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))} {
		if _, err := ParseKeys(bad); err == nil || bad != "" && len(bad) > 8 && strings.Contains(err.Error(), bad) {
			t.Errorf("ParseKeys(%q): %v", bad, err)
		}
	}
	if k := keys(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"); strings.Contains(fmt.Sprintf("%v %#v %s", k, k[0], k), "Mf") {
		t.Error("a key is printed")
	}
}

const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func sender(t *testing.T, allow ...string) *Sender {
	t.Helper()
	g, err := outbound.New(allow)
	if err != nil {
		t.Fatal(err)
	}
	return New(g, func(client string) []Key {
		if client == "nobody" {
			return nil
		}
		return keys(t, key)
	})
}

func TestPost(t *testing.T) {
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	now := time.Now()
	if err := sender(t, "127.0.0.1").Post(t.Context(), "ann", s.URL+"/hook?x=1", "msg_7", now, []byte(`{"event":"job_finished"}`)); err != nil {
		t.Fatal(err)
	}
	if err := Verify(got.Header, body, keys(t, key), now); err != nil {
		t.Error(err)
	}
	if got.URL.String() != "/hook?x=1" || got.Method != http.MethodPost || got.Header.Get("Content-Type") != "application/json" || got.Header.Get(HeaderID) != "msg_7" {
		t.Errorf("received %s %s %v", got.Method, got.URL, got.Header)
	}
}

func TestFailures(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/410":
			w.WriteHeader(http.StatusGone)
		case "/302":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/429":
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
		case "/broken":
			panic(http.ErrAbortHandler)
		case "/endless": // an answer that does not end is read up to the limit only
			for range 64 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
			<-release
		}
	}))
	defer s.Close()
	defer close(release)
	for path, want := range map[string]struct {
		status int
		final  bool
		wait   time.Duration
	}{
		"/500": {500, false, 0}, "/410": {410, true, 0}, "/302": {302, false, 0}, "/429": {429, false, 2 * time.Minute}, "/broken": {0, false, 0},
	} {
		err := sender(t, "127.0.0.1").Post(t.Context(), "ann", s.URL+path+"?token=hidden", "m", time.Now(), nil)
		f, ok := err.(*Failure)
		if !ok || f.Status != want.status || f.Final() != want.final || f.RetryAfter() != want.wait {
			t.Errorf("%s: %#v", path, err)
		} else if strings.Contains(f.Error(), "hidden") {
			t.Errorf("%s: the address stands in %q", path, f)
		}
	}
	if err := sender(t, "127.0.0.1").Post(t.Context(), "ann", s.URL+"/endless", "m", time.Now(), nil); err != nil {
		t.Errorf("a good status with a long answer: %v", err)
	}
	err := sender(t).Post(t.Context(), "ann", s.URL+"/ok", "m", time.Now(), nil)
	if f, ok := err.(*Failure); !ok || !f.Final() || !strings.Contains(f.Error(), "OUTGOING_ALLOW") {
		t.Errorf("an internal address: %v", err)
	}
	if f, ok := sender(t, "127.0.0.1").Post(t.Context(), "nobody", s.URL, "m", time.Now(), nil).(*Failure); !ok || !f.Final() {
		t.Error("sent without a key")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sender(t, "127.0.0.1").Post(ctx, "ann", s.URL, "m", time.Now(), nil); err != context.Canceled {
		t.Errorf("a cancelled call: %v", err)
	}
}

func TestAccept(t *testing.T) {
	s := sender(t, "10.0.0.5:8443", "10.0.0.6:443", "hooks.internal")
	for _, good := range []string{"https://example.com/x", "https://10.0.0.5:8443/x", "https://10.0.0.6/", "http://hooks.internal/x"} {
		if err := s.Accept("ann", good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"http://127.0.0.1/x", "http://[::1]:80/", "http://169.254.169.254/latest", "https://10.0.0.5/x", "/x", "http://"} {
		if err := s.Accept("ann", bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if err := s.Accept("nobody", "https://example.com/"); err == nil || !strings.Contains(err.Error(), "WEBHOOK_SECRET") {
		t.Errorf("without a key: %v", err)
	}
}
