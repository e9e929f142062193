package engine

import (
	"hash/maphash"
	"sync"
)

// This file lets one goroutine at a time change a job, so that conflicts stay rare. The
// version in the store is the guard; this only saves work.

type locks struct{ stripes [512]sync.Mutex }

var lockSeed = maphash.MakeSeed()

// of locks the stripe of a name and gives the function that unlocks it. A goroutine must
// not hold two stripes of one locks value.
func (l *locks) of(name string) (unlock func()) {
	m := &l.stripes[maphash.String(lockSeed, name)%uint64(len(l.stripes))]
	m.Lock()
	return m.Unlock
}
