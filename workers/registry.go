package workers

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"orrery/engine/store"
	"orrery/workers/protocol"
)

// This file holds registration and heartbeats, and keeps the registry in the store.

// servedRecord names the registry's row that lists the types a real worker ever served. A
// worker id can not contain a dot.
const servedRecord = ".served"

// maxServed bounds that list: the row has at most 256 KiB.
const maxServed = 2000

// skillBytes bounds the names of skills that heartbeats add, so that the worker's row fits.
const skillBytes = 128 << 10

// record is a worker's row in the store.
type record struct {
	Registration   protocol.Registration `json:"registration"`
	Age            protocol.Age          `json:"age"`
	Version        string                `json:"version,omitempty"`
	Seen           time.Time             `json:"seen"`
	NamesAvailable bool                  `json:"names_available,omitempty"`
	Results        tally                 `json:"results"`
}

// load fills the registry at start. A row that can not be read is left out and said so.
func (h *Hub) load(rows map[string]json.RawMessage) {
	for id, body := range rows {
		if id == servedRecord {
			var types []string
			if err := json.Unmarshal(body, &types); err != nil {
				h.log.Warn("the list of task types served by real workers can not be read; emulation may take some of them again", "error", err)
			}
			for _, t := range types {
				h.served[t] = true
			}
			continue
		}
		var r record
		if err := json.Unmarshal(body, &r); err != nil || !protocol.ValidID(id) {
			h.log.Warn("a stored worker can not be read and is left out until it registers again", "worker", id, "error", err)
			continue
		}
		w := h.worker(id)
		h.note(w, byRegistration, len(body))
		w.known, w.age, w.version, w.seen, w.saved = true, r.Age, r.Version, r.Seen, r.Seen
		w.namesAvailable, w.results = r.NamesAvailable, r.Results
		r.Registration.ID = id
		h.describe(w, r.Registration)
		w.available = firstAvailable(&r.Registration)
	}
}

func (h *Hub) knows(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.workers[id]
	return w != nil && w.known
}

