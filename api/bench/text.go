package bench

import (
	"fmt"
	"io"
	"strings"
)

// This file prints a report for people.

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nshape %s: %d rounds of %d jobs, %d clients, %d workers, load %s\nmachine %s, commit %s\n\n", r.Shape, r.Rounds, r.Jobs, r.Clients, r.Workers, r.Load, r.Machine, r.Commit)
	rows := []struct {
		name string
		of   func(f *Figures) float64
	}{
		{"jobs/s", func(f *Figures) float64 { return f.JobsPerSec }},
		{"create request p50, ms", func(f *Figures) float64 { return f.CreateP50 }},
		{"created to result p50, ms", func(f *Figures) float64 { return f.TotalP50 }},
		{"created to result p99, ms", func(f *Figures) float64 { return f.TotalP99 }},
		{"created to result p99.9, ms", func(f *Figures) float64 { return f.TotalP999 }},
		{"server CPU per job, us", func(f *Figures) float64 { return f.CPUPerJob }},
		{"server peak memory, MB", func(f *Figures) float64 { return f.PeakMemory }},
		{"server disk bytes per job", func(f *Figures) float64 { return f.BytesPerJob }},
	}
	if r.Bare == nil { // of a given server only what can be seen from outside is known
		for _, row := range rows[:5] {
			fmt.Fprintf(&b, "%-34s %12.1f\n", row.name, row.of(&r.Orrery))
		}
	} else {
		line := func(name, form string, value func(f *Figures) any) {
			fmt.Fprintf(&b, "%-34s", name)
			for _, f := range r.columns() {
				fmt.Fprintf(&b, " "+form, value(f))
			}
			b.WriteByte('\n')
		}
		line("", "%12s", func(f *Figures) any { return f.Target })
		for _, row := range rows {
			line(row.name, "%12.1f", func(f *Figures) any { return row.of(f) })
		}
		fmt.Fprintf(&b, "\nratio of the limit: %.2f (median of the pairs of rounds; all: %.2f)\n", r.Ratio, r.Ratios)
	}
	if r.SQLite != nil {
		fmt.Fprintf(&b, "%s beside SQLite: %.2f (likewise; all: %.2f); the CPU and memory of the database itself are not in the figures\n", r.Store, r.OfLite, r.OfLites)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Blueprint gives the source of the shape's blueprint, for a server that is given by its URL.
func Blueprint(name string) (string, error) {
	s, err := shapeNamed(name)
	return s.blueprint(), err
}
