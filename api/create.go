package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"orrery/engine"
	"orrery/engine/observe"
)

// This file starts jobs: POST /api/{version}/{endpoint}.

const maxTimeout = 366 * 24 * 3600 // seconds, for dispatch_timeout and result_timeout

// createJob finds the blueprint behind the path, reads the body and submits.
func (s *Server) createJob(c *fiber.Ctx, who *Client) error {
	leave, err := s.admitCreate(c.UserContext())
	if err != nil {
		return err
	}
	defer leave()
	path := strings.Trim(c.Params("*"), "/")
	name, err := s.endpoint(path)
	if err != nil {
		return err
	}
	raw := c.Request().Body()
	r, err := readCreate(raw, s.cfg.Limits.Depth)
	if err != nil {
		return err
	}
	r.Blueprint, r.Client, r.Attempts, r.Trace = name, who.forJob(), who.Attempts, traceOf(c)
	if r.IdempotencyKey = c.Get("Idempotency-Key"); r.IdempotencyKey != "" {
		if !visible(r.IdempotencyKey, 255) {
			return problem(codeBadRequest, "Idempotency-Key must be 1 to 255 visible ASCII characters; a UUID is a good one")
		}
		sum := sha256.Sum256(append([]byte(name+"\x00"), raw...))
		r.BodyHash = hex.EncodeToString(sum[:])
	}
	id, repeated, err := s.submit(c.UserContext(), r)
	if err != nil {
		return err
	}
	if !repeated {
		s.metrics.accepted(name)
	}
	c.Set(fiber.HeaderLocation, "/api/v1/jobs/"+id)
	return c.Status(fiber.StatusAccepted).JSON(accepted{"accepted", id})
}

// submit hands a request over. With tracing it is the job's first span, below the client's.
func (s *Server) submit(ctx context.Context, r engine.Request) (id string, repeated bool, err error) {
	if s.tracer == nil {
		return s.jobs.Submit(ctx, r)
	}
	ctx, span := s.tracer.Start(ctx, "create "+r.Blueprint, observe.Server, r.Trace, observe.Text("orrery.blueprint", r.Blueprint))
	r.Trace = span.Headers()
	id, repeated, err = s.jobs.Submit(ctx, r)
	span.Set(observe.Text("orrery.job.id", id))
	span.End(engine.FaultCode(err))
	return id, repeated, err
}

type accepted struct {
	Status string `json:"status"`
	JobID  string `json:"job_id"`
}

// endpoint finds the blueprint of a path: with a version in front, or without.
func (s *Server) endpoint(path string) (string, error) {
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	if version, rest, ok := strings.Cut(path, "/"); ok {
		if name, ok := s.prints.ByEndpoint(version, rest); ok {
			return name, nil
		}
	}
	if name, ok := s.prints.ByEndpoint("", path); ok {
		return name, nil
	}
	// A job's path is no reason: there, a slip in an endpoint's name is likelier.
	if known := s.methodsOf("/api/" + path); known != nil && !matches("/api/v1/jobs/:id", "/api/"+path) {
		return "", wrongMethod(post, known)
	}
	var known []string
	for _, b := range s.prints.List() {
		if b.Endpoint != "" {
			known = append(known, b.path())
		}
	}
	p := problem(codeUnknown, "no blueprint has the endpoint /api/"+shortened(path))
	if near := nearest("/api/"+path, known); near != "" {
		p.Detail += "; did you mean " + near + "?"
	}
	if known == nil {
		p.Detail += "; no blueprint with an endpoint is loaded"
		known = []string{}
	}
	return "", p.with("endpoints", known)
}

// envelope are the keys that make a body an envelope around initial_data.
var envelope = []string{"initial_data", "webhook_url", "dispatch_timeout", "result_timeout"}

