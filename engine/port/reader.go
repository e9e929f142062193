package port

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
	"unicode/utf8"
)

// This file runs the reader script in the user's python3 and takes what it gives.

//go:embed reader.py
var readerScript string

// ErrNoPython says that there is no Python that could read the files.
var ErrNoPython = errors.New("no python3 was found on the PATH; orrery port reads Python with Python's own parser, so it needs Python 3.9 or newer")

const (
	maxSource   = 1 << 20 // bytes of one file, as of a blueprint file
	readerLimit = 2 * time.Minute
)

// source is one Python file as it was read.
type source struct {
	name     string
	text     string
	tree     *Node
	comments []span
	texts    []span
	fault    *fault // it is no Python; the rest is empty
}

// span is a token's place.
type span struct {
	start, end, line int
	alone            bool // nothing stands before it on its line
}

type fault struct {
	line, col int
	message   string
}

// readerReply is what the script prints.
type readerReply struct {
	Version string `json:"version"` // set when this Python is too old
	Files   []struct {
		Tree     json.RawMessage `json:"tree"`
		Comments [][4]int        `json:"comments"`
		Texts    [][4]int        `json:"texts"`
		Line     int             `json:"line"`
		Col      int             `json:"col"`
		Error    string          `json:"error"`
	} `json:"files"`
}

// read parses the files. All go through one process.
func read(ctx context.Context, files []File) ([]*source, error) {
	out := make([]*source, len(files))
	texts := make([]string, len(files))
	for i, f := range files {
		out[i] = &source{name: f.Name}
		switch {
		case len(f.Text) > maxSource:
			out[i].fault = &fault{1, 1, fmt.Sprintf("the file has %d bytes; at most %d are ported", len(f.Text), maxSource)}
		case !utf8.Valid(f.Text):
			out[i].fault = &fault{1, 1, "the file is not UTF-8; save it so and try again"}
		default:
			text := strings.TrimPrefix(string(f.Text), "\ufeff")
			text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
			texts[i], out[i].text = text, text
		}
	}
	reply, err := runReader(ctx, texts)
	if err != nil {
		return nil, err
	}
	if len(reply.Files) != len(files) {
		return nil, fmt.Errorf("python3 gave %d trees for %d files", len(reply.Files), len(files))
	}
	for i, r := range reply.Files {
		if out[i].fault != nil {
			continue
		}
		if r.Error != "" {
			out[i].fault = &fault{r.Line, r.Col, r.Error}
			continue
		}
		if out[i].tree, err = decode(r.Tree, texts[i]); err != nil {
			return nil, fmt.Errorf("%s: the tree that python3 gave can not be read: %w", files[i].Name, err)
		}
		out[i].tree.lineOwn()
		out[i].comments, out[i].texts = spans(r.Comments), spans(r.Texts)
	}
	return out, nil
}

func spans(list [][4]int) []span {
	out := make([]span, len(list))
	for i, t := range list {
		out[i] = span{t[0], t[1], t[2], t[3] == 1}
	}
	return out
}

// runReader starts python3 isolated: no site packages, no environment of its own, and the
// ported text only as data on its input.
func runReader(ctx context.Context, texts []string) (*readerReply, error) {
	path, err := exec.LookPath("python3")
	if err != nil {
		if path, err = exec.LookPath("python"); err != nil {
			return nil, ErrNoPython
		}
	}
	request, err := json.Marshal(texts)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, readerLimit)
	defer stop()
	cmd := exec.CommandContext(ctx, path, "-I", "-S", "-B", "-X", "utf8", "-c", readerScript)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s could not read the files: %w\n%s", path, err, strings.TrimSpace(stderr.String()))
	}
	var reply readerReply
	if err := json.Unmarshal(stdout.Bytes(), &reply); err != nil {
		return nil, fmt.Errorf("what %s printed can not be read: %w", path, err)
	}
	if reply.Version != "" {
		return nil, fmt.Errorf("%s is Python %s; orrery port needs Python 3.9 or newer", path, reply.Version)
	}
	return &reply, nil
}
