// This file finds the name that a misspelt one was probably meant to be.

package analysis

import (
	"fmt"
	"strings"
)

// distance is the number of letters to insert, delete, replace or swap with their neighbour to make a into b.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	prev2, prev, cur := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		cur[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(y)]
}

// nearest returns the candidate closest to name, or "" when none is close: within two letters, and within a third of a short name.
// The first of equals wins, so the order of candidates decides.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", 3
	for _, c := range candidates {
		if n := len([]rune(c)) - len([]rune(name)); n > 2 || n < -2 || c == name {
			continue
		}
		if d := distance(name, c); d < bestDistance && d*3 <= max(len(name), len(c))+1 {
			best, bestDistance = c, d
		}
	}
	return best
}

// didYouMean is the suggestion for a misspelt name, or "".
func didYouMean(name string, candidates []string) string {
	if n := nearest(name, candidates); n != "" {
		return "did you mean " + quote(n) + "?"
	}
	return ""
}

// maxListed is how many names a suggestion lists.
const maxListed = 12

// didYouMeanOr is the suggestion for a misspelt name, or when none is near, what there is.
func didYouMeanOr(name string, candidates []string, what string) string {
	if s := didYouMean(name, candidates); s != "" || len(candidates) == 0 {
		return s
	}
	if len(candidates) > maxListed {
		return fmt.Sprintf("%s %s and %d more", what, strings.Join(candidates[:maxListed], ", "), len(candidates)-maxListed)
	}
	return what + " " + strings.Join(candidates, ", ")
}
