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
	Shape   string // one of Shapes
	Jobs    int    // a round
	Rounds  int    // of each target
	Clients int
	Workers int
}

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
	sh, err := shapeNamed(o.Shape)
	if err != nil {
		return nil, err
	}
	o = o.fill(sh)
	r := &Report{Shape: sh.name, Jobs: o.Jobs, Rounds: o.Rounds, Clients: o.Clients, Workers: o.Workers,
		Machine: fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()), Commit: commit()}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if sh.aged > 0 {
		fmt.Fprintf(w, "writing %d finished jobs into the store first; that takes a minute or two\n", sh.aged)
	}
	real, err := startTarget(ctx, "orrery", sh)
	if err != nil {
		return nil, err
	}
	bare, err := startTarget(ctx, "bare", sh)
	if err != nil {
		return nil, errors.Join(err, real.stop())
	}
	err = rounds(ctx, o, [2]*load{newLoad(real, sh), newLoad(bare, sh)}, r, w)
	if err == nil {
		r.Orrery.sum(real, o.Jobs*o.Rounds)
		r.Bare.sum(bare, o.Jobs*o.Rounds)
		r.Ratio = median(r.Ratios)
	}
	return r, errors.Join(err, real.stop(), bare.stop())
}

func (o Options) fill(s shape) Options {
	set := func(v *int, values ...int) {
		for _, fallback := range values {
			if *v == 0 {
				*v = fallback
			}
		}
	}
	if s.lone {
		o.Clients, o.Workers = 0, 0
	}
	set(&o.Jobs, s.jobs)
	set(&o.Rounds, s.rounds, 5)
	set(&o.Clients, s.clients, 32)
	set(&o.Workers, s.workers, 16)
	if s.backlog {
		o.Rounds = 1 // a queue is filled once
	}
	return o
}

// rounds lets the targets take turns.
func rounds(ctx context.Context, o Options, loads [2]*load, r *Report, w io.Writer) error {
	figures := [2]*Figures{&r.Orrery, &r.Bare}
	figures[0].Target, figures[1].Target = "orrery", "bare limit"
	for n := range o.Rounds {
		for i, l := range loads {
			took, err := l.turn(ctx, o, n == 0)
			if err != nil {
				return fmt.Errorf("%s: %w", l.t.name, err)
			}
			figures[i].roundRates = append(figures[i].roundRates, float64(o.Jobs)/took.Seconds())
			figures[i].creates, figures[i].totals = l.create, l.total
		}
		r.Ratios = append(r.Ratios, figures[0].roundRates[n]/figures[1].roundRates[n])
		fmt.Fprintf(w, "round %d of %d: orrery %.0f jobs/s, bare limit %.0f jobs/s, ratio %.2f\n", n+1, o.Rounds, figures[0].roundRates[n], figures[1].roundRates[n], r.Ratios[n])
	}
	return nil
}

// turn is one round of one target; the first one hires the workers.
func (l *load) turn(ctx context.Context, o Options, first bool) (time.Duration, error) {
	if l.shape.backlog {
		return l.drain(ctx, o.Jobs, o.Clients, o.Workers)
	}
	if first {
		if err := l.hire(ctx, o.Workers); err != nil {
			return 0, err
		}
	}
	return l.round(ctx, o.Jobs, o.Clients)
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
