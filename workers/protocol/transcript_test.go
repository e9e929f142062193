// Replays what real SDKs sent: the reduced transcripts of testdata, and the
// full captures of the specification where they are beside the repository.

package protocol_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/workers/protocol"
)

type record struct {
	SDK     string            `json:"sdk"`
	Kind    string            `json:"kind"`
	Headers map[string]string `json:"headers"`
	Signed  bool              `json:"signed"`
	Body    json.RawMessage   `json:"body"`
}

func readRecords(t testing.TB, path string) []record {
	t.Helper()
	return readLines[record](t, path)
}

func readLines[T any](t testing.TB, path string) (out []T) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTranscriptsOfEveryAge(t *testing.T) {
	ages := map[string]protocol.Age{
		"age-a": protocol.AgeA, "age-b46": protocol.AgeB46, "age-b7": protocol.AgeB7,
		"age-c": protocol.AgeC, "age-c18": protocol.AgeC18,
	}
	for name, age := range ages {
		t.Run(name, func(t *testing.T) {
			kinds := map[string]int{}
			for _, r := range readRecords(t, filepath.Join("testdata", name+".jsonl")) {
				kinds[r.Kind]++
				if r.Kind == "register" {
					got := protocol.DetectAge(func(h string) string { return r.Headers[h] }, r.Body)
					if got != age {
						t.Errorf("%s: age %v, want %v", r.SDK, got, age)
					}
				}
				checkMessage(t, r, age)
				if r.Signed {
					if err := protocol.Verify(r.Body, "sample-token"); err != nil {
						t.Errorf("%s %s: %v", r.SDK, r.Kind, err)
					}
				}
			}
			for _, kind := range []string{"register", "heartbeat", "result", "event"} {
				if kinds[kind] == 0 {
					t.Errorf("the transcript has no %s", kind)
				}
			}
		})
	}
}

var sampleSkills = []string{"echo", "retry_me", "reject_me", "check_me", "render"}

func checkMessage(t *testing.T, r record, age protocol.Age) {
	t.Helper()
	switch r.Kind {
	case "register":
		got, err := protocol.ParseRegister(r.Body)
		if err != nil {
			t.Fatalf("%s: %v", r.SDK, err)
		}
		if !strings.HasPrefix(got.ID, "w-") || got.Type != "sample" || got.Hostname != "host-1" || got.IPAddress != "10.0.0.7" {
			t.Errorf("%s: host fields %+v", r.SDK, got)
		}
		if !slices.Equal(got.Skills, sampleSkills[:len(got.Skills)]) || len(got.Skills) < 2 {
			t.Errorf("%s: skills %v", r.SDK, got.Skills)
		}
		if sends := age == protocol.AgeC18 || r.SDK == "1.0b16"; got.HasAvailable != sends {
			t.Errorf("%s: available skills said: %v, want %v", r.SDK, got.HasAvailable, sends)
		}
		if said := age < protocol.AgeC18 && r.SDK != "1.0b16"; (got.MaxConcurrent == 10) != said {
			t.Errorf("%s: %d tasks at once", r.SDK, got.MaxConcurrent)
		}
		if wantWS := strings.Contains(string(r.Body), `"websockets":true`); got.WebSockets != wantWS {
			t.Errorf("%s: WebSockets %v, want %v", r.SDK, got.WebSockets, wantWS)
		}
	case "heartbeat":
		got, err := protocol.ParseHeartbeat(r.Body)
		if err != nil {
			t.Fatalf("%s: %v", r.SDK, err)
		}
		if got.HasCurrentTasks != age.ListsTasks() || got.Status == "" || got.HasHotSkills {
			t.Errorf("%s: heartbeat %+v", r.SDK, got)
		}
	case "result":
		checkResult(t, r)
	case "event":
		got, err := protocol.ParseEvent(r.Body)
		if err != nil {
			t.Fatalf("%s: %v", r.SDK, err)
		}
		if !got.IsProgress() || got.TaskID == "" || got.JobID == "" || got.Progress <= 0 || !strings.HasPrefix(got.Message, "step 1/") {
			t.Errorf("%s: event %+v", r.SDK, got)
		}
	default:
		t.Fatalf("unknown kind %q", r.Kind)
	}
}

