package starlib

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"orrery/engine/job"
)

// This file tests the promises of Call, one test each.

// callScope is a run with short deadlines.
func callScope() *Scope {
	s := &Scope{Ctx: context.Background(), Job: &job.Job{ID: "job-1"}, Limits: DefaultLimits()}
	s.Limits.CallTime, s.Limits.FileTime = 5*time.Millisecond, time.Minute
	s.Enter(&starlark.Thread{})
	return s
}

func nothing(context.Context) (int, error) { return 7, nil }

// untilDone heeds its context and gives its error.
func untilDone(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestCallGivesTheResult(t *testing.T) {
	if v, err := Call(callScope(), HostCall{Name: "x"}, nothing); v != 7 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}

func TestCallHasADeadline(t *testing.T) {
	for _, c := range []struct {
		kind CallKind
		want string
	}{
		{Reads, "sql.query: no answer within 5ms, the limit of such a call"},
		{Acts, "sql.query: no answer within 5ms, the limit of such a call; it may have been done all the same"},
	} {
		_, err := Call(callScope(), HostCall{Name: "sql.query", Kind: c.kind}, untilDone)
		var host *HostError
		if !errors.As(err, &host) || err.Error() != c.want {
			t.Errorf("kind %d: %v, want %s", c.kind, err, c.want)
		}
	}
	_, err := Call(callScope(), HostCall{Name: "task_files.read", Kind: FileReads}, func(ctx context.Context) (int, error) {
		at, ok := ctx.Deadline()
		if left := time.Until(at); !ok || left < 50*time.Second {
			t.Errorf("a file has %v", left)
		}
		return 0, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A part of the Host that does not heed its deadline is left behind, and counted.
func TestCallIsGivenUp(t *testing.T) {
	release, ended := make(chan struct{}), make(chan struct{})
	before := stray.Load()
	_, err := Call(callScope(), HostCall{Name: "stuck"}, func(context.Context) (int, error) {
		defer close(ended)
		<-release
		return 1, nil
	})
	if err == nil || !strings.Contains(err.Error(), "no answer within 5ms") || stray.Load() != before+1 {
		t.Errorf("%v, %d left behind", err, stray.Load()-before)
	}
	stray.Add(maxStray)
	_, err = Call(callScope(), HostCall{Name: "next"}, nothing)
	stray.Add(-maxStray)
	if err == nil || !strings.Contains(err.Error(), "1000 calls did not end at their deadlines") {
		t.Errorf("with many left behind: %v", err)
	}
	close(release)
	<-ended
	for end := time.Now().Add(10 * time.Second); stray.Load() != before; {
		if time.Now().After(end) {
			t.Fatal("one that ended is still counted")
		}
	}
}

func TestCallsAreCounted(t *testing.T) {
	s := callScope()
	s.Limits.Calls = 2
	for range 2 {
		if _, err := Call(s, HostCall{Name: "x"}, nothing); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Call(s, HostCall{Name: "http.get"}, nothing)
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Code != CodeCalls || limit.Text != "http.get: a step makes at most 2 calls that read or act, and this would be number 3" {
		t.Errorf("the third call: %v", err)
	}
}

// The run leaves its place once, before anything is done.
func TestCallDepartsFirst(t *testing.T) {
	s := callScope()
	gone := errors.New("gone")
	s.Depart = func() error { return gone }
	if _, err := Call(s, HostCall{Name: "x"}, func(context.Context) (int, error) { t.Error("it was called"); return 0, nil }); err != gone {
		t.Errorf("err %v", err)
	}
	asked := 0
	s.Depart = func() error { asked++; return nil }
	for range 3 {
		if _, err := Call(s, HostCall{Name: "x"}, nothing); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked to depart %d times", asked)
	}
}

func TestActsAreNoted(t *testing.T) {
	s := callScope()
	if _, err := Call(s, HostCall{Name: "http.post", Kind: Acts, Detail: strings.Repeat("ñ", 150)}, nothing); err != nil {
		t.Fatal(err)
	}
	Call(s, HostCall{Name: "sql.execute", Kind: Acts, Detail: "reports"}, untilDone)
	Call(s, HostCall{Name: "sql.query"}, nothing)
	acts := s.Acts()
	if len(acts) != 2 || acts[0].What != "http.post" || acts[0].Detail != strings.Repeat("ñ", 100)+"…" ||
		acts[1] != (job.Act{What: "sql.execute", Detail: "reports (failed, or not known to be done)"}) {
		t.Errorf("%+v", acts)
	}
}

func TestConditionsDoNotAct(t *testing.T) {
	s := callScope()
	s.ReadOnly(true)
	for kind, refused := range map[CallKind]bool{Reads: false, FileReads: false, Acts: true, FileActs: true} {
		_, err := Call(s, HostCall{Name: "f", Kind: kind}, nothing)
		if (err != nil) != refused {
			t.Errorf("kind %d in a condition: %v", kind, err)
		}
	}
}

// Errors may pass, unless the Host says that they come again.
func TestCallTellsPassingErrors(t *testing.T) {
	fail := func(err error) error {
		_, err = Call(callScope(), HostCall{Name: "sql"}, func(context.Context) (int, error) { return 0, err })
		return err
	}
	var host *HostError
	if err := fail(errors.New("refused")); !errors.As(err, &host) || err.Error() != "sql: refused" {
		t.Errorf("a passing error: %v", err)
	}
	if err := fail(Lasting(errors.New("no such table"))); errors.As(err, &host) || err.Error() != "sql: no such table" {
		t.Errorf("a lasting error: %v", err)
	}
	if Lasting(nil) != nil {
		t.Error("no error became one")
	}
}

func TestCallPassesAPanicOn(t *testing.T) {
	defer func() {
		if p := recover(); p != "broken" {
			t.Errorf("recovered %v", p)
		}
	}()
	Call(callScope(), HostCall{Name: "x"}, func(context.Context) (int, error) { panic("broken") })
}
