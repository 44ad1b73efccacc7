package policy

import "strings"

// versionLike tells whether a text is meant as a version, a number or a date: it
// begins with digits, behind an optional v, or has a dot between digits.
func versionLike(s string) bool {
	for i := 1; i+1 < len(s); i++ {
		if s[i] == '.' && isDigit(s[i-1]) && isDigit(s[i+1]) {
			return true
		}
	}
	s = strings.TrimLeft(s, "vV")
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n > 0 && (n == len(s) || strings.IndexByte("._-+", s[n]) >= 0)
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

// variantOf is what of a tag without a version may name a variant of the image:
// alpine of stable-alpine, nothing of latest.
func variantOf(tag string) (variant string) {
	for token := range strings.SplitSeq(tag, "-") {
		if !movingWord(token) {
			variant = joinDash(variant, token)
		}
	}
	return variant
}

// movingWord is a word that says only how a tag moves, and so may be left for a
// version.
func movingWord(s string) bool {
	switch strings.ToLower(s) {
	case "latest", "stable", "main", "master", "trunk", "edge", "release", "current", "lts", "mainline", "default":
		return true
	}
	return false
}

// sameShape tells whether two tags differ in nothing but their digits: 1.2.3-alpine
// and 1.10.0-alpine.
func sameShape(a, b string) bool {
	for i, j := 0, 0; ; i, j = i+1, j+1 {
		digits := i < len(a) && isDigit(a[i])
		if digits != (j < len(b) && isDigit(b[j])) {
			return false
		}
		for i < len(a) && isDigit(a[i]) {
			i++
		}
		for j < len(b) && isDigit(b[j]) {
			j++
		}
		if i == len(a) || j == len(b) {
			return i == len(a) && j == len(b)
		}
		if a[i] != b[j] {
			return false
		}
	}
}
