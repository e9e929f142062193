package hostile

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// This file is workers that lie, vanish, or are two.

// Whatever one worker says about another's task, and however often, one true result counts.
func TestLyingWorkers(t *testing.T) {
	t.Parallel()
	s := start(t, "WORKER_TTL_SECONDS=30")
	s.register("honest")
	s.register("liar")
	id := s.create("hostile_echo", `{}`)
	got, ok := s.poll("honest", 5)
	if !ok || got.JobID != id {
		t.Fatalf("the task did not come: %+v", got)
	}
	ignored := func(what string, a answer, reason string) {
		t.Helper()
		if a.status != http.StatusOK || !strings.Contains(a.body, `"ignored"`) || !strings.Contains(a.body, reason) {
			t.Errorf("%s: %s; want it ignored as %s", what, a, reason)
		}
	}
	send := func(worker, body string) answer { return s.worker(worker, "POST", "/_worker/tasks/result", body) }

	ignored("for another's task", send("liar", result(got, "liar", `"data":{"stolen":true}`)), "worker_mismatch")
	if a := send("liar", result(got, "honest", "")); a.status != http.StatusUnauthorized {
		t.Errorf("in another's name under its own header: %s", a)
	}
	ignored("for a task that never was", send("liar", result(task{id, id + "-9-aaaaaaaa"}, "liar", "")), "job_not_found")
	ignored("for a fence that was made up", send("liar", result(task{id, id + "-1-aaaaaaaa"}, "liar", "")), "")
	for name, body := range map[string]string{
		"no JSON": `{"job_id"`, "a list": `[]`, "null": `null`, "text": `"x"`, "no task": `{"job_id":"` + id + `"}`,
		"bad worker id": `{"job_id":"` + id + `","task_id":"` + got.TaskID + `","worker_id":"../x"}`,
		"deep":          result(got, "honest", `"data":{"a":`+strings.Repeat("[", 1000000)+strings.Repeat("]", 1000000)+`}`),
	} {
		if a := send("honest", body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %s", name, a)
		}
	}
	if j := s.job(id); j.Status != "waiting_for_worker" {
		t.Fatalf("after the lies the job is %+v", j)
	}
	for i := range 3 {
		if a := send("honest", result(got, "honest", fmt.Sprintf(`"data":{"n":%d}`, i))); a.status != http.StatusOK || strings.Contains(a.body, "ignored") {
			t.Errorf("result number %d: %s", i+1, a)
		}
	}
	s.await("the job to finish", 5*time.Second, func() bool { return s.job(id).Status == "finished" })
	if j := s.job(id); !strings.Contains(string(j.StateHistory), `"n":0`) {
		t.Errorf("the first result does not stand: %s", j.StateHistory)
	}
}

// A worker may spoil its own task with what it sends, but neither the server nor what others
// read of the job.
func TestResultsOfWrongShape(t *testing.T) {
	t.Parallel()
	s := start(t, "WORKER_TTL_SECONDS=30")
	s.register("w")
	for _, shape := range []string{
		`"data":[1]`, `"data":"text"`, `"data":7`, `"data":null`, `"status":{}`, `"status":7`, `"status":""`, `"status":"no_such_status"`, `"error":[]`, `"error":{"code":7}`,
		"\"data\":{\"a\":\"\xff\xfe\"}", "\"data\":{\"\xc3(\":1}", `"data":{"a":"\ud800"}`, `"data":{"a":1e999}`, `"data":{"a":123456789012345678901234567890}`, `"data":{"a":1,"a":2}`, `"data":{"__proto__":{},"":0}`,
		`"data":{"a":"\u0000"}`, `"result":{"status":[]}`, `"result":7`, `"data":` + strings.Repeat(`{"a":`, 99) + "1" + strings.Repeat("}", 99),
	} {
		id := s.create("hostile_echo", `{}`)
		got, ok := s.poll("w", 5)
		if !ok {
			t.Fatalf("no task for %.60s", shape)
		}
		a := s.worker("w", "POST", "/_worker/tasks/result", result(got, "w", shape))
		if a.status != http.StatusOK && a.status != http.StatusBadRequest {
			t.Errorf("%.60s: %s", shape, a)
		}
		if a.status == http.StatusOK {
			s.await("the job to end after "+shape, 5*time.Second, func() bool { return ended(s.job(id).Status) })
		} else if a := s.worker("w", "POST", "/_worker/tasks/result", result(got, "w", "")); a.status != http.StatusOK {
			t.Errorf("a good result after %.60s: %s", shape, a)
		}
		for _, path := range []string{"", "/history", "/why"} {
			if a := s.admin("GET", "/api/v1/jobs/"+id+path, ""); a.status != http.StatusOK || !utf8.ValidString(a.body) || !json.Valid([]byte(a.body)) {
				t.Errorf("%s of the job after %.60s: %s", path, shape, a)
			}
		}
	}
}

func ended(status string) bool {
	return status == "finished" || status == "failed" || status == "quarantined" || status == "cancelled"
}

