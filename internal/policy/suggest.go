package policy

import "strings"

// Nearest is the word that someone who wrote s most likely meant.
func Nearest(s string, words []string) (string, bool) {
	best, least := "", 3
	for _, w := range words {
		if strings.EqualFold(s, w) {
			return w, true
		}
		if n := distance(s, w); n < least && n*2 < max(len(w), 3) {
			best, least = w, n
		}
	}
	return best, best != ""
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to get from a to b. Words too unlike to matter are not counted out.
func distance(a, b string) int {
	const far = 100
	if len(a) > len(b)+2 || len(b) > len(a)+2 {
		return far
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
