// What the transcripts do not show: old spellings, partial updates, bad input,
// and the exact form of what the server writes.

package protocol_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"orrery/workers/protocol"
)

func TestDetectAgeByHeadersAlone(t *testing.T) {
	for _, tc := range []struct {
		version, id string
		want        protocol.Age
	}{
		{"", "", protocol.AgeA},
		{"1.0b2", "", protocol.AgeB46},
		{"1.0b3", "", protocol.AgeB7},
		{"1.0b5", "", protocol.AgeC},
		{"1.0b17", "", protocol.AgeC},
		{"1.0b17", "w", protocol.AgeC18},
		{"2.1", "", protocol.AgeC},
	} {
		headers := map[string]string{protocol.HeaderVersion: tc.version, protocol.HeaderWorkerID: tc.id}
		if got := protocol.DetectAge(func(h string) string { return headers[h] }, nil); got != tc.want {
			t.Errorf("version %q id %q: %v, want %v", tc.version, tc.id, got, tc.want)
		}
	}
}

func TestAgeAbilities(t *testing.T) {
	type row struct{ cancels, reRegisters, lists, retries, hammers bool }
	want := map[protocol.Age]row{
		protocol.AgeA:   {retries: true, hammers: true},
		protocol.AgeB46: {lists: true, hammers: true},
		protocol.AgeB7:  {cancels: true, lists: true, hammers: true},
		protocol.AgeC:   {cancels: true, reRegisters: true, lists: true, retries: true},
		protocol.AgeC18: {cancels: true, reRegisters: true, lists: true, retries: true},
	}
	for age, w := range want {
		got := row{age.HeartbeatCancels(), age.ReRegisters(), age.ListsTasks(), age.RetriesResultOnServerError(), age.HammersOnPollError()}
		if got != w {
			t.Errorf("%v: %+v, want %+v", age, got, w)
		}
	}
}

