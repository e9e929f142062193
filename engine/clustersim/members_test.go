package clustersim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"orrery/engine/job"
	ownership "orrery/engine/node"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file puts several nodes on one store and watches over who owns what: nodes die, are cut
// from the leases, leave, come back and commit late, and no commit of a past owner may count.

const (
	members     = 3
	leaderWork  = "schedules"
	memberWorld = 3 * time.Minute // virtual, of storm
)

// realm is the world of the members.
type realm struct {
	*world
	shared store.Store
	leases store.Leases

	newest map[byte]int64            // the highest fence that a commit was taken under
	holder map[byte]map[int64]string // whose fence that was
	taken  int
	fenced int
	all    []*member
}

// member is one node's ownership, without an engine: it commits into shards that it was given.
type member struct {
	r    *realm
	name string
	rnd  *rand.Rand // of its life

	mu   sync.Mutex
	luck *rand.Rand // of its calls
	life int
	node *ownership.Node
	has  map[byte]int64
	cut  bool
	stop context.CancelFunc
}

var (
	_ ownership.Shards = (*member)(nil)
	_ store.Leases     = (*member)(nil)
)

// Gain notes shards.
func (m *member) Gain(_ context.Context, fences map[byte]int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return errLink
	}
	for s, f := range fences {
		m.has[s] = f
	}
	return nil
}

// Lose forgets shards.
func (m *member) Lose(_ context.Context, lost store.ShardSet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s := range lost.Each {
		delete(m.has, s)
	}
}

// Opened gives the shards that the member has.
func (m *member) Opened() (set store.ShardSet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s := range m.has {
		set.Add(s)
	}
	return set
}

// fault draws what becomes of a call for leases. It takes no time: the node holds a lock.
func (m *member) fault() (before, after error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return errLink, nil
	}
	if m.r.isCalm() {
		return nil, nil
	}
	switch m.luck.IntN(20) {
	case 0:
		return errLink, nil
	case 1:
		return nil, errLink
	}
	return nil, nil
}

// Hold passes on store.Leases' method.
func (m *member) Hold(ctx context.Context, holder string, info json.RawMessage, ttl time.Duration, names ...string) ([]store.Lease, error) {
	before, after := m.fault()
	if before != nil {
		return nil, before
	}
	got, err := m.r.leases.Hold(ctx, holder, info, ttl, names...)
	return got, errors.Join(err, after)
}

// Yield passes on store.Leases' method.
func (m *member) Yield(ctx context.Context, holder string, names ...string) error {
	before, after := m.fault()
	if before != nil {
		return before
	}
	return errors.Join(m.r.leases.Yield(ctx, holder, names...), after)
}

// Held passes on store.Leases' method.
func (m *member) Held(ctx context.Context, prefix string) ([]store.Lease, error) {
	before, after := m.fault()
	if before != nil {
		return nil, before
	}
	got, err := m.r.leases.Held(ctx, prefix)
	return got, errors.Join(err, after)
}

