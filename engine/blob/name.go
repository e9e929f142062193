package blob

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file holds the one rule for names of files: what it lets through stays below the
// job's folder in every driver, on every system, and in a log.

// The limits of a name, in bytes.
const (
	MaxName    = 512
	maxSegment = 255 // what most file systems take
	maxNesting = 20  // folders in folders
)

// Local begins the names of local copies, which Store knows nothing of; see engine/files.go.
const Local = "local:"

// NameError says what is wrong with a name.
type NameError struct{ Name, Why string }

// Error shows the name, made harmless, and the rule that it breaks.
func (e *NameError) Error() string {
	shown := e.Name
	if len(shown) > 80 {
		shown = strings.ToValidUTF8(shown[:80], "") + "..."
	}
	return fmt.Sprintf("%q is no name of a file: %s", shown, e.Why)
}

// CheckName checks the name of a file below a job's folder.
func CheckName(name string) error {
	if why := badName(name); why != "" {
		return &NameError{name, why}
	}
	return nil
}

// CheckFolder checks the name of a folder; it ends in a slash, and "" is the job's own.
func CheckFolder(name string) error {
	if name == "" {
		return nil
	}
	folder, ok := strings.CutSuffix(name, "/")
	if !ok {
		return &NameError{name, "the name of a folder ends in a slash"}
	}
	return CheckName(folder)
}

// lookalikes of dots, slashes and colons, which some systems turn into the real ones.
const lookalikes = "\u2024\u2025\u2026\uFE52\uFF0E\u3002\uFF61\u2044\u2215\uFF0F\uFF3C\u29F8\uFF1A"

func badName(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > MaxName:
		return fmt.Sprintf("it has %d bytes, at most %d are allowed", len(name), MaxName)
	case !utf8.ValidString(name):
		return "it is not valid UTF-8"
	case name[0] == '/':
		return "it begins with a slash; names are relative to the job's folder"
	case strings.HasPrefix(name, Local):
		return "names that begin with " + Local + " are local copies"
	case strings.Count(name, "/") > maxNesting:
		return fmt.Sprintf("folders nest deeper than %d", maxNesting)
	}
	for _, r := range name {
		if r == '\\' || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || strings.ContainsRune(lookalikes, r) {
			return "it holds a backslash, a control character or a look-alike of a dot or slash"
		}
	}
	for segment := range strings.SplitSeq(name, "/") {
		switch {
		case segment == "":
			return "it has two slashes in a row, or one at its end"
		case segment == "." || segment == "..":
			return `it has the segment "` + segment + `"; names never leave the job's folder`
		case len(segment) > maxSegment:
			return fmt.Sprintf("one of its parts has %d bytes, at most %d are allowed", len(segment), maxSegment)
		}
	}
	return ""
}

// Key gives the key of a file of a job. Both must have been checked.
func Key(jobID, name string) string { return "jobs/" + jobID + "/" + name }

// Folder gives the prefix of all files of a job.
func Folder(jobID string) string { return "jobs/" + jobID + "/" }
