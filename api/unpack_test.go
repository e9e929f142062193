package api

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// zipped gives so many bytes of x, packed.
func zipped(t *testing.T, n int) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(bytes.Repeat([]byte("x"), n)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// allocated gives the bytes that f took from the heap.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Whoever has shown no token may not have much unpacked, on any way in.
func TestStrangersBringLittleUnpacked(t *testing.T) {
	b := newBench(t)
	bomb := zipped(t, 60<<20) // 60 KB, which strangers may send
	if len(bomb) > DefaultLimits().Strange {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	for name, x := range map[string]struct {
		method, path string
		headers      []string
		status       int
	}{
		"a form":             {"POST", "/login", []string{"Content-Type", "application/x-www-form-urlencoded"}, 413},
		"a form in parts":    {"POST", "/login", []string{"Content-Type", "multipart/form-data; boundary=b"}, 413},
		"a decision":         {"POST", "/_public/webhooks/approval/01a20a6b-ee7a-7000-84d9-1e49c13776ba", []string{"Content-Type", "application/json"}, 413},
		"a decision as form": {"POST", "/_public/webhooks/approval/01a20a6b-ee7a-7000-84d9-1e49c13776ba", []string{"Content-Type", "application/x-www-form-urlencoded"}, 413},
		"a worker":           {"POST", "/_worker/workers/register", []string{"Content-Type", "application/json"}, 413},
		"a result":           {"POST", "/_worker/tasks/result", []string{"Content-Type", "application/json"}, 413},
	} {
		t.Run(name, func(t *testing.T) {
			headers := append(x.headers, "Content-Encoding", "gzip", "Origin", "http://example.com", "Host", "example.com")
			var got answer
			took := allocated(func() { got = b.do(x.method, x.path, bomb, headers...) })
			if got.status != x.status {
				t.Errorf("%s, want %d", got, x.status)
			}
			if took > 4<<20 {
				t.Errorf("it took %d MiB", took>>20)
			}
		})
	}
}

// A form is taken as browsers send ours, and from nowhere else.
func TestFormsAreReadFromTheBodyOnly(t *testing.T) {
	b := newBench(t)
	own := []string{"Origin", "http://example.com", "Host", "example.com"}
	const plain, parts = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
	inParts := strings.ReplaceAll("--b\nContent-Disposition: form-data; name=\"token\"\n\nt-admin\n--b--\n", "\n", "\r\n")
	for name, x := range map[string]struct {
		path, kind, body string
		status           int
	}{
		"ours":           {"/login", plain, "token=t-admin", http.StatusSeeOther},
		"in the address": {"/login?token=t-admin", plain, "", http.StatusUnauthorized},
		"in parts":       {"/login", parts, inParts, http.StatusBadRequest},
		"damaged":        {"/login", plain, "token=%zz", http.StatusBadRequest},
		"nothing":        {"/login", plain, "", http.StatusUnauthorized},
	} {
		if got := b.do("POST", x.path, x.body, append([]string{"Content-Type", x.kind}, own...)...); got.status != x.status {
			t.Errorf("%s: %s, want %d", name, got, x.status)
		}
	}
}