// readCreate tells an envelope from plain data, as the contract says.
func readCreate(raw []byte, depth int) (engine.Request, error) {
	if raw = bytes.TrimSpace(raw); len(raw) > 0 {
		if err := checkJSON(raw, depth); err != nil {
			return engine.Request{}, err
		}
	}
	if len(raw) == 0 || raw[0] != '{' {
		return engine.Request{}, problem(codeBadRequest, `the body must be a JSON object: the job's data, or {"initial_data": {..}}`)
	}
	if !mayBeEnvelope(raw) {
		return engine.Request{InitialData: raw}, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return engine.Request{}, problem(codeBadJSON, "the body is not valid JSON: "+err.Error())
	}
	if !slices.ContainsFunc(envelope, func(k string) bool { _, ok := members[k]; return ok }) {
		return engine.Request{InitialData: raw}, nil
	}
	var unknown []string
	for _, k := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(envelope, k) {
			unknown = append(unknown, k)
		}
	}
	if unknown != nil {
		return engine.Request{}, problem(codeBadRequest, fmt.Sprintf("beside %s the body holds unknown keys: %s; data of the job belongs inside initial_data",
			strings.Join(known(members), ", "), strings.Join(unknown, ", "))).with("unknown", unknown)
	}
	return readEnvelope(members)
}

// mayBeEnvelope says no, at little cost, of most plain data: none of the envelope's keys stands
// anywhere in it, nor anything that could be another spelling of one.
func mayBeEnvelope(raw []byte) bool {
	return bytes.IndexByte(raw, '\\') >= 0 || slices.ContainsFunc(envelope, func(k string) bool { return bytes.Contains(raw, []byte(k)) })
}

// known lists the envelope's keys that are there.
func known(members map[string]json.RawMessage) (out []string) {
	for _, k := range envelope {
		if _, ok := members[k]; ok {
			out = append(out, k)
		}
	}
	return out
}

func readEnvelope(members map[string]json.RawMessage) (r engine.Request, err error) {
	r.InitialData = json.RawMessage("{}")
	if data, ok := members["initial_data"]; ok {
		if data[0] != '{' {
			return r, problem(codeBadRequest, "initial_data must be a JSON object")
		}
		r.InitialData = data
	}
	if r.DispatchTimeout, err = timeout(members, "dispatch_timeout"); err != nil {
		return r, err
	}
	if r.ResultTimeout, err = timeout(members, "result_timeout"); err != nil {
		return r, err
	}
	r.WebhookURL, err = webhook(members["webhook_url"])
	return r, err
}

// timeout reads a number of seconds; absent and null are 0.
func timeout(members map[string]json.RawMessage, key string) (float64, error) {
	raw, ok := members[key]
	if !ok || string(raw) == "null" {
		return 0, nil
	}
	var f float64
	if json.Unmarshal(raw, &f) != nil || math.IsNaN(f) || f <= 0 || f > maxTimeout {
		return 0, problem(codeBadRequest, key+" must be a number of seconds above 0 and up to 366 days")
	}
	return f, nil
}

// webhook reads an absolute http or https URL; absent and null are none.
func webhook(raw json.RawMessage) (string, error) {
	if raw == nil || string(raw) == "null" {
		return "", nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil || len(text) > 2048 {
		return "", problem(codeBadRequest, "webhook_url must be a text of at most 2048 bytes")
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "", problem(codeBadRequest, "webhook_url must be an absolute http or https URL without a user name")
	}
	return text, nil
}

// traceOf keeps the two W3C trace headers and nothing else: others may hold secrets.
func traceOf(c *fiber.Ctx) map[string]string {
	parent := c.Get("traceparent")
	if !visible(parent, 256) {
		return nil
	}
	out := map[string]string{"traceparent": parent}
	if state := c.Get("tracestate"); state != "" && len(state) <= 512 && visible(strings.ReplaceAll(state, " ", ""), 512) {
		out["tracestate"] = state
	}
	return out
}

// visible reports whether s is 1 to most visible ASCII characters.
func visible(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// nearest gives the candidate that differs least from word, when it is near enough to be a
// slip of the pen.
func nearest(word string, candidates []string) string {
	best, least := "", max(2, len(word)/5)+1
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace.
func distance(a, b string) int {
	if len(a) > 256 || len(b) > 256 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
