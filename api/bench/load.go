package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// This file is the load: clients that create jobs and workers that echo.

// load drives one target. Its workers live as long as it does: a poll that is left behind
// would take a task of the next round.
type load struct {
	t     *target   // the first of at
	at    []*target // clients and workers are spread over them
	shape shape
	send  sender

	jobs    sync.Map // job id -> *running
	left    atomic.Int64
	ended   chan struct{} // lone: a token for each job that ended
	mu      sync.Mutex
	create  []time.Duration // of create requests
	total   []time.Duration // create sent to last result taken
	wakes   []time.Duration // create answered to task at the worker
	failure error
	done    chan struct{} // of the present round
	closed  bool          // done is
}

// running is a job under way. Its worker may be faster than the reply to its create request.
type running struct {
	results  atomic.Int64
	mu       sync.Mutex
	began    time.Time
	answered time.Time
	taken    time.Time // by a worker, the last of its tasks
	ended    time.Time
}

func newLoad(s shape, send sender, at ...*target) *load {
	return &load{t: at[0], at: at, shape: s, send: send}
}

// workerAt gives the node that a worker speaks to.
func (l *load) workerAt(n int) *target {
	if l.shape.wake { // as far as can be from where the jobs are created
		return l.at[len(l.at)-1]
	}
	return l.at[n%len(l.at)]
}

// clientAt gives the node at which a client creates its jobs.
func (l *load) clientAt(n int) *target {
	if l.shape.wake {
		return l.at[0]
	}
	return l.at[n%len(l.at)]
}

// hire registers workers and lets them poll until the context ends.
func (l *load) hire(ctx context.Context, workers int) error {
	for i := range workers {
		id, at := fmt.Sprintf("bench-%d", i), l.workerAt(i)
		if err := l.register(at, id); err != nil {
			return err
		}
		go l.work(ctx, at, id)
	}
	return nil
}

// begin opens a round of so many jobs.
func (l *load) begin(jobs int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left.Store(int64(jobs))
	l.done, l.closed, l.ended = make(chan struct{}), false, nil
	if l.shape.lone {
		l.ended = make(chan struct{}, 1)
	}
}

// creators create the jobs of a round; with lone the next one when the one before has ended.
func (l *load) creators(ctx context.Context, jobs, clients int) *sync.WaitGroup {
	var next atomic.Int64
	var busy sync.WaitGroup
	for i := range clients {
		busy.Go(func() {
			for int(next.Add(1)) <= jobs && ctx.Err() == nil && l.err() == nil {
				l.createOne(l.clientAt(i))
				if l.shape.lone {
					select {
					case <-l.ended:
					case <-l.done:
					}
				}
				if l.shape.wake { // the worker's next poll is to be open before the next job
					select {
					case <-time.After(pollOpens):
					case <-ctx.Done():
					}
				}
			}
		})
	}
	return &busy
}

// pollOpens is more than a poll needs to be held at its node.
const pollOpens = 20 * time.Millisecond

// round gives the time from the first create to the last job's end.
func (l *load) round(ctx context.Context, jobs, clients int) (time.Duration, error) {
	before, err := l.t.finished(ctx)
	if err != nil && !l.t.given {
		return 0, err
	}
	l.begin(jobs)
	began := time.Now()
	l.creators(ctx, jobs, clients)
	return l.await(ctx, began, before+int64(jobs))
}

// drain creates all jobs first and gives the time from the first poll to the last job's end.
func (l *load) drain(ctx context.Context, jobs, clients, workers int) (time.Duration, error) {
	l.begin(jobs)
	l.creators(ctx, jobs, clients).Wait()
	if err := errors.Join(l.err(), ctx.Err()); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := l.hire(ctx, workers); err != nil {
		return 0, err
	}
	return l.await(ctx, began, int64(jobs))
}

func (l *load) await(ctx context.Context, began time.Time, want int64) (time.Duration, error) {
	select {
	case <-l.done:
	case <-ctx.Done():
	}
	if err := l.err(); err != nil {
		return 0, err
	}
	return l.untilFinished(ctx, began, want)
}