func TestRegisterHardwareAndCostsOfEveryAge(t *testing.T) {
	for name, body := range map[string]string{
		"A": `{"worker_id":"w","supported_tasks":["echo"],"cost_per_skill":{"echo":0.01,"x":null},
			"installed_models":[{"name":"sd","version":"1.5"}],"resources":{"gpu_info":{"model":"NVIDIA T4","vram_gb":16}}}`,
		"B": `{"worker_id":"w","supported_skills":["echo"],"capabilities":{"cost_per_skill":{"echo":0.01},"extra":null},
			"installed_models":[{"name":"sd","version":"1.5"}],"resources":{"gpu_info":{"model":"NVIDIA T4","vram_gb":16}}}`,
		"C": `{"worker_id":"w","supported_skills":[{"name":"echo"}],"capabilities":{"cost_per_skill":{"echo":0.01}},
			"installed_artifacts":[{"name":"sd","version":"1.5"}],"resources":{"devices":[{"type":"cpu"},
			{"id":"0","type":"gpu","model":"NVIDIA T4","properties":{"memory_gb":16}}]}}`,
	} {
		r, err := protocol.ParseRegister([]byte(body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := []protocol.GPU{{Model: "NVIDIA T4", VRAMGB: 16}}; !slices.Equal(r.Resources.GPUs, want) {
			t.Errorf("%s: GPUs %v", name, r.Resources.GPUs)
		}
		if want := []protocol.Artifact{{Name: "sd", Version: "1.5"}}; !slices.Equal(r.InstalledModels, want) {
			t.Errorf("%s: artifacts %v", name, r.InstalledModels)
		}
		if price, ok := r.Costs.For("echo"); !ok || price != 0.01 {
			t.Errorf("%s: price %v %v", name, price, ok)
		}
		if _, ok := r.Costs.For("other"); ok {
			t.Errorf("%s: an unknown price must not be free", name)
		}
	}
}

func TestCostOrder(t *testing.T) {
	r, err := protocol.ParseRegister([]byte(`{"worker_id":"w","cost":0,"capabilities":{"cost_per_second":0.5,"cost_per_skill":{"a":2}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if price, ok := r.Costs.For("a"); price != 2 || !ok {
		t.Errorf("own price: %v %v", price, ok)
	}
	if price, ok := r.Costs.For("b"); price != 0.5 || !ok {
		t.Errorf("price per second: %v %v", price, ok)
	}
	r.Costs.PerSecond = nil
	if price, ok := r.Costs.For("b"); price != 0 || !ok {
		t.Errorf("free is a known price: %v %v", price, ok)
	}
}

func TestRegistrationSurvivesJSON(t *testing.T) {
	r, err := protocol.ParseRegister([]byte(`{"worker_id":"w","supported_skills":["a"],"cost":1.5,"capabilities":{"extra":{"region":"eu","websockets":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back protocol.Registration
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.ID != "w" || !back.WebSockets || back.Flat == nil || *back.Flat != 1.5 || back.Extra["region"] != "eu" {
		t.Errorf("came back as %+v from %s", back, text)
	}
}

func TestHeartbeatIsPartial(t *testing.T) {
	for _, body := range []string{"", "  ", "null", "{}"} {
		if h, err := protocol.ParseHeartbeat([]byte(body)); err != nil || !h.Empty {
			t.Errorf("%q: %+v %v", body, h, err)
		}
	}
	h, err := protocol.ParseHeartbeat([]byte(`{"load":0.5}`))
	if err != nil || h.Load == nil || *h.Load != 0.5 || h.Empty || h.HasCurrentTasks || h.HasSkills || h.Status != "" {
		t.Errorf("one field: %+v %v", h, err)
	}
	for _, age := range []protocol.Age{protocol.AgeA, protocol.AgeB7, protocol.AgeC, protocol.AgeC18} {
		if skills, said := h.Available(age, true); said {
			t.Errorf("%v: a load alone changed the skills to %v", age, skills)
		}
	}
}

func TestHeartbeatAvailability(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		age        protocol.Age
		names      bool
		want       []string
		said       bool
	}{
		{"A busy", `{"status":"busy","supported_tasks":[]}`, protocol.AgeA, false, []string{}, true},
		{"B idle", `{"status":"idle","current_tasks":[],"supported_skills":["a"],"hot_skills":null}`, protocol.AgeB7, false, []string{"a"}, true},
		{"C early", `{"current_tasks":[],"supported_skills":[{"name":"a"}]}`, protocol.AgeC, false, []string{"a"}, true},
		{"C early, unchanged", `{"current_tasks":[],"supported_skills":null}`, protocol.AgeC, false, nil, false},
		{"C late, some", `{"current_tasks":[],"available_skills":["a"],"supported_skills":[{"name":"a"},{"name":"b"}]}`, protocol.AgeC, true, []string{"a"}, true},
		{"C late, none", `{"current_tasks":["t"],"status":"full"}`, protocol.AgeC, true, nil, true},
		{"C18, none", `{"current_tasks":["t"],"status":"full"}`, protocol.AgeC18, false, nil, true},
	} {
		h, err := protocol.ParseHeartbeat([]byte(tc.body))
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got, said := h.Available(tc.age, tc.names); said != tc.said || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v %v, want %v %v", tc.name, got, said, tc.want, tc.said)
		}
	}
	h, err := protocol.ParseHeartbeat([]byte(`{"supported_skills":[{"name":"a"},{"name":"a"},{"name":"b"}],"hot_skills":[{"name":"a"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, said := h.Catalogue(protocol.AgeC18); !said || !slices.Equal(got, []string{"a", "b"}) || !slices.Equal(h.HotSkills, []string{"a"}) {
		t.Errorf("catalogue %v %v, hot %v", got, said, h.HotSkills)
	}
}

func TestResultSpellings(t *testing.T) {
	for _, tc := range []struct {
		name, body, status, data, code, message string
	}{
		{"nested, custom status", `{"task_id":"t","result":{"status":"needs_review","data":{"a":1}}}`, "needs_review", `{"a":1}`, "", ""},
		{"nested, no status", `{"task_id":"t","result":{"data":{"a":1}}}`, "success", `{"a":1}`, "", ""},
		{"nested, not an object", `{"task_id":"t","result":[1,2]}`, "success", `[1,2]`, "", ""},
		{"nested, nothing", `{"task_id":"t","result":null}`, "success", ``, "", ""},
		{"flat, no status", `{"task_id":"t","data":{"a":1}}`, "success", `{"a":1}`, "", ""},
		{"flat with a member named result", `{"task_id":"t","status":"success","data":{"a":1},"result":{"status":"failure"}}`, "success", `{"a":1}`, "", ""},
		{"oldest, top level", `{"task_id":"t","status":"failure","error_type":"INVALID_INPUT_ERROR","error":"no file"}`, "failure", ``, "INVALID_INPUT_ERROR", "no file"},
		{"oldest, nested", `{"task_id":"t","result":{"status":"failure","error_type":"PERMANENT_ERROR","error":"bad key"}}`, "failure", ``, "PERMANENT_ERROR", "bad key"},
		{"error as text", `{"task_id":"t","status":"failure","error":"boom"}`, "failure", ``, "TRANSIENT_ERROR", "boom"},
		{"error without code", `{"task_id":"t","status":"failure","error":{"message":"boom"}}`, "failure", ``, "TRANSIENT_ERROR", "boom"},
		{"failure without error", `{"task_id":"t","status":"failure","error":null}`, "failure", ``, "TRANSIENT_ERROR", "the worker gave no reason"},
		{"status of a wrong type", `{"task_id":"t","status":7}`, "7", ``, "", ""},
	} {
		r, err := protocol.ParseResult([]byte(tc.body))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var code, message string
		if r.Error != nil {
			code, message = r.Error.Code, r.Error.Message
		}
		if r.Status != tc.status || string(r.Data) != tc.data || code != tc.code || message != tc.message {
			t.Errorf("%s: %q %s %q %q", tc.name, r.Status, r.Data, code, message)
		}
	}
	r, err := protocol.ParseResult([]byte(`{"task_id":"t","status":"failure","error":{"code":"X","message":"m","details":{"n":1}},"data_metadata":{"f":{"size":1}},"costs":{"s":2}}`))
	if err != nil || string(r.Error.Details) != `{"n":1}` || string(r.DataMetadata) != `{"f":{"size":1}}` || string(r.Costs) != `{"s":2}` {
		t.Errorf("details and metadata: %+v %v", r, err)
	}
}

func TestEventSpellings(t *testing.T) {
	e, err := protocol.ParseEvent([]byte(`{"event_id":"e1","event_type":"frame_ready","payload":{"n":3},"worker_id":"w","target_task_id":"t","target_job_id":"j","timestamp":12.5}`))
	if err != nil || e.IsProgress() || e.Type != "frame_ready" || string(e.Payload) != `{"n":3}` || e.ID != "e1" || e.TaskID != "t" || e.Timestamp != 12.5 {
		t.Errorf("custom event: %+v %v", e, err)
	}
	e, err = protocol.ParseEvent([]byte(`{"event":"progress_update","task_id":"t","job_id":"j","progress":7,"message":null}`))
	if err != nil || e.Progress != 1 || e.Message != "" {
		t.Errorf("progress beyond the end: %+v %v", e, err)
	}
	long := strings.Repeat("é", protocol.MaxTextBytes)
	e, err = protocol.ParseEvent([]byte(`{"type":"progress_update","task_id":"t","progress":0,"message":"` + long + `"}`))
	if err != nil || len(e.Message) > protocol.MaxTextBytes+3 || !strings.HasSuffix(e.Message, "é...") {
		t.Errorf("long message: %d bytes, %v", len(e.Message), err)
	}
}

func TestBadInputSaysWhatToDo(t *testing.T) {
	deep := strings.Repeat(`{"a":`, protocol.MaxDepth+1) + "1" + strings.Repeat("}", protocol.MaxDepth+1)
	many := `{"worker_id":"w","supported_skills":["` + strings.Repeat(`a","`, protocol.MaxNames) + `b"]}`
	register := func(b []byte) error { _, err := protocol.ParseRegister(b); return err }
	heartbeat := func(b []byte) error { _, err := protocol.ParseHeartbeat(b); return err }
	result := func(b []byte) error { _, err := protocol.ParseResult(b); return err }
	event := func(b []byte) error { _, err := protocol.ParseEvent(b); return err }
	for _, tc := range []struct {
		name, body string
		parse      func([]byte) error
		code       string
		field      string
	}{
		{"no JSON", `{`, register, protocol.CodeBadJSON, ""},
		{"a list", `[]`, result, protocol.CodeBadJSON, ""},
		{"deep", deep, result, protocol.CodeTooDeep, ""},
		{"many", many, register, protocol.CodeTooMany, "supported_skills"},
		{"no id", `{"supported_skills":[]}`, register, protocol.CodeMissing, "worker_id"},
		{"bad id", `{"worker_id":"a/b"}`, register, protocol.CodeBadWorkerID, "worker_id"},
		{"long id", `{"worker_id":"` + strings.Repeat("a", 129) + `"}`, heartbeat, protocol.CodeBadWorkerID, "worker_id"},
		{"skills no list", `{"worker_id":"w","supported_skills":"echo"}`, register, protocol.CodeBadField, "supported_skills"},
		{"nameless skill", `{"worker_id":"w","supported_skills":[{"type":"x"}]}`, register, protocol.CodeBadField, "supported_skills"},
		{"price as text", `{"worker_id":"w","capabilities":{"cost_per_skill":{"a":"1"}}}`, register, protocol.CodeBadField, "capabilities.cost_per_skill.a"},
		{"load as text", `{"load":"high"}`, heartbeat, protocol.CodeBadField, "load"},
		{"no task id", `{"status":"success"}`, result, protocol.CodeMissing, "task_id"},
		{"no event type", `{"task_id":"t"}`, event, protocol.CodeMissing, "event_type"},
		{"progress of nothing", `{"event_type":"progress","payload":{}}`, event, protocol.CodeMissing, "task_id"},
	} {
		var typed *protocol.Error
		err := tc.parse([]byte(tc.body))
		if !errors.As(err, &typed) || typed.Code != tc.code || typed.Field != tc.field || typed.What == "" {
			t.Errorf("%s: %v (%+v), want %s at %q", tc.name, err, typed, tc.code, tc.field)
		}
	}
}

func TestEncodeTaskIsSafeForAllAges(t *testing.T) {
	got, err := protocol.EncodeTask(protocol.Task{JobID: "j", TaskID: "t", Type: "echo"})
	want := `{"job_id":"j","task_id":"t","type":"echo","params":{},"tracing_context":{},"params_metadata":null,"priority":0}`
	if err != nil || string(got) != want {
		t.Errorf("least task:\n%s\nwant\n%s (%v)", got, want, err)
	}
	got, err = protocol.EncodeTask(protocol.Task{
		JobID: "j", TaskID: "t", Type: "echo", Params: []byte(`{"a":"<&>"}`), Priority: 1.5, DeadlineUnix: 9,
		Tracing: map[string]string{"traceparent": "00-1"}, Files: map[string]protocol.File{"a.b": {URI: "s3://x", Size: 3, ETag: "e"}},
	})
	want = `{"job_id":"j","task_id":"t","type":"echo","params":{"a":"<&>"},"tracing_context":{"traceparent":"00-1"},` +
		`"params_metadata":{"a.b":{"uri":"s3://x","size":3,"etag":"e"}},"priority":1.5,"deadline":9}`
	if err != nil || string(got) != want {
		t.Errorf("full task:\n%s\nwant\n%s (%v)", got, want, err)
	}
	for _, bad := range []protocol.Task{
		{TaskID: "t", Type: "x"},
		{JobID: "j", TaskID: "t", Type: "x", Params: []byte(`[1]`)},
		{JobID: "j", TaskID: "t", Type: "x", Params: []byte(`{"a":`)},
		{JobID: "j", TaskID: "t", Type: "x", Priority: math.NaN()},
	} {
		if out, err := protocol.EncodeTask(bad); err == nil {
			t.Errorf("%+v was written as %s", bad, out)
		}
	}
}

func TestReplies(t *testing.T) {
	for got, want := range map[string]string{
		string(protocol.CancelFrame("t", "j")):               `{"command":"cancel_task","type":"cancel_task","task_id":"t","job_id":"j"}`,
		string(protocol.RegisterReply("", "")):               `{"status":"registered"}`,
		string(protocol.RegisterReply("1.0b3", "old")):       `{"status":"registered","version":"1.0b3","warning":"old"}`,
		string(protocol.HeartbeatReply(nil, false)):          `{"status":"ok"}`,
		string(protocol.HeartbeatReply([]string{"t"}, true)): `{"status":"ok","cancel_task_ids":["t"],"require_full_sync":true}`,
		string(protocol.ResultReply(protocol.Outcome{})):     `{"status":"accepted"}`,
		string(protocol.ResultReply(protocol.Outcome{Ignored: protocol.ReasonStaleTask, Message: "handed out again"})): `{"status":"ignored","reason":"stale_task","message":"handed out again"}`,
		string(protocol.TokenReply(protocol.Token{Access: "a", ExpiresIn: 3600, WorkerID: "w"})):                       `{"access_token":"a","expires_in":3600,"worker_id":"w"}`,
		string(protocol.NotFoundReply()): `{"error":"Worker not found"}`,
		string(protocol.EventReply()):    `{"status":"event_accepted"}`,
		string(protocol.TokenReply(protocol.Token{Access: "a", ExpiresIn: 1, WorkerID: "w", Refresh: "r"})): `{"access_token":"a","expires_in":1,"worker_id":"w","refresh_token":"r"}`,
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Python writes NaN and Infinity, which are no JSON; a refusal would lose the result.
func TestResultWithFloatsThatAreNoNumbers(t *testing.T) {
	for body, bad := range map[string]bool{
		`{"task_id":"t","worker_id":"w","status":"success","data":{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN \\\" NaN"}}`: true,
		`{"task_id":"t","worker_id":"w","status":"success","data":{"c":"NaN"}}`:                                           false,
	} {
		r, err := protocol.ParseResult([]byte(body))
		if err != nil || r.TaskID != "t" || r.WorkerID != "w" {
			t.Fatalf("%s: %+v %v", body, r, err)
		}
		if failed := r.Status == protocol.ResultFailure && r.Error.Code == protocol.ErrContractViolation && r.Data == nil; failed != bad {
			t.Errorf("%s: %+v", body, r)
		}
	}
	for _, body := range []string{`{"task_id":"t","data":NaN`, `NaN`, `{"task_id":"t\`, `{"task_id":"t","data":nan}`} {
		if r, err := protocol.ParseResult([]byte(body)); err == nil {
			t.Errorf("%s passed: %+v", body, r)
		}
	}
}
