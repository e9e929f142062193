package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"orrery/engine/store/yardstick"
)

// This file measures several nodes on one shared store, beside SQLite, the bare limit and the
// store's own limit: the same rows in as many commits, with nothing of Orrery before them. Each
// has a place of its own on the store, all stand ready from the beginning, and they take turns,
// so that what the store has used in a turn is that one's.

// NodesReport is what a run over nodes measured.
type NodesReport struct {
	Conditions
	Columns []*Column `json:"columns"`
	rows    []row
}

// Column is what was measured of one contestant. Ratios are medians over the rounds, of figures
// of the same round; what was not measured is left out.
type Column struct {
	Figures
	Nodes        int      `json:"nodes,omitempty"`
	OfFirst      float64  `json:"ratio_of_first_column,omitempty"`
	OfSQLite     float64  `json:"ratio_of_sqlite,omitempty"`
	OfBare       float64  `json:"ratio_of_bare_limit,omitempty"`
	OfStoreLimit float64  `json:"ratio_of_store_limit,omitempty"`
	Requests     *float64 `json:"requests_per_job,omitempty"` // answered by all nodes, those between them included
	StoreCPU     *float64 `json:"store_cpu_us_per_job,omitempty"`
	Commits      *float64 `json:"store_commits_per_job,omitempty"`
	RoundTrips   *float64 `json:"store_round_trips_per_job,omitempty"`
	StoreBytes   *float64 `json:"store_bytes_written_per_job,omitempty"`
	Kept         *float64 `json:"store_bytes_kept_per_job,omitempty"`
	WakeP50      *float64 `json:"created_to_worker_p50_ms,omitempty"`
	WakeP99      *float64 `json:"created_to_worker_p99_ms,omitempty"`
	WakeP999     *float64 `json:"created_to_worker_p999_ms,omitempty"`

	round func(ctx context.Context, jobs int) (time.Duration, error) // one turn
	load  *load                                                      // nil: the store's own limit
	cpu   time.Duration                                              // of all its servers
	asked int64                                                      // requests that they have answered
	store *yardstick.Used                                            // nil: it is not on the store
}

// contest is a run: its contestants and what must be cleared away after it.
type contest struct {
	o        Options
	shape    shape
	report   *NodesReport
	clearing []func(ctx context.Context) error
}

// clearWithin bounds the clearing away, which also follows an interruption.
const clearWithin = time.Minute

// RunNodes measures every number of nodes of o.Nodes on o.Server, and tells its progress on w.
func RunNodes(ctx context.Context, o Options, w io.Writer) (report *NodesReport, err error) {
	sh, err := shapeNamed(o.Shape)
	if err != nil {
		return nil, err
	}
	if sh.commits == 0 && !sh.wake {
		return nil, fmt.Errorf("the shape %s is not counted over nodes; choose one of %s", sh.name, strings.Join(NodeShapes(), ", "))
	}
	o = o.fill(sh)
	c := &contest{o: o, shape: sh, report: &NodesReport{Conditions: conditionsOf(sh, o)}}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel() // the workers end
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearWithin)
		defer cancel()
		for _, clear := range slices.Backward(c.clearing) {
			err = errors.Join(err, clear(ctx))
		}
	}()
	if err := c.prepare(ctx, w); err != nil {
		return nil, err
	}
	if err := c.rounds(ctx, w); err != nil {
		return nil, err
	}
	c.sum()
	return c.report, nil
}

// NodeShapes names the kinds of load that can be measured over nodes.
func NodeShapes() (names []string) {
	for _, s := range shapes {
		if s.commits > 0 || s.wake {
			names = append(names, s.name)
		}
	}
	return names
}

// prepare starts all servers.
func (c *contest) prepare(ctx context.Context, w io.Writer) error {
	run := fmt.Sprintf("bench_%x_%x", time.Now().Unix(), os.Getpid())
	for i, n := range c.o.Nodes {
		fmt.Fprintf(w, "starting %s on %s\n", count(n), c.o.StoreName)
		if err := c.addNodes(ctx, n, fmt.Sprintf("%s_%d", run, i)); err != nil {
			return err
		}
	}
	if c.shape.wake { // a way between nodes; the others have none
		return nil
	}
	for _, name := range []string{"on sqlite", bareTarget} {
		t, err := startTarget(ctx, name, "", c.shape)
		if err != nil {
			return err
		}
		c.clearing = append(c.clearing, func(context.Context) error { return t.stop() })
		c.add(&Column{Figures: Figures{Target: name}}, t)
	}
	return c.addLimit(ctx, run+"_limit")
}

