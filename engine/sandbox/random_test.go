package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"orrery/engine/analysis"
	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/starlib"
)

// This file gives random blueprints to the static analysis, the loader and the sandbox, and
// compares what the analysis said with what a run decides.

// tally counts what became of the runs, so that a test knows that it proved something.
type tally struct {
	Loaded, Decided, Failed, Limits, Checked int
	Most                                     uint64 // bytes that a run allocated
}

// measured runs a step and notes what the process allocated meanwhile.
func (sum *tally) measured(st Step) job.Decision {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d := Run(context.Background(), st)
	runtime.ReadMemStats(&after)
	sum.Most = max(sum.Most, after.TotalAlloc-before.TotalAlloc)
	return d
}

// randomLimits are low, so that exaggeration is cheap.
func randomLimits() Limits {
	l := DefaultLimits()
	l.Steps, l.MemoryBytes, l.TextBytes, l.Elements, l.IntegerBits = 200_000, 8<<20, 1<<20, 50_000, 4096
	l.Time = 20 * time.Second // of a machine that does other things
	return l
}

// tryBlueprint runs every state of a random blueprint twice.
func tryBlueprint(t *testing.T, src string, sum *tally) {
	t.Helper()
	begun := time.Now()
	read := func(string) ([]byte, error) { return []byte(src), nil }
	found, err := analysis.File(read, "r.star")
	if err != nil {
		t.Fatalf("the analysis gave %v of\n%s", err, src)
	}
	p, err := blueprint.Compile("r.star", map[string]string{"r.star": src})
	var bad *blueprint.LoadError
	if errors.As(err, &bad) {
		if strings.Contains(bad.Error(), "the interpreter failed") {
			t.Errorf("%v of\n%s", bad, src)
		}
		return
	}
	if err != nil {
		t.Fatalf("loading gave %v of\n%s", err, src)
	}
	sum.Loaded++
	for _, state := range p.Blueprints[0].StateNames() {
		st := step(p.Blueprints[0], state)
		st.Limits, st.Host = randomLimits(), testHost()
		d, again := sum.measured(st), Run(context.Background(), st)
		if !late(d) && !late(again) && asText(t, d) != asText(t, again) {
			t.Errorf("two runs of %s differ:\n%s\n%s\n%s", state, asText(t, d), asText(t, again), src)
		}
		if f := d.Failure; f != nil {
			sum.Failed++
			if strings.Contains(f.Message, "the interpreter failed") || f.Code == "" || f.Line == 0 || f.Col == 0 || len(f.Message) > 20_000 {
				t.Errorf("%s: %+v of\n%s", state, f, src)
			}
			if strings.HasSuffix(f.Code, "_LIMIT") {
				sum.Limits++
			}
			continue
		}
		sum.Decided++
		if len(found.Errors()) == 0 && len(found.Graphs) == 1 {
			sum.Checked++
			foretold(t, found.Graphs[0], state, d, src)
		}
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %v:\n%s", took, src)
	}
}

// late tells that a run was ended by the clock, which goes on while the machine does other
// things.
func late(d job.Decision) bool {
	return d.Failure != nil && d.Failure.Code == starlib.CodeTime
}

func asText(t *testing.T, d job.Decision) string {
	t.Helper()
	d.Duration = 0
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// foretold checks that the graph has every way that a run took.
func foretold(t *testing.T, g *analysis.Graph, state string, d job.Decision, src string) {
	t.Helper()
	way := func(label, to string) {
		for _, e := range g.Edges {
			if e.From == state && e.Label == label && (e.To == to || e.Dynamic) {
				return
			}
		}
		t.Errorf("from %s it went to %s (%q), and the graph has only %+v:\n%s", state, to, label, g.Edges, src)
	}
	if d.Kind == job.Transition {
		way("", d.Target)
	}
	for _, task := range d.Tasks {
		for label, to := range task.Transitions {
			way(label, to)
		}
	}
}

// TestRandomBlueprints also looks at what the process allocated: what the account of a run
// reckons must be what it takes. The most that was seen is 1.8 times the limit. ORRERY_SEEDS
// makes more of them.
func TestRandomBlueprints(t *testing.T) {
	var sum tally
	seeds := 250
	if n, err := strconv.Atoi(os.Getenv("ORRERY_SEEDS")); err == nil {
		seeds = n
	}
	if raceDetector {
		seeds = 30
	}
	for seed := range uint64(seeds) {
		tryBlueprint(t, (&author{choices: choicesOf(seed, 600)}).blueprint(), &sum)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d blueprints: %+v", seeds, sum)
	if !raceDetector && sum.Most > 3*uint64(randomLimits().MemoryBytes) {
		t.Errorf("a run with a limit of %d bytes allocated %d", randomLimits().MemoryBytes, sum.Most)
	}
	if sum.Loaded < seeds/2 || sum.Decided < seeds || sum.Limits < seeds/20 || sum.Checked < seeds/3 {
		t.Errorf("they prove too little: %+v", sum)
	}
}

func FuzzBlueprints(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(choicesOf(seed*7919, 200))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		if raceDetector && len(choices)%4 != 0 {
			return // scripts/test runs all that were kept without it
		}
		var sum tally
		tryBlueprint(t, (&author{choices: choices}).blueprint(), &sum)
	})
}
