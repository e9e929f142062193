package cli

import (
	"context"
	"errors"

	"orrery/engine/lsp"
)

// This file is `orrery lsp`.

type lspCmd struct {
	Root string `help:"Folder that // means in load paths (default: the editor's folder, or its initialization option root)." placeholder:"DIR"`
}

func (lspCmd) Help() string {
	return `The Language Server Protocol on standard input and output; editors start it. How to set up VS Code,
Neovim and Helix stands in engine/lsp/README.md.

Examples:
  orrery lsp
  orrery lsp --root blueprints`
}

// Run serves until the editor leaves.
func (c *lspCmd) Run(p *program) error {
	err := lsp.New(c.Root).Serve(p.ctx, p.stdin, p.stdout)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
