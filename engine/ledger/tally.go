package ledger

import "time"

// This file counts ends of what has no row in a store.

// Tally counts the ends of processes that were at something, one after another.
type Tally struct {
	Key   string    `json:"key"`
	Name  string    `json:"name,omitempty"` // for people
	Count int       `json:"count"`
	Run   string    `json:"run"` // the process that was counted last
	At    time.Time `json:"at"`  // of its note
}

// Charge counts the end of a process for a key, once a process, and gives what then stands.
// With no room left the oldest tally is forgotten.
func (l *Ledger) Charge(key string, n Note) Tally {
	if l == nil {
		return Tally{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.find(key); i >= 0 && l.tally[i].Run == n.Run {
		return l.tally[i]
	}
	return l.add(Tally{Key: key, Name: short(n.Name), Count: 1, Run: n.Run, At: n.At})
}

// add joins a tally with what is counted for its key.
func (l *Ledger) add(t Tally) Tally {
	i := l.find(t.Key)
	if i >= 0 {
		t.Count += l.tally[i].Count
	} else if i = l.find(""); i < 0 {
		i = 0
		for k := range l.tally {
			if l.tally[k].At.Before(l.tally[i].At) {
				i = k
			}
		}
	}
	l.tally[i] = t
	l.put(1+notes+i, t)
	return t
}

func (l *Ledger) find(key string) int {
	for i := range l.tally {
		if l.tally[i].Key == key {
			return i
		}
	}
	return -1
}

// Tally gives what stands for a key; a Count of 0 is nothing.
func (l *Ledger) Tally(key string) Tally {
	if l == nil {
		return Tally{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.find(key); i >= 0 {
		return l.tally[i]
	}
	return Tally{}
}

// Tallies gives all.
func (l *Ledger) Tallies() (all []Tally) {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.tally {
		if t.Key != "" {
			all = append(all, t)
		}
	}
	return all
}

// Acquit forgets what is counted for a key: it was done, and the process lives.
func (l *Ledger) Acquit(key string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.find(key); i >= 0 {
		l.tally[i] = Tally{}
		l.put(1+notes+i, nil)
	}
}
