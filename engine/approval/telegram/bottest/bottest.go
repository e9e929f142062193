// Package bottest is a server for tests that behaves as the documentation of Telegram's Bot
// API says (https://core.telegram.org/bots/api), as far as a bot that asks for decisions
// goes: sendMessage, editMessageText, forwardMessage, deleteMessage, answerCallbackQuery and
// getUpdates with long polling, confirmation by offset and the refusal of a second poller.
//
// A test plays the people: Press presses a button of a message. Hold lets a call happen and
// keeps its answer back, so that a test can kill the bot in between.
package bottest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
)

// Token is the one bot's.
const Token = "123456:TEST-bot-token"

// Message is one message of a chat.
type Message struct {
	ID      int64
	Chat    int64
	Text    string
	Buttons []Button
	Edits   int
	Deleted bool
}

// Button is one key of an inline keyboard.
type Button struct {
	Text string `json:"text"`
	Data string `json:"callback_data"`
	URL  string `json:"url"`
}

// Reply is what a person saw after a press.
type Reply struct {
	Text  string
	Alert bool
}

// Server is the Bot API. Make it with New.
type Server struct {
	URL string

	mu       sync.Mutex
	chats    map[int64]int64 // newest message id
	messages []*Message
	updates  []map[string]any
	lastID   int64
	queries  map[string]chan Reply
	polling  chan struct{} // closed to end the getUpdates under way
	changed  chan struct{} // closed and renewed with each change
	held     map[string]chan struct{}
	fails    map[string][]apiFault
	calls    map[string]int
	http     *httptest.Server
}

type apiFault struct {
	code        int
	description string
	parameters  map[string]any
}

// New starts a server with the given chats, which hold some older messages of others.
func New(chats ...int64) *Server {
	s := &Server{chats: map[int64]int64{}, queries: map[string]chan Reply{}, changed: make(chan struct{}), held: map[string]chan struct{}{}, fails: map[string][]apiFault{}, calls: map[string]int{}}
	for _, c := range chats {
		s.chats[c] = 40
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL
	return s
}

// Close stops it; calls under way are cut off.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Fail lets the next call of a method be answered with an error.
func (s *Server) Fail(method string, code int, description string, parameters map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails[method] = append(s.fails[method], apiFault{code, description, parameters})
}

// Hold lets calls of a method be done, and keeps their answers until release is called.
func (s *Server) Hold(method string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{})
	s.held[method] = c
	return sync.OnceFunc(func() {
		s.mu.Lock()
		delete(s.held, method)
		s.mu.Unlock()
		close(c)
	})
}

// Messages gives the bot's messages that stand, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Message
	for _, m := range s.messages {
		if !m.Deleted {
			out = append(out, *m)
		}
	}
	return out
}

// Calls gives how often a method was called.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Wait returns when the messages are as the test wants, or false when done is closed first.
func (s *Server) Wait(done <-chan struct{}, want func([]Message) bool) bool {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if want(s.Messages()) {
			return true
		}
		select {
		case <-changed:
		case <-done:
			return false
		}
	}
}

// Press presses the button with a text on a message, as the user with the id, and gives the
// channel on which the bot's reply comes.
func (s *Server) Press(message int64, text string, who int64) (<-chan Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		for _, b := range m.Buttons {
			if m.ID == message && b.Text == text && !m.Deleted {
				return s.press(*m, b.Data, who), nil
			}
		}
	}
	return nil, fmt.Errorf("message %d has no button %q", message, text)
}

// Forge presses a button that the message has not got, as a changed client can.
func (s *Server) Forge(m Message, data string, who int64) <-chan Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.press(m, data, who)
}

func (s *Server) press(m Message, data string, who int64) <-chan Reply {
	s.lastID++
	id := fmt.Sprintf("query-%d", s.lastID)
	reply := make(chan Reply, 1)
	s.queries[id] = reply
	s.updates = append(s.updates, map[string]any{"update_id": s.lastID, "callback_query": map[string]any{
		"id": id, "chat_instance": "1", "data": data,
		"from": map[string]any{"id": who, "is_bot": false, "first_name": "Ana", "username": fmt.Sprintf("user%d", who)},
		"message": map[string]any{"message_id": m.ID, "date": time.Now().Unix(), "text": m.Text,
			"chat": map[string]any{"id": m.Chat, "type": "group", "title": "approvals"}},
	}})
	s.change()
	return reply
}

func (s *Server) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	method, ok := strings.CutPrefix(r.URL.Path, "/bot"+Token+"/")
	if !ok {
		answer(w, nil, &apiFault{401, "Unauthorized", nil})
		return
	}
	var in request
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		answer(w, nil, &apiFault{400, "Bad Request: can't parse JSON", nil})
		return
	}
	s.mu.Lock()
	s.calls[method]++
	var fault *apiFault
	if list := s.fails[method]; len(list) > 0 {
		fault, s.fails[method] = &list[0], list[1:]
	}
	s.mu.Unlock()
	if fault != nil {
		answer(w, nil, fault)
		return
	}
	var result any
	if method == "getUpdates" {
		result, fault = s.getUpdates(r, in)
	} else {
		s.mu.Lock()
		result, fault = s.do(method, in)
		s.change()
		held := s.held[method]
		s.mu.Unlock()
		if held != nil {
			select {
			case <-held:
			case <-r.Context().Done():
				return
			}
		}
	}
	answer(w, result, fault)
}

