package api

import (
	"context"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"orrery/workers"
	"orrery/workers/protocol"
)

// This file opens WebSockets for workers: frames go to the hub, commands come from it.

const (
	sendMost    = 10 * time.Second // until a worker that takes no frame is given up
	pingEvery   = 30 * time.Second
	silenceMost = 90 * time.Second // without a frame or the answer to a ping
)

// workerSocket lets a worker in before it upgrades: a refusal is plain HTTP, which all ages
// understand. Ages A and B name no worker, and their token alone says who they may be.
func (s *Server) workerSocket(c *fiber.Ctx, _ *Client) error {
	if !websocket.IsWebSocketUpgrade(c) {
		return fiber.ErrUpgradeRequired
	}
	who := caller(c, nil)
	id, ok := workers.Identity{WorkerID: who.WorkerID}, false
	if who.WorkerID == "" {
		id, ok = s.hub.WebSocketAuth(who.Token)
	} else {
		ok = protocol.ValidID(who.WorkerID) && s.hub.Admits(who)
	}
	if !ok {
		return workers.ErrUnauthorized
	}
	s.streams.Add(1)
	err := websocket.New(func(conn *websocket.Conn) {
		defer s.streams.Done()
		s.converse(conn, id)
	}, websocket.Config{RecoverHandler: s.socketPanic})(c)
	if err != nil {
		s.streams.Done() // not upgraded, so the function above never runs
	}
	return err
}

func (s *Server) socketPanic(*websocket.Conn) {
	if v := recover(); v != nil {
		s.log.Error("a worker's socket panicked", "panic", v)
	}
}

// converse reads frames until the connection ends, by either side.
func (s *Server) converse(conn *websocket.Conn, who workers.Identity) {
	out := &socket{conn.Conn}
	conn.SetReadLimit(int64(s.cfg.Limits.Frame))
	alive := func() { conn.SetReadDeadline(time.Now().Add(silenceMost)) } //nolint:errcheck // a dead connection fails at the next read
	alive()
	conn.SetPongHandler(func(string) error { alive(); return nil })
	ended := make(chan struct{})
	pinging := make(chan struct{})
	go func() { defer close(pinging); s.keep(out, ended) }()
	link := s.hub.Connect(out, who)
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			break
		}
		alive()
		switch {
		case kind != websocket.TextMessage:
		case protocol.Deeper(data, s.cfg.Limits.Depth):
			s.log.Debug("a worker's frame nests too deep", "worker", who.WorkerID, "limit", LimitDepth, "value", s.cfg.Limits.Depth)
		default:
			link.Frame(context.Background(), data)
		}
	}
	link.Gone()
	close(ended)
	<-pinging // it uses the connection, which the framework takes back
}

// keep sends pings until the connection has ended, and closes it at a shutdown.
func (s *Server) keep(out *socket, ended <-chan struct{}) {
	for {
		timer := s.clock.NewTimer(pingEvery)
		select {
		case <-timer.C():
			if out.w.WriteControl(websocket.PingMessage, nil, time.Now().Add(sendMost)) != nil {
				out.Close(websocket.CloseGoingAway, "no answer")
				return
			}
		case <-s.held.Done():
			timer.Stop()
			out.Close(websocket.CloseGoingAway, "the server is shutting down")
			return
		case <-ended:
			timer.Stop()
			return
		}
	}
}

// frames is what a socket needs of a connection. The connection itself is kept and not the
// framework's wrapper, which is used again for others after the handler has returned.
type frames interface {
	WriteMessage(kind int, data []byte) error
	WriteControl(kind int, data []byte, deadline time.Time) error
	SetWriteDeadline(t time.Time) error
	Close() error
}

// socket gives the hub a connection.
type socket struct{ w frames }

var _ workers.Conn = (*socket)(nil)

// Send writes a text frame, within a time.
func (k *socket) Send(frame []byte) error {
	if err := k.w.SetWriteDeadline(time.Now().Add(sendMost)); err != nil {
		return err
	}
	return k.w.WriteMessage(websocket.TextMessage, frame)
}

// Close says why and ends the connection; what cannot be said any more is dropped.
func (k *socket) Close(code int, reason string) {
	_ = k.w.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
	_ = k.w.Close()
}
