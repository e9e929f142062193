package guard

import (
	"fmt"
	"path"
	"sync"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
)

// This file gives time zones. The language reads a zone's file each time that its name is
// said, and every time value keeps a table of its own.

// zones are those that were found, by name: the files are few.
var zones sync.Map

// zoneBytes is what a zone takes, about: its table of a century and a half.
const zoneBytes = 8 << 10

// maxZone is how long a zone's name may be; the longest is America/Argentina/ComodRivadavia.
const maxZone = 64

// Zone finds a time zone by its name, and charges looking for it.
func Zone(thread *starlark.Thread, name string) (*time.Location, error) {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), Of(thread).Work(thread, 20)
	}
	if len(name) > maxZone {
		return nil, fmt.Errorf("unknown time zone %s", Show(starlark.String(name), maxZone))
	}
	if err := Of(thread).Work(thread, 1000); err != nil { // several files may be tried
		return nil, err
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	if name != "" && path.Clean(name) != name { // a file has names without end, such as Europe//Berlin
		return z, Of(thread).Alloc(zoneBytes)
	}
	zones.Store(name, z)
	return z, nil
}

// inLocation is a time's in_location.
func inLocation(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &name); err != nil {
		return nil, err
	}
	z, err := Zone(thread, name)
	if err != nil {
		return nil, err
	}
	return startime.Time(time.Time(b.Receiver().(startime.Time)).In(z)), nil
}
