package killtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery/engine/approval/telegram/bottest"
	"orrery/engine/job"
)

// This file kills the shipped binary while it asks people by Telegram: no question is lost,
// and those that came twice are edited both.

const chatID = int64(-100200300)

const askFlow = `
ask = blueprint(name = "tg", api_version = "v1", api_endpoint = "jobs/tg")

def start(context, actions):
    actions.await_human_approval(integration = "telegram", message = "go on?", transitions = {"yes": "finished", "no": "failed"})

ask.handler_for("start", is_start = True)(start)
`

// asking starts a server that asks by the given Bot API.
func asking(t *testing.T) (*server, *bottest.Server, []string) {
	t.Helper()
	api := bottest.New(chatID)
	t.Cleanup(api.Close)
	s := newServer(t, program(t, ""))
	flows := filepath.Join(s.dir, "flows")
	if err := os.Mkdir(flows, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(flows, "tg.star"), []byte(askFlow), 0o644); err != nil {
		t.Fatal(err)
	}
	return s, api, []string{"BLUEPRINTS_DIR=" + flows, "TELEGRAM_BOT_TOKEN=" + bottest.Token, fmt.Sprintf("TELEGRAM_CHAT_ID=%d", chatID), "TELEGRAM_API_URL=" + api.URL}
}

// about counts the messages of a job that fit.
func about(ms []bottest.Message, id string, fits func(bottest.Message) bool) (n int) {
	for _, m := range ms {
		if strings.Contains(m.Text, id) && fits(m) {
			n++
		}
	}
	return n
}

func hasButtons(m bottest.Message) bool { return len(m.Buttons) == 2 }
func isClosed(m bottest.Message) bool {
	return len(m.Buttons) == 0 && strings.Contains(m.Text, "Decided: yes, by telegram:user7")
}

// The Bot API has done the call and its answer is under way when the process is killed.
func TestKillBetweenAskingAndNoting(t *testing.T) {
	for press := range 2 { // the lost copy's button, or the second one's
		s, api, env := asking(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.start(env...)
		release := api.Hold("sendMessage")
		id, err := s.submit(ctx, "jobs/tg", "once", map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		if !api.Wait(ctx.Done(), func(ms []bottest.Message) bool { return about(ms, id, hasButtons) == 1 }) {
			t.Fatal("nobody was asked")
		}
		s.kill()
		release()
		s.start(env...)
		if !api.Wait(ctx.Done(), func(ms []bottest.Message) bool { return about(ms, id, hasButtons) == 2 }) {
			t.Fatalf("not asked again: %+v", api.Messages())
		}
		ms := api.Messages()
		if ms[0].Text != ms[1].Text {
			t.Errorf("the copies differ:\n%s\n%s", ms[0].Text, ms[1].Text)
		}
		// Its earlier copies are looked for once it is sent.
		if !api.Wait(ctx.Done(), func(ms []bottest.Message) bool { return len(ms) == 2 && api.Calls("deleteMessage") > 0 }) {
			t.Fatalf("left over: %+v", api.Messages())
		}
		if _, err := api.Press(ms[press].ID, "yes", 7); err != nil {
			t.Fatal(err)
		}
		if !api.Wait(ctx.Done(), func(ms []bottest.Message) bool { return about(ms, id, isClosed) == 2 }) {
			t.Fatalf("not both are edited: %+v", api.Messages())
		}
		finished(ctx, t, s, id)
	}
}

// Killed again and again while many are asked: every question stands in the chat in the end,
// and every answer counts.
func TestKillsLoseNoQuestion(t *testing.T) {
	const jobs, kills = 20, 5
	s, api, env := asking(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s.start(env...)
	var ids []string
	for i := range jobs {
		id, err := s.submit(ctx, "jobs/tg", fmt.Sprintf("job-%d", i), map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if i%(jobs/kills) == 0 {
			s.kill()
			s.start(env...)
		}
	}
	if !api.Wait(ctx.Done(), func(ms []bottest.Message) bool {
		for _, id := range ids {
			if about(ms, id, hasButtons) == 0 {
				return false
			}
		}
		return true
	}) {
		t.Fatal("a question was lost")
	}
	for i, id := range ids {
		for _, m := range api.Messages() {
			if strings.Contains(m.Text, id) && hasButtons(m) {
				if _, err := api.Press(m.ID, "yes", 7); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		if i == jobs/2 {
			s.kill()
			s.start(env...)
		}
	}
	if !api.Wait(ctx.Done(), func(ms []bottest.Message) bool {
		open := 0
		for _, id := range ids {
			open += about(ms, id, hasButtons)
		}
		return open == 0
	}) {
		t.Errorf("a message was not edited: %+v", api.Messages())
	}
	for _, id := range ids {
		finished(ctx, t, s, id)
	}
}

func finished(ctx context.Context, t *testing.T, s *server, id string) {
	t.Helper()
	var v jobView
	if code, err := s.call(ctx, http.MethodGet, "/api/v1/jobs/"+id, "", nil, &v); err != nil || code != http.StatusOK || v.Status != job.Finished {
		t.Errorf("job %s: %d %v, it is %s", id, code, err, v.Status)
	}
}
