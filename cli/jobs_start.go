package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// This file is `orrery jobs start`.

type jobsStartCmd struct {
	remote
	Blueprint string `arg:"" help:"Name of the blueprint, or its endpoint (jobs/simple_flow)."`
	Data      string `help:"initial_data, an object: JSON or @FILE." placeholder:"JSON"`
	Wait      bool   `help:"Follow the job to its end; exit code 1 when it does not finish."`
	Key       string `help:"Idempotency-Key: the same key gives the same job for 24 h." placeholder:"KEY"`
}

func (jobsStartCmd) Help() string {
	return "Examples:\n  orrery jobs start simple_linear_flow --data '{\"input\": \"hello\"}' --wait\n  orrery jobs start jobs/simple_flow --data @input.json"
}

// Run starts the job and prints its id.
func (c *jobsStartCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	cl.key = c.Key
	data, err := dataArgument("--data", c.Data)
	if err != nil {
		return err
	}
	if data == nil {
		data = json.RawMessage(`{}`)
	}
	path, err := findEndpoint(p, cl, c.Blueprint)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]json.RawMessage{"initial_data": data})
	if err != nil {
		return err
	}
	raw, _, err := cl.call(p.ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	var accepted struct {
		JobID string `json:"job_id"`
	}
	if err := decodeReply(raw, path, &accepted); err != nil {
		return err
	}
	if c.Wait {
		return p.follow(cl, accepted.JobID, c.Format)
	}
	if c.Format == "json" {
		_, err = fmt.Fprintln(p.stdout, indented(raw))
		return err
	}
	_, err = fmt.Fprintln(p.stdout, accepted.JobID)
	return err
}

// blueprintView is one entry of the list of blueprints.
type blueprintView struct {
	Name        string          `json:"name"`
	Endpoint    string          `json:"api_endpoint"`
	Version     string          `json:"api_version"`
	Revision    string          `json:"revision"`
	File        string          `json:"file"`
	Start       string          `json:"start"`
	States      json.RawMessage `json:"states"`
	Description string          `json:"description"`
	Example     json.RawMessage `json:"example"`
}

// path is where jobs of the blueprint are created; "" when it has no endpoint.
func (b blueprintView) path() string {
	return endpointPath(b.Version, b.Endpoint)
}

// endpointPath joins a blueprint's version and endpoint into an address.
func endpointPath(version, endpoint string) string {
	endpoint = strings.Trim(endpoint, "/")
	if endpoint == "" {
		return ""
	}
	if version = strings.Trim(version, "/"); version != "" {
		endpoint = version + "/" + endpoint
	}
	return "/api/" + endpoint
}

// findEndpoint gives the address for a blueprint's name or endpoint.
func findEndpoint(p *program, cl *client, what string) (string, error) {
	var list []blueprintView
	if err := cl.get(p.ctx, "/api/v1/blueprints", &list); err != nil {
		return "", err
	}
	asked := strings.Trim(strings.TrimPrefix(strings.Trim(what, "/"), "api/"), "/")
	var names []string
	for _, b := range list {
		path := b.path()
		if b.Name == what && path == "" {
			return "", fmt.Errorf("blueprint %q has no api_endpoint: it runs only as a part of other blueprints", what)
		}
		if b.Name == what || path == "/api/"+asked || (path != "" && strings.Trim(b.Endpoint, "/") == asked) {
			return path, nil
		}
		if path != "" {
			names = append(names, b.Name)
		}
	}
	slices.Sort(names)
	return "", fmt.Errorf("no blueprint or endpoint %q on %s; there are: %s", what, cl.base, listing(names))
}
