package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"orrery/api/peers"
	"orrery/engine"
	"orrery/engine/quota"
)

// This file turns every error into RFC 9457 problem JSON with a stable code.

// Codes of this package. Those of the engine pass through; both stand in httpStatus.
const (
	codeBadRequest   = "bad_request"
	codeBadJSON      = "bad_json"
	codeTooLarge     = "too_large"
	codeEncoding     = "unsupported_encoding"
	codeUnauthorized = "unauthorized"
	codeForbidden    = "forbidden"
	codeNotFound     = "not_found"
	codeNoRoute      = "no_route"
	codeMethod       = "method_not_allowed"
	codeUnknown      = "unknown_blueprint"
	codeStopping     = "shutting_down"
	codeStore        = "store_unavailable"
	codeCrossSite    = "cross_site"
	codeInternal     = "internal"
	codeSlow         = "request_timeout"
	codeOverloaded   = "overloaded"
	codeNoFiles      = "no_files"
	codeFilesAway    = "files_unavailable"
	codeRate         = "rate_limited"
)

// httpStatus is the one table from code to status. A code that is missing here is a fault
// of this program and answered 500.
var httpStatus = map[string]int{
	codeBadRequest:         http.StatusBadRequest,
	codeBadJSON:            http.StatusBadRequest,
	"bad_decision":         http.StatusBadRequest,
	codeUnauthorized:       http.StatusUnauthorized,
	"bad_token":            http.StatusUnauthorized,
	codeForbidden:          http.StatusForbidden,
	codeCrossSite:          http.StatusForbidden,
	codeRefused:            http.StatusUnprocessableEntity,
	codeStays:              http.StatusConflict,
	codeNotFound:           http.StatusNotFound,
	codeNoRoute:            http.StatusNotFound,
	codeUnknown:            http.StatusNotFound,
	codeMethod:             http.StatusMethodNotAllowed,
	"ended":                http.StatusConflict,
	"not_waiting":          http.StatusConflict,
	"conflict":             http.StatusConflict,
	"idempotency_mismatch": http.StatusConflict,
	codeTooLarge:           http.StatusRequestEntityTooLarge,
	codeSlow:               http.StatusRequestTimeout,
	codeOverloaded:         http.StatusServiceUnavailable,
	codeEncoding:           http.StatusUnsupportedMediaType,
	"quota_exceeded":       http.StatusTooManyRequests,
	codeRate:               http.StatusTooManyRequests,
	codeInternal:           http.StatusInternalServerError,
	codeStopping:           http.StatusServiceUnavailable,
	"store_full":           http.StatusServiceUnavailable,
	"elsewhere":            http.StatusServiceUnavailable,
	codeStore:              http.StatusServiceUnavailable,
	codeNoFiles:            http.StatusNotImplemented,
	codeFilesAway:          http.StatusServiceUnavailable,
}

// Problem is an error with what the caller may know of it.
type Problem struct {
	Code    string
	Detail  string         // what happened and what to do, for people
	Extra   map[string]any // further members, such as known endpoints
	Headers map[string]string
}

var _ error = (*Problem)(nil)

// Error gives the detail.
func (p *Problem) Error() string { return p.Detail }

func problem(code, detail string) *Problem { return &Problem{Code: code, Detail: detail} }

// with adds a member to the body.
func (p *Problem) with(name string, value any) *Problem {
	if p.Extra == nil {
		p.Extra = map[string]any{}
	}
	p.Extra[name] = value
	return p
}

// status gives the HTTP status of the problem's code.
func (p *Problem) status() int {
	if s, ok := httpStatus[p.Code]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// problemOf names any error. What is not a known fault stays inside: its text may hold
// paths or data, so it goes to the log and not to the caller.
func problemOf(err error) (p *Problem, known bool) {
	if errors.As(err, &p) {
		return p, true
	}
	if code, message, ok := faultOf(err); ok {
		_, known := httpStatus[code]
		p := problem(code, message)
		var full *quota.Exceeded
		if errors.As(err, &full) {
			p.Headers = map[string]string{fiber.HeaderRetryAfter: seconds(full.Wait)}
			p.with("monthly_attempts", full.Most).with("resets_at", full.Resets)
		}
		return p, known
	}
	var store interface{ Unavailable() bool }
	if errors.As(err, &store) && store.Unavailable() { // the store has told the operator
		return problem(codeStore, "the store can not be written just now; the same request may work later, with the same Idempotency-Key it is not done twice"), true
	}
	var fe *fiber.Error
	if errors.As(err, &fe) {
		switch fe.Code {
		case http.StatusRequestTimeout:
			return problem(codeSlow, "the request did not come in time"), true
		case http.StatusNotFound:
			return problem(codeNoRoute, "there is nothing at this path"), true
		case http.StatusMethodNotAllowed:
			return problem(codeMethod, "this path does not know the method"), true
		case http.StatusUpgradeRequired:
			return problem(codeBadRequest, "this path speaks WebSocket only; send an upgrade request"), true
		}
		if fe.Code < http.StatusInternalServerError {
			return problem(codeBadRequest, "the request is not valid HTTP: "+fe.Message), true
		}
	}
	return problem(codeInternal, "the server failed to do this; its log names the cause under the request id"), false
}

// fail writes an error as the answer. Workers parse replies strictly by their content type,
// so theirs is plain JSON with the same members.
func (s *Server) fail(c *fiber.Ctx, err error) error {
	var fe *fiber.Error
	if errors.As(err, &fe) && fe.Code == http.StatusRequestEntityTooLarge { // the framework knows no names of limits
		err = tooLarge(LimitBody, s.cfg.Limits.Body, max(c.Request().Header.ContentLength(), 0))
	}
	p, known := problemOf(err)
	status := p.status()
	id := s.requestID(c)
	if !known {
		s.log.Error("request failed", "method", c.Method(), "path", c.Path(), "request_id", id, "error", err)
	}
	body := map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "code": p.Code, "detail": p.Detail, "error": p.Detail, "request_id": id}
	for name, value := range p.Extra {
		body[name] = value
	}
	raw, err := json.Marshal(body)
	if err != nil { // Extra is made of texts, numbers, times and lists of texts
		return err
	}
	p.advise(c)
	c.Set(fiber.HeaderContentType, "application/problem+json")
	if strings.HasPrefix(c.Path(), "/_worker/") || strings.HasPrefix(c.Path(), peers.Path) {
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	}
	s.metrics.answered(status)
	return c.Status(status).Send(raw)
}

// advise sets the headers that tell a client what to do, such as when to ask again.
func (p *Problem) advise(c *fiber.Ctx) {
	switch p.Code {
	case codeUnauthorized:
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="orrery"`)
	case codeOverloaded:
		c.Set(fiber.HeaderRetryAfter, "1")
	case engine.Elsewhere:
		c.Set(fiber.HeaderRetryAfter, "2")
	case "store_full", codeStore, codeStopping, codeFilesAway:
		c.Set(fiber.HeaderRetryAfter, "5")
	}
	for name, value := range p.Headers {
		c.Set(name, value)
	}
}
