package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file takes rows of another store. Every command may be sent twice and is done once.

// imported is one row, ready to be sent.
type imported func(p goredis.Pipeliner)

// Import writes a piece with one pipeline.
func (s *Store) Import(ctx context.Context, rows []store.Row) error {
	sends := make([]imported, 0, len(rows))
	for _, r := range rows {
		send, err := s.importOf(ctx, r)
		if err != nil {
			return fmt.Errorf("import into %s: %w", s.name, err)
		}
		sends = append(sends, send)
	}
	var answers []*goredis.Cmd
	err := s.pipe(ctx, func(p goredis.Pipeliner) {
		for _, send := range sends {
			send(p)
		}
		answers = answers[:0]
		for _, c := range p.Cmds() {
			if script, ok := c.(*goredis.Cmd); ok {
				answers = append(answers, script)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("import into %s: %w", s.name, err)
	}
	for _, c := range answers { // of commits: "" when the job is kept
		if text, ok := c.Val().(string); ok && text != "" {
			return fmt.Errorf("import into %s: a job is refused: %s", s.name, text)
		}
	}
	return nil
}

func (s *Store) importOf(ctx context.Context, r store.Row) (imported, error) {
	switch r := r.(type) {
	case store.RevisionRow:
		return s.importRevision(ctx, r.Revision)
	case store.FileRow:
		text, err := row(&r.File)
		return func(p goredis.Pipeliner) { p.HSet(ctx, s.keys.files(), r.File.Name, text) }, err
	case store.WorkerRow:
		return func(p goredis.Pipeliner) { p.HSet(ctx, s.keys.workers(), r.ID, string(r.Body)) }, store.CheckWorker(r.ID, r.Body)
	case store.ClaimRow:
		return s.importClaim(ctx, r), nil
	case store.ValueRow:
		home, name := s.keys.home(r.Blueprint), valueStore(r.Blueprint, r.Store)
		text := strconv.FormatInt(r.Value.Version, 10) + " " + string(r.Value.Text)
		return func(p goredis.Pipeliner) {
			p.HSet(ctx, valuesKey(home, name), r.Value.Key, text)
			p.ZAdd(ctx, valueOrderKey(home, name), goredis.Z{Member: r.Value.Key})
			p.SAdd(ctx, home+":"+stores, name)
		}, nil
	case store.VersionRow:
		return func(p goredis.Pipeliner) {
			for i := range job.Shards {
				p.HSet(ctx, s.keys.shard(byte(i)), "values", r.Newest)
			}
		}, nil
	case store.JobRow:
		return s.importJob(ctx, r)
	case store.MessageRow:
		return s.importMessage(ctx, r.Message)
	}
	return s.importPart(ctx, r)
}

func (s *Store) importRevision(ctx context.Context, r store.Revision) (imported, error) {
	text, short, err := revisionTexts(&r)
	used := strconv.FormatInt(r.LastUse().UnixMilli(), 10)
	return func(p goredis.Pipeliner) {
		s.eval(ctx, p, revisionScript, s.keys.revisions(), "put", r.Hash, used, short, text)
	}, err
}

func (s *Store) importClaim(ctx context.Context, r store.ClaimRow) imported {
	text, lives := "0 move "+string(r.Value), time.Duration(0)
	if r.Until != nil {
		text = strconv.FormatInt(r.Until.UnixMilli(), 10) + " move " + string(r.Value)
		lives = max(time.Until(*r.Until), 0) + claimLife
	}
	return func(p goredis.Pipeliner) { p.Set(ctx, s.keys.claim(r.Key), text, lives) }
}

// importJob goes the way of a new job, so that what is derived from its row stands as well.
func (s *Store) importJob(ctx context.Context, r store.JobRow) (imported, error) {
	c := &job.Change{Job: r.Job}
	if string(r.Data.Initial) != "{}" {
		c.InitialData = r.Data.Initial
	}
	if string(r.Data.History) != "{}" {
		c.StateHistory = r.Data.History
	}
	if _, ok := job.ParseID(r.Job.ID); !ok {
		return nil, fmt.Errorf("%q is no id of a job", r.Job.ID)
	}
	plan, err := planOf(c, s.token(), noHome)
	if err != nil {
		return nil, err
	}
	return func(p goredis.Pipeliner) { s.eval(ctx, p, commitScript, s.keys.of(r.Job.ID), plan.args...) }, nil
}

// importPart takes a row that belongs to a job.
func (s *Store) importPart(ctx context.Context, part store.Row) (imported, error) {
	switch r := part.(type) {
	case store.RecordRow:
		args := []any{"records", r.JobID, strconv.FormatInt(r.Records[0].N, 10)}
		for i := range r.Records {
			text, err := row(&r.Records[i])
			if err != nil {
				return nil, err
			}
			args = append(args, text)
		}
		return func(p goredis.Pipeliner) { s.eval(ctx, p, importScript, s.keys.of(r.JobID), args...) }, nil
	case store.TaskRow:
		return s.importTask(ctx, &r.Task)
	case store.ResultRow:
		text, err := row(&r.Result)
		group, shard := strconv.FormatInt(r.Result.Group, 10), s.keys.of(r.JobID)
		return func(p goredis.Pipeliner) {
			p.HSetNX(ctx, jobKey(shard, r.JobID), "g"+group, "")
			p.HSet(ctx, resultsKey(shard, r.JobID, group), r.Result.TaskID, text)
		}, err
	case store.ProgressRow:
		text, err := row(&r.Progress)
		number := fmt.Sprintf("%016d", s.tokens.Add(1)) // they come in their order
		return func(p goredis.Pipeliner) {
			s.eval(ctx, p, importScript, s.keys.of(r.JobID), "progress", r.JobID, r.Progress.TaskID, number, text)
		}, err
	}
	return nil, fmt.Errorf("this Orrery does not know the row %T", part)
}

func (s *Store) importTask(ctx context.Context, t *job.Task) (imported, error) {
	text, err := taskText(t)
	if err != nil {
		return nil, err
	}
	shard, member := s.keys.of(t.JobID), t.JobID+"/"+taskNumber(t.N)
	return func(p goredis.Pipeliner) {
		p.HSet(ctx, jobKey(shard, t.JobID), "t"+taskNumber(t.N), text)
		if !t.State.Open() {
			return
		}
		p.ZAdd(ctx, shard+":"+openList, goredis.Z{Member: member})
		if t.Due != nil {
			p.ZAdd(ctx, shard+":"+dueList, goredis.Z{Member: member, Score: float64(t.Due.UnixMilli())})
		}
	}, nil
}

func (s *Store) importMessage(ctx context.Context, m job.Message) (imported, error) {
	text, err := row(&m)
	bucket, in := shardsOf(m.ID)
	due := strconv.FormatInt(m.Due.UnixMilli(), 10)
	if m.Parked() {
		due = ""
	}
	return func(p goredis.Pipeliner) {
		for shard := range in.Each { // of one with another id, any will do
			s.eval(ctx, p, importScript, s.keys.shard(shard), "message", bucket, m.ID, due, flag(m.GivenUp != nil), text)
			return
		}
	}, err
}