// A result of 100 MB is refused while it is sent; one of 2 MB fails its job by name.
func TestLongResults(t *testing.T) {
	s := start(t, "WORKER_TTL_SECONDS=30")
	s.register("w")
	_, before := s.memory()
	id := s.create("hostile_echo", `{}`)
	got, ok := s.poll("w", 5)
	if !ok {
		t.Fatal("no task")
	}
	for range 2 {
		a := s.worker("w", "POST", "/_worker/tasks/result", result(got, "w", `"data":{"x":"`+strings.Repeat("x", 100<<20)+`"}`))
		if a.status != http.StatusRequestEntityTooLarge && a.status != 0 { // 0: closed while sending
			t.Errorf("100 MB: %s", a)
		}
	}
	stranger := s.raw([]byte("POST /_worker/tasks/result HTTP/1.1\r\nHost: h\r\nX-Worker-Token: guess\r\nContent-Length: 8000000\r\n\r\n"+strings.Repeat("x", 8000000)), 10*time.Second)
	if stranger != "" && !strings.HasPrefix(stranger, "HTTP/1.1 401") {
		t.Errorf("8 MB from a stranger: %.200s", stranger)
	}
	if a := s.worker("w", "POST", "/_worker/tasks/result", result(got, "w", `"data":{"x":"`+strings.Repeat("x", 2<<20)+`"}`)); a.status != http.StatusOK {
		t.Errorf("2 MB: %s", a)
	}
	s.await("the job to fail", 5*time.Second, func() bool { return ended(s.job(id).Status) })
	if j := s.job(id); j.Error == nil || !strings.Contains(j.Error.Message, "1048576") {
		t.Errorf("the error does not name the limit: %+v", j)
	}
	_, peak := s.memory()
	t.Logf("peak memory: %d MiB before, %d MiB after", before, peak)
	if peak > before+150 {
		t.Errorf("100 MB results cost %d MiB", peak-before)
	}
	s.runsThrough()
}

// Two processes under one id poll at once: each task goes to one of them, and an open poll
// that was replaced ends without one.
func TestTwoWorkersWithOneID(t *testing.T) {
	t.Parallel()
	s := start(t, "WORKER_TTL_SECONDS=30")
	s.register("twin")
	const jobs = 30
	type got struct {
		task
		ok bool
	}
	tasks, stop := make(chan got), make(chan struct{})
	for range 2 {
		go func() {
			for {
				a := s.worker("twin", "GET", "/_worker/workers/twin/tasks/next?timeout=1&available_skills=hostile_work", "")
				g := got{ok: a.status == http.StatusOK}
				if g.ok {
					_, g.TaskID, _ = strings.Cut(a.body, `"task_id":"`)
					g.TaskID, _, _ = strings.Cut(g.TaskID, `"`)
				}
				select {
				case tasks <- g:
				case <-stop:
					return
				}
			}
		}()
	}
	defer close(stop)
	for range jobs {
		s.create("hostile_echo", `{}`)
	}
	seen, end := map[string]bool{}, time.After(20*time.Second)
	for len(seen) < jobs {
		select {
		case g := <-tasks:
			if !g.ok {
				continue
			}
			if seen[g.TaskID] {
				t.Fatalf("task %s was given out twice", g.TaskID)
			}
			seen[g.TaskID] = true
			if a := s.worker("twin", "POST", "/_worker/tasks/result", result(task{TaskID: g.TaskID}, "twin", "")); a.status != http.StatusOK {
				t.Errorf("result: %s", a)
			}
		case <-end:
			t.Fatalf("%d of %d tasks came", len(seen), jobs)
		}
	}
}

// A worker that takes a task and falls silent loses it after its time to live; one that
// lives and does not list it loses it at the second such heartbeat.
func TestVanishingWorkers(t *testing.T) {
	t.Parallel()
	s := start(t, "WORKER_TTL_SECONDS=2")
	s.register("gone")
	id := s.create("hostile_echo", `{}`)
	first, ok := s.poll("gone", 5)
	if !ok {
		t.Fatal("no task")
	}
	s.register("next")
	began := time.Now()
	second, ok := s.poll("next", 20)
	if !ok || second.JobID != id || second.TaskID == first.TaskID {
		t.Fatalf("the task of a silent worker: %+v after %+v", second, first)
	}
	t.Logf("taken again %.1f s after the first worker fell silent (time to live 2 s)", time.Since(began).Seconds())
	late := s.worker("gone", "POST", "/_worker/tasks/result", result(first, "gone", `"data":{"late":true}`))
	if late.status != http.StatusOK || !strings.Contains(late.body, `"ignored"`) {
		t.Errorf("a late result: %s", late)
	}

	beat := func() answer {
		return s.worker("next", "PATCH", "/_worker/workers/next", `{"worker_id":"next","status":"idle","current_tasks":[],"available_skills":["hostile_work"]}`)
	}
	for i := range 2 {
		if a := beat(); a.status != http.StatusOK {
			t.Fatalf("heartbeat %d: %s", i+1, a)
		}
	}
	s.register("third")
	third, ok := s.poll("third", 10)
	if !ok || third.JobID != id || third.TaskID == second.TaskID {
		t.Fatalf("the task that two heartbeats did not list: %+v", third)
	}
	s.worker("third", "POST", "/_worker/tasks/result", result(third, "third", `"data":{"by":"third"}`))
	s.await("the job to finish", 5*time.Second, func() bool { return s.job(id).Status == "finished" })
	if j := s.job(id); !strings.Contains(string(j.StateHistory), `"by":"third"`) || strings.Contains(string(j.StateHistory), "late") {
		t.Errorf("state_history %s", j.StateHistory)
	}
}
