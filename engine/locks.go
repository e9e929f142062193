package engine

import "hash/maphash"

// This file lets one goroutine at a time change a job, so that conflicts stay rare. The
// version in the store is the guard; this only saves work.

// locks are channels and not mutexes: whoever holds one waits for the store, and a simulation
// in virtual time must see that the others wait for that too.
type locks struct{ stripes [512]chan struct{} }

var lockSeed = maphash.MakeSeed()

func newLocks() *locks {
	l := &locks{}
	for i := range l.stripes {
		l.stripes[i] = make(chan struct{}, 1)
	}
	return l
}

// of locks the stripe of a name and gives the function that unlocks it. A goroutine must
// not hold two stripes of one locks value.
func (l *locks) of(name string) (unlock func()) {
	c := l.stripes[maphash.String(lockSeed, name)%uint64(len(l.stripes))]
	c <- struct{}{}
	return func() { <-c }
}
