package clustersim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	"orrery/workers"
	"orrery/workers/protocol"
)

// This file plays workers of several ages, which crash, are late, answer twice and for others.

// hand is one worker. Its tasks are those of its present life; a crash begins another.
type hand struct {
	w     *world
	id    string
	age   protocol.Age
	types []string

	mu    sync.Mutex
	life  int
	tasks map[string]*errand // by fence
	r     *rand.Rand
}

// errand is a task at a worker.
type errand struct {
	JobID  string `json:"job_id"`
	Fence  string `json:"task_id"`
	Type   string `json:"type"`
	Params struct {
		Key    string `json:"key"`
		State  string `json:"state"`
		Visit  int    `json:"visit"`
		Branch int    `json:"branch"`
		Fate   fate   `json:"fate"`
	} `json:"params"`
	stop bool // the server said so
}

// hire lets the workers of a world begin: some for some types, one for all.
func (w *world) hire(r *rand.Rand) {
	all := make([]string, taskKind)
	for i := range all {
		all[i] = fmt.Sprintf("type%d", i)
	}
	ages := []protocol.Age{protocol.AgeC18, protocol.AgeC18, protocol.AgeC, protocol.AgeB7, protocol.AgeA}
	for i := range 2 + r.IntN(4) {
		h := &hand{w: w, id: fmt.Sprintf("hand-%d", i), age: ages[r.IntN(len(ages))], tasks: map[string]*errand{}}
		h.r = w.random("worker", h.id, 0)
		if h.types = all; i > 0 {
			h.types = all[r.IntN(len(all)):]
		}
		w.crowd = append(w.crowd, h)
		w.actors.Go(h.work)
		w.actors.Go(h.beat)
	}
}

func (h *hand) caller() workers.Caller {
	return workers.Caller{WorkerID: h.id, Token: token, Age: h.age, Version: "1.0"}
}

// draw gives a random number below n; the worker's goroutines share one source.
func (h *hand) draw(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.r.IntN(n)
}

func (h *hand) source() *rand.Rand {
	h.mu.Lock()
	defer h.mu.Unlock()
	return rand.New(rand.NewPCG(h.r.Uint64(), 1))
}

// ask sends one request to a node.
func (h *hand) ask(o *order) ([]byte, error) {
	r := h.source()
	return h.w.call(r, h.w.any(r), o)
}

func (h *hand) register() error {
	list, err := json.Marshal(h.types)
	if err != nil {
		return err
	}
	body := fmt.Appendf(nil, `{"worker_id":%q,"supported_skills":%s}`, h.id, list)
	_, err = h.ask(&order{Op: opRegister, Caller: h.caller(), Body: body})
	return err
}

// work polls until the world is over.
func (h *hand) work() {
	for h.register() != nil {
		if !h.w.pause(time.Second) {
			return
		}
	}
	for {
		select {
		case <-h.w.over:
			return
		default:
		}
		if !h.w.isCalm() && h.draw(60) == 0 {
			h.crash()
		}
		if h.busy() >= 4 {
			h.w.pause(100 * time.Millisecond)
			continue
		}
		if err := h.poll(); err != nil {
			h.w.pause(time.Duration(100+h.draw(2000)) * time.Millisecond)
		}
	}
}

func (h *hand) busy() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.tasks)
}

// crash forgets all tasks, is silent for a while, and begins anew.
func (h *hand) crash() {
	h.mu.Lock()
	h.life++
	clear(h.tasks)
	h.mu.Unlock()
	h.w.note("%s crashes", h.id)
	h.w.pause(time.Duration(h.draw(100)) * time.Second)
	for h.register() != nil && h.w.pause(time.Second) {
		continue
	}
}

func (h *hand) poll() error {
	query := url.Values{}
	if h.age >= protocol.AgeC {
		query.Set("available_skills", joined(h.types))
	}
	body, err := h.ask(&order{Op: opPoll, Caller: h.caller(), Query: query, Hold: time.Duration(1+h.draw(10)) * time.Second})
	if err != nil || body == nil {
		return err
	}
	var e errand
	if err := json.Unmarshal(body, &e); err != nil {
		h.w.fault("%s can not read the task %s: %v", h.id, body, err)
		return err
	}
	h.mu.Lock()
	life := h.life
	h.tasks[e.Fence] = &e
	h.mu.Unlock()
	h.w.actors.Go(func() { h.do(&e, life) })
	return nil
}

func joined(list []string) string {
	out := ""
	for i, s := range list {
		if i > 0 {
			out += ","
		}
		out += s
	}
	return out
}

