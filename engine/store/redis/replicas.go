package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// This file sends pipelines, and with ?wait=N sees to it that nothing counts which fewer than
// N replicas have: the same connection asks for them after its writes (WAIT). A write that too
// few have got is in doubt, and so is whatever a reader sees of it, for the next failover may
// undo it. So a read of a tag in doubt waits as well, behind a mark that is written there:
// replication is in order, who has the mark has all before it.

// waitFor bounds one wait for replicas; it is shorter than callTimeout, which it is part of.
const waitFor = 3 * time.Second

// tooFew is the failure of a command that the master did, and too few replicas have.
type tooFew struct{ have, want int }

func (e *tooFew) Error() string {
	return fmt.Sprintf("%d replicas have it within %s, wait=%d asks for more", e.have, waitFor, e.want)
}

// doubtful are the tags in which something was written that may not be on enough replicas.
type doubtful struct {
	mu   sync.Mutex
	tags map[string]int64 // when it was told, in the count of now
	now  int64
}

// begin gives the count that a write or read begins at, and those of its tags that are in doubt.
func (d *doubtful) begin(cmds []goredis.Cmder) (now int64, marks []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now++
	if len(d.tags) == 0 {
		return d.now, nil
	}
	for _, c := range cmds {
		if place := placeOf(keyOf(c)); d.tags[place] != 0 && !slices.Contains(marks, place) {
			marks = append(marks, place)
		}
	}
	return d.now, marks
}

// end notes how it went with some tags: those that replicas have are in no doubt any more,
// unless that arose after the count.
func (d *doubtful) end(now int64, places []string, sure bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now++
	for _, place := range places {
		switch at := d.tags[place]; {
		case !sure:
			if d.tags == nil {
				d.tags = map[string]int64{}
			}
			d.tags[place] = d.now
		case at != 0 && at <= now:
			delete(d.tags, place)
		}
	}
}

// keyOf gives the key of a command as this driver sends them.
func keyOf(c goredis.Cmder) string {
	args, at := c.Args(), 1
	if name := c.Name(); name == evalHash || name == evalText {
		at = 3
	}
	if len(args) <= at {
		return ""
	}
	key, _ := args[at].(string)
	return key
}

// placeOf gives what stands before a key's ending: prefix and tag.
func placeOf(key string) string {
	if end := strings.IndexByte(key, '}'); end >= 0 {
		return key[:end+1]
	}
	return key
}

// readers are the commands of this driver that write nothing.
var readers = map[string]bool{
	"get": true, "exists": true, "hget": true, "hmget": true, "hvals": true, "hgetall": true, "hlen": true, "lrange": true,
	"smembers": true, "zrange": true, "zrangebylex": true, "zrangebyscore": true, "zrevrangebylex": true, "scan": true,
}

// writes reports whether a command writes what must not be lost; a pace may.
func writes(c goredis.Cmder) bool {
	if sc := scriptOfCall(c); sc != nil {
		return sc != openTasksScript && sc != scanScript && sc != pickScript && sc != paceScript
	}
	return !readers[c.Name()]
}

// carry sends what a pipeline holds and gives its commands, each of which has its own error.
func (s *Store) carry(ctx context.Context, p goredis.Pipeliner) []goredis.Cmder {
	cmds := p.Cmds()
	p.Discard()
	s.transmit(ctx, cmds)
	var unknown []goredis.Cmder // to their servers: nothing was done
	for _, c := range cmds {
		if isNoScript(c.Err()) {
			scriptOfCall(c).spellOut(c)
			unknown = append(unknown, c)
		}
	}
	s.transmit(ctx, unknown)
	return cmds
}

// transmit sends commands once.
func (s *Store) transmit(ctx context.Context, cmds []goredis.Cmder) {
	if len(cmds) == 0 {
		return
	}
	if s.target.wait > 0 {
		now, marks := s.doubt.begin(cmds)
		if len(marks) > 0 || slices.ContainsFunc(cmds, writes) {
			s.replicate(ctx, now, cmds, marks)
			return
		}
	}
	p := s.client.Pipeline()
	_ = p.BatchProcess(ctx, cmds...) // it puts them into the pipeline, no more
	_, _ = p.Exec(ctx)               // every command has its own error
}

