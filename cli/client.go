package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"orrery/cli/config"
)

// This file is the HTTP client behind the commands that ask a running server.

// replyLimit bounds a reply that is read into memory: bytes.
const replyLimit = 64 << 20

// remote are the flags of commands that ask a server.
type remote struct {
	URL    string `env:"ORRERY_URL" default:"http://127.0.0.1:8080" help:"The server." placeholder:"URL"`
	Token  string `env:"ORRERY_TOKEN" help:"The client's token; by default the one of orrery dev." placeholder:"TOKEN"`
	Format string `enum:"text,json" default:"text" help:"How to print: text or json."`
}

// client speaks to one server.
type client struct {
	base  string
	token string
	key   string // Idempotency-Key of creating requests; "" sends none
	http  *http.Client
}

func (r remote) client() (*client, error) {
	u, err := url.Parse(r.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, usagef("%q is no URL of a server, for example http://127.0.0.1:8080 (--url, ORRERY_URL)", r.URL)
	}
	token := cmp.Or(r.Token, config.DefaultClientToken)
	return &client{base: strings.TrimRight(r.URL, "/"), token: token, http: &http.Client{}}, nil
}

// callLimit is how long one request may take that is not a stream.
const callLimit = 60 * time.Second

// call sends one request and gives the reply's body. A status of 400 and more is an error
// in the server's own words. body nil sends none.
func (c *client) call(ctx context.Context, method, path string, body []byte) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	res, err := c.send(ctx, method, path, body, "application/json")
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, replyLimit))
	if err != nil {
		return nil, nil, fmt.Errorf("the reply of %s broke off: %w", c.base, err)
	}
	return raw, res.Header, nil
}

// get reads a JSON reply into v.
func (c *client) get(ctx context.Context, path string, v any) error {
	raw, _, err := c.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return decodeReply(raw, path, v)
}

func decodeReply(raw []byte, path string, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("the reply to %s is not what this version expects (is the server another version?): %w", path, err)
	}
	return nil
}

// send does the request; the caller closes the body.
func (c *client) send(ctx context.Context, method, path string, body []byte, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, usagef("%v", err)
	}
	req.Header.Set("X-Client-Token", c.token)
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" && method == http.MethodPost {
		req.Header.Set("Idempotency-Key", c.key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode >= 400 {
		defer res.Body.Close()
		raw, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // a broken body still leaves the status
		return nil, problem(res, raw)
	}
	return res, nil
}

// unreachable tells apart that nobody listens there from what else can go wrong.
func (c *client) unreachable(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return &failure{
			line:   fmt.Sprintf("no server at %s: start one with `orrery dev`", c.base),
			detail: fmt.Sprintf("%v\nAnother address: --url or ORRERY_URL.", op),
		}
	}
	if errors.Is(err, context.Canceled) {
		return &failure{line: "interrupted"}
	}
	return fmt.Errorf("%s does not answer: %w", c.base, err)
}

// refusal is a reply of 400 and more.
type refusal struct {
	status int
	code   string // the problem's stable code, or ""
	title  string
}

func (e *refusal) Error() string {
	switch {
	case e.status == http.StatusUnauthorized:
		return e.title + " (set --token or ORRERY_TOKEN)"
	case strings.Contains(e.title, "\n"): // it ends with a line of a file, a caret or a suggestion
		return e.title + "\n(" + e.code + ")"
	case e.code != "":
		return e.title + " (" + e.code + ")"
	}
	return e.title
}

// problem reads the server's problem JSON.
func problem(res *http.Response, raw []byte) error {
	var p struct{ Code, Title, Detail, Error string }
	if json.Unmarshal(raw, &p) != nil {
		return &refusal{res.StatusCode, "", fmt.Sprintf("the server answered %s", res.Status)}
	}
	text := cmp.Or(p.Detail, p.Error, p.Title, "the server answered "+res.Status)
	return &refusal{res.StatusCode, p.Code, text}
}

// event is one server-sent event.
type event struct {
	name string
	data []byte
}

// stream reads server-sent events and calls fn until it says stop or the stream ends.
func (c *client) stream(ctx context.Context, path string, fn func(event) (stop bool, err error)) error {
	res, err := c.send(ctx, http.MethodGet, path, nil, "text/event-stream")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(make([]byte, 64<<10), replyLimit)
	var e event
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if len(e.data) > 0 {
				if stop, err := fn(e); stop || err != nil {
					return err
				}
			}
			e = event{}
		case field == "event":
			e.name = value
		case field == "data":
			if len(e.data) > 0 {
				e.data = append(e.data, '\n')
			}
			e.data = append(e.data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return c.unreachable(err)
	}
	return io.ErrUnexpectedEOF
}

// jobView is the part of a job's JSON that commands print as text.
type jobView struct {
	ID        string `json:"id"`
	Blueprint string `json:"blueprint_name"`
	State     string `json:"current_state"`
	Status    string `json:"status"`
	Reason    string `json:"error_message"`
	Error     *struct {
		Code     string `json:"code"`
		Message  string `json:"message"`
		Attempts int    `json:"attempts"`
		State    string `json:"state"`
		File     string `json:"file"` // of a script's error, as the rest
		Line     int    `json:"line"`
		Col      int    `json:"col"`
		Trace    string `json:"backtrace"`
	} `json:"error"`
	Waiting *struct {
		For    string `json:"for"`
		Since  string `json:"since"`
		Until  string `json:"until"`
		Detail string `json:"detail"`
	} `json:"waiting"`
	InitialData     json.RawMessage `json:"initial_data"`
	StateHistory    json.RawMessage `json:"state_history"`
	ResultsNext     string          `json:"aggregation_results_next"`
	Children        []string        `json:"child_job_ids"`
	CreatedAt       string          `json:"created_at"`
	UpdatedAt       string          `json:"updated_at"`
	EndedAt         string          `json:"ended_at"`
	CancelRequested string          `json:"cancel_requested_at"`
}

// place says where in the script the job failed, and shows it; "" when no script did.
func (j jobView) place() string {
	if j.Error == nil || j.Error.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d\n%s", j.Error.File, j.Error.Line, j.Error.Col, j.Error.Trace)
}

// jobPath is the address of a job's resource; the id is escaped, so a mistyped one can not
// reach another route.
func jobPath(id, rest string) string { return "/api/v1/jobs/" + url.PathEscape(id) + rest }

// show fetches what a command shows. With --format json it is printed as it came, and shown
// is true; else it is read into what into points to.
func (r remote) show(p *program, path string, into any) (shown bool, err error) {
	cl, err := r.client()
	if err != nil {
		return false, err
	}
	raw, header, err := cl.call(p.ctx, http.MethodGet, path, nil)
	if err != nil {
		return false, err
	}
	if missing := header.Get("X-Orrery-Missing-Nodes"); missing != "" {
		if _, err := fmt.Fprintf(p.stderr, "What only these nodes know is missing, for they do not answer: %s\n", missing); err != nil {
			return false, err
		}
	}
	if r.Format == "json" {
		_, err = fmt.Fprintln(p.stdout, indented(raw))
		return true, err
	}
	return false, decodeReply(raw, path, into)
}
