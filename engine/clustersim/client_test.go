package clustersim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"orrery/engine"
	"orrery/engine/job"
	"orrery/engine/store"
)

// This file plays clients, who create and cancel, and people, who decide and mend.

// sparing is the client whose attempts are few.
const (
	sparing  = "sparing"
	attempts = int64(3)
)

// send lets the clients of a world begin.
func (w *world) send(r *rand.Rand) {
	for i := range 3 + r.IntN(12) {
		q := &request{key: fmt.Sprintf("job%d", i), plan: w.plans[r.IntN(len(w.plans))], keyed: r.IntN(4) > 0}
		w.ledger.write(func() { w.ledger.requests[q.key] = q })
		own := w.random("client", q.key, 0)
		w.clients.Go(func() { w.create(own, q) })
	}
}

// of says whose request it is.
func (q *request) of() string {
	if fnvOf(q.key)%4 == 0 {
		return sparing
	}
	return "client"
}

func fnvOf(text string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(text))
	return h.Sum32()
}

// create sends a request until it is accepted. Without a key a client sends it once.
func (w *world) create(r *rand.Rand, q *request) {
	w.wait(time.Duration(r.Float64() * float64(60*time.Second)))
	body := engine.Request{
		Blueprint: q.plan.name, InitialData: json.RawMessage(fmt.Sprintf(`{"key":%q}`, q.key)),
		Client: job.Client{ID: q.of()}, BodyHash: q.key,
	}
	if q.keyed {
		body.IdempotencyKey = q.key
	}
	if q.of() == sparing {
		most := attempts
		body.Attempts = &most
	}
	for {
		id, err := w.call(r, w.any(r), &order{Op: opSubmit, Submit: &body})
		if err == nil {
			w.note("%s is accepted as %s", q.key, short(string(id)))
			w.ledger.write(func() { q.accepted = string(id) })
			break
		}
		if engine.FaultCode(err) == engine.QuotaExceeded {
			w.ledger.write(func() { q.refused = true })
			return
		}
		if !q.keyed {
			return
		}
		w.wait(time.Duration(r.Float64() * float64(4*time.Second)))
	}
	if r.IntN(4) == 0 {
		w.wait(time.Duration(r.ExpFloat64() * float64(15*time.Second)))
		w.cancel(r, q.accepted)
	}
}

// any picks a node for a request.
func (w *world) any(r *rand.Rand) *node { return w.nodes[r.IntN(len(w.nodes))] }

// cancel asks for a job's end until it is told that the request counts, or that it is too late.
func (w *world) cancel(r *rand.Rand, id string) {
	for range 1 + r.IntN(2) { // the second one ends a compensation
		for {
			w.ledger.write(func() { entry(w.ledger.cancels, id).sent++ })
			_, err := w.call(r, w.any(r), &order{Op: opCancel, Job: id})
			if err == nil {
				w.note("the cancel of %s is accepted", short(id))
				w.ledger.write(func() { entry(w.ledger.cancels, id).granted++ })
				break
			}
			if code := engine.FaultCode(err); code == engine.Ended {
				return
			} else if code == engine.NotFound {
				w.fault("I2: job %s was accepted, and its cancel is told %v", id, err)
				return
			}
			w.wait(time.Duration(r.Float64() * float64(4*time.Second)))
		}
		w.wait(time.Duration(r.Float64() * float64(10*time.Second)))
	}
}

// people looks at what waits for a person, and decides; in the storm it also runs jobs that
// failed again.
func (w *world) people() {
	r := w.random("people", "", 0)
	for w.pause(time.Duration(200+r.IntN(2000)) * time.Millisecond) {
		page, err := w.below.List(context.Background(), store.Query{Limit: 1000, Status: []job.Status{job.WaitingHuman, job.Failed, job.Quarantined}})
		if err != nil {
			w.fault("people can not see the jobs: %v", err)
			return
		}
		slices.Reverse(page.Jobs) // the oldest first
		for i := range page.Jobs {
			switch j := &page.Jobs[i]; {
			case j.Status == job.WaitingHuman:
				w.decide(r, j)
			case !w.isCalm() && r.IntN(8) == 0 && (j.Status == job.Failed || j.Status == job.Quarantined):
				w.mend(r, j.ID)
			}
		}
	}
}