// meetOthers takes in the workers whose registration at another node did not reach this one.
// Taken in from its heartbeat, a worker of age A or B would lack what only its registration
// says, and the row written here would take that from the others too.
func (h *Hub) meetOthers(ctx context.Context) {
	rows, err := h.records.AllWorkers(ctx)
	if err != nil {
		h.log.Warn("the registry of workers could not be read; a worker that this node does not know is taken as it says", "error", err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := make(map[string]json.RawMessage, len(rows))
	for id, body := range rows {
		if w := h.workers[id]; w == nil || !w.known {
			fresh[id] = body
		}
	}
	h.load(fresh)
	for id := range fresh {
		if w := h.workers[id]; w != nil {
			h.refresh(w)
		}
	}
}

func firstAvailable(reg *protocol.Registration) []string {
	if reg.HasAvailable {
		return reg.AvailableSkills
	}
	return reg.Skills
}

// Register takes a worker in. For age A it also means that the worker has begun anew: what
// it had is lost.
func (h *Hub) Register(ctx context.Context, c Caller, body []byte) ([]byte, error) {
	reg, err := protocol.ParseRegister(body)
	if err != nil {
		return nil, badRequest(err)
	}
	if c.WorkerID != "" && c.WorkerID != reg.ID || !h.admits(c, reg.ID) {
		return nil, ErrUnauthorized
	}
	h.mu.Lock()
	if err := h.room(reg.ID, byRegistration, len(body)); err != nil {
		h.mu.Unlock()
		return nil, err
	}
	w := h.worker(reg.ID)
	h.note(w, byRegistration, len(body))
	var lost []loss
	if c.Age == protocol.AgeA {
		lost = lossesOf(w, "its worker started anew: it registered again")
	}
	w.known, w.offline, w.emulated, w.age, w.version, w.status = true, false, false, c.Age, c.Version, ""
	w.registered = h.clock.Now()
	h.describe(w, reg)
	w.available = firstAvailable(&reg)
	h.touch(w)
	w.dirty = true
	h.refresh(w)
	h.mu.Unlock()

	h.log.Info("a worker registered", "worker", reg.ID, "type", reg.Type, "age", c.Age.String(), "skills", len(reg.Skills))
	h.lose(ctx, lost)
	h.save(ctx, w) // a worker whose row can not be written works all the same; the sweep tries again
	return protocol.RegisterReply(c.Version, ""), nil
}

// Heartbeat takes a partial update of a worker. Ages A and B never register again and are
// taken in from it; an unknown worker of age C gets ErrUnknownWorker and registers.
func (h *Hub) Heartbeat(ctx context.Context, c Caller, body []byte) ([]byte, error) {
	began := h.clock.Now()
	hb, err := protocol.ParseHeartbeat(body)
	if err != nil {
		return nil, badRequest(err)
	}
	id := c.WorkerID
	if id == "" {
		id = hb.WorkerID
	}
	if hb.WorkerID != "" && hb.WorkerID != id || !protocol.ValidID(id) || !h.admits(c, id) {
		return nil, ErrUnauthorized
	}
	if h.neighbors != nil && !h.knows(id) {
		h.meetOthers(ctx)
	}
	h.mu.Lock()
	w := h.workers[id]
	known := w != nil && w.known
	if !known && (c.Age.ReRegisters() || hb.Empty) {
		h.mu.Unlock()
		return nil, ErrUnknownWorker
	}
	if err := h.room(id, byHeartbeat, len(body)); err != nil {
		h.mu.Unlock()
		return nil, err
	}
	if !known {
		w = h.worker(id)
		w.known, w.age, w.version, w.dirty = true, c.Age, c.Version, true
		h.log.Info("a worker was taken in from its heartbeat", "worker", id, "age", c.Age.String())
	}
	h.note(w, byHeartbeat, len(body))
	h.touch(w)
	h.apply(w, &hb)
	cancel, unknown, lost := h.reconcile(w, &hb, began)
	h.refresh(w)
	age := w.age
	h.mu.Unlock()

	h.lose(ctx, lost)
	if !age.HeartbeatCancels() {
		return protocol.HeartbeatReply(nil, false), nil
	}
	for _, id := range unknown {
		if h.gaveOut(ctx, id) {
			cancel = append(cancel, id)
		}
	}
	slices.Sort(cancel)
	return protocol.HeartbeatReply(cancel, false), nil
}

// apply writes a heartbeat's fields into the worker.
func (h *Hub) apply(w *worker, hb *protocol.Heartbeat) {
	if hb.Status != "" {
		w.status = hb.Status
		w.offline = hb.Status == protocol.StatusOffline
		w.dirty = w.dirty || w.offline
	}
	if hb.Load != nil {
		w.load = hb.Load
	}
	if hb.Usage != nil {
		w.usage = hb.Usage
	}
	w.namesAvailable = w.namesAvailable || hb.HasAvailable
	if skills, said := hb.Available(w.age, w.namesAvailable); said {
		w.available = skills
	}
	skills, cache := w.hotSkills, w.hotCache
	if hb.HasHotSkills {
		skills = hb.HotSkills
	}
	if hb.HasHotCache {
		cache = hb.HotCache
	}
	w.setHot(skills, cache)
	if reg, changed := h.merged(w, hb); changed {
		h.describe(w, reg)
		w.setHot(skills, cache)
		w.dirty = true
	}
}

// merged gives the registration after a heartbeat: the catalogue of C, skills that A and B
// show for the first time, prices.
func (h *Hub) merged(w *worker, hb *protocol.Heartbeat) (protocol.Registration, bool) {
	reg, changed := w.reg, false
	if skills, said := hb.Catalogue(w.age); said && !slices.Equal(skills, reg.Skills) {
		reg.Skills, changed = skills, true
	} else if !w.age.ReRegisters() && hb.HasSkills {
		if more := h.newSkills(w, hb.Skills); len(more) > 0 { // their list shrinks while they are busy, so it only adds
			reg.Skills, changed = append(slices.Clip(reg.Skills), more...), true
		}
	}
	if hb.MaxConcurrent > 0 && hb.MaxConcurrent != reg.MaxConcurrent {
		reg.MaxConcurrent, changed = hb.MaxConcurrent, true
	}
	if c := hb.Costs; (c.PerSkill != nil || c.PerSecond != nil || c.Flat != nil) && !sameCosts(c, reg.Costs) {
		reg.Costs, changed = c, true
	}
	return reg, changed
}

// newSkills gives those that the worker has not got yet, as far as it may have more: a list
// that only grows must end somewhere.
func (h *Hub) newSkills(w *worker, skills []string) (more []string) {
	for _, s := range skills { // without repetitions
		if _, has := h.skilled[s][w]; !has {
			more = append(more, s)
		}
	}
	if len(more) == 0 {
		return nil
	}
	room := skillBytes
	for _, s := range w.reg.Skills {
		room -= len(s)
	}
	for i, s := range more {
		if room -= len(s); room < 0 || len(w.reg.Skills)+i >= protocol.MaxNames {
			if !w.crowded {
				w.crowded = true
				h.log.Warn("a worker shows ever more skills; from here on new ones are left out", "worker", w.id, "skills", len(w.reg.Skills)+i)
			}
			return more[:i]
		}
	}
	return more
}

func sameCosts(a, b protocol.Costs) bool {
	same := func(x, y *float64) bool { return x == y || x != nil && y != nil && *x == *y }
	return maps.Equal(a.PerSkill, b.PerSkill) && same(a.PerSecond, b.PerSecond) && same(a.Flat, b.Flat)
}

// reconcile compares the tasks that a heartbeat lists with the worker's leases: which ones
// the worker must stop, which ones the hub does not have, and which it evidently has not got.
func (h *Hub) reconcile(w *worker, hb *protocol.Heartbeat, began time.Time) (cancel, unknown []string, lost []loss) {
	listed := make(map[string]bool, len(hb.CurrentTasks))
	for _, id := range hb.CurrentTasks {
		listed[id] = true
		if e := h.find(id); e == nil {
			unknown = append(unknown, id)
		} else if e.lease.worker != w {
			cancel = append(cancel, id)
		}
	}
	for e := range w.leases {
		l := e.lease
		if l.cancel {
			cancel = append(cancel, l.id)
		}
		switch {
		case !hb.HasCurrentTasks || !w.age.ListsTasks():
		case listed[l.id]:
			l.confirmed, l.misses = true, 0
		case began.After(l.at) && l.returning == nil:
			if l.misses++; l.misses == 1 {
				l.unlisted = began
			}
			if l.misses >= 2 && h.gaveUp(w, l, began) {
				lost = append(lost, loss{e, l.id, "two heartbeats of its worker did not list it"})
			}
		}
	}
	return cancel, unknown, lost
}

// gaveUp tells whether a worker that does not list a task any more has evidently not got it.
// One that has listed it before is likely done with it: SDKs of age C take a task off their
// list when its handler returns, and send results one after another, so that a result waits
// behind those for a server that is down. Only a worker that began anew has lost it at once.
func (h *Hub) gaveUp(w *worker, l *lease, now time.Time) bool {
	return !l.confirmed || w.registered.After(l.at) || now.Sub(l.unlisted) >= resultsOnTheWay*h.ttl
}

// isLeased looks again for a hand-out that was not known: its shard may have been taken up since.
func (h *Hub) isLeased(taskID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.find(taskID) != nil
}

// gaveOut tells whether a task that no lease knows was one of this server's, and so is to be
// stopped. A worker lists to each of its orchestrators the tasks of all of them, and those
// of the others are none of our business.
func (h *Hub) gaveOut(ctx context.Context, taskID string) bool {
	k, ok := parseFence(taskID)
	if !ok || !h.desk.Open(k.job) || h.isLeased(taskID) { // what another node gave out is for that one to say
		return false
	}
	_, err := h.desk.Task(ctx, k.job, k.n)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		h.log.Warn("a task that a worker speaks of could not be looked up; it is asked for again", "task_id", taskID, "error", err)
	}
	return err == nil && h.desk.Open(k.job) // else its shard has gone to another node since
}

// save writes a worker's row. A failure is logged and left to the next sweep.
func (h *Hub) save(ctx context.Context, w *worker) {
	h.saving.Lock()
	defer h.saving.Unlock()
	h.mu.Lock()
	r := record{Registration: w.reg, Age: w.age, Version: w.version, Seen: w.seen, NamesAvailable: w.namesAvailable, Results: w.results}
	w.dirty, w.saved = false, w.seen
	h.mu.Unlock()
	body, err := json.Marshal(r)
	if err == nil {
		err = h.records.PutWorker(ctx, w.id, body, r.Seen)
	}
	switch {
	case errors.Is(err, store.ErrTooLarge):
		h.log.Warn("a worker says so much about itself that it is kept in memory only; after a restart it must register again", "worker", w.id, "error", err)
	case err != nil:
		h.log.Warn("a worker could not be written to the registry and is tried again", "worker", w.id, "error", err)
		h.mu.Lock()
		w.dirty = true
		h.mu.Unlock()
	}
}

// saveServed writes the list of types that real workers served.
func (h *Hub) saveServed(ctx context.Context) {
	h.mu.Lock()
	types := make([]string, 0, len(h.served))
	for t := range h.served {
		types = append(types, t)
	}
	h.servedDirty = false
	h.mu.Unlock()
	slices.Sort(types)
	body, err := json.Marshal(types[:min(len(types), maxServed)])
	if err == nil {
		err = h.records.PutWorker(ctx, servedRecord, body, h.clock.Now())
	}
	if err != nil {
		h.log.Warn("the list of task types served by real workers could not be written and is tried again", "error", err)
		h.mu.Lock()
		h.servedDirty = true
		h.mu.Unlock()
	}
}
