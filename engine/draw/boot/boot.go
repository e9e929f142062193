// Package boot makes the temporary directory of this process private before any other package acts.
//
// The layout library (github.com/goccy/go-graphviz) loads native code from <temporary directory>/go-graphviz in its init(), before main runs. In a directory that all users share,
// whoever makes that folder first chooses the code. So this package's init sets TMPDIR to a folder that is ours alone: mode 0700, owned by us, no symbolic link.
//
// It works by its import path. Go initialises packages that are ready in the order of their paths, and "boot.orrery" comes before "github.com/..."; it imports the standard library only,
// so it is ready at once. main imports it for that effect alone:
//
//	import _ "boot.orrery"
//
// TMPDIR stays set: os.TempDir() and all child processes see the private folder too. That is meant. A program that must hand a file to another user, or honour the operator's own choice of place,
// finds the value from before in Original(). A TMPDIR that is private already is left as it is.
//
// When no private folder can be had at all, TMPDIR is set to a name that does not exist below a folder that can not be: the library then compiles in memory at each start (half a second) and
// loads nothing; Problem() says why, for the program to log.
package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// nowhere can not exist on any system: its parent is no directory.
var nowhere = filepath.Join(os.DevNull, "no-private-temporary-directory")

var (
	original string
	wasSet   bool
	problem  error
)

func init() {
	original, wasSet = os.LookupEnv(variable)
	if wasSet && check(original) == nil {
		return
	}
	dir, err := private()
	if err != nil {
		dir, problem = nowhere, err
	}
	if err := set(dir); err != nil {
		problem = errors.Join(problem, fmt.Errorf("set %s: %w", variable, err))
	}
}

// Original returns the value that the temporary directory's variable had when the process started, and whether it was set.
func Original() (value string, set bool) { return original, wasSet }

// Problem says why no private temporary directory could be had; nil when there is one.
func Problem() error { return problem }

// private finds or makes a folder that is ours alone. One that lasts, so that compiled code is kept from start to start: in the user's cache, or, for a service without a home,
// below the temporary directory. Where neither can be had, a fresh one.
func private() (string, error) {
	lasting, err := inCache()
	if err == nil {
		return lasting, nil
	}
	if lasting, tempErr := inTemp(); tempErr == nil {
		return lasting, nil
	} else {
		err = fmt.Errorf("%w; %w", err, tempErr)
	}
	fresh, freshErr := os.MkdirTemp("", "orrery-")
	if freshErr == nil {
		if freshErr = check(fresh); freshErr == nil {
			return fresh, nil
		}
	}
	return "", fmt.Errorf("no private temporary directory: %w; %w", err, freshErr)
}

func inCache() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(cache, "orrery")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	dir := filepath.Join(parent, "tmp-"+strconv.Itoa(os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	// Others must not be able to put something else in its place either.
	if err := owned(parent); err != nil {
		return "", err
	}
	return dir, check(dir)
}

// inTemp uses a folder of a fixed name, which is safe only where others can not move it away.
func inTemp() (string, error) {
	parent := os.TempDir()
	info, err := os.Stat(parent)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
		return "", fmt.Errorf("anyone can move what is in %s", parent)
	}
	dir := filepath.Join(parent, "orrery-"+strconv.Itoa(os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return dir, check(dir)
}

// check tells whether a folder is ours alone.
func check(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o, not 0700", dir, mode)
	}
	return owner(dir, info)
}

// owned tells whether a folder is ours and nobody else may write to it.
func owned(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that only we can write to", dir)
	}
	return owner(dir, info)
}
