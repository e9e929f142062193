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
	"strings"
	"time"

	"orrery/engine/store/yardstick"
)

// This file runs the rounds and reports them.

// Options choose the load. Zero values mean the defaults of Run.
type Options struct {
	Shape   string // one of Shapes
	Jobs    int    // a round
	Rounds  int    // of each target
	Clients int
	Workers int
	Load    string // "std": net/http; "lean": takes less of the processor

	Store     string // STORE_URL of an empty store to measure beside SQLite; "": SQLite alone
	StoreName string // it, without secrets

	Nodes  []int            // RunNodes: how many, one after the other
	Server yardstick.Server // RunNodes: where they keep their jobs

	URL         string // measure this server, which has the shape's blueprint, and no limit
	ClientToken string // of URL
	WorkerToken string // of URL
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

// Conditions say what was measured, and where.
type Conditions struct {
	Shape   string `json:"shape"`
	Jobs    int    `json:"jobs_per_round"`
	Rounds  int    `json:"rounds"`
	Clients int    `json:"clients"`
	Workers int    `json:"workers"`
	Load    string `json:"load"`
	Machine string `json:"machine"`
	Commit  string `json:"commit"`
	Store   string `json:"store,omitempty"` // of Orrery, when it is not SQLite
}

func conditionsOf(sh shape, o Options) Conditions {
	return Conditions{Shape: sh.name, Jobs: o.Jobs, Rounds: o.Rounds, Clients: o.Clients, Workers: o.Workers, Load: o.Load, Store: o.StoreName,
		Machine: fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()), Commit: commit()}
}

// Report is what a run measured.
type Report struct {
	Conditions
	Orrery  Figures   `json:"orrery"`
	SQLite  *Figures  `json:"orrery_on_sqlite,omitempty"` // with a Store
	Bare    *Figures  `json:"bare_limit,omitempty"`       // absent for a given server
	Ratio   float64   `json:"ratio_of_limit,omitempty"`   // median of the pairs of rounds
	Ratios  []float64 `json:"ratios,omitempty"`
	OfLite  float64   `json:"ratio_of_sqlite,omitempty"` // likewise
	OfLites []float64 `json:"ratios_of_sqlite,omitempty"`
}

// columns gives what was measured, in the order of the targets.
func (r *Report) columns() []*Figures {
	all := []*Figures{&r.Orrery}
	for _, f := range []*Figures{r.SQLite, r.Bare} {
		if f != nil {
			all = append(all, f)
		}
	}
	return all
}

// Run measures the real server beside the bare one, in alternating rounds, and tells its
// progress on w.
func Run(ctx context.Context, o Options, w io.Writer) (*Report, error) {
	sh, err := shapeNamed(o.Shape)
	if err != nil {
		return nil, err
	}
	o = o.fill(sh)
	r := &Report{Conditions: conditionsOf(sh, o)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if sh.aged > 0 {
		fmt.Fprintf(w, "writing %d finished jobs into the store first; that takes a minute or two\n", sh.aged)
	}
	loads, err := targets(ctx, o, sh)
	if err != nil {
		return nil, err
	}
	if o.URL == "" {
		r.Bare = new(Figures)
	}
	if o.Store != "" {
		r.SQLite = new(Figures)
	}
	if err = rounds(ctx, o, loads, r, w); err == nil {
		for i, f := range r.columns() {
			f.sum(loads[i].t, o.Jobs*o.Rounds)
		}
		r.Ratio, r.OfLite = median(r.Ratios), median(r.OfLites)
	}
	for _, l := range loads {
		err = errors.Join(err, l.t.stop())
	}
	return r, err
}

// targets gives what is measured, in the order of Report.columns: the real server, on another
// store first when there is one, and then the bare one; or a given server.
func targets(ctx context.Context, o Options, sh shape) (loads []*load, err error) {
	add := func(t *target, err error) error {
		if err == nil {
			loads = append(loads, newLoad(sh, senderNamed(o.Load), t))
		}
		return err
	}
	if o.URL != "" {
		err = add(givenTarget(ctx, o))
		return loads, err
	}
	if o.Store != "" {
		err = add(startTarget(ctx, "on "+kindOf(o.Store), o.Store, sh))
		if err == nil {
			err = add(startTarget(ctx, "on sqlite", "", sh))
		}
	} else {
		err = add(startTarget(ctx, "orrery", "", sh))
	}
	if err == nil {
		err = add(startTarget(ctx, bareTarget, "", sh))
	}
	if err != nil {
		for _, l := range loads {
			err = errors.Join(err, l.t.stop())
		}
		return nil, err
	}
	return loads, nil
}

// kindOf names a store for the head of a column.
func kindOf(storeURL string) string {
	kind, _, _ := strings.Cut(storeURL, ":")
	return strings.TrimSuffix(kind, "ql") // postgresql
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
	if o.Load == "" {
		o.Load = loadStd
	}
	if len(o.Nodes) > 0 && !s.wake { // six contestants take turns
		set(&o.Jobs, s.jobs/2)
		set(&o.Rounds, 3)
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
func rounds(ctx context.Context, o Options, loads []*load, r *Report, w io.Writer) error {
	figures := r.columns()
	for i, l := range loads {
		figures[i].Target = l.t.name
	}
	for n := range o.Rounds {
		fmt.Fprintf(w, "round %d of %d:", n+1, o.Rounds)
		for i, l := range loads {
			took, err := l.turn(ctx, o, n == 0)
			if err != nil {
				return fmt.Errorf("%s: %w", l.t.name, err)
			}
			f := figures[i]
			f.roundRates = append(f.roundRates, float64(o.Jobs)/took.Seconds())
			f.creates, f.totals = l.create, l.total
			fmt.Fprintf(w, " %s %.0f jobs/s", f.Target, f.roundRates[n])
		}
		if r.SQLite != nil {
			r.OfLites = append(r.OfLites, r.Orrery.roundRates[n]/r.SQLite.roundRates[n])
			fmt.Fprintf(w, ", of sqlite %.2f", r.OfLites[n])
		}
		if r.Bare != nil {
			r.Ratios = append(r.Ratios, r.Orrery.roundRates[n]/r.Bare.roundRates[n])
			fmt.Fprintf(w, ", of the limit %.2f", r.Ratios[n])
		}
		fmt.Fprintln(w)
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