// replicate sends commands to their masters and waits until enough replicas have them.
func (s *Store) replicate(ctx context.Context, now int64, cmds []goredis.Cmder, marks []string) {
	if c, single := s.client.(*goredis.Client); single {
		s.toMaster(ctx, c, now, cmds, marks)
		return
	}
	c := s.client.(*goredis.ClusterClient)
	for try, left := 0, cmds; ; try++ {
		s.toMasters(ctx, c, now, left, marks)
		failed := left[:0:0]
		for _, cmd := range left {
			if elsewhere(cmd.Err()) {
				failed = append(failed, cmd)
			}
		}
		if len(failed) == 0 || try == redirects {
			return
		}
		c.ReloadState(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(leastPause<<try, mostPause)):
		}
		left = failed
	}
}

// toMasters sends every master its share, side by side.
func (s *Store) toMasters(ctx context.Context, c *goredis.ClusterClient, now int64, cmds []goredis.Cmder, marks []string) {
	type share struct {
		cmds  []goredis.Cmder
		marks []string
	}
	shares := map[*goredis.Client]*share{}
	of := func(key string) (*share, error) {
		node, err := c.MasterForKey(ctx, key)
		if err != nil {
			return nil, err
		}
		if shares[node] == nil {
			shares[node] = &share{}
		}
		return shares[node], nil
	}
	for _, cmd := range cmds {
		cmd.SetErr(nil)
		if to, err := of(keyOf(cmd)); err != nil {
			cmd.SetErr(err)
		} else {
			to.cmds = append(to.cmds, cmd)
		}
	}
	for _, place := range marks {
		if to, err := of(place); err == nil {
			to.marks = append(to.marks, place)
		}
	}
	var all sync.WaitGroup
	for node, sh := range shares {
		if len(sh.cmds) > 0 {
			all.Go(func() { s.toMaster(ctx, node, now, sh.cmds, sh.marks) })
		}
	}
	all.Wait()
}

// toMaster sends one master its commands on one connection, the question for the replicas last.
func (s *Store) toMaster(ctx context.Context, c *goredis.Client, now int64, cmds []goredis.Cmder, marks []string) {
	places := slices.Clone(marks)
	p := c.Pipeline()
	for _, cmd := range cmds {
		_ = p.Process(ctx, cmd) // it is put into the pipeline, no more
		if place := placeOf(keyOf(cmd)); writes(cmd) && !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	var marked []*goredis.StatusCmd
	for _, place := range marks {
		marked = append(marked, p.Set(ctx, markKey(place), now, 0))
	}
	asked := p.Do(ctx, "wait", s.target.wait, waitFor.Milliseconds())
	_, _ = p.Exec(ctx) // every command has its own error
	have, err := asked.Int64()
	for _, m := range marked {
		err = errors.Join(err, m.Err())
	}
	if err == nil && have < int64(s.target.wait) {
		err = &tooFew{int(have), s.target.wait}
	}
	if err != nil {
		for _, cmd := range cmds {
			if cmd.Err() == nil || cmd.Err() == goredis.Nil { // done, so far as this master goes
				cmd.SetErr(err)
			}
		}
	}
	s.doubt.end(now, places, err == nil)
}

// elsewhere tells failures of a cluster after which another server may do what was asked: the
// slot has moved, or its master is not there.
func elsewhere(err error) bool {
	if err == nil || err == goredis.Nil || isNoScript(err) {
		return false
	}
	var few *tooFew
	if errors.As(err, &few) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, goredis.ErrClosed) {
		return false
	}
	var answer goredis.Error
	if !errors.As(err, &answer) {
		return true // the network
	}
	for _, code := range []string{"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN"} {
		if strings.HasPrefix(answer.Error(), code) {
			return true
		}
	}
	return strings.Contains(answer.Error(), nonLocal)
}
