package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// This file tests what holds for every command: help, wrong usage, exit codes.

func TestEveryCommandShowsAnExample(t *testing.T) {
	parser, err := kong.New(&grammar{}, kong.Name("orrery"))
	if err != nil {
		t.Fatal(err)
	}
	leaves := parser.Model.Leaves(true)
	if len(leaves) < 15 {
		t.Fatalf("only %d commands", len(leaves))
	}
	for _, leaf := range leaves {
		var words []string
		for n := leaf; n.Parent != nil; n = n.Parent {
			words = append([]string{n.Name}, words...)
		}
		path := strings.Join(words, " ")
		got := orrery(t, append(words, "--help")...)
		if got.code != 0 || got.err != "" {
			t.Errorf("%s --help: %+v", path, got)
		}
		if !strings.Contains(got.out, "Example") || !strings.Contains(got.out, "orrery "+path) {
			t.Errorf("%s --help shows no example:\n%s", path, got.out)
		}
	}
}

func TestWrongUsageIsTwoAndPointsToHelp(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"bogus"}, "See: orrery --help"},
		{[]string{"run"}, "See: orrery run --help"},
		{[]string{"run", "x.star", "--format", "yaml"}, "--format must be one of"},
		{[]string{"jobs"}, "See: orrery jobs --help"},
		{[]string{"jobs", "get"}, "See: orrery jobs get --help"},
		{[]string{"run", "nowhere.star"}, "nowhere.star"},
		{[]string{"jobs", "start", "x", "--data", "[1]"}, "--data must be a JSON object"},
		{[]string{"jobs", "start", "x", "--data", "@nowhere.json"}, "nowhere.json"},
	} {
		got := orrery(t, c.args...)
		if got.code != 2 || !strings.Contains(got.err, c.want) || got.out != "" {
			t.Errorf("%v: %+v", c.args, got)
		}
		if !strings.HasPrefix(got.firstLine(), "orrery: ") {
			t.Errorf("%v: first line %q", c.args, got.firstLine())
		}
	}
}

func TestNoArgumentsListTheCommands(t *testing.T) {
	got := orrery(t)
	if got.code != 2 || got.out != "" || !strings.Contains(got.err, "orrery dev examples") {
		t.Errorf("%+v", got)
	}
}

func TestVersion(t *testing.T) {
	got := orrery(t, "version", "--format", "json")
	var v map[string]string
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || v["version"] == "" || v["go"] == "" {
		t.Errorf("%v: %+v", err, got)
	}
	if got := orrery(t, "version"); !strings.HasPrefix(got.out, "orrery ") {
		t.Errorf("%+v", got)
	}
}
