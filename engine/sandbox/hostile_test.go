package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"orrery/engine/blueprint"
)

// This file runs testdata/hostile: every script in a process of its own, whose CPU time and
// peak memory the system tells, with good jobs beside it.
//
// A script begins with comments: `# expect: CODE` (several with | between them; none when it
// loads and does nothing wrong), `# where:` handler (the default: lines of a handler), file,
// files (parts after `-- name --`) or condition, and `# fill: N TEXT`: @@@ is replaced by TEXT
// N times.

const (
	hostileEnv = "ORRERY_HOSTILE_SCRIPT"
	hostileDir = "../../testdata/hostile"

	mostCPU    = time.Second
	mostMemory = 200 << 20

	// Good jobs beside a hostile script may take so much longer than alone: a machine that
	// does other things stops a process now and then, and a collection of garbage takes its
	// share of two processors.
	slower      = 20
	leastBound  = 100 * time.Millisecond // a good job alone takes some 50 µs
	latencyRuns = 3                      // tries until the machine's own pauses are no excuse
)

func TestMain(m *testing.M) {
	if name := os.Getenv(hostileEnv); name != "" {
		hostileChild(name)
		return
	}
	os.Exit(m.Run())
}

// verdict is what became of a script, and of the good jobs beside it.
type verdict struct {
	Code, Message, File string
	Line, Col           int
	Good                int           // jobs that went well
	Bad                 string        // the first that did not
	Alone, Beside       time.Duration // the 99th percentile of good jobs before the script and beside it
	Pace                time.Duration // processor time of the good jobs before the script
}

// goodJobs run before a script: they say how fast the machine is just now. Ours takes 1.6 times
// its usual processor time for everything in some hours, and others may be slower; the bound of
// a second is that of a machine on which they take usualPace.
const (
	goodJobs  = 400
	usualPace = 24 * time.Millisecond
	mostSlow  = 2.5 // times slower than usual; from there on a script is too slow all the same
)

// bound is what the script may take.
func (v verdict) bound() time.Duration {
	slow := min(max(float64(v.Pace)/float64(usualPace), 1), mostSlow)
	return time.Duration(slow * float64(mostCPU))
}

func usedCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var hostileHeader = regexp.MustCompile(`(?m)^# (expect|where|fill): (.*)\n`)

// hostileScript is a script with its header taken apart.
type hostileScript struct {
	expect []string
	where  string
	text   string
}

func readHostile(path string) (s hostileScript, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	s.where, s.text = "handler", hostileHeader.ReplaceAllString(string(raw), "")
	for _, m := range hostileHeader.FindAllStringSubmatch(string(raw), -1) {
		switch m[1] {
		case "expect":
			s.expect = strings.Split(m[2], "|")
		case "where":
			s.where = m[2]
		case "fill":
			count, text, _ := strings.Cut(m[2], " ")
			n, err := strconv.Atoi(count)
			if err != nil {
				return s, err
			}
			s.text = strings.ReplaceAll(s.text, "@@@", strings.Repeat(strings.ReplaceAll(text, `\n`, "\n"), n))
		}
	}
	return s, nil
}

// files makes the blueprint directory of a script.
func (s hostileScript) files() map[string]string {
	switch s.where {
	case "file":
		return map[string]string{"main.star": s.text}
	case "files":
		out := map[string]string{}
		parts := regexp.MustCompile(`(?m)^-- (.*) --\n`).Split(s.text, -1)[1:]
		for i, m := range regexp.MustCompile(`(?m)^-- (.*) --\n`).FindAllStringSubmatch(s.text, -1) {
			out[m[1]] = parts[i]
		}
		return out
	case "condition":
		return map[string]string{"main.star": frame + "def start(actions): actions.transition_to(\"done\")\nbp.handler_for(\"start\", is_start = True).when(" +
			strconv.Quote(strings.TrimSpace(s.text)) + ")(start)\n"}
	}
	return map[string]string{"main.star": frame + "def start(context, actions):\n    " + strings.ReplaceAll(s.text, "\n", "\n    ") +
		"\nbp.handler_for(\"start\", is_start = True)(start)\n"}
}

