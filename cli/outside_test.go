package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"orrery/cli/config"
	"orrery/engine/webhook"
)

// This file tests what leaves a server, with a receiver on this machine.

// received is one webhook that came.
type received struct {
	header http.Header
	body   []byte
	fits   error
}

// receiver takes webhooks and answers with the status that it is told.
func receiver(t *testing.T, keys string) (url string, answer chan<- int, came <-chan received) {
	t.Helper()
	k, err := webhook.ParseKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	in, out := make(chan int, 10), make(chan received, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err == nil {
			err = webhook.Verify(r.Header, raw, k, time.Now())
		}
		status := http.StatusNoContent
		select {
		case status = <-in:
		default:
		}
		w.WriteHeader(status)
		out <- received{r.Header, raw, err}
	}))
	t.Cleanup(s.Close)
	return s.URL, in, out
}

// create starts a job over HTTP and gives status and body of the answer.
func create(t *testing.T, server, token, path string, body any) (int, map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Client-Token", token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer := map[string]any{}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

const hookFlow = `
bp = blueprint(name = "hook", api_version = "v1", api_endpoint = "jobs/hook")

def start(context, actions):
    context.state_history["params"] = context.client.params
    actions.transition_to("finished")

bp.handler_for("start", is_start = True)(start)
`

const annKey = "whsec_YW5uJ3Mgb3duIGtleSwgdGhpcnR5LXR3byBieXRlcy4="

func TestWebhooksLeaveTheServerSigned(t *testing.T) {
	inFolder(t)
	for name, text := range map[string]string{
		"flows/hook.star": hookFlow,
		"clients.toml":    "[ann]\ntoken = \"ann-token\"\nplan = \"gold\"\nwebhook_secret = \"" + annKey + "\"\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dev := serveIn(t, "dev", "flows", "--listen", "127.0.0.1:0")
	server := dev.find(t, dev.out, shownURL)
	for token, key := range map[string]string{"dev-client-token": config.DefaultWebhookSecret, "ann-token": annKey} {
		url, answer, came := receiver(t, key)
		answer <- http.StatusGone
		status, reply := create(t, server, token, "/api/v1/jobs/hook", map[string]any{"initial_data": map[string]any{}, "webhook_url": url + "/done"})
		if status != http.StatusAccepted {
			t.Fatalf("%d %v", status, reply)
		}
		first := <-came
		id, _ := reply["job_id"].(string)
		if first.fits != nil || !strings.Contains(string(first.body), `"event":"job_finished"`) || !strings.Contains(string(first.body), id) {
			t.Errorf("%s: %v %s", token, first.fits, first.body)
		}
		if strings.Contains(string(first.body), "whsec") {
			t.Error("a script saw the key of its client")
		}
		dev.find(t, dev.err, `a delivery was given up.*`+id)
		if got := orrery(t, "jobs", "why", id, "--url", server); !strings.Contains(got.out, "given up") || !strings.Contains(got.out, "orrery deliveries retry "+id) {
			t.Errorf("%+v", got)
		}
		if got := orrery(t, "deliveries", "list", "--url", server); !strings.Contains(got.out, id) || !strings.Contains(got.out, "410") {
			t.Errorf("%+v", got)
		}
		if got := orrery(t, "deliveries", "retry", id, "--url", server); got.code != 0 {
			t.Errorf("%+v", got)
		}
		if again := <-came; again.fits != nil || again.header.Get(webhook.HeaderID) != first.header.Get(webhook.HeaderID) || string(again.body) != string(first.body) {
			t.Errorf("the second try is another message: %+v", again)
		}
	}
	if got := orrery(t, "deliveries", "list", "--url", server, "--token", "ann-token"); got.code != 1 {
		t.Errorf("a client sees the deliveries of all: %+v", got)
	}
	dev.end(t)
	if strings.Contains(dev.err.String(), "whsec") || strings.Contains(dev.err.String(), "/done") {
		t.Error("the log holds a key or an address:", dev.err)
	}
}

func TestWebhookAddressesThatAreRefused(t *testing.T) {
	inFolder(t)
	if err := os.WriteFile("flows/hook.star", []byte(hookFlow), 0o644); err != nil {
		t.Fatal(err)
	}
	serve := serveIn(t, "serve", "--listen", "127.0.0.1:0", "--blueprints-dir", "flows", "--store-url", "memory:")
	server := serve.find(t, serve.err, `url=(http://127\.0\.0\.1:[0-9]+)`)
	for _, address := range []string{"http://127.0.0.1:1/", "http://[::1]/", "http://169.254.169.254/latest", "https://10.0.0.1/x", "ftp://h/", "http://u:p@h/"} {
		status, reply := create(t, server, config.DefaultClientToken, "/api/v1/jobs/hook", map[string]any{"webhook_url": address})
		if status != http.StatusBadRequest || !strings.Contains(reply["error"].(string), "webhook_url") {
			t.Errorf("%s: %d %v", address, status, reply)
		}
	}
	// A name is looked at when it is called: the job is accepted, the call is not made.
	url, _, came := receiver(t, config.DefaultWebhookSecret)
	status, reply := create(t, server, config.DefaultClientToken, "/api/v1/jobs/hook", map[string]any{"webhook_url": strings.Replace(url, "127.0.0.1", "localhost", 1)})
	if status != http.StatusAccepted {
		t.Fatalf("%d %v", status, reply)
	}
	serve.find(t, serve.err, "a delivery was given up.*OUTGOING_ALLOW")
	select {
	case got := <-came:
		t.Errorf("an internal address was called: %s", got.body)
	default:
	}
	serve.end(t)
}
