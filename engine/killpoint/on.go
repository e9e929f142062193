//go:build killpoints

package killpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// This file is the form of the test build.

var (
	target string
	left   atomic.Int64
	named  = strings.Split(os.Getenv("ORRERY_KILLNAMED"), ",")
)

func init() {
	v := os.Getenv("ORRERY_KILLPOINT")
	if v == "" {
		return
	}
	name, count, _ := strings.Cut(v, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 1 || !slices.Contains(All, name) {
		fmt.Fprintf(os.Stderr, "ORRERY_KILLPOINT=%q: want name:count, the name one of %s\n", v, strings.Join(All, ", "))
		os.Exit(2)
	}
	target = name
	left.Store(n)
}

// Named kills the process when ORRERY_KILLNAMED lists where and name, as in
// "step:poison,load:bad.star".
func Named(where, name string) {
	if slices.Contains(named, where+":"+name) {
		end(where + ":" + name)
	}
}

// At kills the process at the passage that ORRERY_KILLPOINT asks for.
func At(name string) {
	if name != target || left.Add(-1) != 0 {
		return
	}
	end(name)
}

func end(name string) {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill() // SIGKILL where there is one
	}
	if err != nil {
		panic("killpoint " + name + ": " + err.Error())
	}
	select {} // the signal is on its way; nothing may happen after this point
}
