package guard

import "go.starlark.net/starlark"

// This file bounds what is said of a file that has very many errors, for all that read blueprints.

// MaxFindings is how many errors of one file are shown: each is shown with its line.
const MaxFindings = 100

// missText bounds the text that is looked through for names that are near, in bytes.
const missText = 2 << 20

// FewMisses gives what a file of so many bytes finds defined. For a name that nothing defines the
// resolver looks through all names of the file for one that is near, so after some such names,
// fewer in a long file, the rest counts as defined: the file is refused anyway.
func FewMisses(bytes int, defined func(name string) bool) func(name string) bool {
	left := min(MaxFindings, missText/(bytes+1))
	return func(name string) bool {
		if defined(name) {
			return true
		}
		if starlark.Universe.Has(name) { // it is asked for after this
			return false
		}
		left--
		return left < 0
	}
}