// choice is what people decide in a state that was entered for the n-th time: always the same.
func choice(s *stage, key string, visit int) string {
	decisions := []string{"yes"}
	if s.other != "" {
		decisions = append(decisions, "no")
	}
	return decisions[fnvOf(fmt.Sprintf("%s %s %d", key, s.name, visit))%uint32(len(decisions))]
}

func (w *world) decide(r *rand.Rand, j *job.Job) {
	decision := r.IntN(10)
	var name string
	var visit int
	if _, err := fmt.Sscanf(j.Wait.Message, "%s %d", &name, &visit); err != nil {
		w.fault("a person can not read %q", j.Wait.Message)
		return
	}
	_, data, err := w.below.Load(context.Background(), j.ID)
	if err != nil {
		w.fault("a person can not see job %s: %v", j.ID, err)
		return
	}
	word := choice(w.plan(j.Blueprint).stages[name], keyOf(data.Initial), visit)
	switch {
	case decision == 0 && !w.isCalm():
		word = "maybe"
	case decision < 5 && !w.isCalm():
		return // later
	}
	w.ledger.write(func() {
		if w.ledger.choices[j.ID] == nil {
			w.ledger.choices[j.ID] = map[string]bool{}
		}
		w.ledger.choices[j.ID][word] = true
	})
	_, err = w.call(r, w.any(r), &order{Op: opDecide, Job: j.ID, Word: word, Step: j.Wait.Step})
	if err == nil {
		w.note("%s: %s is decided in %s", short(j.ID), word, name)
		w.ledger.write(func() { w.ledger.chosen[j.ID]++ })
	}
	if err == nil && word == "maybe" {
		w.fault("job %s takes the decision %q, which it does not know", j.ID, word)
	}
}

// mend runs a job that failed again, so that its tasks succeed.
func (w *world) mend(r *rand.Rand, id string) {
	w.ledger.write(func() { entry(w.ledger.retries, id).sent++ })
	latest := r.IntN(2) == 0
	_, err := w.call(r, w.any(r), &order{Op: opRetry, Job: id, Body: json.RawMessage(`{"mended":true}`), Latest: latest})
	if err == nil {
		w.note("%s runs again", short(id))
		w.ledger.write(func() { entry(w.ledger.retries, id).granted++ })
	}
}

func (w *world) plan(name string) *plan {
	for _, p := range w.plans {
		if p.name == name {
			return p
		}
	}
	return nil
}

// keyOf reads the key that every job of the world carries.
func keyOf(initial json.RawMessage) string {
	var d struct {
		Key string `json:"key"`
	}
	if json.Unmarshal(initial, &d) != nil {
		return ""
	}
	return d.Key
}

// left says what is not settled yet, or "".
func (w *world) left() string {
	if n := w.orders.Load(); n > 0 {
		return fmt.Sprintf("%d requests are on their way", n)
	}
	ctx := context.Background()
	counts, err := w.below.Counts(ctx)
	if err != nil {
		return err.Error()
	}
	for _, status := range sortedKeys(counts) {
		if n := counts[status]; n > 0 && !status.Terminal() {
			return fmt.Sprintf("%d jobs are %s", n, status)
		}
	}
	mail, err := w.below.Messages(ctx, w.now().AddDate(1, 0, 0), 1)
	if err != nil || len(mail) > 0 {
		return fmt.Sprintf("the message %+v (%v)", mail, err)
	}
	return ""
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// short is the part of a job's id that does not depend on the time.
func short(id string) string { return id[len(id)-12:] }
