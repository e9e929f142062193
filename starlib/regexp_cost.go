package starlib

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file bounds regular expressions. A search takes time in proportion to the length of
// the text times the size of the pattern, in one step, and x{1000} counts a thousand times;
// where every instruction may be tried, each also copies the places of all groups for every
// byte of the text.

// maxPatternSize is how many instructions a pattern may have once its repeats are written out.
const maxPatternSize = 10_000

// maxGroups is how many groups a pattern may have.
const maxGroups = 100

// longSearch is the product of text, instructions and groups from which on a search is read
// rune by rune, so that it can be stopped: at worst some 20 ns for each eight of it, thus
// 100 ms.
const longSearch = 40_000_000

// searchSlice is how long one call may search in all, as far as the first matches tell.
const searchSlice = 500 * time.Millisecond

// expression is a compiled pattern with its size.
type expression struct {
	*regexp.Regexp
	size int
}

// What a pattern takes when it is compiled, in bytes: a script may keep it after the cache
// has let go of it. A class of Unicode has some 700 ranges.
const (
	patternBytes     = 4 << 10
	instructionBytes = 160
	classBytes       = 12 << 10
)

func compileExpression(thread *starlark.Thread, call, text string) (*expression, error) {
	account := guard.Of(thread)
	classes := strings.Count(text, `\p`) + strings.Count(text, `\P`)
	ranges := foldedRanges(text)
	if err := account.Work(thread, 100+16*len(text)+1000*classes+50_000*ranges); err != nil {
		return nil, err
	}
	if err := account.Alloc(patternBytes + 16*len(text) + classBytes*classes + 8*classBytes*ranges); err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (patterns are RE2: no lookaround, no backreferences)", call, err)
	}
	size := patternSize(tree)
	if size > maxPatternSize {
		return nil, &LimitError{Code: CodeElements, Text: fmt.Sprintf("%s: a pattern has at most %d instructions once its repeats are written out, and this has %d or more", call, maxPatternSize, size)}
	}
	if groups := tree.MaxCap(); groups > maxGroups {
		return nil, &LimitError{Code: CodeElements, Text: fmt.Sprintf("%s: a pattern has at most %d groups, and this has %d; write (?:x) for a group that nobody reads", call, maxGroups, groups)}
	}
	if err := account.Work(thread, 8*size); err != nil {
		return nil, err
	}
	if err := account.Alloc(instructionBytes * size); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (patterns are RE2: no lookaround, no backreferences)", call, err)
	}
	return &expression{Regexp: re, size: size}, nil
}

var foldsCase = regexp.MustCompile(`\(\?[a-zA-Z-]*i`)

// foldedRanges counts the ranges such as [a-\x{ffff}] of a pattern that does not tell upper
// case from lower: each of their characters is looked at, which takes some 2 ms.
func foldedRanges(text string) int {
	if !foldsCase.MatchString(text) {
		return 0
	}
	n := 0
	for i := 0; i+1 < len(text); i++ {
		switch {
		case text[i] == '-' && (text[i+1] >= 0x80 || text[i+1] == '\\'):
			n++
		case text[i] == '\\': // it takes the next character's meaning away
			i++
		}
	}
	return n
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

// quickSize is the largest pattern that package regexp searches for with marks for what it
// has tried. With more instructions each of them may be tried for each byte, which was
// measured as 20 ns, and 65 ns with 100 groups.
const quickSize = 500

// price is the product that a search may take at worst.
func (re *expression) price(text string) int {
	return (len(text) + 1) * re.size * (8 + re.NumSubexp())
}

// search charges one search of a text: the time, and the places of the groups that each
// instruction may hold, which the next search uses again.
func (re *expression) search(thread *starlark.Thread, call, text string) error {
	account := guard.Of(thread)
	steps := re.price(text) / (8 * 128)
	if re.size > quickSize {
		steps *= 24
	}
	err := account.Work(thread, steps)
	if err == nil {
		err = account.Scratch(re.size * 2 * (re.NumSubexp() + 1) * 16)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	return nil
}

// first finds the first match of a text that search has charged.
func (re *expression) first(account *guard.Account, text string) ([]int, error) {
	if re.price(text) < longSearch {
		return re.FindStringSubmatchIndex(text), nil
	}
	skipped := 0
	if begin, _ := re.LiteralPrefix(); begin != "" && !strings.ContainsAny(re.String(), `^\`) { // nothing holds it to one place
		if skipped = strings.Index(text, begin); skipped < 0 {
			return nil, nil
		}
	}
	at := re.FindReaderSubmatchIndex(&stoppable{strings.NewReader(text[skipped:]), account})
	for i := range at {
		if at[i] >= 0 {
			at[i] += skipped
		}
	}
	return at, account.Stopped()
}

// stoppable is a text that ends when the run is stopped.
type stoppable struct {
	text    *strings.Reader
	account *guard.Account
}

// ReadRune implements io.RuneReader.
func (s *stoppable) ReadRune() (rune, int, error) {
	if err := s.account.Stopped(); err != nil {
		return 0, 0, err
	}
	return s.text.ReadRune()
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
	if re.price(text) >= longSearch {
		if at, err := re.first(account, text); err != nil || at == nil {
			return nil, err
		}
		if took := time.Since(began); took > searchSlice {
			return nil, &LimitError{Code: CodeTime, Text: fmt.Sprintf("%s: one call searches about %s, and in %s this has found the first match only", call, searchSlice, took.Round(time.Millisecond))}
		}
	}
	for n := 1; ; n *= 4 {
		if err := account.Stopped(); err != nil {
			return nil, err
		}
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
