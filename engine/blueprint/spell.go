package blueprint

// This file finds the name that a misspelt one was probably meant to be.

// nearest gives the first candidate within two letters of name (a third of it at most), or "".
func nearest(name string, candidates []string) string {
	best, least := "", 3
	for _, c := range candidates {
		if d := letters(name, c); d < least && c != name && 3*d <= max(len(name), len(c))+1 {
			best, least = c, d
		}
	}
	return best
}

// letters counts what must be inserted, deleted, replaced or swapped with its neighbour to
// make b of a; above 2 it only says so.
func letters(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > 2 || len(y)-len(x) > 2 {
		return 3
	}
	rows := [3][]int{make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)}
	for k := range rows[0] {
		rows[0][k] = k
	}
	for i := 1; i <= len(x); i++ {
		row, above, before := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		row[0] = i
		for k := 1; k <= len(y); k++ {
			cost := 1
			if x[i-1] == y[k-1] {
				cost = 0
			}
			row[k] = min(above[k]+1, row[k-1]+1, above[k-1]+cost)
			if i > 1 && k > 1 && x[i-1] == y[k-2] && x[i-2] == y[k-1] {
				row[k] = min(row[k], before[k-2]+1)
			}
		}
	}
	return rows[len(x)%3][len(y)]
}
