//go:build race

package sandbox

// This file tells tests that the race detector is on.

const raceDetector = true
