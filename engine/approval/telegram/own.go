package telegram

import "sync"

// This file remembers the messages of this process: a search for copies that a crash left
// passes over them, and so reaches further back than what came since the crash.

const ownKept = 20_000 // then the oldest half of the memory goes, all at once

type ownKey struct{ chat, id int64 }

// own holds texts by message; "" for one that was forwarded to read it.
type own struct {
	mu         sync.Mutex
	young, old map[ownKey]string
}

func (o *own) add(chat, id int64, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.young == nil || len(o.young) >= ownKept/2 {
		o.old, o.young = o.young, map[ownKey]string{}
	}
	o.young[ownKey{chat, id}] = text
}

// text gives what a message said when this process sent it.
func (o *own) text(chat, id int64) (text string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if text, ok = o.young[ownKey{chat, id}]; !ok {
		text, ok = o.old[ownKey{chat, id}]
	}
	return text, ok
}
