package memory_test

import (
	"testing"

	"orrery/engine/store"
	"orrery/engine/store/memory"
	"orrery/engine/store/storetest"
)

// This file puts the driver through the suite.

func TestSuite(t *testing.T) {
	storetest.Run(t, func(testing.TB) store.Store { return memory.New() })
}
