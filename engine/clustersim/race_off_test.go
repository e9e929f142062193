//go:build !race

package clustersim

// This file tells tests that the race detector is off, and how many worlds are run then.

const (
	raceDetector   = false
	seedsByDefault = 30 // ORRERY_SEEDS says another number
	lapseSeeds     = 12 // a store that nobody compares with shows in fewer
)
