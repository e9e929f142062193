package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"orrery/cli/config"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/move"
)

// This file is `orrery store`: whole stores, while no server uses them.

type storeCmd struct {
	Copy    storeCopyCmd    `cmd:"" help:"Copy everything from one store into another, and compare."`
	Check   storeCheckCmd   `cmd:"" help:"Read a whole store and say what it holds."`
	Migrate storeMigrateCmd `cmd:"" help:"Raise a store's schema to that of this Orrery."`
}

func (storeCmd) Help() string {
	return "STORE is what STORE_URL takes.\n\nExamples:\n  orrery store copy sqlite:.orrery/orrery.db sqlite:/var/lib/orrery/orrery.db\n  orrery store check sqlite:.orrery/orrery.db\n  orrery store migrate sqlite:.orrery/orrery.db --dry-run"
}

type storeCopyCmd struct {
	From   string `arg:"" help:"The store that is read; it stays as it is."`
	To     string `arg:"" help:"The store that is filled; it must be empty."`
	DryRun bool   `help:"Say what would be copied, and write nothing."`
	Format string `enum:"text,json" default:"text" help:"How to print: text or json."`
}

func (storeCopyCmd) Help() string {
	return `Jobs with their history, tasks, data stores, messages, blueprints' revisions, workers and keys go over,
and are read again from both sides to compare. Stop every server on either store first. Afterwards start
servers on TO only: jobs that go on in both would do everything twice.

Not copied: the files of jobs (TASK_FILES_DIR and S3 stay where they are), the copy of the history
(HISTORY_DATABASE_URI), and the leases of nodes, which take new ones.

Examples:
  orrery store copy sqlite:.orrery/orrery.db sqlite:/var/lib/orrery/orrery.db --dry-run
  orrery store copy sqlite:.orrery/orrery.db postgres://orrery:secret@db/orrery
  orrery store copy sqlite:.orrery/orrery.db redis://:secret@redis/0`
}

// copied is what `store copy --format json` prints.
type copied struct {
	From     string               `json:"from"`
	To       string               `json:"to"`
	DryRun   bool                 `json:"dry_run"`
	Verified bool                 `json:"verified"`
	Rows     []move.Sum           `json:"rows"`
	Jobs     map[job.Status]int64 `json:"jobs"`
	Seconds  float64              `json:"seconds"`
	Would    []string             `json:"would,omitempty"` // with DryRun, beside copying
}

// Run copies. Progress goes to stderr, the result to stdout.
func (c *storeCopyCmd) Run(p *program) error {
	from, err := storeArgument("FROM", c.From)
	if err != nil {
		return err
	}
	to, err := storeArgument("TO", c.To)
	if err != nil {
		return err
	}
	if from.String() == to.String() {
		return usagef("FROM and TO are the same store")
	}
	done := copied{From: from.String(), To: to.String(), DryRun: c.DryRun}
	begin := time.Now()
	if c.DryRun {
		err = done.plan(p, from, to)
	} else {
		err = done.copy(p, from, to)
	}
	if err != nil {
		return err
	}
	done.Seconds = time.Since(begin).Seconds()
	if c.Format == "json" {
		return printJSON(p.stdout, done)
	}
	return done.print(p.stdout)
}

// storeArgument reads a STORE_URL that keeps something.
func storeArgument(name, text string) (config.StoreURL, error) {
	u, err := config.ParseStoreURL(text)
	if err != nil {
		return u, usagef("%s %v; for example sqlite:.orrery/orrery.db", name, err)
	}
	if u.Kind == config.StoreMemory {
		return u, usagef("%s: memory: keeps nothing after its process", name)
	}
	return u, nil
}

// openToMove opens a store that no server uses. One that is to be read must be there.
func openToMove(ctx context.Context, u config.StoreURL, mustExist bool) (store.Movable, error) {
	if mustExist {
		schema, err := schemaOf(ctx, u)
		if err != nil {
			return nil, err
		}
		if schema.Have == 0 {
			return nil, &failure{line: fmt.Sprintf("there is no store at %s", u)}
		}
	}
	s, err := openStore(ctx, u, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	m, ok := s.(store.Movable)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s can not be copied: its driver does not give its rows", u), s.Close())
	}
	if leases, ok := s.(store.Leases); ok && s.Features().Shared {
		nodes, err := leases.Held(ctx, "node/")
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		if len(nodes) > 0 {
			var names []string
			for _, n := range nodes {
				names = append(names, strings.TrimSpace(n.Name+" "+string(n.Info)))
			}
			line := fmt.Sprintf("%s is in use by %s: stop all servers on it first", u, strings.Join(names, ", "))
			return nil, errors.Join(&failure{line: line}, s.Close())
		}
	}
	return m, nil
}

