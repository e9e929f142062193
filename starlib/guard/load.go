package guard

import (
	"sync/atomic"
	"time"
)

// This file holds the limits of loading files. They belong to the operator alone, since a
// file that is too large can not say so itself; and to the process, since whatever reads
// blueprints (the catalog, the static analysis, older revisions) must agree on them.

// Codes of the limits of loading. They stand at the end of a finding's message.
const (
	CodeSource    = "SOURCE_LIMIT"
	CodeLoadDepth = "LOAD_DEPTH_LIMIT"
	CodeLoadFiles = "LOAD_FILES_LIMIT"
)

// LoadLimits bounds what is loaded. The zero value is not usable: DefaultLoad.
type LoadLimits struct {
	FileBytes int           // one file; a larger one is not read
	Depth     int           // files that load each other
	Files     int           // a file and all that it loads
	Time      time.Duration // the top level of a file and of those that it loads
	Values    Limits        // what the top levels create
}

// DefaultLoad are those of design/contract.md.
func DefaultLoad() LoadLimits {
	return LoadLimits{FileBytes: 1 << 20, Depth: 20, Files: 200, Time: 5 * time.Second, Values: Defaults()}
}

var loadLimits atomic.Pointer[LoadLimits]

// Load gives the limits of loading in this process.
func Load() LoadLimits {
	if l := loadLimits.Load(); l != nil {
		return *l
	}
	return DefaultLoad()
}

// SetLoad sets the limits of loading, before anything is loaded.
func SetLoad(l LoadLimits) { loadLimits.Store(&l) }
