package archtest

// This file holds the directions of imports: main -> cli -> api -> workers, engine ->
// engine/{blueprint,sandbox,store,...} -> starlib -> engine/job.

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// direction says what the code of some packages (tests apart) may import of this module.
// A pattern is a folder, or a folder with /... for it and all below.
type direction struct {
	pkg string
	may []string
}

// directions is the table; the last line that fits a package counts. A package that no line
// fits fails the test: a new folder is a decision, and this is where it is written down.
var directions = []direction{
	{"", []string{"cli"}},
	{"cli/...", []string{"cli/...", "api/...", "workers/...", "engine/...", "starlib/..."}},
	{"api/...", []string{"api/...", "workers/...", "engine/...", "starlib/..."}},
	{"api/hostile", nil},
	{"api/nodes", nil},
	{"api/peers", []string{"engine", "engine/clock", "engine/job", "engine/node", "workers"}},

	{"workers/...", []string{"workers/...", "engine", "engine/job", "engine/clock", "engine/killpoint", "engine/store"}},
	{"workers/protocol", []string{"engine/job"}},
	{"workers/client", []string{"workers/protocol"}},

	{"engine", []string{"engine/...", "starlib/..."}},
	{"engine/job", nil},
	{"engine/clock", nil},
	{"engine/killpoint", nil},
	{"engine/filelock", nil},
	{"engine/ledger", []string{"engine/filelock"}},
	{"engine/ledger/ledgertest", []string{"engine/ledger"}},
	{"engine/quota", nil},
	{"engine/node", []string{"engine/clock", "engine/job", "engine/store"}},
	{"engine/observe/...", nil},
	{"engine/faultstore", []string{"engine/job", "engine/store"}},
	{"engine/faultproxy", nil},
	{"engine/analysis", []string{"starlib/..."}},
	{"engine/draw", []string{"engine/analysis"}},
	{"engine/draw/boot/...", nil},
	{"engine/outbound", nil},
	{"engine/webhook", []string{"engine/outbound"}},
	{"engine/approval", nil},
	{"engine/approval/...", []string{"engine/approval/...", "engine/outbound", "engine/webhook", "engine/clock"}},
	{"engine/blob/...", []string{"engine/blob"}},
	{"engine/blob", nil},
	{"engine/database", nil},
	{"engine/historydb", []string{"engine", "engine/database"}},
	{"engine/sandbox", []string{"engine/blueprint", "starlib/...", "engine/job", "engine/clock", "engine/killpoint"}},
	{"engine/blueprint", []string{"engine/analysis", "starlib/...", "engine/job", "engine/clock", "engine/killpoint", "engine/ledger", "engine/store"}},
	{"engine/store/...", []string{"engine/store/...", "engine/filelock", "engine/job", "engine/clock", "engine/killpoint"}},
	{"engine/store", []string{"engine/job"}},
	{"engine/store/held", nil},
	{"engine/store/yardstick", []string{"engine/job", "engine/store/line"}},
	{"engine/store/line", []string{"engine/job", "engine/store", "engine/store/held"}},
	{"engine/port", []string{"engine/analysis", "engine/starfmt"}},
	{"engine/scheduler", []string{"engine", "engine/clock", "engine/job", "engine/store"}},
	{"engine/simulate", []string{"engine/...", "starlib/..."}},
	{"engine/lsp", []string{"engine/analysis", "engine/draw", "engine/starfmt", "starlib/..."}},
	{"engine/starfmt", []string{"engine/analysis", "starlib/..."}},
	{"engine/startest", []string{"engine/...", "starlib/..."}},
	{"engine/clustersim", nil},
	{"engine/killtest/...", []string{"engine/...", "workers/..."}},

	{"starlib/...", []string{"starlib/...", "engine/job"}},

	{"examples/...", []string{"workers/client"}},
	{"archtest", nil},
}

// fits reports whether a package is meant by a pattern.
func fits(pattern, pkg string) bool {
	if folder, all := strings.CutSuffix(pattern, "/..."); all {
		return pkg == folder || strings.HasPrefix(pkg, folder+"/")
	}
	return pkg == pattern
}

func directionOf(pkg string) (direction, bool) {
	for _, d := range slices.Backward(directions) {
		if fits(d.pkg, pkg) {
			return d, true
		}
	}
	return direction{}, false
}

func TestImportsGoDownOnly(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range source(t).files {
		d, known := directionOf(f.pkg)
		if !known {
			if !seen[f.pkg] {
				t.Errorf("package %q is not in the table of directions (archtest/imports_test.go); say there what it may import", f.pkg)
			}
			seen[f.pkg] = true
			continue
		}
		if f.test {
			continue // a test may stand above what it tests
		}
		for _, p := range f.imports() {
			pkg, ours := own(p)
			if !ours || pkg == f.pkg {
				continue
			}
			if !slices.ContainsFunc(d.may, func(pattern string) bool { return fits(pattern, pkg) }) {
				t.Errorf("%s imports %s; packages %q may import only %q", f.name, p, d.pkg, d.may)
			}
		}
	}
}

