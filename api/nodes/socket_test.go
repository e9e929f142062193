package nodes

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// This file is a worker's connection.

type socket struct {
	t    testing.TB
	conn *websocket.Conn
}

func (s *server) socket(worker string) *socket {
	s.t.Helper()
	header := http.Header{"X-Worker-Token": {workerToken}, "X-Worker-Id": {worker}}
	conn, _, err := websocket.Dial(s.t.Context(), strings.Replace(s.url, "http", "ws", 1)+"/_worker/ws/"+worker, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		s.t.Fatalf("connect to %s: %v", s.id, err)
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() }) // the node may have ended it
	return &socket{s.t, conn}
}

func (w *socket) send(v any) {
	w.t.Helper()
	raw, err := json.Marshal(v)
	if err == nil {
		err = w.conn.Write(w.t.Context(), websocket.MessageText, raw)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// next gives the next frame.
func (w *socket) next() string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	_, raw, err := w.conn.Read(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(raw)
}
