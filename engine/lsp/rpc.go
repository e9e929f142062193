package lsp

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"strconv"
)

// This file is the wire: JSON-RPC 2.0 messages with a header that tells their length.

// maxMessage bounds a message of the editor: a file, with room for its JSON.
const maxMessage = 32 << 20

// message is a request, an answer or a note; which one, its fields tell.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"` // nil: a note
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  any             `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
}

type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *rpcError) Error() string { return e.Message }

// Codes of the protocol.
const (
	codeParse          = -32700
	codeInvalidRequest = -32600
	codeMethodNotFound = -32601
	codeInvalidParams  = -32602
	codeNotInitialized = -32002
	codeFailed         = -32803
)

// readMessage reads one message. io.EOF is the regular end.
func readMessage(r *bufio.Reader) (*message, error) {
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil || n < 0 || n > maxMessage {
		return nil, fmt.Errorf("the editor sent the Content-Length %q; it is a number up to %d", header.Get("Content-Length"), maxMessage)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	m := new(message)
	if err := json.Unmarshal(body, m); err != nil {
		return &message{ID: json.RawMessage("null"), Error: &rpcError{codeParse, err.Error()}}, nil
	}
	return m, nil
}

// writeMessage writes one message.
func writeMessage(w io.Writer, m *message) error {
	m.Version = "2.0"
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return err
}

// answer gives the message for a request. A result of nil is JSON's null, which must be there.
func answer(id json.RawMessage, result any, err error) *message {
	m := &message{ID: id, Result: result}
	if result == nil {
		m.Result = json.RawMessage("null")
	}
	if err != nil {
		m.Result = nil
		fault, ok := err.(*rpcError)
		if !ok {
			fault = &rpcError{codeFailed, err.Error()}
		}
		m.Error = fault
	}
	return m
}