// beat sends heartbeats until the world is over.
func (h *hand) beat() {
	for h.w.pause(time.Duration(5_000+h.draw(8_000)) * time.Millisecond) {
		h.mu.Lock()
		list, err := json.Marshal(append([]string{}, sortedKeys(h.tasks)...))
		life := h.life
		h.mu.Unlock()
		if err != nil {
			h.w.fault("%s: %v", h.id, err)
			return
		}
		body := fmt.Appendf(nil, `{"status":"busy","current_tasks":%s}`, list)
		if h.age < protocol.AgeC { // they never register again: a node that has missed it learns their skills here
			skills, err := json.Marshal(h.types)
			if err != nil {
				h.w.fault("%s: %v", h.id, err)
				return
			}
			body = fmt.Appendf(nil, `{"status":"busy","current_tasks":%s,"supported_skills":%s}`, list, skills)
			if h.age == protocol.AgeA {
				body = fmt.Appendf(nil, `{"status":"busy","supported_skills":%s}`, skills)
			}
		}
		reply, err := h.ask(&order{Op: opBeat, Caller: h.caller(), Body: body})
		if errors.Is(err, workers.ErrUnknownWorker) {
			_ = h.register() // a node does not know it; the next heartbeat says whether it still does not
		}
		if err != nil {
			continue
		}
		var told struct {
			Cancel []string `json:"cancel_task_ids"`
		}
		if err := json.Unmarshal(reply, &told); err != nil {
			h.w.fault("%s can not read %s", h.id, reply)
		}
		h.mu.Lock()
		for _, fence := range told.Cancel {
			if e := h.tasks[fence]; e != nil && h.life == life {
				e.stop = true
			}
		}
		h.mu.Unlock()
	}
}

// do works on a task and returns its result.
func (h *hand) do(e *errand, life int) {
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.life == life {
			delete(h.tasks, e.Fence)
		}
	}()
	r := h.source()
	long := time.Duration(r.ExpFloat64() * float64(3*time.Second))
	if !h.w.isCalm() && r.IntN(20) == 0 {
		long += 70 * time.Second
	}
	for at := time.Duration(0); at < long; at += 2 * time.Second {
		h.w.pause(min(2*time.Second, long-at))
		if r.IntN(4) == 0 {
			h.progress(e)
		}
		if h.stopped(e) && r.IntN(4) > 0 {
			break
		}
	}
	if !h.lives(life) {
		return
	}
	if r.IntN(10) == 0 && !h.w.isCalm() {
		h.steal(e, r)
	}
	a := h.outcome(e, r)
	h.w.ledger.said(e.Fence, a)
	for h.lives(life) {
		status, err := h.give(e, a, "")
		if err == nil && status == "accepted" {
			h.w.ledger.write(func() { h.w.ledger.taken[e.Fence] = a })
		}
		if err == nil {
			break
		}
		if !h.w.pause(time.Duration(500+r.IntN(3000)) * time.Millisecond) {
			return
		}
	}
	if r.IntN(10) == 0 { // once more, as after a lost answer
		h.w.pause(time.Duration(r.IntN(20_000)) * time.Millisecond)
		_, _ = h.give(e, a, "")
	}
}

func (h *hand) lives(life int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.life == life
}

func (h *hand) stopped(e *errand) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return e.stop
}

// outcome is what the worker makes of a task.
func (h *hand) outcome(e *errand, r *rand.Rand) answer {
	if h.stopped(e) && r.IntN(4) > 0 {
		return answer{status: "cancelled"}
	}
	switch e.Params.Fate {
	case custom:
		return answer{status: "other"}
	case unheard:
		return answer{status: "strange"}
	case permanent:
		return answer{"failure", protocol.ErrPermanent}
	case invalid:
		return answer{"failure", protocol.ErrInvalidInput}
	case exhausts:
		return answer{"failure", protocol.ErrTransient}
	case flaky:
		if odds := 2; h.w.isCalm() && r.IntN(8) == 0 || !h.w.isCalm() && r.IntN(odds) == 0 {
			return answer{"failure", protocol.ErrTransient}
		}
	}
	return answer{status: "success"}
}

// give sends a result; as says under whose name ("" its own).
func (h *hand) give(e *errand, a answer, as string) (status string, err error) {
	fence := e.Fence
	c := h.caller()
	if as != "" {
		fence, c.WorkerID = "stolen", as
	}
	body := map[string]any{"job_id": e.JobID, "task_id": e.Fence, "worker_id": c.WorkerID, "status": a.status,
		"data": map[string]any{"fence": fence, "result_" + e.Params.State: fence}}
	if a.status == "failure" {
		body["error"] = map[string]any{"code": a.code, "message": "as it was meant to"}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	reply, err := h.ask(&order{Op: opResult, Word: e.Fence, Caller: c, Body: text})
	if err != nil {
		return "", err
	}
	var out struct{ Status, Reason string }
	if err := json.Unmarshal(reply, &out); err != nil {
		h.w.fault("%s can not read %s", h.id, reply)
	}
	return out.Status, nil
}

// steal sends a result for the task in the name of a worker that has not got it.
func (h *hand) steal(e *errand, r *rand.Rand) {
	others := slices.DeleteFunc(slices.Clone(h.w.crowd), func(o *hand) bool { return o == h })
	if len(others) == 0 {
		return
	}
	if status, err := h.give(e, answer{status: "success"}, others[r.IntN(len(others))].id); err == nil && status == "accepted" {
		h.w.ledger.write(func() { h.w.ledger.taken[e.Fence] = answer{status: "stolen"} })
	}
}

func (h *hand) progress(e *errand) {
	body := fmt.Appendf(nil, `{"event_id":"e","worker_id":%q,"event_type":"progress","task_id":%q,"job_id":%q,"payload":{"task_id":%q,"progress":0.5,"message":"half"}}`, h.id, e.Fence, e.JobID, e.Fence)
	_, _ = h.ask(&order{Op: opEvent, Word: e.Fence, Caller: h.caller(), Body: body})
}
