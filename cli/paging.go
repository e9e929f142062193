package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// This file is what commands share that show a list which the server gives in pages.

// paging are the flags of commands that show one page.
type paging struct {
	Limit  int    `default:"100" help:"At most so many (1 to 1000); fewer where they are long."`
	Cursor string `help:"Go on after an earlier page." placeholder:"CURSOR"`
}

// showPage prints one page, as text the table that rows makes of it. The way to the next page
// goes to stderr, so that stdout stays a table.
func (r remote) showPage(p *program, path string, query url.Values, which paging, rows func(raw []byte) ([][]string, error)) error {
	if which.Limit < 1 || which.Limit > 1000 {
		return usagef("--limit is %d; it must be from 1 to 1000", which.Limit)
	}
	cl, err := r.client()
	if err != nil {
		return err
	}
	query.Set("limit", strconv.Itoa(which.Limit))
	setIf(query, "cursor", which.Cursor)
	raw, header, err := cl.call(p.ctx, http.MethodGet, path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	if r.Format == "json" {
		_, err = fmt.Fprintln(p.stdout, indented(raw))
	} else {
		var table [][]string
		if table, err = rows(raw); err == nil {
			err = printTable(p.stdout, table)
		}
	}
	if err != nil {
		return err
	}
	next, err := url.Parse(nextPage(header))
	if err == nil && next.Query().Get("cursor") != "" {
		fmt.Fprintf(p.stderr, "more: --cursor %s\n", next.Query().Get("cursor"))
	}
	return nil
}

// setIf sets a parameter that is not empty.
func setIf(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// pages gives the entries of a list, all pages of it.
func (c *client) pages(ctx context.Context, path string) ([]json.RawMessage, error) {
	all := []json.RawMessage{}
	for path != "" {
		raw, header, err := c.call(ctx, http.MethodGet, path, nil)
		if err != nil {
			return nil, err
		}
		var page []json.RawMessage
		if err := decodeReply(raw, path, &page); err != nil {
			return nil, err
		}
		all = append(all, page...)
		path = nextPage(header)
	}
	return all, nil
}

// nextPage gives the path of the Link header's next page, or "".
func nextPage(h http.Header) string {
	link, rel, _ := strings.Cut(h.Get("Link"), ">")
	if !strings.Contains(rel, `rel="next"`) {
		return ""
	}
	return strings.TrimPrefix(link, "<")
}
