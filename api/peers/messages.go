package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"orrery/engine"
	"orrery/engine/node"
	"orrery/workers"
)

// This file holds the messages that nodes send each other, and what they do where they come.

// Path is where messages are posted; the word follows it.
const Path = "/_node/"

// The words.
const (
	wordLeases   = "leases"   // the leases have changed: look at them
	wordLook     = "look"     // these jobs of yours were changed
	wordCancel   = "cancel"   // cancel this job of yours
	wordMigrate  = "migrate"  // move this job of yours to the newest revision
	wordUnserved = "unserved" // these tasks of mine wait for a worker
	wordStop     = "stop"     // a worker that may be connected to you is to stop a task
	wordFrame    = "frame"    // a worker that is connected to me speaks of a task of yours
	wordArrived  = "arrived"  // a task of yours that I took has gone to its worker
	wordWorkers  = "workers"  // what do you know of the workers
	wordNumbers  = "numbers"  // how many tasks and polls have you
)

type lookMessage struct {
	Jobs []string `json:"jobs"`
}

// jobMessage asks for something to be done with a job.
type jobMessage struct {
	Job string `json:"job"`
	By  string `json:"by"`
}

// refusal holds the fault, if the owner refused.
type refusal struct {
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

type migrateAnswer struct {
	refusal
	Move *engine.Move `json:"move,omitempty"`
}

type stopMessage struct {
	Worker string `json:"worker"`
	Task   string `json:"task"`
	Job    string `json:"job"`
}

type frameMessage struct {
	Worker string `json:"worker"` // "" for a connection that names none
	Frame  []byte `json:"frame"`
}

// send posts a message and reads the answer into reply, unless that is nil.
func (p *Peers) send(ctx context.Context, to node.Peer, word string, message, reply any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, messageTime)
	defer cancel()
	got, err := p.Relay(ctx, to, Request{Method: http.MethodPost, Target: Path + word, Header: http.Header{"Content-Type": {"application/json"}}, Body: body})
	switch {
	case err != nil:
		return err
	case got.Status != http.StatusOK:
		return fmt.Errorf("the node %s answers %d to %q: %.200s", to.ID, got.Status, word, got.Body)
	case reply == nil:
		return nil
	}
	return json.Unmarshal(got.Body, reply)
}

// ErrUnknownWord: a node of another version speaks of something that this one does not know.
var ErrUnknownWord = errors.New("this node does not know the message")

// Receive does what a message asks, and gives the answer's JSON. Its seal was checked.
func (p *Peers) Receive(ctx context.Context, from, word string, body []byte) ([]byte, error) {
	switch word {
	case wordLeases:
		p.self.Look()
		return answer(struct{}{}, nil)
	case wordLook:
		var m lookMessage
		if err := json.Unmarshal(body, &m); err != nil {
			return nil, err
		}
		for _, id := range m.Jobs {
			p.jobs.Look(id)
		}
		return answer(struct{}{}, nil)
	case wordCancel:
		var m jobMessage
		if err := json.Unmarshal(body, &m); err != nil {
			return nil, err
		}
		return answer(refused(p.jobs.CancelHere(ctx, m.Job, m.By)))
	case wordMigrate:
		var m jobMessage
		if err := json.Unmarshal(body, &m); err != nil {
			return nil, err
		}
		move, err := p.jobs.MigrateHere(ctx, m.Job, m.By)
		fault, err := refused(err)
		return answer(migrateAnswer{fault, move}, err)
	case wordUnserved:
		var list []workers.Unserved
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, err
		}
		p.hub.Heard(from, list)
		return answer(struct{}{}, nil)
	case wordStop:
		var m stopMessage
		if err := json.Unmarshal(body, &m); err != nil {
			return nil, err
		}
		p.hub.StopHere(m.Worker, m.Task, m.Job)
		return answer(struct{}{}, nil)
	case wordFrame:
		var m frameMessage
		if err := json.Unmarshal(body, &m); err != nil {
			return nil, err
		}
		return answer(p.hub.HearFrame(ctx, m.Worker, m.Frame), nil)
	case wordArrived:
		var m arrivedMessage
		if err := json.Unmarshal(body, &m); err != nil {
			return nil, err
		}
		p.hub.Arrived(m.Task)
		return answer(struct{}{}, nil)
	case wordWorkers:
		return answer(p.hub.Snapshot(), nil)
	case wordNumbers:
		return answer(p.hub.Stats(), nil)
	}
	return nil, ErrUnknownWord
}

// refused tells a fault, which the asker is told, from what went wrong.
func refused(err error) (refusal, error) {
	var f *engine.Fault
	if errors.As(err, &f) {
		return refusal{f.Code, f.Message}, nil
	}
	return refusal{}, err
}

func answer(v any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
