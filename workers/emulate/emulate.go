// Package emulate stands in for workers that do not exist yet: `orrery dev` runs it, so that
// every example can be run to its end at once.
//
// It takes tasks of types that no real worker ever served in the store, and which no real
// worker has registered for, and answers them after a short random delay with success. Its
// results are marked as emulated everywhere. The moment a real worker has the type, the
// emulator takes no more of it. It speaks to the hub in the process, without HTTP.
package emulate

import (
	"container/heap"
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"time"

	"orrery/engine"
	"orrery/engine/clock"
	"orrery/engine/job"
)

// This file holds the emulator's one loop.

// Hub is what the emulator needs of the workers' hub.
type Hub interface {
	// News receives after a task was queued that the emulator may take.
	News() <-chan struct{}
	// TakeUnserved leases the next such task; ok is false when there is none.
	TakeUnserved(ctx context.Context) (t job.Task, ok bool, err error)
	// Cancelled tells whether a taken task is to be stopped.
	Cancelled(taskID string) bool
	// Answer brings a task's result.
	Answer(ctx context.Context, t job.Task, o engine.Outcome) error
}

// Emulator answers tasks. Hub and Clock are needed.
type Emulator struct {
	Hub   Hub
	Clock clock.Clock
	Log   *slog.Logger
	// Delay gives how long a task takes; nil: a random 200 to 800 ms.
	Delay func(t job.Task) time.Duration
	// Reply gives the result of a task; nil: Reply of this package.
	Reply func(t job.Task) engine.Outcome
	// Parallel is how many tasks run at once; 0: 64.
	Parallel int
}

// lookAgain is how often the emulator looks without being woken: a real worker that never
// served its type may have gone, or the store may work again.
const lookAgain = 5 * time.Second

// running is a task that is being done until a date.
type running struct {
	task job.Task
	end  time.Time
	seq  int // keeps the order of equal dates
}

// Run works until ctx ends. Tasks it has then are lost unconfirmed and cost no retry.
func (m *Emulator) Run(ctx context.Context) {
	var busy schedule
	seq := 0
	for {
		for len(busy) < m.parallel() {
			t, ok, err := m.Hub.TakeUnserved(ctx)
			if err != nil {
				m.warn("an emulated task could not be taken and is tried again", t, err)
			}
			if !ok {
				break
			}
			seq++
			heap.Push(&busy, running{t, m.Clock.Now().Add(m.delay(t)), seq})
		}
		wait := lookAgain
		if len(busy) > 0 {
			wait = min(wait, busy[0].end.Sub(m.Clock.Now()))
		}
		timer := m.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-m.Hub.News():
		case <-timer.C():
		}
		timer.Stop()
		for len(busy) > 0 && !busy[0].end.After(m.Clock.Now()) {
			m.answer(ctx, heap.Pop(&busy).(running).task)
		}
	}
}

func (m *Emulator) answer(ctx context.Context, t job.Task) {
	o := engine.Outcome{Status: "cancelled"}
	if !m.Hub.Cancelled(t.ID) {
		if m.Reply != nil {
			o = m.Reply(t)
		} else {
			o = Reply(t)
		}
	}
	if err := m.Hub.Answer(ctx, t, o); err != nil {
		m.warn("an emulated result could not be stored; the attempt's deadline ends it", t, err)
	}
}

func (m *Emulator) warn(text string, t job.Task, err error) {
	if m.Log != nil {
		m.Log.Warn(text, "task_id", t.ID, "type", t.Type, "error", err)
	}
}

func (m *Emulator) delay(t job.Task) time.Duration {
	if m.Delay != nil {
		return m.Delay(t)
	}
	return 200*time.Millisecond + rand.N(600*time.Millisecond)
}

func (m *Emulator) parallel() int {
	if m.Parallel > 0 {
		return m.Parallel
	}
	return 64
}

// Reply is success with data that shows what the task was asked: {"emulated": true,
// "task_type": .., "params": ..}.
func Reply(t job.Task) engine.Outcome {
	params := t.Params
	if !json.Valid(params) {
		params = json.RawMessage("{}")
	}
	data, err := json.Marshal(struct {
		Emulated bool            `json:"emulated"`
		Type     string          `json:"task_type"`
		Params   json.RawMessage `json:"params"`
	}{true, t.Type, params})
	if err != nil { // params were just found valid
		data = json.RawMessage(`{"emulated":true}`)
	}
	return engine.Outcome{Status: "success", Data: data, Worker: t.Worker, Emulated: true}
}

// schedule is a heap of running tasks, the first to end first.
type schedule []running

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	if !s[i].end.Equal(s[j].end) {
		return s[i].end.Before(s[j].end)
	}
	return s[i].seq < s[j].seq
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

// Push implements heap.Interface.
func (s *schedule) Push(x any) { *s = append(*s, x.(running)) }

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	*s = (*s)[:last]
	return x
}