// The last line of the table that fits decides; this pins the order for the cases that matter.
func TestDirectionOfNarrowestWins(t *testing.T) {
	for pkg, want := range map[string]string{
		"engine/job": "engine/job", "engine/store/sqlite": "engine/store/...", "engine/store": "engine/store",
		"workers/client": "workers/client", "workers/emulate": "workers/...", "starlib/border": "starlib/...",
	} {
		if d, _ := directionOf(pkg); d.pkg != want {
			t.Errorf("the line for %q is %q, want %q", pkg, d.pkg, want)
		}
	}
}

// leaves are the packages that everything else stands on: standard library only, tests included.
var leaves = []string{"engine/job", "engine/clock", "engine/killpoint", "engine/draw/boot", "engine/draw/boot/lazy"}

func TestLeavesUseTheStandardLibraryOnly(t *testing.T) {
	for _, f := range source(t).files {
		if !slices.Contains(leaves, f.pkg) {
			continue
		}
		for _, p := range f.imports() {
			pkg, ours := own(p)
			if standard(p) || ours && slices.Contains(leaves, pkg) && f.test {
				continue
			}
			t.Errorf("%s imports %s; %s is a leaf and uses the standard library only", f.name, p, f.pkg)
		}
	}
}

// homes says where a third-party module may be imported (tests included, unless onlyCode).
// One heavy dependency, one home: so it can be replaced, and its faults have one address.
var homes = map[string][]string{
	"modernc.org/sqlite":               {"engine/store/sqlite/...", "engine/database"},
	"modernc.org/sqlite/lib":           {"engine/store/sqlite/...", "engine/database"},
	"github.com/goccy/go-graphviz":     {"engine/draw/..."},
	"github.com/fogleman/gg":           {"engine/draw/..."},
	"github.com/golang/freetype":       {"engine/draw/..."},
	"golang.org/x/image":               {"engine/draw/..."},
	"go.starlark.net":                  {"starlib/...", "engine/sandbox/...", "engine/blueprint/...", "engine/analysis/...", "engine/startest/...", "engine/starfmt/...", "engine/lsp/...", "examples"},
	"go.opentelemetry.io/otel":         {"engine/observe/..."},
	"go.opentelemetry.io/proto":        {"engine/observe/collector"}, // for tests
	"google.golang.org/protobuf":       {"engine/observe/collector"},
	"github.com/gofiber":               {"api/..."},
	"github.com/valyala/fasthttp":      {"api/..."},
	"github.com/fasthttp/websocket":    {"api/..."},
	"github.com/klauspost/compress":    {"api/..."},
	"github.com/coder/websocket":       {"workers/client/...", "workers/conformance/...", "api/..."},
	"github.com/bazelbuild/buildtools": {"engine/starfmt/..."},
	"github.com/alecthomas/kong":       {"cli/..."},
	"github.com/BurntSushi/toml":       {"cli/..."},
	"golang.org/x/term":                {"cli/..."},
	"github.com/adhocore/gronx":        {"engine/scheduler/..."},
	"github.com/fsnotify/fsnotify":     {"engine/blueprint/..."},
	"github.com/pmezard/go-difflib":    {"engine/blueprint"},

	// Databases of scripts.
	"github.com/jackc/pgx/v5": {"engine/database", "engine/store/postgres/..."},

	// Stores that several nodes share.
	"github.com/redis/go-redis/v9": {"engine/store/redis/..."},

	// Servers of files.
	"github.com/aws/aws-sdk-go-v2":      {"engine/blob/s3/..."},
	"github.com/aws/smithy-go":          {"engine/blob/s3/..."},
	"github.com/johannesboyne/gofakes3": {"engine/blob/s3/...", "workers/conformance/..."},

	// Our own engine/draw/boot, a module of its own so that it is initialised first.
	"boot.orrery":      {""},
	"boot.orrery/lazy": {"engine/draw"},

	// Small and without side effects, so any layer may.
	"github.com/google/uuid": {"workers/...", "starlib/...", "engine/...", "api/...", "cli/..."},
}

func TestThirdPartyModulesStayAtHome(t *testing.T) {
	for _, f := range source(t).files {
		for _, p := range f.imports() {
			if _, ours := own(p); ours || standard(p) {
				continue
			}
			home, known := homeOf(p)
			if !known {
				t.Errorf("%s imports %s, which has no home in archtest/imports_test.go; say there which packages may use it", f.name, p)
				continue
			}
			if !slices.ContainsFunc(home, func(pattern string) bool { return fits(pattern, f.pkg) }) {
				t.Errorf("%s imports %s, which may be used in %q only", f.name, p, home)
			}
		}
	}
}

// homeOf finds the entry whose path is the import path or a parent of it.
func homeOf(importPath string) ([]string, bool) {
	for p := importPath; p != "." && p != "/"; p = path.Dir(p) {
		if home, ok := homes[p]; ok {
			return home, true
		}
	}
	return nil, false
}
