package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// This file runs the rounds and reports them.

// Options choose the load. Zero values mean the defaults of Run.
type Options struct {
	Shape   string // "echo": many at once; "lone": one job at a time
	Jobs    int    // a round
	Rounds  int    // of each target
	Clients int
	Workers int
}

// Shapes lists the kinds of load.
var Shapes = []string{"echo", "lone"}

// Figures are the medians over the rounds of one target.
type Figures struct {
	Target      string  `json:"target"`
	JobsPerSec  float64 `json:"jobs_per_second"`
	CreateP50   float64 `json:"create_p50_ms"`
	TotalP50    float64 `json:"created_to_result_p50_ms"`
	TotalP99    float64 `json:"created_to_result_p99_ms"`
	TotalP999   float64 `json:"created_to_result_p999_ms"`
	CPUPerJob   float64 `json:"server_cpu_us_per_job"`
	PeakMemory  float64 `json:"server_peak_memory_mb"`
	BytesPerJob float64 `json:"server_disk_bytes_per_job"`
	roundRates  []float64
	creates     []time.Duration
	totals      []time.Duration
}

// Report is what a run measured.
type Report struct {
	Shape   string    `json:"shape"`
	Jobs    int       `json:"jobs_per_round"`
	Rounds  int       `json:"rounds"`
	Clients int       `json:"clients"`
	Workers int       `json:"workers"`
	Machine string    `json:"machine"`
	Commit  string    `json:"commit"`
	Orrery  Figures   `json:"orrery"`
	Bare    Figures   `json:"bare_limit"`
	Ratio   float64   `json:"ratio_of_limit"` // median of the pairs of rounds
	Ratios  []float64 `json:"ratios"`
}

// Run measures the real server beside the bare one, in alternating rounds, and tells its
// progress on w.
func Run(ctx context.Context, o Options, w io.Writer) (*Report, error) {
	o = o.fill()
	r := &Report{Shape: o.Shape, Jobs: o.Jobs, Rounds: o.Rounds, Clients: o.Clients, Workers: o.Workers,
		Machine: fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()), Commit: commit()}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	real, err := startTarget(ctx, "orrery")
	if err != nil {
		return nil, err
	}
	bare, err := startTarget(ctx, "bare")
	if err != nil {
		return nil, errors.Join(err, real.stop())
	}
	r.Orrery.Target, r.Bare.Target = "orrery", "bare limit"
	loads, err := loadsFor(ctx, o, real, bare)
	for n := 0; n < o.Rounds && err == nil; n++ {
		if err = errors.Join(round(ctx, o, loads[0], &r.Orrery), round(ctx, o, loads[1], &r.Bare)); err != nil {
			break
		}
		r.Ratios = append(r.Ratios, r.Orrery.roundRates[n]/r.Bare.roundRates[n])
		fmt.Fprintf(w, "round %d of %d: orrery %.0f jobs/s, bare limit %.0f jobs/s, ratio %.2f\n", n+1, o.Rounds, r.Orrery.roundRates[n], r.Bare.roundRates[n], r.Ratios[n])
	}
	if err == nil {
		r.Orrery.sum(real, o.Jobs*o.Rounds)
		r.Bare.sum(bare, o.Jobs*o.Rounds)
		r.Ratio = median(r.Ratios)
	}
	return r, errors.Join(err, real.stop(), bare.stop())
}

func (o Options) fill() Options {
	set := func(v *int, fallback int) {
		if *v == 0 {
			*v = fallback
		}
	}
	if o.Shape == "lone" {
		set(&o.Jobs, 300)
		o.Clients, o.Workers = 1, 1
	} else {
		o.Shape = "echo"
		set(&o.Jobs, 4000)
	}
	set(&o.Rounds, 5)
	set(&o.Clients, 32)
	set(&o.Workers, 16)
	return o
}

func loadsFor(ctx context.Context, o Options, targets ...*target) ([]*load, error) {
	var loads []*load
	for _, t := range targets {
		l, err := newLoad(ctx, t, o.Workers)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		loads = append(loads, l)
	}
	return loads, nil
}

// round runs the jobs of one round against one target.
func round(ctx context.Context, o Options, l *load, f *Figures) error {
	took, err := l.round(ctx, o.Jobs, o.Clients, o.Shape == "lone")
	if err != nil {
		return fmt.Errorf("%s: %w", l.t.name, err)
	}
	f.roundRates = append(f.roundRates, float64(o.Jobs)/took.Seconds())
	f.creates, f.totals = l.create, l.total
	return nil
}

func (f *Figures) sum(t *target, jobs int) {
	slices.Sort(f.creates)
	slices.Sort(f.totals)
	f.JobsPerSec = median(f.roundRates)
	f.CreateP50, f.TotalP50 = ms(f.creates, 0.5), ms(f.totals, 0.5)
	f.TotalP99, f.TotalP999 = ms(f.totals, 0.99), ms(f.totals, 0.999)
	u := t.usage()
	f.CPUPerJob = float64(u.cpu.Microseconds()) / float64(jobs)
	f.PeakMemory = float64(u.peak) / (1 << 20)
	f.BytesPerJob = float64(u.disk) / float64(jobs)
}

// ms gives a percentile of sorted durations in milliseconds.
func ms(sorted []time.Duration, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)-1, int(p*float64(len(sorted))))].Microseconds()) / 1000
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown (built without version control data)"
}

// JSON writes the report as one object.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "\nshape %s: %d rounds of %d jobs, %d clients, %d workers\nmachine %s, commit %s\n\n%-34s %12s %12s\n", r.Shape, r.Rounds, r.Jobs, r.Clients, r.Workers, r.Machine, r.Commit, "", "orrery", "bare limit")
	rows := []struct {
		name       string
		real, bare float64
	}{
		{"jobs/s", r.Orrery.JobsPerSec, r.Bare.JobsPerSec},
		{"create request p50, ms", r.Orrery.CreateP50, r.Bare.CreateP50},
		{"created to result p50, ms", r.Orrery.TotalP50, r.Bare.TotalP50},
		{"created to result p99, ms", r.Orrery.TotalP99, r.Bare.TotalP99},
		{"created to result p99.9, ms", r.Orrery.TotalP999, r.Bare.TotalP999},
		{"server CPU per job, us", r.Orrery.CPUPerJob, r.Bare.CPUPerJob},
		{"server peak memory, MB", r.Orrery.PeakMemory, r.Bare.PeakMemory},
		{"server disk bytes per job", r.Orrery.BytesPerJob, r.Bare.BytesPerJob},
	}
	for _, row := range rows {
		_, e := fmt.Fprintf(w, "%-34s %12.1f %12.1f\n", row.name, row.real, row.bare)
		err = errors.Join(err, e)
	}
	_, e := fmt.Fprintf(w, "\nratio of the limit: %.2f (median of the pairs of rounds; all: %.2f)\n", r.Ratio, r.Ratios)
	return errors.Join(err, e)
}
