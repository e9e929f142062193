package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/yardstick"
)

// This file says what `orrery bench` wants to know of the server: what it has used, and how
// fast it keeps the same rows when nobody asks it anything.

// Yardstick is the server behind a URL, as the benchmark sees it. Make it with NewYardstick.
type Yardstick struct {
	url  string
	conf *config
	conn *pgx.Conn
}

var _ yardstick.Server = (*Yardstick)(nil)

// NewYardstick connects to the server of a store's URL.
func NewYardstick(ctx context.Context, rawURL string) (*Yardstick, error) {
	conf, err := parse(rawURL, Options{}.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("the store's URL %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, migrateWait)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, conf.conn.Copy())
	if err != nil {
		return nil, (&Store{name: conf.name}).explain(err)
	}
	return &Yardstick{url: rawURL, conf: conf, conn: conn}, nil
}

// Kind names the kind of store.
func (y *Yardstick) Kind() string { return "postgres" }

// Close ends the connection.
func (y *Yardstick) Close() error { return hangUp(y.conn) }

func hangUp(c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.Close(ctx)
}

// Place is the same URL with a schema of its own.
func (y *Yardstick) Place(name string) string {
	u, err := url.Parse(y.url)
	if err != nil {
		return "" // it was read before
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// Drop removes the schema.
func (y *Yardstick) Drop(ctx context.Context, name string) error {
	_, err := y.conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{name}.Sanitize()+" CASCADE")
	return err
}

// Used asks for what is right at this moment; the server's statistics lag behind by seconds.
// Commits are the transactions that wrote something: each takes a number. A batch of a writer is
// such a transaction in one round trip, so the two are one figure. Bytes are those of the
// write-ahead log. Other users of the server are in all of them.
func (y *Yardstick) Used(ctx context.Context) (yardstick.Used, error) {
	var u yardstick.Used
	var backend int
	err := y.conn.QueryRow(ctx, `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8, (pg_current_wal_insert_lsn()-'0/0'::pg_lsn)::int8,
		pg_database_size(current_database()), pg_backend_pid()`).Scan(&u.Commits, &u.Bytes, &u.Kept, &backend)
	if err != nil {
		return u, err
	}
	u.RoundTrips = u.Commits
	cpu, seen := serverCPU(backend, y.conn.PgConn().Conn().LocalAddr().String())
	u.CPU, u.CPUUnseen = cpu, !seen
	return u, nil
}

// serverCPU adds up the processes of the server: the first one, those that it has started, and
// those that have ended since. false when the backend is not a process of this machine, which
// its title tells: it names the client's port.
func serverCPU(backend int, client string) (cpu time.Duration, seen bool) {
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", backend))
	port := client[strings.LastIndexByte(client, ':')+1:]
	if err != nil || !strings.HasPrefix(string(title), "postgres: ") || !strings.Contains(string(title), "("+port+")") && !strings.Contains(string(title), "[local]") {
		return 0, false
	}
	me, ok := readProcess(strconv.Itoa(backend))
	if !ok {
		return 0, false
	}
	first, ok := readProcess(me.parent)
	if !ok {
		return 0, false
	}
	ticks := first.own + first.ended
	all, err := os.ReadDir("/proc")
	if err != nil {
		return 0, false
	}
	for _, e := range all {
		if p, ok := readProcess(e.Name()); ok && p.parent == me.parent {
			ticks += p.own + p.ended
		}
	}
	const tick = 10 * time.Millisecond // 100 a second on Linux
	return time.Duration(ticks) * tick, true
}

// process is what /proc says: ticks of the processor, its own and of the children that it has
// seen the end of.
type process struct {
	parent     string
	own, ended int64
}

// readProcess reads /proc/PID/stat; false: there is no such process.
func readProcess(pid string) (p process, ok bool) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return p, false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const parent, user, system, endedUser, endedSystem = 1, 11, 12, 13, 14 // fields 4 and 14 to 17 of proc(5)
	number := func(at int) int64 {
		n, _ := strconv.ParseInt(fields[at], 10, 64) // the kernel writes digits
		return n
	}
	return process{fields[parent], number(user) + number(system), number(endedUser) + number(endedSystem)}, true
}

// limit writes the rows of jobs into the same tables with the same indexes, as Orrery does: all
// of a batch in one round trip that is one transaction. What it leaves out is what Orrery asks
// before and counts besides: versions, fences, numbers.
type limit struct {
	conns []*pgx.Conn
}

// Limit makes the tables in a schema of their own and connects as often as a node's writers do.
func (y *Yardstick) Limit(ctx context.Context, name string) (yardstick.Limit, error) {
	s, err := Open(ctx, y.Place(name), Options{})
	if err != nil {
		return nil, err
	}
	f := &limit{}
	for range s.opts.Writers {
		c, err := pgx.ConnectConfig(ctx, s.conf)
		if err != nil {
			return nil, errors.Join(err, f.Close(), s.Close())
		}
		f.conns = append(f.conns, c)
	}
	return f, s.Close()
}

// Lines is the number of a node's writers.
func (f *limit) Lines() int { return len(f.conns) }

const (
	limitInsert = `INSERT INTO heads(id, version, due, shard, status, was, f, ready, body, history)
		SELECT id, 1, NULL, shard, 3, 0, $5::int2, false, body, history FROM unnest($1::uuid[], $2::int2[], $3::bytea[], $4::bytea[]) AS c(id, shard, body, history)`
	limitUpdate = `UPDATE heads h SET version=c.version, was=h.status, status=c.status, ready=false, due=NULL, f=$6::int2, body=c.body, history=c.history
		FROM unnest($1::uuid[], $2::int8[], $3::int2[], $4::bytea[], $5::bytea[]) AS c(id, version, status, body, history) WHERE h.id=c.id`
	limitTasks = `INSERT INTO tasks(job, n, hand_out, shard, state, open, due, f, body)
		SELECT job, 1, 0, shard, 1, open, NULL, $5::int2, body FROM unnest($1::uuid[], $2::int2[], $3::bool[], $4::bytea[]) AS c(job, shard, open, body)
		ON CONFLICT (job, n) DO UPDATE SET state=excluded.state, open=excluded.open, body=excluded.body`
)

// Send writes a batch. A commit has one row of heads, one of tasks and one with two records; the
// first one has a row of jobs besides.
func (f *limit) Send(lineNumber int, batch []yardstick.Step) error {
	var fresh, old, all struct {
		id            []uuid
		parent        []pgtype.UUID
		version       []int64
		shard, status []int16
		number        []int32
		open          []bool
		body, history [][]byte
		task, records [][]byte
		blueprint     [][]byte
	}
	for i := range batch {
		s := &batch[i]
		id, _ := job.ParseID(s.ID) // it was made by NewID
		if s.Number == 0 {
			fresh.id, fresh.shard = append(fresh.id, id), append(fresh.shard, shardOf(id))
			fresh.body, fresh.history = append(fresh.body, s.Rows.Head), append(fresh.history, s.Rows.History)
			fresh.parent, fresh.blueprint = append(fresh.parent, pgtype.UUID{}), append(fresh.blueprint, []byte("bench"))
		} else {
			status := statusCodes[job.WaitingWorker]
			if s.Last {
				status = statusCodes[job.Finished]
			}
			old.id, old.version, old.status = append(old.id, id), append(old.version, int64(s.Number)+1), append(old.status, status)
			old.body, old.history = append(old.body, s.Rows.Head), append(old.history, s.Rows.History)
		}
		all.id, all.shard, all.number = append(all.id, id), append(all.shard, shardOf(id)), append(all.number, int32(2*s.Number+2))
		all.open, all.task = append(all.open, !s.Last), append(all.task, s.Rows.Task)
		all.records = append(all.records, append(append([]byte{}, s.Rows.Records...), s.Rows.Records...))
	}
	var out pgx.Batch
	if len(old.id) > 0 {
		out.Queue(limitUpdate, old.id, old.version, old.status, old.body, old.history, formatNow)
	}
	if len(fresh.id) > 0 {
		out.Queue(limitInsert, fresh.id, fresh.shard, fresh.body, fresh.history, formatNow)
		out.Queue(insertJobs, fresh.id, fresh.parent, fresh.blueprint, fresh.blueprint, fresh.history, formatNow)
	}
	out.Queue(insertRecords, all.id, all.number, all.records, formatNow)
	out.Queue(limitTasks, all.id, all.shard, all.open, all.task, formatNow)
	ctx, cancel := context.WithTimeout(context.Background(), Options{}.withDefaults().AnswerWait)
	defer cancel()
	if err := f.conns[lineNumber].SendBatch(ctx, &out).Close(); err != nil {
		return fmt.Errorf("write %d rows of format %d: %w", len(batch), store.Format, err)
	}
	return nil
}

// Close ends the connections.
func (f *limit) Close() (err error) {
	for _, c := range f.conns {
		err = errors.Join(err, hangUp(c))
	}
	return err
}
