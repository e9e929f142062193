package telegram

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"orrery/engine/approval"
)

// This file writes the messages, and what stands behind their buttons.

const mostText = 3000 // UTF-16 units of the script's message; Telegram takes 4,096 in all

// question is the text of a request: the same on every repetition.
func question(r approval.Request) string {
	var t strings.Builder
	fmt.Fprintf(&t, "Decision needed: %s\n\n%s\n\nJob %s, question %d", clipped(r.Blueprint, 100), clipped(r.Message, mostText), r.JobID, r.Step)
	if r.Until != nil {
		fmt.Fprintf(&t, "\nUntil %s", r.Until.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return t.String()
}

// answered adds the outcome to a question.
func answered(question string, o approval.Outcome) string {
	return question + "\n\n" + outcome(o)
}

func outcome(o approval.Outcome) string {
	at := o.At.UTC().Format("2006-01-02 15:04:05 UTC")
	switch o.How {
	case approval.Expired:
		return "Nobody decided in time (" + at + ")."
	case approval.Cancelled:
		return "The job was cancelled (" + at + "); nothing is to be decided any more."
	}
	return fmt.Sprintf("Decided: %s, by %s, %s.", clipped(o.Decision, 100), clipped(o.By, 100), at)
}

// clipped cuts a text to so many UTF-16 units, in which Telegram counts.
func clipped(s string, most int) string {
	units := utf16.Encode([]rune(strings.ToValidUTF8(s, "\uFFFD")))
	if len(units) <= most {
		return string(utf16.Decode(units))
	}
	if utf16.IsSurrogate(rune(units[most-2])) && units[most-2] < 0xDC00 { // its second half would be cut off
		most--
	}
	return string(utf16.Decode(units[:most-1])) + "…"
}

// A button's data (at most 64 bytes): version, job, step, number of the decision, proof.
const (
	dataVersion = "1"
	dataBytes   = 16 + 4 + 1
)

func encode(r approval.Request, choice int) (string, error) {
	id, err := hex.DecodeString(strings.ReplaceAll(r.JobID, "-", ""))
	if err != nil || len(id) != 16 || choice > 255 || r.Step < 0 || r.Step > 1<<32-1 || len(r.Token) < approval.ProofSize {
		return "", errors.New("the request can not be put behind a button")
	}
	raw := append(binary.BigEndian.AppendUint32(id, uint32(r.Step)), byte(choice))
	return dataVersion + base64.RawURLEncoding.EncodeToString(raw) + r.Token[:approval.ProofSize], nil
}

// decode reads a button's data; ok is false for what no button of ours holds.
func decode(data string) (a approval.Answer, ok bool) {
	coded, ok := strings.CutPrefix(data, dataVersion)
	size := base64.RawURLEncoding.EncodedLen(dataBytes)
	if !ok || len(coded) != size+approval.ProofSize {
		return a, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(coded[:size])
	if err != nil || len(raw) != dataBytes { // the decoder skips ends of lines
		return a, false
	}
	id := hex.EncodeToString(raw[:16])
	a.JobID = strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
	a.Step = int64(binary.BigEndian.Uint32(raw[16:20]))
	a.Choice, a.Proof = int(raw[20]), coded[size:]
	return a, true
}

// answerAt completes an answer with who gave it.
func answerAt(a approval.Answer, by user, now time.Time) approval.Answer {
	a.By, a.Received = by.name(), now
	return a
}
