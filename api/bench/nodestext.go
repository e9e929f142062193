package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// This file prints what was measured over nodes.

// JSON writes the report as one object.
func (r *NodesReport) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// row is a line of the table.
type row struct {
	name string
	of   func(c *Column) *float64
}

// rowsOf gives the lines that mean something for a shape.
func rowsOf(sh shape) []row {
	known := func(of func(c *Column) float64) func(c *Column) *float64 {
		return func(c *Column) *float64 {
			if v := of(c); v != 0 {
				return &v
			}
			return nil
		}
	}
	rows := []row{
		{"created to result p50, ms", known(func(c *Column) float64 { return c.TotalP50 })},
		{"created to result p99, ms", known(func(c *Column) float64 { return c.TotalP99 })},
		{"requests per job, between nodes too", func(c *Column) *float64 { return c.Requests }},
		{"CPU of all nodes per job, us", known(func(c *Column) float64 { return c.CPUPerJob })},
		{"CPU of the store per job, us", func(c *Column) *float64 { return c.StoreCPU }},
		{"commits per job", func(c *Column) *float64 { return c.Commits }},
		{"round trips to the store per job", func(c *Column) *float64 { return c.RoundTrips }},
		{"bytes sent to it or logged per job", func(c *Column) *float64 { return c.StoreBytes }},
		{"bytes that a job stays with", func(c *Column) *float64 { return c.Kept }},
		{"peak memory of all nodes, MB", known(func(c *Column) float64 { return c.PeakMemory })},
	}
	if sh.wake {
		return append([]row{
			{"answered to task at worker p50, ms", func(c *Column) *float64 { return c.WakeP50 }},
			{"answered to task at worker p99, ms", func(c *Column) *float64 { return c.WakeP99 }},
			{"answered to task at worker p99.9", func(c *Column) *float64 { return c.WakeP999 }},
			{"create request p50, ms", known(func(c *Column) float64 { return c.CreateP50 })},
		}, rows...)
	}
	return append([]row{
		{"jobs/s", known(func(c *Column) float64 { return c.JobsPerSec })},
		{"ratio of the first column", known(func(c *Column) float64 { return c.OfFirst })},
		{"ratio of SQLite", known(func(c *Column) float64 { return c.OfSQLite })},
		{"ratio of the bare limit", known(func(c *Column) float64 { return c.OfBare })},
		{"ratio of the store's own limit", known(func(c *Column) float64 { return c.OfStoreLimit })},
		{"create request p50, ms", known(func(c *Column) float64 { return c.CreateP50 })},
	}, rows...)
}

// Text writes the table for people.
func (r *NodesReport) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nshape %s on %s: %d rounds of %d jobs, %d clients, %d workers, load %s\nmachine %s, commit %s\n\n%-36s",
		r.Shape, r.Store, r.Rounds, r.Jobs, r.Clients, r.Workers, r.Load, r.Machine, r.Commit, "")
	for _, c := range r.Columns {
		fmt.Fprintf(&b, "%12s", c.Target)
	}
	b.WriteByte('\n')
	for _, row := range r.rows {
		fmt.Fprintf(&b, "%-36s", row.name)
		for _, c := range r.Columns {
			text := "-"
			if v := row.of(c); v != nil {
				text = figure(*v)
			}
			fmt.Fprintf(&b, "%12s", text)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nRatios are medians over the rounds; the store's own figures are of all that use it. All of this shares\nthe processors of one machine, the load included.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// figure prints as many digits as mean something.
func figure(v float64) string {
	return fmt.Sprintf("%.*f", cmp.Compare(100, v)+1, v) // 2 below 100, else none
}
