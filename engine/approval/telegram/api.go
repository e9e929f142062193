package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// This file calls the Bot API: https://core.telegram.org/bots/api.

const answerLimit = 4 << 20 // bytes of an answer; a full page of updates is far below

// api is one bot at one server.
type api struct {
	base   string // ends before the method; holds the bot's token
	client *http.Client
}

// apiError is a call that did not succeed. Its text never holds the address.
type apiError struct {
	Code        int // of the API; 0 when it did not answer
	Description string
	wait        time.Duration
	sent        bool // the call may have reached the API
}

func (e *apiError) Error() string {
	if e.Code == 0 {
		return "the Bot API does not answer: " + e.Description
	}
	return fmt.Sprintf("the Bot API answered %d: %s", e.Code, e.Description)
}

// Final reports whether the same call would fail again.
func (e *apiError) Final() bool {
	switch e.Code {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	}
	return false
}

// NotSent reports whether the API has surely not done it.
func (e *apiError) NotSent() bool { return !e.sent }

// RetryAfter is the pause that the API asked for.
func (e *apiError) RetryAfter() time.Duration { return e.wait }

// gone reports whether a message can not be edited because there is nothing to edit.
func gone(err error) bool {
	var e *apiError
	if !errors.As(err, &e) || e.Code != http.StatusBadRequest {
		return false
	}
	for _, words := range []string{"message is not modified", "message to edit not found", "message can't be edited", "MESSAGE_ID_INVALID"} {
		if strings.Contains(e.Description, words) {
			return true
		}
	}
	return false
}

type (
	chat struct {
		ID int64 `json:"id"`
	}
	user struct {
		ID        int64  `json:"id"`
		FirstName string `json:"first_name"`
		LastName  string `json:"last_name"`
		Username  string `json:"username"`
	}
	message struct {
		ID   int64  `json:"message_id"`
		Chat chat   `json:"chat"`
		Text string `json:"text"`
	}
	callbackQuery struct {
		ID      string   `json:"id"`
		From    user     `json:"from"`
		Message *message `json:"message"`
		Data    string   `json:"data"`
	}
	update struct {
		ID       int64          `json:"update_id"`
		Callback *callbackQuery `json:"callback_query"`
	}
	button struct {
		Text string `json:"text"`
		Data string `json:"callback_data"`
	}
	keyboard struct {
		Rows [][]button `json:"inline_keyboard"`
	}
)

// call does one method and reads its result into out, unless that is nil.
func (a *api) call(ctx context.Context, method string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+method, bytes.NewReader(body))
	if err != nil {
		return &apiError{Description: "its address can not be called"}
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.client.Do(req)
	if err != nil {
		return unanswered(ctx, err)
	}
	defer res.Body.Close()
	var answer struct {
		OK          bool            `json:"ok"`
		Result      json.RawMessage `json:"result"`
		Code        int             `json:"error_code"`
		Description string          `json:"description"`
		Parameters  struct {
			RetryAfter int64 `json:"retry_after"`
			MigrateTo  int64 `json:"migrate_to_chat_id"`
		} `json:"parameters"`
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err == nil {
		err = json.Unmarshal(raw, &answer)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil: // what stands between us and the API answered, or the answer broke off
		return &apiError{Description: "its answer (" + res.Status + ") can not be read", sent: true}
	case !answer.OK:
		e := &apiError{Code: answer.Code, Description: answer.Description, wait: time.Duration(answer.Parameters.RetryAfter) * time.Second}
		e.sent = e.Code >= http.StatusInternalServerError
		if to := answer.Parameters.MigrateTo; to != 0 {
			e.Description += fmt.Sprintf("; the chat has moved: TELEGRAM_CHAT_ID=%d", to)
		}
		return e
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer.Result, out); err != nil {
		return &apiError{Description: "its result of " + method + " can not be read", sent: true}
	}
	return nil
}

// unanswered names what kept a call from being answered, without the address.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	return &apiError{Description: err.Error(), sent: !errors.As(err, &op) || op.Op != "dial"}
}
