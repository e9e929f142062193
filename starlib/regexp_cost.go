package starlib

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"time"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file bounds regular expressions. A search takes time in proportion to the length of
// the text times the size of the pattern, in one step, and x{1000} counts a thousand times.

// maxPatternSize is how many instructions a pattern may have once its repeats are written out.
const maxPatternSize = 10_000

// searchSlice is how long one call may search in all, as far as the first matches tell.
const searchSlice = 500 * time.Millisecond

// expression is a compiled pattern with its size.
type expression struct {
	*regexp.Regexp
	size int
}

func compileExpression(call, text string) (*expression, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (patterns are RE2: no lookaround, no backreferences)", call, err)
	}
	size := patternSize(tree)
	if size > maxPatternSize {
		return nil, &LimitError{Code: CodeElements, Text: fmt.Sprintf("%s: a pattern has at most %d instructions once its repeats are written out, and this has %d or more", call, maxPatternSize, size)}
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (patterns are RE2: no lookaround, no backreferences)", call, err)
	}
	return &expression{Regexp: re, size: size}, nil
}

// patternSize counts up to a little more than the limit.
func patternSize(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)/8
	if re.Op == syntax.OpLiteral {
		n = len(re.Rune)
	}
	for _, sub := range re.Sub {
		if n += patternSize(sub); n > maxPatternSize {
			break
		}
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, 1000*maxPatternSize)
}

// search charges one search of a text.
func (re *expression) search(thread *starlark.Thread, call, text string) error {
	if err := guard.Of(thread).Work(thread, len(text)/32*re.size/4); err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	return nil
}

// all finds the matches, at most so many unless most is negative. Between matches a search
// may look through the whole rest each time, which is not linear at all, and nothing can
// stop it; so few are sought first, then more, as long as it goes quickly.
func (re *expression) all(thread *starlark.Thread, call, text string, most int) ([][]int, error) {
	if err := re.search(thread, call, text); err != nil {
		return nil, err
	}
	account := guard.Of(thread)
	limit := account.Limits().Elements + 1
	if most >= 0 {
		limit = min(limit, most)
	}
	each := 64 + 16*(re.NumSubexp()+1) // the places, and a text of each group
	began := time.Now()
	for n := 1; ; n *= 4 {
		n = min(n, limit)
		left := max(account.Left()/each, 1)
		n = min(n, left)
		found := re.FindAllStringSubmatchIndex(text, n)
		if len(found) < n || n == limit {
			return found, account.Elements(call, len(found), 2*each)
		}
		took, seen := time.Since(began), found[n-1][1]+1
		if took > searchSlice/16 && took/time.Duration(seen)*time.Duration(len(text)) > searchSlice {
			return nil, &LimitError{Code: CodeTime, Text: fmt.Sprintf("%s: one call searches about %s, and in %s this has looked through %d of %d bytes", call, searchSlice, took.Round(time.Millisecond), seen, len(text))}
		}
		if n == left {
			return nil, account.Alloc(account.Left() + each)
		}
	}
}
