//go:build !race

package sqlite

// This file tells tests that the race detector is off.

const raceDetector = false
