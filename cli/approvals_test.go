package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"orrery/cli/config"
	"orrery/engine/approval/telegram/bottest"
)

// This file tests that a question of a running server reaches people and is decided by each way.

const room = int64(-100123)

func TestTelegramDecides(t *testing.T) {
	inFolder(t)
	api := bottest.New(room)
	defer api.Close()
	t.Setenv("TELEGRAM_BOT_TOKEN", bottest.Token)
	t.Setenv("TELEGRAM_CHAT_ID", strconv.FormatInt(room, 10))
	t.Setenv("TELEGRAM_API_URL", api.URL+"/")
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	url := dev.find(t, dev.out, shownURL)
	asked := func(id string) bottest.Message {
		t.Helper()
		var found bottest.Message
		if !api.Wait(t.Context().Done(), func(ms []bottest.Message) bool {
			for _, m := range ms {
				if found = m; strings.Contains(m.Text, id) && len(m.Buttons) == 2 {
					return true
				}
			}
			return false
		}) {
			t.Fatal("nobody was asked")
		}
		return found
	}
	start := func() string { return strings.TrimSpace(orrery(t, "jobs", "start", "flow", "--url", url).out) }

	pressed := start()
	m := asked(pressed)
	if _, err := api.Press(m.ID, "approved", 7); err != nil {
		t.Fatal(err)
	}
	if got := orrery(t, "jobs", "watch", pressed, "--url", url); got.code != 0 || !strings.Contains(got.out, "finished in state finished") {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "jobs", "history", pressed, "--url", url, "--format", "json"); !strings.Contains(got.out, "telegram:user7 (7)") {
		t.Errorf("the history does not tell who decided: %s", got.out)
	}

	byCommand := start()
	m = asked(byCommand)
	dev.find(t, dev.err, `a person is asked.*`+byCommand)
	if got := orrery(t, "jobs", "why", byCommand, "--url", url); !strings.Contains(got.out, "the request to telegram was sent at") {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "approvals", "approve", byCommand, "rejected", "--url", url); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if !api.Wait(t.Context().Done(), func(ms []bottest.Message) bool {
		last := ms[len(ms)-1]
		return len(last.Buttons) == 0 && strings.Contains(last.Text, "Decided: rejected, by admin")
	}) {
		t.Error("the message was not edited")
	}
	reply := <-api.Forge(m, m.Buttons[0].Data, 8) // somebody whose screen is old
	if !reply.Alert || !strings.Contains(reply.Text, "rejected, by admin") {
		t.Errorf("the late one saw %+v", reply)
	}
	dev.end(t)
	if strings.Contains(dev.err.String(), "TEST-bot-token") || strings.Contains(dev.err.String(), "not configured") {
		t.Error(dev.err)
	}
}

func TestWebhookAsksAndItsReceiverDecides(t *testing.T) {
	inFolder(t)
	if err := os.WriteFile("flows/flow.star", []byte(strings.ReplaceAll(devFlow, `"telegram"`, `"webhook"`)), 0o644); err != nil {
		t.Fatal(err)
	}
	hook, _, came := receiver(t, config.DefaultWebhookSecret)
	t.Setenv("APPROVAL_WEBHOOK_URL", hook)
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	url := dev.find(t, dev.out, shownURL)
	id := strings.TrimSpace(orrery(t, "jobs", "start", "flow", "--url", url).out)
	got := <-came
	var q struct {
		Event     string `json:"event"`
		JobID     string `json:"job_id"`
		DecideURL string `json:"decide_url"`
		Token     string `json:"token"`
	}
	if err := json.Unmarshal(got.body, &q); err != nil || got.fits != nil || q.Event != "approval_requested" || q.JobID != id {
		t.Fatalf("%v %v %s", err, got.fits, got.body)
	}
	res, err := http.Post(q.DecideURL, "application/json", strings.NewReader(`{"decision": "approved", "token": "`+q.Token+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("deciding gave %s", res.Status)
	}
	if end := <-came; end.fits != nil || !strings.Contains(string(end.body), `"decision":"approved"`) {
		t.Errorf("%v %s", end.fits, end.body)
	}
	dev.end(t)
}

func TestMissingIntegrationIsNamedAtLoad(t *testing.T) {
	inFolder(t)
	dev := serveIn(t, "serve", "--blueprints-dir", "flows", "--store-url", "memory:", "--listen", "127.0.0.1:0")
	url := dev.find(t, dev.err, `url=`+shownURL)
	dev.find(t, dev.err, `the integration \\"telegram\\", which is not configured \(set TELEGRAM_BOT_TOKEN.*line=8`)
	dev.err.clear()
	ask := "bp = blueprint(name = \"ask\", api_endpoint = \"jobs/ask\")\ndef start(actions):\n    actions.await_human_approval(\"telegram\", \"Go on?\", {\"approved\": \"finished\"})\nbp.handler_for(\"start\", is_start = True)(start)\n"
	if err := os.WriteFile("flows/ask.star", []byte(ask), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("flows/more.star", []byte(strings.NewReplacer("flow", "more", "telegram", "pigeon").Replace(devFlow)), 0o644); err != nil {
		t.Fatal(err)
	}
	dev.find(t, dev.err, `the integration \\"pigeon\\", which is not configured \(there is none`)
	id := strings.TrimSpace(orrery(t, "jobs", "start", "ask", "--url", url).out)
	dev.find(t, dev.err, `a delivery was given up.*`+id)
	if got := orrery(t, "jobs", "why", id, "--url", url); !strings.Contains(got.out, "is not configured here") {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "approvals", "approve", id, "approved", "--url", url); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if got := orrery(t, "jobs", "watch", id, "--url", url); got.code != 0 {
		t.Errorf("%+v", got)
	}
	dev.end(t)
}

// dev asks by printing, so that every example can be tried at once.
func TestDevStandsInForAnIntegration(t *testing.T) {
	inFolder(t)
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	url := dev.find(t, dev.out, shownURL)
	id := strings.TrimSpace(orrery(t, "jobs", "start", "flow", "--url", url).out)
	link := dev.find(t, dev.out, `Go on\?\n  approved \| rejected: (http\S+`+id+`\S+)`)
	res, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the link is answered %s", res.Status)
	}
	if got := orrery(t, "approvals", "approve", id, "approved", "--url", url); got.code != 0 {
		t.Errorf("%+v", got)
	}
	dev.find(t, dev.out, `job `+id+` is settled: approved, by admin`)
	dev.end(t)
}
