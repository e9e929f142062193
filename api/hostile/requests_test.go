package hostile

import (
	"bytes"
	"compress/gzip"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// This file is requests that are slow, huge or no requests at all.

// goodClient asks until it is told to stop, and counts.
type goodClient struct {
	asked, failed atomic.Int64
	worst         atomic.Int64 // nanoseconds
	stop          chan struct{}
	done          sync.WaitGroup
}

func (s *server) goodClient() *goodClient {
	g := &goodClient{stop: make(chan struct{})}
	g.done.Go(func() {
		for {
			select {
			case <-g.stop:
				return
			default:
			}
			began := time.Now()
			a := s.admin("POST", "/api/v1/jobs/hostile_quick", `{"n":1}`)
			if a.status != http.StatusAccepted {
				g.failed.Add(1)
			}
			g.asked.Add(1)
			g.worst.Store(max(g.worst.Load(), int64(time.Since(began))))
		}
	})
	return g
}

// end stops the client and fails the test when it was not served.
func (g *goodClient) end(t *testing.T) {
	t.Helper()
	close(g.stop)
	g.done.Wait()
	t.Logf("the good client beside: %d jobs started, %d refused, the slowest took %s", g.asked.Load(), g.failed.Load(), time.Duration(g.worst.Load()).Round(time.Millisecond))
	if g.asked.Load() < 5 || g.failed.Load() > 0 {
		t.Error("the good client was not served")
	}
}

// places tells how many connections the file limit leaves room for.
func places(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := min(int(limit.Max)-200, 6000)
	t.Logf("the file limit is %d; %d connections are opened", limit.Max, n)
	if n < 2000 {
		t.Skipf("the file limit of %d leaves no room for 2,000 connections; raise it with ulimit -n", limit.Max)
	}
	return n
}

// dial opens connections, each from an address of its own range so that ports do not run out.
func (s *server) dial(n int, first func(i int) string) []net.Conn {
	s.t.Helper()
	conns := make([]net.Conn, 0, n)
	s.t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	for i := range n {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			s.t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, c)
		if text := first(i); text != "" {
			if _, err := io.WriteString(c, text); err != nil {
				s.t.Fatalf("connection %d: %v", i, err)
			}
		}
	}
	return conns
}

// TestManySlowClients holds thousands of connections at once: idle, slow in the headers, slow
// in the body, announcing much, and not reading; a good client beside is served all the while.
func TestManySlowClients(t *testing.T) {
	t.Parallel()
	n := places(t)
	s := start(t)
	s.runsThrough()
	_, before := s.memory()
	good := s.goodClient()
	slow := s.dial(n, func(i int) string {
		switch i % 4 {
		case 0: // says nothing
			return ""
		case 1: // its headers never end
			return "GET /_public/status HTTP/1.1\r\nHost: h\r\nX-Slow: "
		case 2: // announces the most there may be and sends a byte at a time
			return "POST /api/v1/jobs/hostile_quick HTTP/1.1\r\nHost: h\r\nX-Client-Token: " + adminToken + "\r\nContent-Length: 8000000\r\n\r\n{"
		}
		return "GET /_public/status HTTP/1.1\r\nHost: h\r\n\r\n" // then idle
	})
	for range 3 { // seconds of one byte a second
		select {
		case <-time.After(time.Second):
		case err := <-s.died:
			t.Fatal(err)
		}
		for i, c := range slow {
			if i%4 == 1 || i%4 == 2 {
				io.WriteString(c, "x") // closed by the server, or not: both are well
			}
		}
	}
	now, peak := s.memory()
	t.Logf("memory with %d connections: %d MiB, peak %d MiB, %d MiB before", n, now, peak, before)
	if grown := peak - before; grown > 100+n*40/1024 { // 40 KiB a connection
		t.Errorf("%d slow connections cost %d MiB", n, grown)
	}
	good.end(t)
	// The header's time is 15 s: the slow ones go by themselves.
	c := slow[1]
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	text, err := io.ReadAll(c)
	if err != nil || len(text) > 0 && !strings.HasPrefix(string(text), "HTTP/1.1 408") {
		t.Errorf("slow headers ended with %v, %.80s", err, text)
	}
	s.runsThrough()
}

