package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// This file changes what is in force on a server: uploads, and a reload of its folder.

type blueprintsUploadCmd struct {
	remote
	Files  []string `arg:"" help:"Files; all take force together or none."`
	Root   string   `default:"." help:"Folder that // stands for: a file's name on the server is its path below it." placeholder:"DIR"`
	DryRun bool     `help:"Only check."`
}

func (blueprintsUploadCmd) Help() string {
	return "The files are checked together with all that is in force. They are kept in the server's store.\n\nExample:\n  orrery blueprints upload team/orders.star --dry-run"
}

// Run sends the files.
func (c *blueprintsUploadCmd) Run(p *program) error {
	files := map[string]string{}
	for _, name := range c.Files {
		text, err := os.ReadFile(name)
		if err != nil {
			return usagef("%v", err)
		}
		below, err := filepath.Rel(c.Root, name)
		if err != nil || below == ".." || strings.HasPrefix(below, ".."+string(filepath.Separator)) {
			return usagef("%s is not below %s: name the folder that // stands for with --root", name, c.Root)
		}
		files[filepath.ToSlash(below)] = string(text)
	}
	raw, err := json.Marshal(map[string]any{"files": files, "dry_run": c.DryRun})
	if err != nil {
		return err
	}
	return c.send(p, http.MethodPost, "/api/v1/uploads", raw)
}

// send asks for a change and prints the answer.
func (r remote) send(p *program, method, path string, body []byte) error {
	cl, err := r.client()
	if err != nil {
		return err
	}
	reply, _, err := cl.call(p.ctx, method, path, body)
	if err != nil {
		return err
	}
	return r.told(p, reply, path)
}

type blueprintsUploadsCmd struct{ remote }

func (blueprintsUploadsCmd) Help() string { return "Example:\n  orrery blueprints uploads" }

// Run lists uploaded files.
func (c *blueprintsUploadsCmd) Run(p *program) error {
	var list []struct {
		File     string    `json:"file"`
		Revision string    `json:"revision"`
		By       string    `json:"uploaded_by"`
		At       time.Time `json:"uploaded_at"`
	}
	if shown, err := c.show(p, "/api/v1/uploads", &list); shown || err != nil {
		return err
	}
	rows := [][]string{{"FILE", "REVISION", "BY", "AT"}}
	for _, u := range list {
		rows = append(rows, []string{u.File, short(u.Revision), u.By, u.At.Format(time.RFC3339)})
	}
	return printTable(p.stdout, rows)
}

type blueprintsRemoveCmd struct {
	remote
	File   string `arg:"" help:"The uploaded file's name on the server."`
	DryRun bool   `help:"Only check."`
}

func (blueprintsRemoveCmd) Help() string {
	return "Jobs that run on it run to their end.\n\nExample:\n  orrery blueprints remove team/orders.star"
}

// Run removes the upload.
func (c *blueprintsRemoveCmd) Run(p *program) error {
	path := (&url.URL{Path: "/api/v1/uploads/" + c.File}).EscapedPath()
	if c.DryRun {
		path += "?dry_run=true"
	}
	return c.send(p, http.MethodDelete, path, nil)
}

type blueprintsReloadCmd struct{ remote }

func (blueprintsReloadCmd) Help() string {
	return "The folder is read by itself when it changes; this waits for the outcome. Exit 1 when it is refused.\n\nExample:\n  orrery blueprints reload"
}

// Run reloads.
func (c *blueprintsReloadCmd) Run(p *program) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	reply, _, err := cl.call(p.ctx, http.MethodPost, "/api/v1/admin/reload-blueprints", []byte("{}"))
	if err != nil {
		return err
	}
	var answer struct {
		Blueprints int `json:"blueprints"`
	}
	if c.Format == "json" {
		_, err = fmt.Fprintln(p.stdout, indented(reply))
		return err
	}
	if err := decodeReply(reply, "reload-blueprints", &answer); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s in force\n", count(answer.Blueprints, "blueprint"))
	return err
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
