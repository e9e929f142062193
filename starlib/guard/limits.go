package guard

import (
	"fmt"
	"strconv"
)

// This file holds the limits of single values and of a run's allocation, and their error.

// Codes of limits, as job.Error.Code.
const (
	CodeSteps    = "SCRIPT_STEPS_LIMIT"
	CodeTime     = "SCRIPT_TIME_LIMIT"
	CodeMemory   = "MEMORY_LIMIT"
	CodeText     = "TEXT_LIMIT"
	CodeElements = "ELEMENTS_LIMIT"
	CodeInteger  = "INTEGER_LIMIT"
	CodeDepth    = "DEPTH_LIMIT"
)

// Limits bounds the values of one run. A zero stands for the default.
type Limits struct {
	Steps       uint64 // Starlark steps and work
	MemoryBytes int    // all that a run creates
	TextBytes   int    // of one text
	Elements    int    // of one list, dict, set, tuple or range
	IntegerBits int    // of one integer
	Depth       int    // of lists, dicts and tuples in each other, when they are printed, compared, hashed or frozen
}

// Defaults are those of design/contract.md.
func Defaults() Limits {
	return Limits{Steps: 10_000_000, MemoryBytes: 64 << 20, TextBytes: 16 << 20, Elements: 1_000_000, IntegerBits: 65_536, Depth: 100}
}

// filled puts defaults where nothing is said.
func (l Limits) filled() Limits {
	d := Defaults()
	if l.Steps == 0 {
		l.Steps = d.Steps
	}
	for _, x := range []struct {
		at *int
		d  int
	}{{&l.MemoryBytes, d.MemoryBytes}, {&l.TextBytes, d.TextBytes}, {&l.Elements, d.Elements}, {&l.IntegerBits, d.IntegerBits}, {&l.Depth, d.Depth}} {
		if *x.at == 0 {
			*x.at = x.d
		}
	}
	return l
}

// LimitError says which limit a run broke. It cannot be caught by the script.
type LimitError struct {
	Code string
	Text string // names limit, value and what was asked
}

// Error gives the text alone; the code goes to job.Error.Code.
func (e *LimitError) Error() string { return e.Text }

func limitf(code, format string, args ...any) error {
	return &LimitError{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Size writes a number of bytes for people.
func Size(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n) + " bytes"
}
