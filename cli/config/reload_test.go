package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery/engine/clock"
)

// This file tests tokens given as hashes, and files that change while a server runs.

func hexOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func TestTokensAsHashes(t *testing.T) {
	in(t, map[string]string{
		"workers.toml": "[w1]\ntoken_sha256 = \"" + hexOf("one") + "\"\n[w2]\ntoken_sha256 = \"sha256:" + strings.ToUpper(hexOf("two")) + "\"\n[w3]\ntoken = \"three\"\n",
		"clients.toml": "[c]\ntoken_sha256 = \"" + hexOf("four") + "\"\nplan = \"free\"\n",
	})
	c := load(t, Source{})
	for i, token := range []string{"one", "two", "three"} {
		if c.Workers[i].Token != DigestOf(token) {
			t.Errorf("worker %d has another token than %q", i, token)
		}
	}
	if c.Clients[0].Token != DigestOf("four") || strings.Contains(string(c.Clients[0].Params), "token") {
		t.Errorf("client %+v, params %s", c.Clients[0], c.Clients[0].Params)
	}
	if text := c.Workers[0].Token.String() + string(must(c.Workers[0].Token.MarshalText())); strings.Contains(text, hexOf("one")[:8]) {
		t.Errorf("the hash is printed: %s", text)
	}
	bad := filepath.Join(t.TempDir(), "workers.toml")
	write(t, bad, "[a]\ntoken_sha256 = \"abc\"\n[b]\ntoken = \"x\"\ntoken_sha256 = \""+hexOf("x")+"\"\n[c]\ntoken = \"y\"\n[d]\ntoken_sha256 = \""+hexOf("y")+"\"\n[e]\ntoken_sha256 = 7\n")
	list, faults := LoadWorkers(bad)
	got := strings.ReplaceAll(faults.Error(), bad, "F")
	for _, want := range []string{"F:2: token_sha256 of [a]", "F:5: [b] has both", "F:9: [d] has the same token as [c]", "F:11: token_sha256 of [e]"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if len(list) != 1 || list[0].ID != "c" {
		t.Errorf("read %v", list)
	}
}

func must(text []byte, _ error) []byte { return text }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A default token gives way to a file that lists somebody, one that was chosen stays, and
// what is read again follows the same rule.
func TestTheSharedTokenBesideAFile(t *testing.T) {
	in(t, map[string]string{"workers.toml": "# nobody yet\n"})
	c := load(t, Source{})
	if c.WorkerToken != DefaultWorkerToken {
		t.Error("the default does not hold beside an empty file")
	}
	write(t, "workers.toml", "[w1]\ntoken = \"one\"\n")
	if list, shared, faults := c.ReadWorkers(); len(list) != 1 || shared != "" || faults != nil {
		t.Errorf("read again: %v, shared %q, %v", list, shared.Reveal(), faults)
	}
	c = load(t, Source{})
	if c.WorkerToken != "" {
		t.Error("the default holds beside a file that lists a worker")
	}
	write(t, "workers.toml", "")
	if list, shared, faults := c.ReadWorkers(); len(list) != 0 || shared != "" || faults != nil {
		t.Errorf("an emptied file opened the door again: %v, shared %q, %v", list, shared.Reveal(), faults)
	}
	chosen := load(t, Source{Environ: []string{"WORKER_TOKEN=chosen"}})
	write(t, "workers.toml", "[w1]\ntoken = \"one\"\n")
	if _, shared, _ := chosen.ReadWorkers(); shared.Reveal() != "chosen" {
		t.Errorf("shared %q", shared.Reveal())
	}
	write(t, "workers.toml", "[w1]\ntoken = \n")
	if _, _, faults := chosen.ReadWorkers(); len(faults) != 1 {
		t.Errorf("faults %v", faults)
	}
}

func TestWatchTakesSettledFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "workers.toml")
	write(t, path, "a")
	c := clock.NewFake(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	changed := make(chan string, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, c, func(path string) { changed <- path }, path, "")
	}()
	look := func() {
		<-c.Armed()
		c.Advance(watchEvery)
	}
	date := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	touch := func(text string) {
		write(t, path, text)
		date = date.Add(time.Second)
		if err := os.Chtimes(path, date, date); err != nil {
			t.Fatal(err)
		}
	}
	none := func(why string) {
		t.Helper()
		<-c.Armed() // the look before is done when the next one is planned
		if len(changed) != 0 {
			t.Fatal(why)
		}
		c.Advance(watchEvery)
	}
	look()
	none("called without a change")
	<-c.Armed()
	touch("half")
	c.Advance(watchEvery)
	none("called for a file that was being written")
	if got := <-changed; got != path {
		t.Errorf("called for %q", got)
	}
	<-c.Armed()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	c.Advance(watchEvery)
	none("called for a file that is gone")
	<-c.Armed()
	touch("half") // the same text and size, another file
	c.Advance(watchEvery)
	look()
	if got := <-changed; got != path {
		t.Errorf("called for %q", got)
	}
	stop()
	<-ended
	Watch(t.Context(), c, nil, "") // nothing to watch: ends at once
}