func checkResult(t *testing.T, r record) {
	t.Helper()
	got, err := protocol.ParseResult(r.Body)
	if err != nil {
		t.Fatalf("%s: %v", r.SDK, err)
	}
	if got.TaskID == "" || got.JobID == "" || got.WorkerID == "" {
		t.Errorf("%s: ids missing in %+v", r.SDK, got)
	}
	switch got.Status {
	case protocol.ResultSuccess:
		var data map[string]any
		if err := json.Unmarshal(got.Data, &data); err != nil || len(data) == 0 || got.Error != nil {
			t.Errorf("%s: success with data %s, error %v", r.SDK, got.Data, got.Error)
		}
	case protocol.ResultFailure:
		if got.Error == nil || got.Error.Message == "" || !strings.HasSuffix(got.Error.Code, "_ERROR") {
			t.Errorf("%s: failure with error %+v", r.SDK, got.Error)
		}
	case protocol.ResultCancelled:
		if got.Error != nil {
			t.Errorf("%s: cancelled with error %+v", r.SDK, got.Error)
		}
	default:
		t.Errorf("%s: status %q", r.SDK, got.Status)
	}
}

// capture is one line of the specification's recordings.
type capture struct {
	Kind     string            `json:"kind"`
	Method   string            `json:"method"`
	Path     string            `json:"path"`
	Dir      string            `json:"dir"`
	Headers  map[string]string `json:"request_headers"`
	Request  json.RawMessage   `json:"request_json"`
	Response json.RawMessage   `json:"response_json"`
	Frame    json.RawMessage   `json:"json"`
}

const capturesDir = "../../../shared/conformance/captures"

func TestCapturesOfTheSpecification(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(capturesDir, "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Skipf("missing: the recorded traffic in %s; testdata's reduced transcripts were replayed instead", capturesDir)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".jsonl")
		t.Run(name, func(t *testing.T) {
			signs := strings.HasSuffix(name, "b16") || strings.Contains(name, "sdk-1.0b20")
			parsed := 0
			for _, line := range readLines[capture](t, path) {
				if replayCapture(t, line, signs) {
					parsed++
				}
			}
			if parsed < 10 {
				t.Errorf("only %d messages were recognised", parsed)
			}
		})
	}
}

// replayCapture parses one recorded message and tells whether it was one.
func replayCapture(t *testing.T, line capture, signs bool) bool {
	t.Helper()
	body := []byte(line.Request)
	var err error
	switch {
	case line.Kind == "ws-frame" && line.Dir == "worker->server":
		body = line.Frame
		_, err = protocol.ParseEvent(body)
	case line.Kind != "http":
		return false
	case strings.HasSuffix(line.Path, "/register"):
		_, err = protocol.ParseRegister(body)
	case strings.HasSuffix(line.Path, "/tasks/result"):
		_, err = protocol.ParseResult(body)
	case strings.HasSuffix(line.Path, "/_worker/events"):
		_, err = protocol.ParseEvent(body)
	case line.Method == "PATCH":
		_, err = protocol.ParseHeartbeat(body)
	default:
		return checkTaskSignature(t, line)
	}
	if err != nil {
		t.Errorf("%s %s: %v", line.Method, line.Path, err)
	}
	if signs {
		if err := protocol.Verify(body, "shared-tok"); err != nil {
			t.Errorf("%s %s: %v", line.Method, line.Path, err)
		}
	}
	return true
}

// checkTaskSignature recomputes what a worker accepted: the era-agnostic
// recording server signed its tasks with this secret.
func checkTaskSignature(t *testing.T, line capture) bool {
	t.Helper()
	var task struct {
		Sig  string `json:"sig"`
		Step *int   `json:"step"`
	}
	if err := json.Unmarshal(line.Response, &task); err != nil || task.Sig == "" || task.Step != nil {
		return false
	}
	got, err := protocol.Sign(line.Response, "task-secret")
	if err != nil || got != task.Sig {
		t.Errorf("task signature %s, want %s (%v)", got, task.Sig, err)
	}
	return true
}
