// The Worker: handlers are added to it, Run serves them.

// Package client is the Go worker SDK: a program that does tasks for an
// orchestrator in a few lines.
//
//	w := client.New(client.Config{})  // WORKER_TOKEN, ORCHESTRATOR_URL, ...
//	w.Handle("echo", func(ctx context.Context, t *client.Task) (map[string]any, error) {
//		return t.Params, nil
//	})
//	err := w.Run(ctx)                 // until ctx ends; running tasks are let finish
//
// The worker registers, tells the server regularly what it is doing
// (heartbeats), asks for work (long polls), and sends results back, again and
// again where the network fails. A handler's context ends when its job is
// cancelled; what a handler returns as an error decides whether the task is
// tried again (see Transient, Permanent and Invalid).
//
// The wire form is that of the newest published SDK; package protocol has the
// words. A link is the connection to one orchestrator. A Worker may have several
// (ORCHESTRATORS_CONFIG): it registers with all of them, sends its heartbeats to
// all, and polls them by its mode (see Failover and RoundRobin). A task's result
// goes to the orchestrator that it came from.
package client

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Handler does one task. The map it returns is the result's data, nil for none.
// It must return soon after ctx ends.
type Handler func(ctx context.Context, t *Task) (map[string]any, error)

// Worker serves the handlers given to it. Add all handlers, then call Run once.
type Worker struct {
	cfg       Config
	configErr error
	log       *slog.Logger
	handlers  map[string]Handler
	links     []*link // in order of priority

	slots chan struct{} // one token for each task that may run

	arrived chan struct{} // an orchestrator has taken the worker in

	mu      sync.Mutex
	running map[string]*execution // by task id
	offline bool
	tasks   sync.WaitGroup
}

// New makes a worker from cfg and, for what cfg leaves zero, the environment.
// A mistake in either is returned by Run.
func New(cfg Config) *Worker {
	cfg, err := cfg.fill()
	w := &Worker{
		cfg: cfg, configErr: err, log: cfg.Logger.With("worker_id", cfg.ID),
		handlers: map[string]Handler{},
		slots:    make(chan struct{}, cfg.MaxConcurrent),
		arrived:  make(chan struct{}, 1),
		running:  map[string]*execution{},
	}
	for _, o := range cfg.Orchestrators {
		w.links = append(w.links, newLink(cfg, o, w.log))
	}
	return w
}

// ID returns the worker's id, which New makes up when none is configured.
func (w *Worker) ID() string { return w.cfg.ID }

// Handle makes the worker do tasks of this type. It panics when the type is
// empty or taken, as that is a mistake in the program.
func (w *Worker) Handle(taskType string, h Handler) {
	if _, taken := w.handlers[taskType]; taken || taskType == "" || h == nil {
		panic(fmt.Sprintf("client: Handle(%q): the task type is empty or has a handler already, or the handler is nil", taskType))
	}
	w.handlers[taskType] = h
}

// skills returns the task types in a stable order.
func (w *Worker) skills() []string {
	out := make([]string, 0, len(w.handlers))
	for name := range w.handlers {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Run registers and serves until ctx ends. Then it says it is going offline,
// takes no more tasks and lets the running ones finish for ShutdownTimeout;
// those still running then are stopped and reported as transient failures, so
// that another worker does them. It returns nil after an orderly end, else what
// is wrong with the configuration or which handlers did not return.
func (w *Worker) Run(ctx context.Context) error {
	if w.configErr != nil {
		return w.configErr
	}
	if len(w.handlers) == 0 {
		return fmt.Errorf("client: no task type has a handler; call Handle before Run")
	}
	// What serves running tasks outlives ctx until they are done.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	for _, l := range w.links {
		loops.Go(func() { w.serve(ctx, serving, l) })
	}
	w.polls(ctx)
	err := w.drain(serving)
	stop()
	loops.Wait()
	return err
}

// drain lets running tasks end, then stops the rest.
func (w *Worker) drain(serving context.Context) error {
	w.mu.Lock()
	w.offline = true
	w.mu.Unlock()
	var goodbyes sync.WaitGroup
	for _, l := range w.links {
		if l.registered.Load() {
			goodbyes.Go(func() { w.heartbeat(serving, l, false) })
		}
	}
	goodbyes.Wait()

	done := make(chan struct{})
	go func() {
		w.tasks.Wait()
		close(done)
	}()
	patience := time.NewTimer(w.cfg.ShutdownTimeout)
	defer patience.Stop()
	select {
	case <-done:
		return nil
	case <-patience.C:
	}
	w.mu.Lock()
	for _, e := range w.running {
		e.stop(errShutdown)
	}
	w.mu.Unlock()
	patience.Reset(w.cfg.ShutdownTimeout)
	select {
	case <-done:
		return nil
	case <-patience.C:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Errorf("client: %d tasks did not stop within %s of their context's end; the server gives them to another worker", len(w.running), w.cfg.ShutdownTimeout)
}

// full tells whether no more tasks may start. The slots do not tell: an open
// poll holds one as well.
func (w *Worker) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	busy := 0
	for _, e := range w.running {
		if !e.over {
			busy++
		}
	}
	return busy >= w.cfg.MaxConcurrent
}

// runningTasks returns the ids of running tasks in a stable order.
func (w *Worker) runningTasks() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]string, 0, len(w.running))
	for id := range w.running {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// cancel ends the context of a running task; an unknown id is no fault, as the
// same cancel may come by WebSocket and by heartbeat.
func (w *Worker) cancel(taskID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e, ok := w.running[taskID]; ok {
		e.stop(errCancelled)
	}
}
