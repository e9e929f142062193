package examples

// This file runs the scenarios: each one against its blueprint, over the real engine in
// simulated time, and compares with the expectation beside it.

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/simulate"
	"orrery/engine/store/anystore"
	"orrery/workers"
)

// book is a catalog of one compiled file and all that stands beside it.
type book struct{ program *blueprint.Program }

var _ engine.Catalog = book{}

// Pin gives the only revision there is.
func (b book) Pin(_ context.Context, name string) (*blueprint.Blueprint, error) {
	if bp := b.program.Blueprint(name); bp != nil {
		return bp, nil
	}
	return nil, fmt.Errorf("%w: %s", blueprint.ErrUnknown, name)
}

// AtRevision gives the same, for jobs that are under way.
func (b book) AtRevision(ctx context.Context, hash, name string) (*blueprint.Blueprint, error) {
	bp, err := b.Pin(ctx, name)
	if err == nil && bp.Revision != hash {
		err = fmt.Errorf("revision %s of %s was never compiled here", hash, name)
	}
	return bp, err
}

// compile loads one file; // in load paths means this folder.
func compile(t *testing.T, file string) *blueprint.Program {
	t.Helper()
	texts := map[string]string{}
	for _, name := range starFiles(t) {
		text, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	program, err := blueprint.Compile(file, texts)
	if err != nil {
		t.Fatalf("%s does not load: %v", file, err)
	}
	return program
}

// run simulates one job and gives its report and timeline.
func run(t *testing.T, opts simulate.Options) (simulate.JobReport, []simulate.Event) {
	t.Helper()
	report, timeline := runAll(t, opts)
	if len(report.Runs) != 1 {
		t.Fatalf("%d runs, want 1", len(report.Runs))
	}
	return report.Runs[0], timeline
}

// runAll simulates as many jobs as the scenario says.
func runAll(t *testing.T, opts simulate.Options) (*simulate.Report, []simulate.Event) {
	t.Helper()
	var timeline []simulate.Event
	opts.Store = anystore.New(t)
	opts.Show = func(e simulate.Event) { timeline = append(timeline, e) }
	report, err := simulate.Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return report, timeline
}

func TestScenarios(t *testing.T) {
	names, err := filepath.Glob("*/*.scenario.json")
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]bool{}
	for _, name := range names {
		folder := path.Dir(filepath.ToSlash(name))
		covered[folder] = true
		t.Run(strings.TrimSuffix(filepath.ToSlash(name), ".scenario.json"), func(t *testing.T) {
			want := readExpectation(t, strings.TrimSuffix(name, ".scenario.json")+".expect.json")
			scenario, err := simulate.ReadScenario(name)
			if err != nil {
				t.Fatal(err)
			}
			program := compile(t, folder+"/"+want.File)
			bp := program.Blueprint(want.Blueprint)
			if bp == nil {
				t.Fatalf("%s has no blueprint %s", want.File, want.Blueprint)
			}
			got, timeline := runAll(t, simulate.Options{
				Catalog: book{program}, Blueprint: bp.Name, Scenario: scenario, Stores: bp.Stores, Fits: workers.Fits,
			})
			want.compare(t, got, timeline)
		})
	}
	for _, folder := range recipes {
		if !covered[folder] {
			t.Errorf("%s has no scenario", folder)
		}
	}
}

// Every blueprint that clients can start has an example of its data, with which it runs to
// its regular end when workers are emulated: that is what `dev examples` promises.
func TestExampleDataRunsToTheEnd(t *testing.T) {
	for _, g := range analysed(t).Graphs {
		t.Run(g.Name, func(t *testing.T) {
			program := compile(t, g.File)
			data := program.Blueprint(g.Name).Example
			if data == nil {
				t.Fatalf("%s:%d: blueprint %s has no example", g.File, g.Line, g.Name)
			}
			got, _ := run(t, simulate.Options{Catalog: book{program}, Blueprint: g.Name, InitialData: data})
			if got.Status != "finished" {
				t.Errorf("ends %s in %s: %v %s", got.Status, got.FinalState, got.Error, got.Reason)
			}
		})
	}
}