// addNodes starts so many nodes on a place of their own.
func (c *contest) addNodes(ctx context.Context, n int, place string) error {
	c.clearing = append(c.clearing, func(ctx context.Context) error { return c.o.Server.Drop(ctx, place) })
	var nodes []*target
	for range n {
		t, err := startTarget(ctx, "on "+c.o.Server.Kind(), c.o.Server.Place(place), c.shape)
		if err != nil {
			return err
		}
		c.clearing = append(c.clearing, func(context.Context) error { return t.stop() })
		nodes = append(nodes, t)
	}
	if err := settled(ctx, nodes); err != nil {
		return err
	}
	c.add(&Column{Figures: Figures{Target: count(n)}, Nodes: n, store: new(yardstick.Used)}, nodes...)
	return nil
}

func (c *contest) add(col *Column, servers ...*target) {
	l := newLoad(c.shape, senderNamed(c.o.Load), servers...)
	col.load = l
	hired := false
	col.round = func(ctx context.Context, jobs int) (time.Duration, error) {
		if !hired {
			hired = true
			if err := l.hire(ctx, c.o.Workers); err != nil {
				return 0, err
			}
		}
		return l.round(ctx, jobs, c.o.Clients)
	}
	c.report.Columns = append(c.report.Columns, col)
}

// storeLimit is the name of the load without Orrery.
const storeLimit = "store limit"

func (c *contest) addLimit(ctx context.Context, place string) error {
	c.clearing = append(c.clearing, func(ctx context.Context) error { return c.o.Server.Drop(ctx, place) })
	limit, err := c.o.Server.Limit(ctx, place)
	if err != nil {
		return fmt.Errorf("prepare the store's own limit: %w", err)
	}
	c.clearing = append(c.clearing, func(context.Context) error { return limit.Close() })
	c.report.Columns = append(c.report.Columns, &Column{
		Figures: Figures{Target: storeLimit}, store: new(yardstick.Used),
		round: func(ctx context.Context, jobs int) (time.Duration, error) {
			began := time.Now()
			err := yardstick.Run(ctx, limit, jobs, c.shape.commits, c.o.Clients+c.o.Workers) // as many wait for a commit at the nodes
			return time.Since(began), err
		},
	})
	return nil
}

func count(nodes int) string {
	if nodes == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", nodes)
}

// calm is longer than the nodes take to look at each other again.
const calm = 2500 * time.Millisecond

