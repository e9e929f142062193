package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"orrery/engine/blob"
	"orrery/engine/job"
)

// This file tests how clients bring and fetch files, with a folder behind the server.

func (b *bench) file(id, name string) string {
	b.t.Helper()
	body, _, err := b.files.Get(b.t.Context(), blob.Key(id, name))
	if err != nil {
		return err.Error()
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func TestFilesThroughTheServer(t *testing.T) {
	b := newBench(t)
	b.listen()
	id := b.engine.add(job.Job{Client: job.Client{ID: "ann"}})
	files := "/api/v1/jobs/" + id + "/files"
	put := b.ask("PUT", files+"/content/d/a%20b.txt", "hello", "X-Client-Token", "t-client")
	if put.status != 200 || !strings.Contains(put.body, `"status":"uploaded"`) || !strings.Contains(put.body, `"s3_uri":"file:jobs/`+id+`/d/a b.txt"`) {
		t.Fatalf("upload: %s", put)
	}
	if got := b.file(id, "d/a b.txt"); got != "hello" {
		t.Errorf("the folder has %q", got)
	}
	got := b.ask("GET", files+"/content/d/a%20b.txt", "", "X-Client-Token", "t-viewer")
	if got.status != 200 || got.body != "hello" || got.header.Get("Content-Disposition") != "attachment" || got.header.Get("Content-Length") != "5" {
		t.Errorf("content: %s, %v", got, got.header)
	}
	list := b.ask("GET", files, "", "X-Client-Token", "t-client")
	var names []struct {
		Name string
		Size int
	}
	if err := json.Unmarshal([]byte(list.body), &names); err != nil || len(names) != 1 || names[0].Name != "d/a b.txt" || names[0].Size != 5 {
		t.Errorf("the list is %s", list)
	}
	b.ask("GET", files+"/content/absent", "", "X-Client-Token", "t-client").want(t, http.StatusNotFound, "not_found")
	b.ask("GET", files+"/download/absent", "", "X-Client-Token", "t-client").want(t, http.StatusNotFound, "not_found")
	b.ask("PUT", files+"/content/x", "hello", "X-Client-Token", "t-other").want(t, http.StatusNotFound, "not_found")
	b.ask("PUT", files+"/content/x", "hello", "X-Client-Token", "t-viewer").want(t, http.StatusForbidden, "forbidden")
	b.ask("PUT", files+"/content/x", "hello", "X-Client-Token", "t-client", "Content-Encoding", "gzip").want(t, http.StatusUnsupportedMediaType, "unsupported_encoding")
}

// ask sends a request over the socket and follows nothing.
func (b *bench) ask(method, path, body string, headers ...string) answer {
	b.t.Helper()
	return b.send(method, path, strings.NewReader(body), headers...)
}

func (b *bench) send(method, path string, body io.Reader, headers ...string) answer {
	b.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = b.base + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func TestSignedFileURLs(t *testing.T) {
	b := newBench(t)
	b.listen()
	id := b.engine.add(job.Job{Client: job.Client{ID: "ann"}})
	files := "/api/v1/jobs/" + id + "/files"
	var up struct {
		URL       string `json:"url"`
		ExpiresIn int    `json:"expires_in"`
		Method    string `json:"method"`
	}
	got := b.ask("GET", files+"/upload?filename=d/a%20b.txt&expires_in=60", "", "X-Client-Token", "t-client")
	if err := json.Unmarshal([]byte(got.body), &up); err != nil || up.Method != "PUT" || up.ExpiresIn != 60 {
		t.Fatalf("upload gives %s", got)
	}
	if put := b.ask("PUT", up.URL, "hello"); put.status != 200 || b.file(id, "d/a b.txt") != "hello" {
		t.Fatalf("the signed URL %s: %s", up.URL, put)
	}
	down := b.ask("GET", files+"/download/d/a%20b.txt", "", "X-Client-Token", "t-client")
	link := down.header.Get("Location")
	if down.status != http.StatusFound || link == "" {
		t.Fatalf("download gives %s, Location %q", down, link)
	}
	if got := b.ask("GET", link, ""); got.status != 200 || got.body != "hello" {
		t.Errorf("the signed download: %s", got)
	}

	other := b.engine.add(job.Job{Client: job.Client{ID: "ann"}})
	for what, bent := range map[string]struct{ method, url string }{
		"another method":    {"GET", up.URL},
		"another file":      {"PUT", strings.Replace(up.URL, "a%20b", "c", 1)},
		"another job":       {"PUT", strings.Replace(up.URL, id, other, 1)},
		"a later end":       {"PUT", strings.Replace(up.URL, "expires=", "expires=9", 1)},
		"no signature":      {"PUT", strings.Split(up.URL, "&signature")[0]},
		"a made-up one":     {"PUT", strings.Split(up.URL, "&signature")[0] + "&signature=00"},
		"another route":     {"GET", strings.Replace(link, "/content/", "/download/", 1)},
		"the job's own":     {"GET", b.base + "/api/v1/jobs/" + id + "?" + strings.Split(link, "?")[1]},
		"a download to put": {"PUT", link},
	} {
		if got := b.ask(bent.method, bent.url, "evil"); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %s, want 401", what, got)
		}
	}
	b.clock.Advance(61 * time.Second)
	b.ask("PUT", up.URL, "late").want(t, http.StatusUnauthorized, "unauthorized")
	if b.file(id, "d/a b.txt") != "hello" {
		t.Error("the file was changed")
	}
	for _, bad := range []string{"0", "-1", "x", "604801", "1e3"} {
		b.ask("GET", files+"/upload?filename=a&expires_in="+bad, "", "X-Client-Token", "t-client").want(t, http.StatusBadRequest, "bad_request")
	}
}

// No name leads out of the job's folder, by no route and no way of writing it.
func TestFileNamesStayInside(t *testing.T) {
	b := newBench(t)
	id := b.engine.add(job.Job{Client: job.Client{ID: "ann"}})
	files := "/api/v1/jobs/" + id + "/files"
	for _, name := range []string{"..", "../x", "a/../../x", "%2e%2e/x", "..%2fx", "%2fetc/passwd", "/etc/passwd", "a%5c..%5cx", "a%00b", "a%0ab", "",
		"a//b", "%252e%252e/x", "local:x", "a%e2%80%aeb", "%ff", strings.Repeat("x", 300)} {
		got := []answer{
			b.do("PUT", files+"/content/"+name, "evil", "X-Client-Token", "t-client"),
			b.do("GET", files+"/content/"+name, "", "X-Client-Token", "t-client"),
			b.do("GET", files+"/download/"+name, "", "X-Client-Token", "t-client"),
		}
		if !strings.Contains(name, "%252e") { // in a query it is the name "%2e%2e/x", a plain one
			got = append(got, b.do("GET", files+"/upload?filename="+name, "", "X-Client-Token", "t-client"))
		}
		for i, a := range got {
			if a.status != http.StatusBadRequest && a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
				t.Errorf("%q by way %d: %s", name, i, a)
			}
		}
	}
	if left, err := b.files.List(t.Context(), "", 10); err != nil || len(left) != 0 {
		t.Errorf("something was written: %v, %v", left, err)
	}
}

// A file may be larger than any other body, and the server holds little of it.
func TestLargeFileStreams(t *testing.T) {
	b := newBench(t)
	b.listen()
	id := b.engine.add(job.Job{Client: job.Client{ID: "ann"}})
	size := 3 * DefaultLimits().Body
	content := bytes.Repeat([]byte("0123456789abcde\n"), size/16)
	path := "/api/v1/jobs/" + id + "/files/content/large"
	for what, body := range map[string]io.Reader{"with its length": bytes.NewReader(content), "in chunks": io.MultiReader(bytes.NewReader(content))} {
		if got := b.send("PUT", path, body, "X-Client-Token", "t-client"); got.status != 200 || !strings.Contains(got.body, fmt.Sprintf(`"size":%d`, size)) {
			t.Fatalf("%s: %s", what, got)
		}
		if got := b.ask("GET", path, "", "X-Client-Token", "t-client"); got.status != 200 || got.body != string(content) {
			t.Errorf("%s: read back %d bytes, status %d", what, len(got.body), got.status)
		}
	}
	u, err := url.Parse(b.base)
	if err != nil {
		t.Fatal(err)
	}
	// Announced too long: refused by its head, before it is sent.
	raw := rawRequest(t, u.Host, fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: h\r\nX-Client-Token: t-client\r\nContent-Length: %d\r\n\r\nxxxx", path, blob.MaxBytes+1))
	if !strings.Contains(raw, "413") {
		t.Errorf("5 GiB and a byte: %q, want 413", raw)
	}
	// A body that breaks off leaves the old file.
	raw = rawRequest(t, u.Host, fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: h\r\nX-Client-Token: t-client\r\nContent-Length: 100000\r\n\r\nhalf", path))
	if info, err := b.files.Stat(t.Context(), blob.Key(id, "large")); err != nil || info.Size != int64(size) {
		t.Errorf("after half a body the file is %+v, %v (%q)", info, err, raw)
	}
}

func TestNoFiles(t *testing.T) {
	b := newBench(t)
	b.s.files = Files{}
	id := b.engine.add(job.Job{Client: job.Client{ID: "ann"}})
	for _, path := range []string{"", "/upload?filename=a", "/download/a", "/content/a"} {
		b.do("GET", "/api/v1/jobs/"+id+"/files"+path, "", "X-Client-Token", "t-client").want(t, http.StatusNotImplemented, "no_files")
	}
	b.do("PUT", "/api/v1/jobs/"+id+"/files/content/a", "x", "X-Client-Token", "t-client").want(t, http.StatusNotImplemented, "no_files")
}

// rawRequest sends bytes, closes its side and reads what comes back.
func rawRequest(t *testing.T, host, text string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", host, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil && len(got) == 0 {
		t.Logf("reading: %v", err)
	}
	return string(got)
}
