// The WebSocket: cancels come in at once, progress goes out without a request.

package client

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	maxFrameBytes = 1 << 20
	dialTimeout   = 10 * time.Second
	writeTimeout  = 10 * time.Second
)

// socketLoop keeps a WebSocket open until ctx ends.
func (w *Worker) socketLoop(ctx context.Context, l *link) {
	wait := newBackoff(w.cfg.RetryDelay)
	for {
		opened, err := w.socketOnce(ctx, l)
		if ctx.Err() != nil {
			return
		}
		if opened {
			wait.reset()
		}
		l.log.Info("no WebSocket, will connect again; cancels come by heartbeat meanwhile", "error", err)
		if !wait.wait(ctx, err) {
			return
		}
	}
}

// socketOnce opens a WebSocket and reads it until it breaks.
func (w *Worker) socketOnce(ctx context.Context, l *link) (opened bool, err error) {
	address := "ws" + strings.TrimPrefix(l.url, "http") + workerPathStart + "/ws/" + w.cfg.ID
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, resp, err := websocket.Dial(dialing, address, &websocket.DialOptions{HTTPClient: w.cfg.HTTPClient, HTTPHeader: l.headers()})
	if err != nil {
		if resp != nil && resp.StatusCode == http.StatusTooManyRequests {
			err = &requestError{error: err, retryAfter: retryAfter(resp)}
		}
		return false, err
	}
	conn.SetReadLimit(maxFrameBytes)
	l.setSocket(conn)
	defer l.setSocket(nil)
	defer conn.CloseNow()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go w.pings(reading, conn)
	for {
		_, frame, err := conn.Read(reading)
		if err != nil {
			return true, err
		}
		w.obey(frame)
	}
}

// pings finds out about a connection that died without a word.
func (w *Worker) pings(ctx context.Context, conn *websocket.Conn) {
	for pause(ctx, w.cfg.HeartbeatInterval) {
		answered, cancel := context.WithTimeout(ctx, writeTimeout)
		err := conn.Ping(answered)
		cancel()
		if err != nil {
			conn.CloseNow()
			return
		}
	}
}

// obey acts on a frame from the server. Commands that this worker does not know
// are logged and no fault.
func (w *Worker) obey(frame []byte) {
	var m struct {
		Command string `json:"command"`
		TaskID  string `json:"task_id"`
	}
	if err := json.Unmarshal(frame, &m); err != nil {
		w.log.Warn("a frame from the server cannot be read", "error", err)
		return
	}
	if m.Command != "cancel_task" {
		w.log.Debug("unknown command from the server", "command", m.Command)
		return
	}
	w.cancel(m.TaskID)
}

// sendOnSocket tells whether the text went out over an open WebSocket. A write
// that is cut short breaks the connection for all tasks, so it does not end with
// the context of one.
func (l *link) sendOnSocket(ctx context.Context, text []byte) bool {
	conn := l.openSocket()
	if conn == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, text) == nil
}

func (l *link) setSocket(conn *websocket.Conn) {
	l.mu.Lock()
	l.socket = conn
	l.mu.Unlock()
}

func (l *link) openSocket() *websocket.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.socket
}