// join begins another life of the member, under another id.
func (m *member) join() {
	m.mu.Lock()
	m.life++
	id := fmt.Sprintf("%s-%d", m.name, m.life)
	m.has = map[byte]int64{}
	m.mu.Unlock()
	c := &skewed{w: m.r.world}
	c.offset.Store(m.rnd.Int64N(int64(10*time.Second)) - int64(5*time.Second))
	n, err := ownership.New(ownership.Config{ID: id, Leases: m, Shards: m, Clock: c, Work: []string{leaderWork}, Go: func(f func()) { m.r.actors.Go(f) }})
	if err != nil {
		m.r.fault("%s can not join: %v", id, err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	m.mu.Lock()
	m.node, m.stop = n, stop
	m.mu.Unlock()
	m.r.note("%s joins", id)
	m.r.actors.Go(func() { n.Run(ctx) })
}

// live lets the member join, be struck and commit, until the world is over.
func (m *member) live() {
	m.join()
	m.r.actors.Go(m.commit)
	for m.r.pause(time.Duration(1+m.rnd.IntN(25)) * time.Second) {
		if m.r.isCalm() {
			continue
		}
		away := time.Duration(m.rnd.IntN(30)) * time.Second
		switch m.rnd.IntN(4) {
		case 0: // killed: its leases end by themselves
			m.stop()
			m.r.note("%s dies", m.name)
			m.r.pause(away)
			m.join()
		case 1: // stopped as it should be
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			m.stop()
			_ = m.node.Leave(ctx) // what it could not give back ends by itself
			cancel()
			m.r.note("%s leaves", m.name)
			m.r.pause(away)
			m.join()
		default:
			m.setCut(true)
			m.r.note("%s is cut from the leases for %s", m.name, away)
			m.r.pause(away)
			m.setCut(false)
		}
	}
	m.stop()
}

func (m *member) setCut(cut bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut = cut
}

// commit creates jobs in shards of the member; some of the commits are very late, as those
// of a process that was stopped.
func (m *member) commit() {
	r := m.r.random("commits", m.name, 0)
	for m.r.pause(time.Duration(50+r.IntN(300)) * time.Millisecond) {
		m.mu.Lock()
		shards := sortedKeys(m.has)
		var shard byte
		var fence int64
		if len(shards) > 0 {
			shard = shards[r.IntN(len(shards))]
			fence = m.has[shard]
		}
		m.mu.Unlock()
		if len(shards) == 0 {
			continue
		}
		if late := time.Duration(r.IntN(60)) * time.Second; r.IntN(5) == 0 && !m.r.isCalm() {
			m.r.actors.Go(func() { m.r.pause(late); m.r.put(m, shard, fence) })
			continue
		}
		m.r.put(m, shard, fence)
	}
}

// put commits under a fence, checks that the answer is the right one, and gives it.
func (w *realm) put(m *member, shard byte, fence int64) (taken bool) {
	ctx := context.Background()
	held, err := w.leases.Held(ctx, store.ShardLease(shard))
	if err != nil {
		w.fault("the leases can not be read: %v", err)
		return false
	}
	err = w.shared.Commit(ctx, &job.Change{Fence: fence, Job: job.Job{
		ID: job.NewID(w.now(), shard), Version: 1, Blueprint: "b", Revision: "r", State: "s", Status: job.Pending, CreatedAt: w.now(), UpdatedAt: w.now(),
	}, InitialData: json.RawMessage("{}")})
	w.mu.Lock()
	newest, whose := w.newest[shard], w.holder[shard][fence]
	if err == nil {
		w.taken++
		w.newest[shard] = max(newest, fence)
		if w.holder[shard] == nil {
			w.holder[shard] = map[int64]string{}
		}
		w.holder[shard][fence] = m.name
	} else {
		w.fenced++
	}
	w.mu.Unlock()
	switch {
	case err != nil && !errors.Is(err, store.ErrFenced):
		w.fault("a commit fails with %v", err)
	case err == nil && fence < newest:
		w.fault("shard %02x takes a commit of %s under fence %d after one under %d", shard, m.name, fence, newest)
	case err == nil && len(held) == 1 && held[0].Fence != fence:
		w.fault("shard %02x takes a commit of %s under fence %d while %s holds it under %d", shard, m.name, fence, held[0].Holder, held[0].Fence)
	case err == nil && whose != "" && whose != m.name:
		w.fault("shard %02x takes commits of %s and %s under one fence", shard, whose, m.name)
	}
	return err == nil
}

// leaders checks that no two nodes take themselves for the one that leads.
func (w *realm) leaders() {
	for w.pause(100 * time.Millisecond) {
		var lead []string
		for _, m := range w.all {
			m.mu.Lock()
			n := m.node
			m.mu.Unlock()
			if n != nil && n.Leads(leaderWork) && n.Current() {
				lead = append(lead, n.ID())
			}
		}
		if len(lead) > 1 {
			w.fault("%v lead at once", lead)
		}
	}
}

// isShared checks, after the storm, that every shard is one node's, and the load is even.
func (w *realm) isShared() {
	owners := map[byte]string{}
	for _, m := range w.all {
		fences := m.node.Fences()
		if n := len(fences); n < job.Shards/members/2 {
			w.fault("%s has only %d shards of %d", m.node.ID(), n, job.Shards)
		}
		for s, f := range fences {
			if other, twice := owners[s]; twice {
				w.fault("shard %02x is %s's and %s's", s, other, m.node.ID())
			}
			owners[s] = m.node.ID()
			m.mu.Lock()
			has := m.has[s]
			m.mu.Unlock()
			if has != f {
				w.fault("%s was given shard %02x under fence %d, its node says %d", m.node.ID(), s, has, f)
			}
			if !w.put(m, s, f) {
				w.fault("the owner %s of shard %02x is refused", m.node.ID(), s)
			}
		}
	}
	if len(owners) != job.Shards {
		w.fault("only %d of %d shards have an owner", len(owners), job.Shards)
	}
}

// runMembers lets a realm happen.
func runMembers(t *testing.T, seed uint64, spoil func(store.Store) store.Store) (w *realm) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	worlds++
	synctest.Test(t, func(*testing.T) {
		base := newWorld(seed, options{nodes: 1})
		disk := memory.NewShared(base.now)
		w = &realm{world: base, shared: disk, leases: disk, newest: map[byte]int64{}, holder: map[byte]map[int64]string{}}
		if spoil != nil {
			w.shared = spoil(disk)
		}
		for i := range members {
			name := fmt.Sprintf("node%d", i)
			w.all = append(w.all, &member{r: w, name: name, rnd: w.random("member", name, 0), luck: w.random("luck", name, 0)})
		}
		for _, m := range w.all {
			w.actors.Go(m.live)
		}
		w.actors.Go(w.leaders)
		w.wait(memberWorld)
		w.calm.Store(true)
		w.wait(time.Minute)
		w.isShared()
		close(w.over)
		w.actors.Wait()
	})
	return w
}

func TestMembers(t *testing.T) {
	n := min(number(t, "ORRERY_SEEDS", seedsByDefault)/3, 100) // each costs as much as three others
	if testing.Short() {
		n = 3
	}
	taken, fenced := 0, 0
	for seed := range n {
		w := runMembers(t, seed, nil)
		taken, fenced = taken+w.taken, fenced+w.fenced
		for _, problem := range w.wrong {
			t.Errorf("seed %d: %s", seed, problem)
		}
		if t.Failed() {
			for _, line := range w.diary {
				t.Log(line)
			}
			return
		}
	}
	t.Logf("%d commits were taken and %d of past owners refused", taken, fenced)
	if fenced == 0 {
		t.Error("no commit came late")
	}
}

// A store that does not look at fences must be found out.
func TestMembersWithoutFencesAreFound(t *testing.T) {
	notWatched(t)
	w := runMembers(t, 0, func(below store.Store) store.Store {
		return &spoilt{Store: below, commit: changed(1, func(c *job.Change) { c.Fence = 0 })}
	})
	if len(w.wrong) == 0 {
		t.Error("nobody saw that past owners commit")
	}
}
