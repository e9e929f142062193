package line

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/held"
)

// This file tests the way of writes through a line, with a driver that notes what it is sent,
// on virtual time.

var (
	errAway    = errors.New("the server is away")
	errRefused = errors.New("refused")
)

// driver notes the batches that it is sent.
type driver struct {
	line    *Line[string]
	closing chan struct{}
	log     *bytes.Buffer
	gate    chan struct{} // every batch waits for a value, unless it is nil

	mu      sync.Mutex
	batches []string         // the Data of the writes of each, joined
	answers map[string]error // by Data; nil: done
}

func (d *driver) send(batch []*Write[string]) (verdicts []error) {
	if d.gate != nil {
		<-d.gate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for _, w := range batch {
		if w.Kind != Sync {
			names = append(names, w.Data)
		}
		verdicts = append(verdicts, d.answers[w.Data])
	}
	d.batches = append(d.batches, strings.Join(names, " "))
	return verdicts
}

// start makes a line within a synctest bubble; it is closed at the test's end.
func start(t *testing.T, set func(*Options[string], *driver)) *driver {
	d := &driver{closing: make(chan struct{}), log: &bytes.Buffer{}, answers: map[string]error{}}
	opts := Options[string]{
		Store: "test", Log: slog.New(slog.NewTextHandler(d.log, nil)), MaxBatch: 4, MaxBatchBytes: 100,
		Send: d.send, Passing: func(err error) bool { return errors.Is(err, errAway) },
	}
	if set != nil {
		set(&opts, d)
	}
	d.line = Start(opts, d.closing)
	t.Cleanup(func() { d.close() })
	return d
}

func (d *driver) close() {
	select {
	case <-d.closing:
	default:
		close(d.closing)
	}
	<-d.line.Gone()
}

func (d *driver) want(t *testing.T, batches ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.batches, batches) {
		t.Errorf("sent %q, want %q", d.batches, batches)
	}
	d.batches = nil
}

// answer sets what comes of a write; nil: it is done.
func (d *driver) answer(data string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[data] = err
}

func change(jobID, data string, tasks ...int) *Write[string] {
	w := &Write[string]{Data: data, Kind: Change, What: "change", Job: jobID, Size: 1}
	for _, n := range tasks {
		w.Tasks = append(w.Tasks, job.Task{N: n})
	}
	return w
}

func handOut(jobID string, task int) *Write[string] {
	return &Write[string]{Data: fmt.Sprint("out-", jobID, task), Kind: HandOut, What: "hand-out", Job: jobID, Task: task, Size: 1}
}

// queue puts writes in line, one after another, and gives where their fates come.
func (d *driver) queue(t *testing.T, ws ...*Write[string]) (fates []chan error) {
	t.Helper()
	for _, w := range ws {
		fate, inLine := make(chan error, 1), make(chan struct{})
		go func() { fate <- d.line.Await(t.Context(), w, func() { close(inLine) }) }()
		<-inLine
		fates = append(fates, fate)
	}
	return fates
}

func TestWhatComesMeanwhileGoesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, func(_ *Options[string], d *driver) { d.gate = make(chan struct{}) })
		fates := d.queue(t, change("a", "a1"))
		synctest.Wait() // a1 is under way
		fates = append(fates, d.queue(t, change("b", "b1"), change("a", "a2"), change("c", "c1"), change("d", "d1"), change("e", "e1"))...)
		close(d.gate)
		for _, f := range fates {
			if err := <-f; err != nil {
				t.Error(err)
			}
		}
		d.want(t, "a1", "b1 a2 c1 d1", "e1") // four at most
	})
}

func TestBatchesEndAtTheirSizeAndAtASecondChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, func(o *Options[string], d *driver) { d.gate, o.OneChange = make(chan struct{}), true })
		d.queue(t, change("a", "a1"))
		synctest.Wait()
		large := change("b", "b1")
		large.Size = 100
		d.queue(t, large, change("c", "c1"), change("a", "a2"), change("c", "c2"))
		close(d.gate)
		d.want(t, "a1", "b1", "c1 a2", "c2")
	})
}

func TestHandOutsAreHeldAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		d.line.Later(handOut("a", 1))
		d.line.Later(handOut("a", 2))
		d.line.Later(handOut("b", 1))
		d.want(t)
		d.queue(t, change("a", "a1", 1))
		d.want(t, "out-a2 a1") // task 2 before, task 1 not at all
		<-time.After(held.For)
		d.want(t, "out-b1")
		d.line.Later(handOut("c", 1))
		if err := All(t.Context(), []*Line[string]{d.line}); err != nil {
			t.Error(err)
		}
		d.want(t, "out-c1")
	})
}

func TestARefusedChangeSpendsNoHandOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		d.answer("a1", errRefused)
		d.line.Later(handOut("a", 1))
		if err := <-d.queue(t, change("a", "a1", 1))[0]; !errors.Is(err, errRefused) {
			t.Errorf("the change gives %v", err)
		}
		<-time.After(tryAgainAfter)
		d.want(t, "a1", "out-a1")
	})
}

func TestHandOutsOutlastAServerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		d.answer("out-a1", errAway)
		d.line.Later(handOut("a", 1))
		<-time.After(held.For + 2*tryAgainAfter)
		d.want(t, "out-a1", "out-a1", "out-a1")
		if n := strings.Count(d.log.String(), "level=ERROR"); n != 1 {
			t.Errorf("the log names the failure %d times:\n%s", n, d.log)
		}
		d.answer("out-a1", nil)
		<-time.After(2 * tryAgainAfter)
		d.want(t, "out-a1")
	})
}

func TestWhatNobodyWaitsForIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		d.answer("p", errAway)
		d.answer("q", errRefused)
		d.line.Later(&Write[string]{Data: "p", What: "progress", Job: "a"})
		d.line.Later(&Write[string]{Data: "q", What: "progress", Job: "b"})
		<-time.After(time.Second)
		d.want(t, "p q")
		for _, want := range []string{`what=progress job=a error="the server is away"`, "what=progress job=b error=refused"} {
			if !strings.Contains(d.log.String(), want) {
				t.Errorf("the log does not say %s:\n%s", want, d.log)
			}
		}
	})
}

func TestClosingWritesWhatIsInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, func(o *Options[string], d *driver) { d.gate, o.OneChange = make(chan struct{}), true })
		d.answer("out-z1", errAway)
		fates := d.queue(t, change("a", "a1"))
		synctest.Wait()
		fates = append(fates, d.queue(t, change("b", "b1"), change("b", "b2"))...)
		d.line.Later(handOut("z", 1))
		close(d.closing)
		close(d.gate)
		<-d.line.Gone()
		for _, f := range fates {
			if err := <-f; err != nil {
				t.Error(err)
			}
		}
		d.want(t, "a1", "b1", "b2", "out-z1")
		if !strings.Contains(d.log.String(), "hand_outs=1") {
			t.Errorf("the log does not say what was not written:\n%s", d.log)
		}
		if err := d.line.Await(t.Context(), change("c", "c1"), nil); !errors.Is(err, store.ErrClosed) {
			t.Errorf("a closed line gives %v", err)
		}
	})
}

func TestACallerThatGivesUpInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, func(o *Options[string], d *driver) { d.gate, o.MaxBatch = make(chan struct{}), 1 })
		d.queue(t, change("a", "a1"))
		synctest.Wait()
		for n := range 4 { // the line is full
			d.queue(t, change("a", fmt.Sprint("a", n+2)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.line.Await(ctx, change("b", "b1"), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that gave up gets %v", err)
		}
		close(d.gate)
		d.want(t, "a1", "a2", "a3", "a4", "a5")
	})
}
