//go:build !linux

package cli

// This file is for systems that do not tell what is mapped of the program.

// forgetProgram does nothing here.
func forgetProgram() error { return nil }
