package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// This file is `orrery version`.

// version is set by the release build: -ldflags "-X orrery/cli.version=1.2.3".
var version string

type versionCmd struct {
	Format string `enum:"text,json" default:"text" help:"How to print: text or json."`
}

func (versionCmd) Help() string { return "Example:\n  orrery version --format json" }

// Run prints version, revision and toolchain.
func (c *versionCmd) Run(p *program) error {
	v := readVersion()
	if c.Format == "json" {
		return printJSON(p.stdout, v)
	}
	line := "orrery " + v.Version
	if v.Revision != "" {
		line += " (" + v.Revision + ")"
	}
	_, err := fmt.Fprintf(p.stdout, "%s %s %s/%s\n", line, v.Go, v.OS, v.Arch)
	return err
}

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the sources, when the build knew it
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func readVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
		if v.Version == "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v.Version = info.Main.Version
		}
	}
	if v.Version == "" {
		v.Version = "development"
	}
	return v
}
