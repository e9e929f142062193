package simulate

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"orrery/engine/job"
)

// This file tells what happens while it happens: one Event a line of the timeline.

// Event is one line of the timeline.
type Event struct {
	Offset time.Duration // simulated time since the run began
	JobID  string
	Depth  int    // 0 for the job that runs, 1 for its children
	Kind   string // a job.RecordKind, "log", or "task_taken", "cancel", "approval", "result_ignored"
	Text   string
}

// Printer gives an Options.Show that writes one line an event.
func Printer(w io.Writer) func(Event) {
	return func(e Event) {
		fmt.Fprintf(w, "%10s  %s%s\n", offset(e.Offset), strings.Repeat("  ", e.Depth), e.Text)
	}
}

// offset prints a simulated time: +1.500s, and days where it would be long.
func offset(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 0 {
		return fmt.Sprintf("+%dd%s", days, (d % (24 * time.Hour)).Round(time.Second))
	}
	return fmt.Sprintf("+%.3fs", d.Seconds())
}

// say shows an event of the outside.
func (s *sim) say(jobID, kind, text string) {
	s.Show(Event{Offset: s.clock.Now().Sub(s.began), JobID: jobID, Depth: s.depths[jobID], Kind: kind, Text: text})
}

// showNew shows the records that were written since the last call, a child's before the
// record by which its parent goes on.
func (s *sim) showNew(ctx context.Context, id string) error {
	return s.showJob(ctx, id, 0)
}

func (s *sim) showJob(ctx context.Context, id string, depth int) error {
	fresh, err := s.records(ctx, id, s.shown[id])
	if err != nil {
		return err
	}
	children, err := s.store.Children(ctx, id)
	if err != nil {
		return err
	}
	s.depths[id] = depth
	for _, r := range fresh {
		if r.Kind == job.RecChild {
			for _, child := range children {
				if strings.HasPrefix(r.Detail, child) {
					if err := s.showJob(ctx, child, depth+1); err != nil {
						return err
					}
				}
			}
		}
		s.shown[id] = r.N
		s.showRecord(id, depth, r)
	}
	for _, child := range children {
		if err := s.showJob(ctx, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (s *sim) showRecord(id string, depth int, r job.Record) {
	e := Event{Offset: r.At.Sub(s.began), JobID: id, Depth: depth}
	for _, line := range r.Log {
		e.Kind, e.Text = "log", fmt.Sprintf("  [%s] %s", line.Level, line.Message)
		s.Show(e)
	}
	for _, act := range r.Acts {
		e.Kind, e.Text = "act", strings.TrimSpace(fmt.Sprintf("  acted: %s %s", act.What, act.Detail))
		s.Show(e)
	}
	e.Kind, e.Text = string(r.Kind), Describe(id, r)
	s.Show(e)
}

// Describe puts a history record of the job into one line for people.
func Describe(id string, r job.Record) string {
	var b strings.Builder
	switch r.Kind {
	case job.RecCreated:
		fmt.Fprintf(&b, "job %s is created in state %s", id, r.State)
		return b.String()
	case job.RecStep:
		b.WriteString(arrow(r))
		for i, t := range r.Tasks {
			if i == 0 {
				b.WriteString("  dispatches ")
			} else {
				b.WriteString(", ")
			}
			b.WriteString(taskName(t.Type, t.N))
		}
	case job.RecTaskEnd, job.RecTaskFail:
		if r.Task != nil {
			b.WriteString(taskName(r.Task.Type, r.Task.N))
			if r.Kind == job.RecTaskFail { // not always by its worker: nobody may have had it
				b.WriteString(" failed")
			} else {
				fmt.Fprintf(&b, " returned %s", r.Task.Status)
			}
			if r.Task.Emulated {
				b.WriteString(" (emulated)")
			}
		}
		if r.Next != "" {
			b.WriteString("  " + arrow(r))
		}
	case job.RecRetry:
		if r.Task != nil {
			fmt.Fprintf(&b, "%s is queued again", taskName(r.Task.Type, r.Task.N))
		}
	default:
		fmt.Fprintf(&b, "%s", strings.ReplaceAll(string(r.Kind), "_", " "))
		if r.Detail != "" {
			fmt.Fprintf(&b, ": %s", r.Detail)
		}
		if r.Next != "" {
			b.WriteString("  " + arrow(r))
		}
	}
	if waits(r.Status) || r.Status.Terminal() {
		fmt.Fprintf(&b, "  [%s]", r.Status)
	}
	if r.Error != nil {
		fmt.Fprintf(&b, "  %s", r.Error.Error())
	}
	return b.String()
}

// arrow prints a move: from -> to, or the state alone when the job stays.
func arrow(r job.Record) string {
	if r.Next == "" {
		return r.State
	}
	return r.State + " -> " + r.Next
}

func waits(s job.Status) bool { return !s.Terminal() && s != job.Running && s != job.Pending }
