package clustersim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// This file runs many seeds, in processes beside each other because a world needs one
// processor and all randomness of its process for itself, and one seed with its diary.

// aWorld is the real time for one seed, on a busy machine; its process is ended after that.
const aWorld = 2 * time.Second

func TestMain(m *testing.M) {
	processes := runtime.GOMAXPROCS(1)
	if part := os.Getenv("ORRERY_SEED_PART"); part == "" {
		beside = processes
	}
	os.Exit(m.Run())
}

// beside is how many processes share the seeds.
var beside = 1

// number reads a number from the environment.
func number(t *testing.T, name string, missing uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return missing
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

// repeat is the line that repeats a seed.
func repeat(seed uint64) string {
	return fmt.Sprintf("repeat it: ORRERY_SEED=%d go test ./engine/clustersim -count=1 -v -run '^TestOneSeed$'", seed)
}

// TestSeeds runs the seeds from ORRERY_FIRST_SEED (0) on, ORRERY_SEEDS of them.
func TestSeeds(t *testing.T) {
	first, n := number(t, "ORRERY_FIRST_SEED", 0), number(t, "ORRERY_SEEDS", seedsByDefault)
	if testing.Short() {
		n = min(n, 5)
	}
	began := time.Now()
	var parts sync.WaitGroup
	var mu sync.Mutex
	done, foreseen, refused := 0, 0, 0
	for i := range beside {
		parts.Go(func() {
			d, f, late, problems := runPart(t, first, n, i)
			mu.Lock()
			defer mu.Unlock()
			done, foreseen, refused = done+d, foreseen+f, refused+late
			for _, p := range problems {
				t.Error(p)
			}
		})
	}
	parts.Wait()
	t.Logf("%d worlds in %s; the whole way of %d jobs was foreseen; %d commits of past owners were refused", done, time.Since(began).Round(time.Millisecond), foreseen, refused)
	if n >= 100 && refused == 0 {
		t.Error("no commit of a past owner came")
	}
	if uint64(done) != n {
		t.Errorf("%d of %d seeds were run", done, n)
	}
}

// runPart runs every beside-th seed in a process of its own, and reads what it says.
func runPart(t *testing.T, first, n uint64, part int) (done, foreseen, refused int, problems []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute+time.Duration(n)*aWorld)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPart$", "-test.v", "-test.timeout=0")
	cmd.Env = append(os.Environ(), fmt.Sprintf("ORRERY_SEED_PART=%d,%d,%d,%d", first, n, part, beside))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, 0, []string{err.Error()}
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return 0, 0, 0, []string{err.Error()}
	}
	begun, rest := "", []string{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		word, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "BEGIN":
			begun = text
		case "END":
			done++
			var ways, late int
			if _, err := fmt.Sscan(text, &ways, &late); err != nil {
				problems = append(problems, fmt.Sprintf("%q: %v", line, err))
			}
			foreseen, refused = foreseen+ways, refused+late
			begun = ""
		case "WRONG":
			problems = append(problems, text)
		default:
			rest = append(rest, line)
		}
	}
	if err := cmd.Wait(); err != nil && (begun != "" || len(problems) == 0) {
		if ctx.Err() != nil {
			err = errors.Join(err, errors.New("it took too long"))
		}
		seed, _ := strconv.ParseUint(begun, 10, 64)
		problems = append(problems, fmt.Sprintf("seed %s: its process ended: %v; %s\n%s\n%s",
			begun, err, repeat(seed), strings.Join(rest[max(0, len(rest)-40):], "\n"), stderr.String()))
	}
	return done, foreseen, refused, problems
}

// TestPart is what the processes of TestSeeds run; by itself it runs one seed.
func TestPart(t *testing.T) {
	first, n, part, of := uint64(0), uint64(1), uint64(0), uint64(1)
	if text := os.Getenv("ORRERY_SEED_PART"); text != "" {
		if _, err := fmt.Sscanf(text, "%d,%d,%d,%d", &first, &n, &part, &of); err != nil {
			t.Fatalf("ORRERY_SEED_PART=%q: %v", text, err)
		}
	}
	for seed := first + part; seed < first+n; seed += of {
		fmt.Println("BEGIN", seed)
		w := run(t, seed, options{})
		for _, problem := range w.wrong {
			t.Fail()
			fmt.Printf("WRONG seed %d: %s; %s\n", seed, strings.ReplaceAll(problem, "\n", " "), repeat(seed))
		}
		late := 0
		if w.warden != nil {
			late = w.warden.refused
		}
		fmt.Println("END", w.foreseen, late)
	}
}

// TestOneSeed runs the seed ORRERY_SEED and shows its diary; with ORRERY_LOG the nodes' log too.
func TestOneSeed(t *testing.T) {
	seed := number(t, "ORRERY_SEED", 1)
	o := options{}
	if os.Getenv("ORRERY_LOG") != "" {
		o.log = slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	w := run(t, seed, o)
	for _, line := range w.diary {
		t.Log(line)
	}
	if len(w.wrong) > 0 {
		t.Log(w.text)
		w.tell(t)
	}
	for _, problem := range w.wrong {
		t.Error(problem)
	}
	if len(w.wrong) > 0 {
		t.Log(repeat(seed))
	}
}

// tell shows the histories of the jobs that something is wrong with.
func (w *world) tell(t *testing.T) {
	t.Helper()
	all, err := w.read()
	if err != nil {
		t.Error(err)
	}
	for _, id := range sortedKeys(all) {
		if !strings.Contains(strings.Join(w.wrong, "\n"), id) {
			continue
		}
		t.Logf("job %s (%s, %s)", id, all[id].job.Blueprint, all[id].key)
		for _, r := range all[id].records {
			line := fmt.Sprintf("  %3d %10s %-16s %s -> %q %s %s %v", r.N, r.At.Sub(w.began), r.Kind, r.State, r.Next, r.Status, r.Detail, r.Error)
			if r.Task != nil {
				line += fmt.Sprintf(" task %s at %s, try %d: %s", r.Task.ID, r.Task.Worker, r.Task.Attempt, r.Task.Status)
			}
			t.Log(line)
		}
	}
}

// TestRepeats looks whether worlds can be repeated. What is not the same has its cause in the
// order in which Go walks maps, and in a busy machine that interrupts a goroutine: on a quiet one
// most worlds repeat, on a busy one fewer do, so it goes on until enough have. Were anything in
// them drawn by chance or by the real clock, none would.
func TestRepeats(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector runs goroutines in an order by chance; scripts/test runs this without it")
	}
	const most, enough = 60, 4
	same, tried := 0, 0
	for same < enough && tried < most {
		seed := uint64(tried)
		first, second := run(t, seed, options{}), run(t, seed, options{})
		if first.print() == second.print() {
			same++
		}
		tried++
	}
	t.Logf("%d of %d worlds came out the same to the millisecond", same, tried)
	if same < enough {
		t.Errorf("only %d of %d worlds came out the same", same, tried)
	}
}