// packed gives a JSON text with n MiB of zeros, compressed: pieces that are packed by
// themselves and joined are one packed text too, so a MiB is packed once only.
func packed(t *testing.T, zip func(io.Writer) (io.WriteCloser, error), n int) string {
	t.Helper()
	piece := func(text string) string {
		var b bytes.Buffer
		w, err := zip(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	return piece(`{"a":"`) + strings.Repeat(piece(strings.Repeat("0", 1<<20)), n) + piece(`"}`)
}

func TestBombs(t *testing.T) {
	s := start(t)
	s.runsThrough()
	_, before := s.memory()
	good := s.goodClient()
	const path = "/api/v1/jobs/hostile_quick"
	gz := packed(t, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }, 512)
	zs := packed(t, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }, 512)
	deep := strings.Repeat("[", 1000000) + strings.Repeat("]", 1000000)
	for name, c := range map[string]struct {
		body, coding string
		want         int
	}{
		"gzip of 512 MiB": {gz, "gzip", 413}, "zstd of 512 MiB": {zs, "zstd", 413}, "half a gzip": {gz[:len(gz)/2], "gzip", 413},
		"gzip that is none": {"{}", "gzip", 400}, "zstd that is none": {"{}", "zstd", 400}, "no such coding": {"{}", "br", 415}, "two codings": {"{}", "gzip, gzip", 415},
		"zstd with a window of gigabytes": {"\x28\xb5\x2f\xfd\x00\xf8\x00\x00\x00", "zstd", 400},
		"deep lists":                      {`{"a":` + deep + `}`, "", 400}, "deep objects": {strings.Repeat(`{"a":`, 1000000), "", 400},
		"bad UTF-8": {"{\"a\":\"\xff\"}", "", 400}, "half a surrogate in UTF-8": {"{\"a\":\"\xed\xa0\x80\"}", "", 400}, "a NUL": {"{\"a\":\"\x00\"}", "", 400},
		"a huge integer": {`{"a":` + strings.Repeat("9", 100000) + `}`, "", 400}, "beyond floats": {`{"a":1e999999999}`, "", 400},
		"two values": {`{}{}`, "", 400}, "NaN": {`{"a":NaN}`, "", 400}, "nothing": {"", "", 400}, "9 MiB": {`{"a":"` + strings.Repeat("x", 9<<20) + `"}`, "", 413},
		"twice the envelope": {`{"initial_data":{},"initial_data":[]}`, "", 400},
		"a name twice":       {`{"a":1,"a":2}`, "", 400},
	} {
		var headers []string
		if c.coding != "" {
			headers = []string{"Content-Encoding", c.coding}
		}
		a := s.admin("POST", path, c.body, headers...)
		if a.status != c.want && !(a.status == 0 && c.want == 413) { // 0: closed while it was sent
			t.Errorf("%s: %s; want %d", name, a, c.want)
		}
	}
	for name, headers := range map[string][]string{
		"1 MB header": {"X-Big", strings.Repeat("x", 1<<20)}, "a long token": {"X-Client-Token", strings.Repeat("x", 20000)}, "a long cookie": {"Cookie", "a=" + strings.Repeat("x", 60000)},
	} {
		if a := ask("http://"+s.addr, "GET", "/api/v1/jobs", "", headers...); a.status != 0 && (a.status < 400 || a.status > 499) {
			t.Errorf("%s: %s", name, a)
		}
	}
	s.strangersUnpack()
	good.end(t)
	now, peak := s.memory()
	t.Logf("memory: %d MiB, peak %d MiB, %d MiB before", now, peak, before)
	if peak-before > 150 {
		t.Errorf("the bombs cost %d MiB", peak-before)
	}
	s.runsThrough()
}

// strangersUnpack sends, from many who have no token at once, the most that they may send, packed.
func (s *server) strangersUnpack() {
	s.t.Helper()
	bomb := packed(s.t, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }, 60)
	parts := "multipart/form-data; boundary=b"
	var senders sync.WaitGroup
	defer senders.Wait()
	for i := range 100 {
		path, kind := "/login", parts
		switch i % 3 {
		case 1:
			path, kind = "/_public/webhooks/approval/01a20a6b-ee7a-7000-84d9-1e49c13776ba", "application/json"
		case 2:
			path, kind = "/_worker/workers/register", "application/json"
		}
		senders.Go(func() {
			a := ask("http://"+s.addr, "POST", path, bomb, "Content-Encoding", "gzip", "Content-Type", kind, "Origin", "http://"+s.addr)
			if a.status != http.StatusRequestEntityTooLarge {
				s.t.Errorf("%s, packed: %s; want 413", path, a)
			}
		})
	}
}

