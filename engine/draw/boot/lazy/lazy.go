// Package lazy puts off the start of the layout library until a picture is wanted.
//
// The library (github.com/goccy/go-graphviz) compiles and starts a WebAssembly module in its init(), in every process that links it: 25 to 80 ms and 10 MB, also for `orrery version` and
// for a server, which draws in child processes (engine/draw) and never calls it. It offers no way around that.
//
// So this package marks the initialisation of the library's packages as done before its turn comes, and calls it in Wake. What is marked is the record that the Go runtime keeps of each package
// (runtime.initTask: a state, a number of functions, their addresses), reached by its linker name. That this package is first is again a matter of its import path: see boot.orrery.
//
// A record that does not look as expected (another Go, another version of the library) is left alone, and with it all of them: the library then starts with the process, as it would without
// this package. The package imports the standard library only, and must stay so.
package lazy

import "unsafe"

// initTask is the head of the runtime's record.
type initTask struct {
	state uint32
	count uint32 // functions, whose addresses follow
}

const (
	waiting uint32 = 0
	done    uint32 = 2

	countMost = 16 // functions of one package; more is no record of ours
)

// The packages of the library that do something at their start, in the order of their imports.
//
//go:linkname wasmTask github.com/goccy/go-graphviz/internal/wasm..inittask
var wasmTask initTask

//go:linkname cgraphTask github.com/goccy/go-graphviz/cgraph..inittask
var cgraphTask initTask

//go:linkname gvcTask github.com/goccy/go-graphviz/gvc..inittask
var gvcTask initTask

var (
	tasks = [...]*initTask{&wasmTask, &cgraphTask, &gvcTask}
	put   = putOff() // the library's start is still to come
)

// Waiting reports whether the library has yet to be started with Wake.
func Waiting() bool { return put }

// Wake starts the library, unless it has been; it must be called before the library is, by one goroutine at a time. It panics where the library's own start does.
func Wake() {
	if !put {
		return
	}
	put = false
	for _, t := range tasks {
		first := unsafe.Add(unsafe.Pointer(t), unsafe.Sizeof(*t))
		for i := range t.count {
			// A function value is a pointer to the word that holds the address.
			word := unsafe.Add(first, uintptr(i)*unsafe.Sizeof(uintptr(0)))
			(*(*func())(unsafe.Pointer(&word)))()
		}
	}
}

// putOff marks all of them, or none.
func putOff() bool {
	for _, t := range tasks {
		if t.state != waiting || t.count == 0 || t.count > countMost {
			return false
		}
	}
	for _, t := range tasks {
		t.state = done
	}
	return true
}
