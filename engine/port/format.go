package port

import (
	"errors"
	"fmt"
	"strings"

	"orrery/engine/starfmt"
)

// This file formats what was written, as `orrery fmt` does.

// formatStar formats Starlark text. An error is a fault of this package; it quotes the line.
func formatStar(name, text string) (string, error) {
	out, err := starfmt.Source(name, []byte(text))
	if err == nil {
		return string(out), nil
	}
	var fault *starfmt.Error
	if lines := strings.Split(text, "\n"); errors.As(err, &fault) && fault.Line > 0 && fault.Line <= len(lines) {
		return "", fmt.Errorf("the converted file is not Starlark (a fault of orrery port): %s, in: %s", fault.Message, strings.TrimSpace(lines[fault.Line-1]))
	}
	return "", fmt.Errorf("the converted file is not Starlark (a fault of orrery port): %w", err)
}
