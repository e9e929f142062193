package memory_test

import (
	"testing"
	"time"

	"orrery/engine/store"
	"orrery/engine/store/memory"
	"orrery/engine/store/storetest"
)

// This file puts the driver through the suite.

func TestSuite(t *testing.T) {
	storetest.Run(t, func(testing.TB) store.Store { return memory.New() })
}

func TestSharedSuite(t *testing.T) {
	storetest.RunShared(t, func(testing.TB) store.Shared { return memory.NewShared(time.Now) })
}

func TestMove(t *testing.T) {
	storetest.RunMove(t, func(testing.TB) store.Store { return memory.New() })
}

func TestUnreadableRows(t *testing.T) {
	storetest.RunUnreadable(t, func(testing.TB) store.Store { return memory.New() },
		storetest.Spoil{
			Job:     func(s store.Store, id string) { s.(*memory.Store).GarbleJob(id) },
			Task:    func(s store.Store, id string, n int) { s.(*memory.Store).GarbleTask(id, n) },
			Message: func(s store.Store, _, id string) { s.(*memory.Store).GarbleMessage(id) },
		})
}