// hostileChild runs one script and prints the verdict.
func hostileChild(name string) {
	s, err := readHostile(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	good, err := blueprint.Compile("good.star", map[string]string{"good.star": "bp = blueprint(name = \"good\")\ndef go(context, actions):\n    x = [str(i) for i in range(100)]\n    actions.transition_to(\"finished\", error_message = \",\".join(x))\nbp.handler_for(\"start\", is_start = True)(go)\n"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var v verdict
	job := func() time.Duration {
		began := time.Now()
		d := Run(context.Background(), step(good.Blueprints[0], "start"))
		if v.Good++; d.Failure != nil && v.Bad == "" {
			v.Bad = d.Failure.Message
		}
		return time.Since(began)
	}
	var alone, took []time.Duration
	before := usedCPU()
	for range goodJobs {
		alone = append(alone, job())
	}
	v.Pace = usedCPU() - before
	done := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			took = append(took, job())
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	hostile := runHostile(s)
	close(done)
	beside.Wait()
	hostile.Good, hostile.Bad, hostile.Alone, hostile.Beside, hostile.Pace = v.Good, v.Bad, percentile99(alone), percentile99(took), v.Pace
	if err := json.NewEncoder(os.Stdout).Encode(hostile); err != nil {
		os.Exit(2)
	}
}

func percentile99(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[(len(all)*99-1)/100]
}

func runHostile(s hostileScript) verdict {
	p, err := blueprint.Compile("main.star", s.files())
	var bad *blueprint.LoadError
	if errors.As(err, &bad) {
		f := bad.Findings[0]
		return verdict{Code: f.Rule, Message: f.Message, File: f.File, Line: f.Line, Col: f.Col}
	}
	if err != nil {
		return verdict{Code: "?", Message: err.Error()}
	}
	if len(p.Blueprints) == 0 {
		return verdict{Code: "none"}
	}
	st := step(p.Blueprints[0], "start")
	st.Host = testHost()
	// The wall clock also counts what other processes take; here CPU time is measured, and
	// scripts that shall end by the clock lower their own limit.
	st.Limits = DefaultLimits()
	st.Limits.Time = 10 * time.Second
	st.Initial = json.RawMessage(`{"user":{"name":"Ada"},"big":"` + strings.Repeat("x", 200_000) + `"}`)
	if d := Run(context.Background(), st); d.Failure != nil {
		e := d.Failure
		return verdict{Code: e.Code, Message: e.Message, File: e.File, Line: e.Line, Col: e.Col}
	}
	return verdict{Code: "none"}
}

func TestHostile(t *testing.T) {
	names, err := filepath.Glob(hostileDir + "/*.star")
	if err != nil || len(names) < 60 {
		t.Fatalf("%d hostile scripts: %v", len(names), err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	worst := map[string]string{}
	var cpuMost, besideMost time.Duration
	var memoryMost int64
	t.Run("scripts", func(t *testing.T) {
		for i, name := range names {
			if raceDetector && i%12 != 0 {
				continue // it makes each take ten times as long, and no script looks for races
			}
			t.Run(strings.TrimSuffix(filepath.Base(name), ".star"), func(t *testing.T) {
				t.Parallel()
				cpu, memory, beside := oneHostile(t, self, name)
				mu.Lock()
				defer mu.Unlock()
				if beside > besideMost {
					besideMost, worst["beside"] = beside, name
				}
				if cpu > cpuMost {
					cpuMost, worst["cpu"] = cpu, name
				}
				if memory > memoryMost {
					memoryMost, worst["memory"] = memory, name
				}
			})
		}
	})
	t.Logf("%d scripts; most CPU %v (%s), most memory %d MB (%s), good jobs beside took up to %v (p99, %s)", len(names), cpuMost, filepath.Base(worst["cpu"]),
		memoryMost/1e6, filepath.Base(worst["memory"]), besideMost, filepath.Base(worst["beside"]))
}

// oneHostile runs a script in a child and checks what the child and the system say. What
// the good jobs took is looked at again when it was long: only a script does it every time.
func oneHostile(t *testing.T, self, name string) (cpu time.Duration, memory int64, beside time.Duration) {
	t.Helper()
	s, err := readHostile(name)
	if err != nil {
		t.Fatal(err)
	}
	v, cpu, memory := hostileProcess(t, self, name)
	for try := 1; try < 3 && !raceDetector && cpu-v.Pace >= v.bound(); try++ { // only a script takes as long every time
		v, cpu, memory = hostileProcess(t, self, name)
	}
	checkHostile(t, s, v, cpu, memory)
	for try := 1; v.Beside > max(leastBound, slower*v.Alone); try++ {
		if try == latencyRuns && !raceDetector {
			t.Errorf("good jobs beside it took %v (the 99th of a hundred), alone %v", v.Beside, v.Alone)
		}
		if try == latencyRuns {
			break
		}
		v, _, _ = hostileProcess(t, self, name)
	}
	return cpu, memory, v.Beside
}

// hostileProcess runs a script in a process of its own.
func hostileProcess(t *testing.T, self, name string) (v verdict, cpu time.Duration, memory int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), hostileEnv+"="+name)
	var said, complained strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &complained
	if err := cmd.Run(); err != nil {
		t.Fatalf("the process ended with %v: %.2000s", err, complained.String())
	}
	if err := json.Unmarshal([]byte(said.String()), &v); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		memory = usage.Maxrss << 10
	}
	return v, cpu, memory
}

func checkHostile(t *testing.T, s hostileScript, v verdict, cpu time.Duration, memory int64) {
	t.Helper()
	// the race detector slows a script five times and more: there the wall clock, which is a
	// limit too, may be the one that ends it
	byClock := raceDetector && v.Code == "SCRIPT_TIME_LIMIT" && len(s.expect) > 0
	if !slices.Contains(s.expect, v.Code) && !byClock {
		t.Errorf("ended with %s, want %v: %.400s", v.Code, s.expect, v.Message)
	}
	if v.Code != "none" && (v.File == "" || v.Line == 0 || v.Col == 0) {
		t.Errorf("the error has no place: %+.400v", v)
	}
	if v.Bad != "" || v.Good == 0 {
		t.Errorf("%d good jobs beside it; the first that failed: %s", v.Good, v.Bad)
	}
	t.Logf("%v of CPU time and %v for good jobs before it, %d MB", (cpu - v.Pace).Round(time.Millisecond), v.Pace.Round(time.Millisecond), memory/1e6)
	if raceDetector {
		return // which takes several times as much of both
	}
	if bound := v.bound(); cpu-v.Pace >= bound {
		t.Errorf("it took %v of CPU time; the bound is %v: good jobs took %v, usual is %v", cpu-v.Pace, bound, v.Pace, usualPace)
	}
	if memory >= mostMemory {
		t.Errorf("its process took %d MB of memory", memory/1e6)
	}
}
