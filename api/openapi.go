package api

import (
	"encoding/json"
	"fmt"
	"html"
	"sort"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// This file describes the table of routes in OpenAPI 3.1 (spec.openapis.org), and as a page.
// Pages of the console and messages between nodes are left out: nobody else calls them.
// Blueprints are not named, for the description is public.

// told is what the description says of a line beside what the table knows.
type told struct {
	summary string
	query   string // names of query parameters, separated by spaces
	body    string // what a body must be; empty: there is none
	answer  string // what comes back when all went well
	code    int    // of that answer, 200 when 0
	media   string // of that answer, application/json when empty
}

// isTold reports whether a line is described.
func (r route) isTold() bool { return r.need&(page|fellow) == 0 }

func (r route) name() string { return r.method + " " + r.path }

// openapiPath writes a path with its parameters in braces.
func openapiPath(path string) (text string, params []string) {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		switch {
		case strings.HasPrefix(s, ":"):
			params = append(params, s[1:])
			segments[i] = "{" + s[1:] + "}"
		case s == "*":
			params = append(params, "rest")
			segments[i] = "{rest}"
		}
	}
	return strings.Join(segments, "/"), params
}

// operationID is a line's name for generated clients.
func operationID(r route) string {
	id := strings.ToLower(r.method)
	for _, word := range strings.FieldsFunc(r.path, func(c rune) bool { return strings.ContainsRune("/:*_-", c) }) {
		id += "_" + word
	}
	if r.path == anyEndpoint {
		return "start_job"
	}
	return id
}

// security says which tokens open a line; none: it is public.
func security(need access) []fiber.Map {
	var all []fiber.Map
	if need&(public|local|signed) != 0 {
		all = append(all, fiber.Map{})
	}
	if need&worker != 0 {
		all = append(all, fiber.Map{"workerToken": []string{}})
	}
	if need&everyone != 0 {
		all = append(all, fiber.Map{"clientToken": []string{}}, fiber.Map{"bearer": []string{}})
	}
	return all
}

// rolesOf names the roles of a line in a sentence.
func rolesOf(need access) string {
	var names []string
	for name, role := range roleNames {
		if need&role != 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	sort.Strings(names)
	return "Roles: " + strings.Join(names, ", ") + "."
}

// operation describes one line.
func operation(r route, t told) fiber.Map {
	_, inPath := openapiPath(r.path)
	params := []fiber.Map{}
	for _, name := range inPath {
		params = append(params, fiber.Map{"name": name, "in": "path", "required": true, "schema": fiber.Map{"type": "string"}})
	}
	for _, name := range strings.Fields(t.query) {
		params = append(params, fiber.Map{"name": name, "in": "query", "schema": fiber.Map{"type": "string"}})
	}
	code, media := max(t.code, fiber.StatusOK), t.media
	if media == "" {
		media = fiber.MIMEApplicationJSON
	}
	answer := fiber.Map{"description": t.answer}
	if code != fiber.StatusNoContent && code != fiber.StatusFound && code != fiber.StatusSwitchingProtocols {
		answer["content"] = fiber.Map{media: fiber.Map{}}
	}
	op := fiber.Map{
		"operationId": operationID(r), "summary": t.summary, "parameters": params, "security": security(r.need),
		"responses": fiber.Map{
			fmt.Sprint(code): answer,
			"default":        fiber.Map{"description": "refused; the body says why and what to do", "content": fiber.Map{"application/problem+json": fiber.Map{"schema": fiber.Map{"$ref": "#/components/schemas/Problem"}}}},
		},
	}
	if roles := rolesOf(r.need); roles != "" {
		op["description"] = roles
	}
	if t.body != "" {
		media := fiber.MIMEApplicationJSON
		if r.need&ownBody != 0 {
			media = fiber.MIMEOctetStream
		}
		op["requestBody"] = fiber.Map{"description": t.body, "content": fiber.Map{media: fiber.Map{}}}
	}
	return op
}

// describe makes the whole description.
func (s *Server) describe() ([]byte, error) {
	paths := map[string]fiber.Map{}
	for _, r := range s.lines {
		if !r.isTold() {
			continue
		}
		path, _ := openapiPath(r.path)
		if paths[path] == nil {
			paths[path] = fiber.Map{}
		}
		paths[path][strings.ToLower(r.method)] = operation(r, tales[r.name()])
	}
	header := func(name, what string) fiber.Map {
		return fiber.Map{"type": "apiKey", "in": "header", "name": name, "description": what}
	}
	text := fiber.Map{"type": "string"}
	return json.Marshal(fiber.Map{
		"openapi": "3.1.0",
		"info":    fiber.Map{"title": "Orrery", "version": s.cfg.Version, "description": "Jobs, blueprints and workers of this server."},
		"paths":   paths,
		"components": fiber.Map{
			"securitySchemes": fiber.Map{
				"clientToken": header("X-Client-Token", "the token of a client"),
				"bearer":      fiber.Map{"type": "http", "scheme": "bearer", "description": "the same token"},
				"workerToken": header("X-Worker-Token", "the token of a worker"),
			},
			"schemas": fiber.Map{"Problem": fiber.Map{
				"type": "object", "required": []string{"status", "code", "detail", "request_id"}, "description": "RFC 9457",
				"properties": fiber.Map{"type": text, "title": text, "status": fiber.Map{"type": "integer"}, "code": text, "detail": text, "error": text, "request_id": text},
			}},
		},
	})
}

// openapi gives the description.
func (s *Server) openapi(c *fiber.Ctx, _ *Client) error {
	text, err := s.describe()
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(text)
}

// docsPage lists the lines for people.
func (s *Server) docsPage(c *fiber.Ctx, _ *Client) error {
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Orrery: HTTP API</title>` +
		`<h1>HTTP API</h1><p>For programs: <a href="/_public/openapi.json">openapi.json</a> (OpenAPI 3.1).</p><table><thead><tr><th align="left">Request</th><th align="left">What it does</th><th align="left">Who</th></tr></thead>`)
	for _, r := range s.lines {
		if !r.isTold() {
			continue
		}
		path, _ := openapiPath(r.path)
		who := strings.TrimSuffix(strings.TrimPrefix(rolesOf(r.need), "Roles: "), ".")
		switch {
		case r.need&worker != 0:
			who = "a worker"
		case who == "":
			who = "everybody"
		}
		fmt.Fprintf(&b, "<tr><td><code>%s %s</code></td><td>%s</td><td>%s</td></tr>", r.method, html.EscapeString(path), html.EscapeString(tales[r.name()].summary), who)
	}
	b.WriteString("</table></html>")
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
	return c.SendString(b.String())
}
