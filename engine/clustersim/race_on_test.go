//go:build race

package clustersim

// This file tells tests that the race detector is on, and how many worlds it sees: they take six
// times as long with it, and what happens in them is held to the model without it.

const (
	raceDetector   = true
	seedsByDefault = 12
	lapseSeeds     = 4
)
