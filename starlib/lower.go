package starlib

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file reads the limits that a blueprint sets for itself, always below the operator's:
//
//	blueprint(name = "x", limits = {"steps": 100000, "seconds": 0.2, "memory_mib": 8})

// readLimits reads the keyword limits of blueprint().
func readLimits(call string, v starlark.Value) (l Limits, err error) {
	if v == starlark.None {
		return l, nil
	}
	d, ok := v.(*starlark.Dict)
	if !ok {
		return l, fmt.Errorf("%s: limits is %s; it must be a dict", call, v.Type())
	}
	for k, x := range d.Entries() {
		name, _ := starlark.AsString(k)
		f, err := number(call, "limits["+guard.Show(k, 40)+"]", x)
		if err != nil {
			return l, err
		}
		if f <= 0 {
			return l, fmt.Errorf("%s: limits[%s] is %s; it must be more than 0", call, guard.Show(k, 40), guard.Show(x, 40))
		}
		known := false
		for _, limit := range StepLimits {
			if limit.Key == name {
				known = true
				limit.Set(&l, f)
			}
		}
		if !known {
			return l, fmt.Errorf("%s: limits has no %s; it has %s", call, guard.Show(k, 40), limitKeys())
		}
	}
	return l, nil
}

func limitKeys() string {
	keys := make([]string, len(StepLimits))
	for i, l := range StepLimits {
		keys[i] = l.Key
	}
	last := len(keys) - 1
	return strings.Join(keys[:last], ", ") + " and " + keys[last]
}