// TestBrokenRequests sends what is no HTTP, or could be read in two ways. Each gets one
// answer of 4xx at most, and what was hidden behind it is not answered.
func TestBrokenRequests(t *testing.T) {
	t.Parallel()
	s := start(t)
	const head = "POST /api/v1/jobs/hostile_quick HTTP/1.1\r\nHost: h\r\nX-Client-Token: " + adminToken + "\r\n"
	const hidden = "GET /_public/status HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, text := range map[string]string{
		"length, then chunks":         head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"chunks, then length":         head + "Transfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + hidden,
		"chunks and length, folded":   head + "Transfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + hidden,
		"two lengths":                 head + "Content-Length: 2\r\nContent-Length: 60\r\n\r\n{}" + hidden,
		"a list of lengths":           head + "Content-Length: 2, 2\r\n\r\n{}" + hidden,
		"a signed length":             head + "Content-Length: +2\r\n\r\n{}" + hidden,
		"a negative length":           head + "Content-Length: -2\r\n\r\n{}" + hidden,
		"a length beyond 64 bits":     head + "Content-Length: 18446744073709551618\r\n\r\n{}" + hidden,
		"a coding that is unknown":    head + "Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + hidden,
		"two codings":                 head + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + hidden,
		"a space before the colon":    head + "Content-Length : 2\r\n\r\n{}" + hidden,
		"chunk sizes of garbage":      head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n" + hidden,
		"a chunk of 2^63":             head + "Transfer-Encoding: chunked\r\n\r\n8000000000000000\r\n{}\r\n0\r\n\r\n" + hidden,
		"a chunk without its end":     head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n" + hidden,
		"a negative chunk":            head + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n" + hidden,
		"a refused body left behind":  "POST /api/v1/jobs/hostile_quick HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\n" + strings.Repeat(hidden, 400000/len(hidden)+1),
		"refused chunks left behind":  "POST /api/v1/jobs/hostile_quick HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n30\r\n" + hidden + "\r\n0\r\n\r\n",
		"no HTTP":                     "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 300) + "\r\n\r\n",
		"a line of 1 MB":              "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"100,000 headers":             "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 100000) + "\r\n",
		"a method of garbage":         "G\x00T / HTTP/1.1\r\nHost: h\r\n\r\n",
		"HTTP/2 without being asked":  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a NUL in a header":           "GET /api/v1/jobs HTTP/1.1\r\nHost: h\r\nX-Client-Token: \x00" + adminToken + "\r\n\r\n",
		"a newline in the request id": "GET /api/v1/jobs HTTP/1.1\r\nHost: h\r\nX-Request-ID: a\rb\r\n\r\n",
	} {
		got := s.raw([]byte(text), 600*time.Millisecond)
		answers := strings.Count(got, "HTTP/1.1 ")
		if strings.Contains(got, `"uptime_seconds"`) || answers > 1 {
			t.Errorf("%s: what was hidden behind it was answered: %d answers, %.300s", name, answers, got)
		}
		if answers > 0 && !strings.HasPrefix(got, "HTTP/1.1 4") {
			t.Errorf("%s: %.200s", name, got)
		}
	}
	_, peak := s.memory()
	t.Logf("peak memory %d MiB", peak)
	s.runsThrough()
}

// Memory follows what has come and not what was announced; of a stranger little is taken.
func TestAnnouncedBodiesTakeNoMemory(t *testing.T) {
	s := start(t)
	s.runsThrough()
	_, before := s.memory()
	const n = 500
	s.dial(n, func(i int) string {
		head := "POST /api/v1/jobs/hostile_quick HTTP/1.1\r\nHost: h\r\nContent-Length: 8388608\r\n"
		if i%2 == 0 {
			head += "X-Client-Token: " + adminToken + "\r\n"
		}
		return head + "\r\n" + strings.Repeat("[", 20000)
	})
	s.runsThrough()
	_, peak := s.memory()
	announced := int(math.Round(n * 8))
	t.Logf("peak memory %d MiB with %d MiB announced, %d MiB before", peak, announced, before)
	if peak-before > 150 {
		t.Errorf("announced bodies cost %d MiB", peak-before)
	}
}
