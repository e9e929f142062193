package lsp

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// This file is a client: it starts the server as a process of its own and speaks with it over standard input and output, as an editor does.

// TestMain makes this test program the server when the client starts it.
func TestMain(m *testing.M) {
	if os.Getenv("ORRERY_LSP_CHILD") == "1" {
		if err := New("").Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type client struct {
	t       *testing.T
	root    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	replies chan *reply
	next    int
	version int
	notes   map[string][]diagnostic // the last diagnostics by document
	asked   []string                // requests of the server
}

type reply struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *rpcError       `json:"error"`
}

// start writes files into a folder and starts a server for it.
func start(t *testing.T, files map[string]string) *client {
	t.Helper()
	c := &client{t: t, root: t.TempDir(), replies: make(chan *reply, 100), notes: map[string][]diagnostic{}}
	for name, text := range files {
		path := filepath.Join(c.root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), "ORRERY_LSP_CHILD=1")
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.in = in
	go c.listen(out)
	t.Cleanup(func() {
		in.Close()
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
	})
	c.ask("initialize", map[string]any{"rootUri": "file://" + c.root, "capabilities": map[string]any{"window": map[string]any{"showDocument": map[string]bool{"support": true}}}}, nil)
	c.tell("initialized", map[string]any{})
	return c
}

// listen reads until the stream ends.
func (c *client) listen(out io.Reader) {
	r := bufio.NewReader(out)
	defer close(c.replies)
	for {
		var n int
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if line = strings.TrimSpace(line); line == "" {
				break
			}
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &n)
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		m := new(reply)
		if json.Unmarshal(body, m) == nil {
			c.replies <- m
		}
	}
}

func (c *client) send(m map[string]any) {
	c.t.Helper()
	m["jsonrpc"] = "2.0"
	body, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c.in, "Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n%s", len(body), body); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) tell(method string, params any) {
	c.send(map[string]any{"method": method, "params": params})
}

// take reads the next message and keeps diagnostics.
func (c *client) take() *reply {
	c.t.Helper()
	select {
	case m, open := <-c.replies:
		if !open {
			c.t.Fatal("the server is gone")
		}
		if m.Method == "textDocument/publishDiagnostics" {
			var p struct {
				URI         string       `json:"uri"`
				Diagnostics []diagnostic `json:"diagnostics"`
			}
			if err := json.Unmarshal(m.Params, &p); err != nil {
				c.t.Fatal(err)
			}
			c.notes[strings.TrimPrefix(p.URI, "file://"+c.root+"/")] = p.Diagnostics
		} else if m.Method != "" {
			c.asked = append(c.asked, m.Method)
		}
		return m
	case <-time.After(time.Minute):
		c.t.Fatal("no answer within a minute")
	}
	return nil
}

// ask sends a request and waits for its answer.
func (c *client) ask(method string, params, result any) error {
	c.t.Helper()
	c.next++
	id := fmt.Sprint(c.next)
	c.send(map[string]any{"id": c.next, "method": method, "params": params})
	for {
		m := c.take()
		if m.Method != "" || string(m.ID) != id {
			continue
		}
		if m.Error != nil {
			return m.Error
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				c.t.Fatalf("%s answered %s: %v", method, m.Result, err)
			}
		}
		return nil
	}
}

func (c *client) uri(name string) string { return "file://" + c.root + "/" + name }

// open opens a document whose text has a | where the cursor is; it gives that place.
func (c *client) open(name, marked string) position {
	text, at := unmark(c.t, marked)
	c.tell("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": c.uri(name), "languageId": "starlark", "version": 1, "text": text}})
	return at
}

// edit replaces a document's text.
func (c *client) edit(name, marked string) position {
	text, at := unmark(c.t, marked)
	c.version++
	c.tell("textDocument/didChange", map[string]any{"textDocument": map[string]any{"uri": c.uri(name), "version": c.version + 1}, "contentChanges": []any{map[string]any{"text": text}}})
	return at
}

func unmark(t *testing.T, marked string) (string, position) {
	t.Helper()
	i := strings.Index(marked, "|")
	if i < 0 {
		return marked, position{}
	}
	return marked[:i] + marked[i+1:], positionAt(marked, i)
}

func (c *client) at(name string, p position) map[string]any {
	return map[string]any{"textDocument": map[string]any{"uri": c.uri(name)}, "position": p}
}

// diagnostics waits until those of a document are as many as wanted, and gives them.
func (c *client) diagnostics(name string, want int) []diagnostic {
	c.t.Helper()
	for {
		if list, ok := c.notes[name]; ok && len(list) == want {
			return list
		}
		c.take()
	}
}

// quit leaves as an editor does, and waits for the process.
func (c *client) quit() {
	c.t.Helper()
	if err := c.ask("shutdown", nil, nil); err != nil {
		c.t.Error(err)
	}
	c.tell("exit", nil)
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the server ended with %v", err)
	}
}
