package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"orrery/engine/blob"
	"orrery/engine/blob/blobtest"
	"orrery/engine/blob/s3"
)

// options leads to the server of scripts/test (a real one, which checks signatures), or else
// to one in this process.
func options(t *testing.T) s3.Options {
	t.Helper()
	if real := os.Getenv("ORRERY_TEST_S3"); real != "" {
		return s3.Options{Endpoint: real, AccessKey: os.Getenv("ORRERY_TEST_S3_ACCESS_KEY"), SecretKey: os.Getenv("ORRERY_TEST_S3_SECRET_KEY"),
			Bucket: fmt.Sprintf("blobs-%d", time.Now().UnixNano())} // of this run alone
	}
	t.Log("ORRERY_TEST_S3 names no server: a fake one in this process is used (scripts/test starts a real one)")
	server := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	t.Cleanup(server.Close)
	return s3.Options{Endpoint: server.URL, AccessKey: "key", SecretKey: "secret", Bucket: "files"}
}

func open(t *testing.T) *s3.Store {
	t.Helper()
	o := options(t)
	s, err := s3.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.MakeBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) { blobtest.Run(t, open(t)) }

func TestSignedURLs(t *testing.T) {
	s, key := open(t), blob.Key("signed", "a b.txt")
	put, err := s.Sign(t.Context(), key, true, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if answer := do(t, http.MethodPut, put, "hello"); answer != "200 " {
		t.Fatalf("put: %s", answer)
	}
	get, err := s.Sign(t.Context(), key, false, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if answer := do(t, http.MethodGet, get, ""); answer != "200 hello" {
		t.Errorf("get: %s", answer)
	}
	if os.Getenv("ORRERY_TEST_S3") == "" {
		return // the fake looks at no signature
	}
	if answer := do(t, http.MethodPut, strings.Replace(get, "signed/", "other/", 1), "hello"); !strings.HasPrefix(answer, "403") {
		t.Errorf("a URL bent to another file: %s, want 403", answer)
	}
}

func do(t *testing.T, method, url, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status[:3] + " " + string(text)
}

// A server that is not there is a passing fault, one that refuses is not.
func TestFaults(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`)
	}))
	defer refuses.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for url, passing := range map[string]bool{refuses.URL: false, gone.URL: true} {
		s, err := s3.New(s3.Options{Endpoint: url, AccessKey: "k", SecretKey: "very-secret", Bucket: "files"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Stat(t.Context(), "jobs/a/b")
		var fault *s3.Fault
		if !errors.As(err, &fault) || fault.Passing() != passing {
			t.Errorf("%v: want a fault, passing %v", err, passing)
		}
		if err != nil && (strings.Contains(err.Error(), "very-secret") || !strings.Contains(err.Error(), "s3://files/jobs/a/b")) {
			t.Errorf("the error shows the secret, or not the file: %v", err)
		}
	}
}

// An upload whose sender goes away leaves no parts behind.
func TestCallerGoesAway(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	large := io.MultiReader(bytes.NewReader(make([]byte, 20<<20)), hook(cancel))
	if _, err := s.Put(ctx, "jobs/away/f", large, -1); !errors.Is(err, context.Canceled) {
		t.Errorf("the upload gives %v, want the caller's end", err)
	}
	if _, err := s.Stat(t.Context(), "jobs/away/f"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("there is a file: %v", err)
	}
}

type hook func()

// Read calls the hook and gives a byte.
func (h hook) Read(p []byte) (int, error) {
	h()
	p[0] = 'x'
	return 1, nil
}

func TestBadOptions(t *testing.T) {
	for _, o := range []s3.Options{
		{}, {Endpoint: "127.0.0.1:9000", AccessKey: "a", SecretKey: "b", Bucket: "files"}, {Endpoint: "http://h", Bucket: "files"},
		{Endpoint: "http://h", AccessKey: "a", SecretKey: "b", Bucket: "f"},
	} {
		if _, err := s3.New(o); err == nil {
			t.Errorf("%+v passes", o)
		}
	}
}
