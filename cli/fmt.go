package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"orrery/engine/starfmt"
)

// This file is `orrery fmt`.

type fmtCmd struct {
	Paths []string `arg:"" name:"path" help:"Files (.star), folders of them, or - for standard input."`
	Check bool     `help:"Change nothing; name the files that are not formatted, and fail when there are any."`
}

func (fmtCmd) Help() string {
	return `The form is that of buildifier. Changed files are named; a file that does not parse is left as it is.
Exit code 1 when a file could not be formatted, or with --check was not.

Examples:
  orrery fmt examples
  orrery fmt --check .
  orrery fmt - < flow.star`
}

// Run formats every file, those that can be.
func (c *fmtCmd) Run(p *program) error {
	changed, bad := 0, 0
	for _, path := range c.Paths {
		if path == "-" {
			return c.stdin(p)
		}
		info, err := os.Stat(path)
		if err != nil {
			return usagef("%s can not be read: %v", path, err)
		}
		names := []string{filepath.Base(path)}
		root := filepath.Dir(path)
		if info.IsDir() {
			root = path
			if names, err = starFiles(root, path); err != nil {
				return err
			}
			if len(names) == 0 {
				return usagef("%s holds no .star files", path)
			}
		}
		for _, name := range names {
			file := filepath.Join(root, filepath.FromSlash(name))
			was, err := c.file(file)
			if err != nil {
				fmt.Fprintln(p.stderr, err)
				bad++
			}
			if was {
				fmt.Fprintln(p.stdout, file)
				changed++
			}
		}
	}
	switch {
	case bad > 0:
		return &failure{line: count(bad, "file") + " could not be formatted"}
	case c.Check && changed > 0:
		return &failure{line: fmt.Sprintf("%s not formatted; orrery fmt %s does it", count(changed, "file"), strings.Join(c.Paths, " "))}
	}
	return nil
}

// file formats one file and tells whether it was not yet.
func (c *fmtCmd) file(path string) (changed bool, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	out, err := starfmt.Source(path, text)
	if err != nil || bytes.Equal(text, out) {
		return false, err
	}
	if c.Check {
		return true, nil
	}
	return true, replaceFile(path, out)
}

// replaceFile writes beside the file and puts it in its place, so that a reader (a server
// that watches the folder) never sees half of it.
func replaceFile(path string, text []byte) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // else the link would be replaced by a file
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".orrery-fmt-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails when it was renamed, as it should be
	if _, err = temp.Write(text); err == nil {
		err = temp.Chmod(info.Mode().Perm())
	}
	if closing := temp.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("%s can not be written: %w", path, err)
	}
	return os.Rename(temp.Name(), path)
}

func (c *fmtCmd) stdin(p *program) error {
	if len(c.Paths) > 1 {
		return usagef("- stands alone: standard input is one file")
	}
	text, err := io.ReadAll(p.stdin)
	if err != nil {
		return err
	}
	out, err := starfmt.Source("standard input", text)
	if err != nil {
		return &failure{line: err.Error()}
	}
	if c.Check {
		if !bytes.Equal(text, out) {
			return &failure{line: "standard input is not formatted"}
		}
		return nil
	}
	_, err = p.stdout.Write(out)
	return err
}
