// One orchestrator over HTTP: requests with the right headers, one renewal of
// the token when it is refused, and bounded, typed answers.

package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"orrery/workers/protocol"
)

const (
	// wireVersion is the newest wire form this package speaks.
	wireVersion     = "1.0b17"
	maxAnswerBytes  = 9 << 20 // a task's params and room for the rest
	maxErrorText    = 300
	requestTimeout  = 20 * time.Second
	maxBackoff      = time.Minute
	rateLimitPause  = 30 * time.Second
	workerPathStart = "/_worker"
)

type link struct {
	cfg   Config
	url   string
	given string // the configured token
	log   *slog.Logger
	nudge chan struct{} // a heartbeat is due now
	wait  *backoff      // of polls

	registered atomic.Bool // at least once
	quiet      time.Time   // no polls before; used by the loop of polls alone
	weight     int
	current    int // of the weighted turns

	mu     sync.Mutex
	token  string          // the configured one, or an access token that replaced it
	socket *websocket.Conn // nil while none is open
}

func newLink(cfg Config, o Orchestrator, log *slog.Logger) *link {
	return &link{
		cfg: cfg, url: o.URL, given: o.Token, token: o.Token, weight: o.Weight, log: log.With("url", o.URL),
		nudge: make(chan struct{}, 1), wait: newBackoff(cfg.RetryDelay),
	}
}

func (l *link) headers() http.Header {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := http.Header{}
	h.Set(protocol.HeaderToken, l.token)
	h.Set(protocol.HeaderWorkerID, l.cfg.ID)
	h.Set(protocol.HeaderVersion, wireVersion)
	return h
}

func (l *link) useToken(token string) {
	l.mu.Lock()
	l.token = token
	l.mu.Unlock()
}

// answer is a reply whose status is below 400.
type answer struct {
	status int
	body   []byte
}

// failure of a request, with how long the server asks to wait.
type requestError struct {
	error
	retryAfter time.Duration
}

func (e *requestError) Unwrap() error { return e.error }

// do sends one request within timeout. A 401 is answered once by asking for a
// fresh access token, as the published SDKs do.
func (l *link) do(ctx context.Context, method, path string, body []byte, timeout time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	got, err := l.once(ctx, method, path, body)
	if statusOf(err) != http.StatusUnauthorized {
		return got, err
	}
	if renewErr := l.renewToken(ctx); renewErr != nil {
		return got, err
	}
	return l.once(ctx, method, path, body)
}

// traceKey is where a context carries the trace headers of a request.
type traceKey struct{}

func (l *link) once(ctx context.Context, method, path string, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, l.url+workerPathStart+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header = l.headers()
	if trace, ok := ctx.Value(traceKey{}).(map[string]string); ok {
		for _, name := range []string{"traceparent", "tracestate"} {
			if v := trace[name]; v != "" {
				req.Header.Set(name, v)
			}
		}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := l.cfg.HTTPClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return answer{}, err
	}
	if len(text) > maxAnswerBytes {
		return answer{}, fmt.Errorf("the answer to %s %s is longer than %d bytes", method, path, maxAnswerBytes)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		said := strings.ToValidUTF8(string(text[:min(len(text), maxErrorText)]), "")
		return answer{}, &requestError{
			error:      &StatusError{Status: resp.StatusCode, Text: said},
			retryAfter: retryAfter(resp),
		}
	}
	return answer{status: resp.StatusCode, body: text}, nil
}

// renewToken trades the configured token for an access token.
func (l *link) renewToken(ctx context.Context) error {
	l.useToken(l.given)
	got, err := l.once(ctx, http.MethodPost, "/auth/token", []byte("{}"))
	if err != nil {
		return err
	}
	return l.takeToken(got.body)
}

// takeToken uses the access token that an answer may carry.
func (l *link) takeToken(body []byte) error {
	var t protocol.Token
	if err := json.Unmarshal(body, &t); err != nil {
		return err
	}
	if t.Access != "" {
		l.useToken(t.Access)
	}
	return nil
}

// retryAfter reads how long the server asks to wait: seconds or a date.
func retryAfter(resp *http.Response) time.Duration {
	text := resp.Header.Get("Retry-After")
	if s, err := strconv.Atoi(text); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		return rateLimitPause
	}
	return 0
}

// statusOf returns the HTTP status of a refused request, 0 for other errors.
func statusOf(err error) int {
	if refused, ok := err.(*requestError); ok {
		if s, ok := refused.error.(*StatusError); ok {
			return s.Status
		}
	}
	return 0
}
