// Command orrery is the job orchestrator: server, command line and tools in one binary.
package main

import (
	"os"

	_ "boot.orrery" // first: gives the layout library a private folder before its init runs

	"orrery/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
