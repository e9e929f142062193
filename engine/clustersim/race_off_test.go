//go:build !race

package clustersim

// This file tells tests that the race detector is off.

const raceDetector = false