// settled waits until every shard is somebody's, every node has some, and that stays so.
func settled(ctx context.Context, nodes []*target) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	last, since := "", time.Now()
	for {
		now, whole, err := nodes[0].shares(ctx, len(nodes))
		if err != nil {
			return err
		}
		if now != last || !whole {
			last, since = now, time.Now()
		}
		if whole && (len(nodes) == 1 || time.Since(since) > calm) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the nodes did not share the jobs out within a minute: %s", now)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// allShards is how many shards the jobs are split into.
const allShards = 256

// shares asks a node who has how many shards; whole says that nothing is missing.
func (t *target) shares(ctx context.Context, want int) (shares string, whole bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+"/api/v1/nodes", nil)
	if err != nil {
		return "", false, err
	}
	req.Header.Set("X-Client-Token", t.clientToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	var all []struct {
		ID     string `json:"id"`
		Shards int    `json:"shards"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		return "", false, fmt.Errorf("the nodes as %s sees them: %w", t.name, err)
	}
	sum, idle := 0, 0
	for _, n := range all {
		sum += n.Shards
		if n.Shards == 0 {
			idle++
		}
		shares += fmt.Sprintf(" %s has %d;", n.ID, n.Shards)
	}
	return shares, len(all) == want && sum == allShards && idle == 0, nil
}

// rounds lets the contestants take turns; the first round, a tenth as long, is not counted.
func (c *contest) rounds(ctx context.Context, w io.Writer) error {
	for n := -1; n < c.o.Rounds; n++ {
		jobs := c.o.Jobs
		if n < 0 {
			jobs = max(c.o.Jobs/10, 1)
			fmt.Fprint(w, "warming up:")
		} else {
			fmt.Fprintf(w, "round %d of %d:", n+1, c.o.Rounds)
		}
		for _, col := range c.report.Columns {
			rate, err := c.turn(ctx, col, jobs, n >= 0)
			if err != nil {
				return fmt.Errorf("%s: %w", col.Target, err)
			}
			fmt.Fprintf(w, " %s %.0f jobs/s;", col.Target, rate)
		}
		fmt.Fprintln(w)
	}
	return nil
}

// turn is one turn of one contestant.
func (c *contest) turn(ctx context.Context, col *Column, jobs int, counts bool) (rate float64, err error) {
	var before, after yardstick.Used
	if col.store != nil {
		if before, err = c.o.Server.Used(ctx); err != nil {
			return 0, err
		}
	}
	asked, err := col.answers(ctx)
	if err != nil {
		return 0, err
	}
	cpu := col.processors()
	took, err := col.round(ctx, jobs)
	if err != nil {
		return 0, err
	}
	cpu = col.processors() - cpu
	answered, err := col.answers(ctx)
	if err != nil {
		return 0, err
	}
	if col.store != nil {
		if after, err = c.o.Server.Used(ctx); err != nil {
			return 0, err
		}
	}
	rate = float64(jobs) / took.Seconds()
	if !counts {
		if col.load != nil {
			col.load.forget()
		}
		return rate, nil
	}
	col.roundRates = append(col.roundRates, rate)
	col.cpu, col.asked = col.cpu+cpu, col.asked+answered-asked
	if col.store != nil {
		used := after.Since(before)
		col.store = new(col.store.Plus(used))
	}
	return rate, nil
}

// processors gives the time that a contestant's servers have had of the processors.
func (col *Column) processors() (sum time.Duration) {
	if col.load != nil {
		for _, t := range col.load.at {
			sum += t.usage().cpu
		}
	}
	return sum
}

// answers counts the requests that a contestant's nodes have answered, one another's included.
func (col *Column) answers(ctx context.Context) (sum int64, err error) {
	if col.Nodes == 0 {
		return 0, nil
	}
	for _, t := range col.load.at {
		n, err := t.answers(ctx)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// forget drops the times of the jobs so far.
func (l *load) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.create, l.total, l.wakes = nil, nil, nil
}

// sum makes the figures of the rounds.
func (c *contest) sum() {
	jobs := float64(c.o.Jobs * c.o.Rounds)
	named := map[string]*Column{}
	for _, col := range c.report.Columns {
		named[col.Target] = col
		col.JobsPerSec = median(col.roundRates)
		col.CPUPerJob = float64(col.cpu.Microseconds()) / jobs
		col.servers(jobs)
		col.used(jobs)
	}
	for _, col := range c.report.Columns {
		col.OfFirst = col.against(c.report.Columns[0])
		col.OfSQLite, col.OfBare, col.OfStoreLimit = col.against(named["on sqlite"]), col.against(named[bareTarget]), col.against(named[storeLimit])
	}
	c.report.rows = rowsOf(c.shape)
}

// servers fills in what is seen of the servers and of their jobs.
func (col *Column) servers(jobs float64) {
	if col.load == nil {
		return
	}
	l := col.load
	for _, list := range [][]time.Duration{l.create, l.total, l.wakes} {
		slices.Sort(list)
	}
	col.CreateP50, col.TotalP50 = ms(l.create, 0.5), ms(l.total, 0.5)
	col.TotalP99, col.TotalP999 = ms(l.total, 0.99), ms(l.total, 0.999)
	if l.shape.wake {
		col.WakeP50, col.WakeP99, col.WakeP999 = new(ms(l.wakes, 0.5)), new(ms(l.wakes, 0.99)), new(ms(l.wakes, 0.999))
	}
	disk := int64(0)
	for _, t := range l.at {
		u := t.usage()
		col.PeakMemory += float64(u.peak) / (1 << 20)
		disk += u.disk
	}
	col.BytesPerJob = float64(disk) / jobs
	if col.Nodes > 0 {
		col.Requests = new(float64(col.asked) / jobs)
	}
}

// used fills in what the store has used.
func (col *Column) used(jobs float64) {
	if col.store == nil {
		return
	}
	each := func(n int64) *float64 {
		if n < 0 {
			return nil // not known, or others have removed more than was kept
		}
		return new(float64(n) / jobs)
	}
	col.Commits, col.RoundTrips, col.StoreBytes, col.Kept = each(col.store.Commits), each(col.store.RoundTrips), each(col.store.Bytes), each(col.store.Kept)
	if !col.store.CPUUnseen {
		col.StoreCPU = new(float64(col.store.CPU.Microseconds()) / jobs)
	}
}

// against gives the median of the ratios to another one in the same round; 0 when there is none.
func (col *Column) against(other *Column) float64 {
	if other == nil || other == col {
		return 0
	}
	var all []float64
	for i, rate := range col.roundRates {
		all = append(all, rate/other.roundRates[i])
	}
	return median(all)
}