func (d *copied) copy(p *program, from, to config.StoreURL) (err error) {
	src, err := openToMove(p.ctx, from, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := openToMove(p.ctx, to, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	r, err := move.Copy(p.ctx, src, dst, move.Options{Now: time.Now(), From: from.String(), Progress: progressTo(p.stderr)})
	switch {
	case errors.Is(err, move.ErrNotEmpty), errors.Is(err, move.ErrUnfinished):
		return &failure{line: fmt.Sprintf("nothing was copied into %s: %v", to, err), detail: emptying(to)}
	case err != nil:
		if p.ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		return &failure{line: fmt.Sprintf("the copy into %s failed: %v", to, err), detail: "No server starts on what is there now. " + emptying(to) + "; then copy again."}
	}
	d.Rows, d.Jobs, d.Verified = r.Sums, r.Jobs, true
	return nil
}

// plan says what copy would do.
func (d *copied) plan(p *program, from, to config.StoreURL) error {
	have, err := schemaOf(p.ctx, from)
	if err != nil {
		return err
	}
	if have.Have > 0 && have.Have < have.Want {
		return &failure{line: fmt.Sprintf("%s has schema %d; reading it raises it to %d", from, have.Have, have.Want),
			detail: "Make a backup, then: orrery store migrate " + from.String()}
	}
	src, err := openToMove(p.ctx, from, true)
	if err != nil {
		return err
	}
	sums, err := move.SumsOf(p.ctx, src, time.Now())
	if err = errors.Join(err, src.Close()); err != nil {
		return err
	}
	d.Rows, d.Jobs = sums.All(), sums.Counts()
	target, err := schemaOf(p.ctx, to)
	switch {
	case err != nil:
		return err
	case target.Have == 0:
		d.Would = append(d.Would, fmt.Sprintf("make the store %s, schema %d", to, target.Want))
		return nil
	case target.Have < target.Want:
		d.Would = append(d.Would, fmt.Sprintf("raise %s from schema %d to %d", to, target.Have, target.Want))
		return nil
	}
	dst, err := openToMove(p.ctx, to, true)
	if err != nil {
		return err
	}
	err = errors.Join(move.Target(p.ctx, dst, time.Now()), dst.Close())
	if err != nil {
		return &failure{line: fmt.Sprintf("nothing would be copied into %s: %v", to, err), detail: emptying(to)}
	}
	return nil
}

func (d *copied) print(w io.Writer) error {
	title := fmt.Sprintf("copied %s to %s in %.1f s; both sides were read and are equal", d.From, d.To, d.Seconds)
	if d.DryRun {
		title = fmt.Sprintf("would copy %s to %s; nothing was written", d.From, d.To)
	}
	if _, err := fmt.Fprintln(w, title); err != nil {
		return err
	}
	for _, line := range d.Would {
		if _, err := fmt.Fprintln(w, "would "+line); err != nil {
			return err
		}
	}
	if err := printSums(w, d.Rows, d.Jobs); err != nil {
		return err
	}
	if d.DryRun {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nNow start servers with STORE_URL=%s, and none on %s any more. The jobs' files stay where they are.\n", d.To, d.From)
	return err
}

func printSums(w io.Writer, sums []move.Sum, jobs map[job.Status]int64) error {
	rows := [][]string{{"WHAT", "ROWS", "DIGEST"}}
	for _, s := range sums {
		if s.Rows > 0 {
			rows = append(rows, []string{string(s.Kind), fmt.Sprint(s.Rows), s.Digest[:16]})
		}
	}
	for _, st := range slices.Sorted(maps.Keys(jobs)) {
		rows = append(rows, []string{"  jobs " + string(st), fmt.Sprint(jobs[st]), ""})
	}
	return printTable(w, rows)
}

// tellEvery is the time between two lines of progress.
const tellEvery = 2 * time.Second

// progressTo writes a line now and then.
func progressTo(w io.Writer) func(*move.Sums, move.Stage) {
	last := time.Now()
	return func(s *move.Sums, stage move.Stage) {
		if time.Since(last) < tellEvery {
			return
		}
		last = time.Now()
		jobs, rows := int64(0), int64(0)
		for _, one := range s.All() {
			rows += one.Rows
			if one.Kind == store.KindJob {
				jobs = one.Rows
			}
		}
		fmt.Fprintf(w, "%s: %d jobs, %d rows in all\n", stage, jobs, rows) // a line lost does no harm
	}
}

type storeCheckCmd struct {
	Store  string `arg:"" help:"The store that is read."`
	Format string `enum:"text,json" default:"text" help:"How to print: text or json."`
}

func (storeCheckCmd) Help() string {
	return "Reads every row, compares what the store counts with what is there, and prints a digest of each kind\nof row, the same on every store that holds the same. No server may use the store meanwhile.\n\nExample:\n  orrery store check sqlite:.orrery/orrery.db"
}

// Run reads it all.
func (c *storeCheckCmd) Run(p *program) error {
	u, err := storeArgument("STORE", c.Store)
	if err != nil {
		return err
	}
	s, err := openToMove(p.ctx, u, true)
	if err != nil {
		return err
	}
	sums, faults, err := move.Check(p.ctx, s, time.Now())
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	if c.Format == "json" {
		err = printJSON(p.stdout, map[string]any{"store": u.String(), "rows": sums.All(), "jobs": sums.Counts(), "faults": faults})
	} else {
		err = printSums(p.stdout, sums.All(), sums.Counts())
	}
	if err == nil && len(faults) > 0 {
		return &failure{line: fmt.Sprintf("%s has %s", u, count(len(faults), "fault")), detail: strings.Join(faults, "\n")}
	}
	return err
}

type storeMigrateCmd struct {
	Store  string `arg:"" help:"The store whose schema is raised."`
	DryRun bool   `help:"Say what would be done, and do nothing."`
	Format string `enum:"text,json" default:"text" help:"How to print: text or json."`
}

func (storeMigrateCmd) Help() string {
	return "Every server does this at its start; here it is done before, or only looked at. Schemas go forward only:\nthe way back is a backup made before.\n\nExample:\n  orrery store migrate sqlite:.orrery/orrery.db --dry-run"
}

// Run raises the schema, which opening the store does.
func (c *storeMigrateCmd) Run(p *program) error {
	u, err := storeArgument("STORE", c.Store)
	if err != nil {
		return err
	}
	s, err := schemaOf(p.ctx, u)
	switch {
	case err != nil:
		return err
	case s.Have > s.Want:
		return &failure{line: fmt.Sprintf("%s has schema %d, this Orrery knows schemas up to %d", u, s.Have, s.Want),
			detail: "Schemas do not go back: start the newer Orrery again, or restore the backup made before it."}
	case s.Have == 0 && !c.DryRun:
		return &failure{line: fmt.Sprintf("there is no store at %s; the first start makes it", u)}
	}
	if !c.DryRun && s.Have < s.Want {
		opened, err := openStore(p.ctx, u, slog.New(slog.NewTextHandler(p.stderr, nil)))
		if err != nil {
			return err
		}
		if err := opened.Close(); err != nil {
			return err
		}
	}
	if c.Format == "json" {
		return printJSON(p.stdout, map[string]any{"store": u.String(), "dry_run": c.DryRun, "have": s.Have, "want": s.Want, "steps": append([]string{}, s.Steps...)})
	}
	return c.print(p.stdout, u, s)
}

func (c *storeMigrateCmd) print(w io.Writer, u config.StoreURL, s store.Schema) error {
	var b strings.Builder
	switch {
	case s.Have == s.Want:
		fmt.Fprintf(&b, "%s has schema %d, the newest that this Orrery knows\n", u, s.Have)
	case c.DryRun:
		fmt.Fprintf(&b, "%s would be raised from schema %d to %d:\n", u, s.Have, s.Want)
	default:
		fmt.Fprintf(&b, "%s was raised from schema %d to %d:\n", u, s.Have, s.Want)
	}
	for i, step := range s.Steps {
		fmt.Fprintf(&b, "  %d: %s\n", s.Have+i+1, step)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
