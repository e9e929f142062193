package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// This file is `orrery stores`: what the jobs of a blueprint share.

type storesCmd struct {
	List storesListCmd `cmd:"" help:"List the data stores of all blueprints."`
	Get  storesGetCmd  `cmd:"" help:"Show the keys of a data store, or one of them."`
}

func (storesCmd) Help() string {
	return "Examples:\n  orrery stores list\n  orrery stores get analytics_flow request_counter"
}

type storesListCmd struct{ remote }

func (storesListCmd) Help() string { return "Example:\n  orrery stores list --format json" }

// Run lists them; what is left of a blueprint that is loaded no more is there too.
func (c *storesListCmd) Run(p *program) error {
	var list []struct {
		Blueprint string `json:"blueprint_name"`
		Store     string `json:"store"`
		Keys      int64  `json:"keys"`
		Declared  bool   `json:"declared"`
	}
	if shown, err := c.show(p, "/api/v1/stores", &list); shown || err != nil {
		return err
	}
	rows := [][]string{{"BLUEPRINT", "STORE", "KEYS", ""}}
	for _, s := range list {
		note := ""
		if !s.Declared {
			note = "(no loaded blueprint has it)"
		}
		rows = append(rows, []string{s.Blueprint, s.Store, strconv.FormatInt(s.Keys, 10), note})
	}
	return printTable(p.stdout, rows)
}

type storesGetCmd struct {
	remote
	Blueprint string  `arg:"" help:"Name of the blueprint."`
	Store     string  `arg:"" help:"Name of its data store."`
	Key       *string `arg:"" optional:"" help:"One key; without it all are shown."`
}

func (storesGetCmd) Help() string {
	return "Examples:\n  orrery stores get analytics_flow request_counter\n  orrery stores get analytics_flow request_counter total_requests"
}

type storeEntry struct {
	Key     string          `json:"key"`
	Value   json.RawMessage `json:"value"`
	Initial bool            `json:"initial"`
}

// Run prints the value of one key, or all keys with their values, page after page.
func (c *storesGetCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	path := "/api/v1/stores/" + url.PathEscape(c.Blueprint) + "/" + url.PathEscape(c.Store)
	if c.Key != nil {
		return c.one(p, cl, path+"?"+url.Values{"key": {*c.Key}}.Encode())
	}
	all, err := cl.pages(p.ctx, path+"?limit=1000")
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return printJSON(p.stdout, all)
	}
	rows := [][]string{{"KEY", "VALUE", ""}}
	for _, raw := range all {
		var e storeEntry
		if err := decodeReply(raw, "an entry", &e); err != nil {
			return err
		}
		note := ""
		if e.Initial {
			note = "(initial value)"
		}
		rows = append(rows, []string{e.Key, oneLine(e.Value), note})
	}
	return printTable(p.stdout, rows)
}

func (c *storesGetCmd) one(p *program, cl *client, path string) error {
	raw, _, err := cl.call(p.ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		_, err = fmt.Fprintln(p.stdout, indented(raw))
		return err
	}
	var e storeEntry
	if err := decodeReply(raw, path, &e); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, indented(e.Value))
	return err
}

// shownValue is how much of a value a line of a table holds, in bytes.
const shownValue = 200

// oneLine cuts a value that is too long for a table.
func oneLine(value json.RawMessage) string {
	if len(value) <= shownValue {
		return string(value)
	}
	return strings.ToValidUTF8(string(value[:shownValue]), "") + fmt.Sprintf("... (%d bytes)", len(value))
}
