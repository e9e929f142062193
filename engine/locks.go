package engine

import (
	"hash/maphash"
	"sync"
)

// This file lets one goroutine at a time change a job, so that conflicts stay rare. The
// version in the store is the guard; this only saves work.

type locks struct{ stripes [512]sync.Mutex }

var lockSeed = maphash.MakeSeed()

// of locks the job's stripe and gives the function that unlocks it. A goroutine must not
// hold two at once.
func (l *locks) of(id string) (unlock func()) {
	m := &l.stripes[maphash.String(lockSeed, id)%uint64(len(l.stripes))]
	m.Lock()
	return m.Unlock
}
