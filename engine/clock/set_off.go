//go:build !killpoints

package clock

import "time"

// This file is the shipped form: the machine's clock is nobody's to set.

func set() time.Duration { return 0 }
