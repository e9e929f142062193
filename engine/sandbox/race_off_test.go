//go:build !race

package sandbox

// This file tells tests that the race detector is off.

const raceDetector = false
