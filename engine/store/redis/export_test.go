package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/redis/redistest"
)

// This file tests how much an export reads at once, in bytes of the server's replies.

// largest notes the largest replies to a pipeline.
type largest struct{ bytes int }

func (l *largest) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (l *largest) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

func (l *largest) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		err := next(ctx, cmds)
		n := 0
		for _, c := range cmds {
			n += replyBytes(c)
		}
		l.bytes = max(l.bytes, n)
		return err
	}
}

func replyBytes(c goredis.Cmder) (n int) {
	var all []string
	switch c := c.(type) {
	case *goredis.Cmd:
		all = texts(c.Val())
	case *goredis.SliceCmd:
		all = texts(c.Val())
	case *goredis.StringSliceCmd:
		all = c.Val()
	case *goredis.StringCmd:
		all = []string{c.Val()}
	case *goredis.MapStringStringCmd:
		for _, text := range c.Val() {
			all = append(all, text)
		}
	}
	for _, text := range all {
		n += len(text)
	}
	return n
}

func TestExportReadsLittleAtOnce(t *testing.T) {
	const jobs, each, long = 16, 12, 64 << 10 // 12 MiB of each kind, in one shard
	s := open(t, redistest.Start(t).URL(fresh()))
	text := json.RawMessage(`"` + strings.Repeat("x", long) + `"`)
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for range jobs {
		id := job.NewID(now, 7)
		c := &job.Change{
			Job:         job.Job{ID: id, Version: 1, Blueprint: "b", State: "s", Status: job.WaitingParallel, CreatedAt: now, UpdatedAt: now, Records: each},
			InitialData: json.RawMessage(`{}`), StateHistory: json.RawMessage(`{}`),
		}
		for n := range each {
			c.Records = append(c.Records, job.Record{N: int64(n + 1), At: job.Time{Time: now}, Kind: job.RecStep, State: "s", Status: job.Running, Set: map[string]json.RawMessage{"x": text}})
			c.Tasks = append(c.Tasks, job.Task{JobID: id, N: n + 1, State: job.TaskQueued, JobState: "s", Type: "t", Params: text, Queued: now})
			c.Results = append(c.Results, job.Result{Group: 1, TaskID: fmt.Sprint("t", n), Type: "t", Status: "success", Data: text})
			c.Outbox = append(c.Outbox, job.Message{ID: fmt.Sprintf("%s/1/%d", id, n), JobID: id, Kind: job.MsgWebhook, Due: now, Body: text})
		}
		if err := s.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	var met largest
	s.client.(*goredis.Client).AddHook(&met)
	found := map[store.RowKind]int{}
	err := s.Export(t.Context(), func(r store.Row) error {
		if of, ok := r.(store.RecordRow); ok {
			found[r.Kind()] += len(of.Records)
		} else {
			found[r.Kind()]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[store.RowKind]int{
		store.KindJob: jobs, store.KindRecord: jobs * each, store.KindTask: jobs * each, store.KindResult: jobs * each, store.KindMessage: jobs * each,
	} {
		if found[kind] != want {
			t.Errorf("%d %s were given, want %d", found[kind], kind, want)
		}
	}
	if most := 2 * store.PageBytes; met.bytes > most {
		t.Errorf("%d bytes were read at once, at most %d are meant", met.bytes, most)
	}
	t.Logf("at most %d bytes were read at once", met.bytes)
}