func answer(w http.ResponseWriter, result any, fault *apiFault) {
	w.Header().Set("Content-Type", "application/json")
	body := map[string]any{"ok": fault == nil, "result": result}
	if fault != nil {
		w.WriteHeader(fault.code)
		body = map[string]any{"ok": false, "error_code": fault.code, "description": fault.description, "parameters": fault.parameters}
	}
	_ = json.NewEncoder(w).Encode(body) // the bot may have gone
}

// request holds the parameters of all methods.
type request struct {
	Chat     int64  `json:"chat_id"`
	From     int64  `json:"from_chat_id"`
	Message  int64  `json:"message_id"`
	Text     string `json:"text"`
	Query    string `json:"callback_query_id"`
	Alert    bool   `json:"show_alert"`
	Offset   int64  `json:"offset"`
	Timeout  int    `json:"timeout"`
	Keyboard *struct {
		Rows [][]Button `json:"inline_keyboard"`
	} `json:"reply_markup"`
}

func bad(text string) *apiFault { return &apiFault{400, "Bad Request: " + text, nil} }

// do does a method that is answered at once; the caller holds the lock.
func (s *Server) do(method string, in request) (any, *apiFault) {
	if _, there := s.chats[in.Chat]; !there && method != "answerCallbackQuery" {
		return nil, bad("chat not found")
	}
	switch method {
	case "sendMessage":
		return s.send(in)
	case "editMessageText":
		return s.edit(in)
	case "forwardMessage":
		if m := s.find(in.From, in.Message); m != nil {
			return s.send(request{Chat: in.Chat, Text: m.Text})
		}
		return nil, bad("message to forward not found")
	case "deleteMessage":
		if m := s.find(in.Chat, in.Message); m != nil {
			m.Deleted = true
			return true, nil
		}
		return nil, bad("message to delete not found")
	case "answerCallbackQuery":
		reply, ok := s.queries[in.Query]
		if !ok {
			return nil, bad("query is too old and response timeout expired or query ID is invalid")
		}
		if len(utf16.Encode([]rune(in.Text))) > 200 {
			return nil, bad("MESSAGE_TOO_LONG")
		}
		delete(s.queries, in.Query)
		reply <- Reply{in.Text, in.Alert}
		return true, nil
	}
	return nil, &apiFault{404, "Not Found: method not found", nil}
}

func (s *Server) find(chat, id int64) *Message {
	for _, m := range s.messages {
		if m.Chat == chat && m.ID == id && !m.Deleted {
			return m
		}
	}
	return nil
}

func checkText(in request) *apiFault {
	switch n := len(utf16.Encode([]rune(in.Text))); {
	case n == 0:
		return bad("message text is empty")
	case n > 4096:
		return bad("message is too long")
	}
	return nil
}

func (s *Server) send(in request) (any, *apiFault) {
	if fault := checkText(in); fault != nil {
		return nil, fault
	}
	buttons, fault := buttonsOf(in)
	if fault != nil {
		return nil, fault
	}
	s.chats[in.Chat]++
	m := &Message{ID: s.chats[in.Chat], Chat: in.Chat, Text: in.Text, Buttons: buttons}
	s.messages = append(s.messages, m)
	return result(m), nil
}

func buttonsOf(in request) (out []Button, fault *apiFault) {
	if in.Keyboard == nil {
		return nil, nil
	}
	for _, row := range in.Keyboard.Rows {
		for _, b := range row {
			switch {
			case b.Text == "":
				return nil, bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
			case b.URL == "" && (len(b.Data) == 0 || len(b.Data) > 64):
				return nil, bad("BUTTON_DATA_INVALID")
			}
			out = append(out, b)
		}
	}
	return out, nil
}

func (s *Server) edit(in request) (any, *apiFault) {
	m := s.find(in.Chat, in.Message)
	if m == nil {
		return nil, bad("message to edit not found")
	}
	buttons, fault := buttonsOf(in)
	if fault == nil {
		fault = checkText(in)
	}
	if fault != nil {
		return nil, fault
	}
	if m.Text == in.Text && len(buttons) == len(m.Buttons) {
		return nil, bad("message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message")
	}
	m.Text, m.Buttons = in.Text, buttons
	m.Edits++
	return result(m), nil
}

func result(m *Message) map[string]any {
	return map[string]any{"message_id": m.ID, "date": time.Now().Unix(), "text": m.Text, "chat": map[string]any{"id": m.Chat, "type": "group"}}
}

// getUpdates confirms what is before the offset, and waits for the rest.
func (s *Server) getUpdates(r *http.Request, in request) (any, *apiFault) {
	own := make(chan struct{})
	s.mu.Lock()
	if s.polling != nil {
		close(s.polling) // the new one wins
	}
	s.polling = own
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.polling == own {
			s.polling = nil
		}
	}()
	timeout := time.After(time.Duration(in.Timeout) * time.Second)
	for {
		s.mu.Lock()
		for len(s.updates) > 0 && s.updates[0]["update_id"].(int64) < in.Offset {
			s.updates = s.updates[1:]
		}
		list, changed := append([]map[string]any{}, s.updates...), s.changed
		s.mu.Unlock()
		if len(list) > 0 {
			return list, nil
		}
		select {
		case <-changed:
		case <-timeout:
			return list, nil
		case <-own:
			return nil, &apiFault{409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running", nil}
		case <-r.Context().Done():
			return list, nil
		}
	}
}