func (l *load) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// untilFinished waits for the last end steps, which come after the last results.
func (l *load) untilFinished(ctx context.Context, began time.Time, want int64) (time.Duration, error) {
	for {
		n, err := l.t.finished(ctx)
		if l.t.given { // its other jobs count too, or it counts none: the last result ends the round
			return time.Since(began), nil
		}
		if err != nil || n >= want {
			return time.Since(began), err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%d of %d jobs finished: %w", n, want, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure == nil && l.done != nil {
		l.failure = err // the first one; what follows is usually its echo
		l.closeRound()
	}
}

// do sends one request and gives status and body.
func (l *load) do(at *target, method, path, token, header string, body []byte, limit time.Duration) (int, []byte, error) {
	return l.send(method, at.url+path, header, token, body, limit)
}

const requestLimit = 30 * time.Second

func (l *load) createOne(at *target) {
	began := time.Now()
	code, body, err := l.do(at, "POST", "/api/v1/jobs/"+l.shape.endpoint(), l.t.clientToken, "X-Client-Token", []byte(`{"text":"hello","n":1}`), requestLimit)
	if err != nil || code != 202 {
		l.fail(fmt.Errorf("create: status %d: %w %.200s", code, err, body))
		return
	}
	answered := time.Now()
	var answer struct {
		JobID string `json:"job_id"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		l.fail(err)
		return
	}
	l.mu.Lock()
	l.create = append(l.create, answered.Sub(began))
	l.mu.Unlock()
	l.note(answer.JobID, func(r *running) { r.began, r.answered = began, answered })
}

// note keeps a time of a job; with both there the job is done.
func (l *load) note(id string, set func(r *running)) {
	found, _ := l.jobs.LoadOrStore(id, &running{})
	r := found.(*running)
	r.mu.Lock()
	set(r)
	whole := !r.began.IsZero() && !r.ended.IsZero()
	took, wake := r.ended.Sub(r.began), max(0, r.taken.Sub(r.answered)) // the task may be quicker than the answer
	r.mu.Unlock()
	if whole {
		l.jobs.Delete(id)
		l.finish(took, wake)
	}
}

func (l *load) register(at *target, id string) error {
	body := fmt.Appendf(nil, `{"worker_id":%q,"worker_type":"bench","supported_tasks":["bench_echo"],"max_concurrent_tasks":1}`, id)
	code, text, err := l.do(at, "POST", "/_worker/workers/register", l.t.workerToken, "X-Worker-Token", body, requestLimit)
	if err == nil && code != 200 {
		err = fmt.Errorf("register: status %d: %.200s", code, text)
	}
	return err
}

// work polls and echoes, as a worker of the first age does.
func (l *load) work(ctx context.Context, at *target, id string) {
	for ctx.Err() == nil {
		code, body, err := l.do(at, "GET", "/_worker/workers/"+id+"/tasks/next", l.t.workerToken, "X-Worker-Token", nil, 40*time.Second)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil || (code != 200 && code != 204):
			l.fail(fmt.Errorf("poll: status %d: %w %.200s", code, err, body))
			return
		case code == 204:
			continue
		}
		taken := time.Now()
		var task struct {
			JobID  string          `json:"job_id"`
			TaskID string          `json:"task_id"`
			Params json.RawMessage `json:"params"`
		}
		if err := json.Unmarshal(body, &task); err != nil {
			l.fail(err)
			return
		}
		result := fmt.Appendf(nil, `{"job_id":%q,"task_id":%q,"worker_id":%q,"result":{"status":"success","data":%s}}`, task.JobID, task.TaskID, id, task.Params)
		code, body, err = l.do(at, "POST", "/_worker/tasks/result", l.t.workerToken, "X-Worker-Token", result, requestLimit)
		if err != nil || code != 200 {
			l.fail(fmt.Errorf("result: status %d: %w %.200s", code, err, body))
			return
		}
		found, _ := l.jobs.LoadOrStore(task.JobID, &running{})
		if found.(*running).results.Add(1) == int64(l.shape.tasks) {
			now := time.Now()
			l.note(task.JobID, func(r *running) { r.taken, r.ended = taken, now })
		}
	}
}

func (l *load) finish(took, wake time.Duration) {
	l.mu.Lock()
	l.total, l.wakes = append(l.total, took), append(l.wakes, wake)
	if l.left.Add(-1) == 0 {
		l.closeRound()
	}
	l.mu.Unlock()
	if l.ended != nil {
		l.ended <- struct{}{}
	}
}

// closeRound ends the round that is under way, once. l.mu is held.
func (l *load) closeRound() {
	if l.done != nil && !l.closed {
		l.closed = true
		close(l.done)
	}
}
