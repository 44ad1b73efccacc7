package policy

import (
	"cmp"
	"math"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// version is a tag read as a version: v1.2.3-rc.1-alpine_5 has the prefix v,
// three numeric parts, the prerelease rc.1, the suffix alpine and the build 5.
type version struct {
	prefix bool // "v"
	parts  int  // numeric parts, 1 to maxParts
	number [maxParts]uint64
	pre    string // prerelease, without its dash
	suffix string // variant of the same version, without its dash
	build  string // build metadata, which semver does not order
	tail   tail   // suffix and build, looked into by semverOrder
	named  bool   // the tail has the current channel, which without lanes is a prerelease
	word   bool   // the word before the version was that of the current tag
	like   bool   // everything but the numbers has the form of the current tag's
}

// maxParts is how many numeric parts a version may have. More than usualParts count
// only when the current tag has more, too.
const (
	maxParts   = 6
	usualParts = 3
)

// Why a text is no version.
const (
	notVersion   = "not a version"
	notCapital   = "not a version: unparseable capital V"
	notInteger   = "a bare whole number is no version"
	notFour      = "not a version: more than three numeric parts (filter with extract can drop some)"
	notLong      = "not a version: a number is too long"
	notPre       = "not a version: malformed prerelease"
	notEmptyPart = "not a version: a numeric part is missing"
	notOne       = "not a version: it holds two (filter with extract can take one out)"
	notDashDate  = "not a version: a date with dashes (select.calver reads it)"
)

// parseVersion reads a version strictly. The reason is empty when it is one.
// Whether a single number or more than three count, and whether a prerelease of
// numbers alone is one or a build, is for the caller to say (checkNumbers).
func parseVersion(s string, v *version) (reason string) {
	*v = version{}
	switch {
	case strings.HasPrefix(s, "v"):
		v.prefix, s = true, s[1:]
	case strings.HasPrefix(s, "V") && len(s) > 1 && isDigit(s[1]):
		return notCapital
	}
	if s == "" || !isDigit(s[0]) {
		return notVersion
	}
	rest := s
	for {
		n, length, ok := parseNumber(rest)
		switch {
		case length == 0:
			return notEmptyPart
		case !ok:
			return notLong
		case v.parts == len(v.number):
			return notFour
		}
		v.number[v.parts] = n
		v.parts++
		rest = rest[length:]
		if !strings.HasPrefix(rest, ".") {
			break
		}
		rest = rest[1:]
	}
	if rest == "" {
		return ""
	}
	if rest[0] != '-' && rest[0] != '_' && rest[0] != '+' {
		return notVersion
	}
	return v.parseTail(rest)
}

// parseTail reads what follows the numbers. An underscore or plus begins the
// build metadata, unless it follows a suffix, whose part it then is.
func (v *version) parseTail(rest string) (reason string) {
	head, build := rest, ""
	if i := strings.IndexAny(rest, "_+"); i >= 0 {
		head, build = rest[:i], rest[i+1:]
		if build == "" {
			return notVersion
		}
	}
	if head != "" {
		if head = head[1:]; head == "" {
			return notVersion
		}
		suffixAt := 0
		if v.pre, v.suffix, suffixAt, reason = splitTail(head); reason != "" {
			return reason
		}
		if suffixAt >= 0 && build != "" {
			v.suffix, build = rest[1+suffixAt:], ""
		}
	}
	v.build = build
	if v.parts == 1 && v.yearLike() && head != "" && isDigit(head[0]) {
		return notDashDate
	}
	if v.pre != "" && !onlyNumbers(v.pre) {
		return checkPrerelease(v.pre)
	}
	return ""
}

// splitTail parts a tail into prerelease and suffix. suffixAt is where the suffix
// begins when it is the end of the tail, and -1 otherwise.
//
// A prerelease is made of words for "not yet released", each with the number behind
// its dash, or is one small number behind the version: 1.2.0-rc-1, 1.2.0-0. Any other
// number may be a build, a date or a commit, and is left to the suffix.
func splitTail(tail string) (pre, suffix string, suffixAt int, reason string) {
	suffixAt = -1
	earlier := "" // parts of the suffix in front of a prerelease
	bareWord, named := false, false
	for at := 0; at <= len(tail); {
		token, rest, _ := strings.Cut(tail[at:], "-")
		word := prereleaseWord(token)
		switch {
		case token == "":
			return "", "", 0, notVersion
		case word, bareWord && onlyNumbers(token), at == 0 && smallNumbers(token) && !looseBegin(rest):
			pre, suffixAt = joinDash(pre, token), -1
		default:
			if suffixAt < 0 {
				suffixAt, earlier = at, suffix
			}
			suffix = joinDash(earlier, tail[suffixAt:at+len(token)])
			named = named || !onlyNumbers(token)
			if !named && tooLong(token) {
				return "", "", 0, notLong
			}
		}
		bareWord = word && isLetter(token[len(token)-1])
		at += len(token) + 1
	}
	return pre, suffix, suffixAt, ""
}

// smallNumbers tells whether a token is numbers that are surely no date and no
// commit.
func smallNumbers(token string) bool {
	const most = 4
	digits := 0
	for i := range len(token) {
		if digits++; !isDigit(token[i]) {
			digits = 0
		}
		if digits > most {
			return false
		}
	}
	return onlyNumbers(token)
}

// looseBegin tells whether a text begins with a bare number or a commit.
func looseBegin(s string) bool {
	token, _, _ := strings.Cut(s, "-")
	return onlyNumbers(token) || isCommit(token)
}

func tooLong(token string) bool {
	for id := range strings.SplitSeq(token, ".") {
		if _, _, ok := parseNumber(id); !ok {
			return true
		}
	}
	return false
}

func joinDash(a, b string) string {
	if a == "" {
		return b
	}
	return a + "-" + b
}

// prereleaseWord tells whether a token is a word for "not yet released": rc,
// rc1, rc.1, beta2, M1.
func prereleaseWord(token string) bool {
	n := 0
	for n < len(token) && isLetter(token[n]) {
		n++
	}
	if n < len(token) && token[n] != '.' && !isDigit(token[n]) {
		return false
	}
	word := token[:n]
	if n == 1 && n < len(token) {
		return word == "a" || word == "b" || word == "m" || word == "M"
	}
	switch strings.ToLower(word) {
	case "rc", "alpha", "beta", "pre", "preview", "prerelease", "milestone", "ea", "cr":
		return true
	}
	return channelWord(word)
}

// channelWord is a prerelease word that also names a variant of every version.
func channelWord(s string) bool {
	switch strings.ToLower(s) {
	case "dev", "snapshot", "nightly", "canary", "next", "unstable", "experimental":
		return true
	}
	return false
}

// variantWord tells whether a whole prerelease names a variant of every version:
// the current tag 1.2.3-dev is followed by 1.2.4-dev. A snapshot is none, for it is
// followed by its release.
func variantWord(s string) bool { return channelWord(s) && !strings.EqualFold(s, "snapshot") }

// isCommit tells whether s looks like an abbreviated commit: seven or more hex
// digits, one of them a digit, with the g of "git describe" or without.
func isCommit(s string) bool {
	const least = 7
	s = strings.TrimPrefix(s, "g")
	digit := false
	for i := range len(s) {
		switch {
		case isDigit(s[i]):
			digit = true
		case s[i] < 'a' || s[i] > 'f':
			return false
		}
	}
	return digit && len(s) >= least
}

// checkPrerelease follows semver: identifiers parted by dots, none empty, no
// number with a leading zero.
func checkPrerelease(s string) (reason string) {
	for id := range strings.SplitSeq(s, ".") {
		if id == "" {
			return notPre
		}
		numeric := true
		for i := range len(id) {
			c := id[i]
			if !isDigit(c) && !isLetter(c) && c != '-' {
				return notPre
			}
			numeric = numeric && isDigit(c)
		}
		if !numeric {
			continue
		}
		if len(id) > 1 && id[0] == '0' {
			return notPre
		}
		if _, _, ok := parseNumber(id); !ok {
			return notLong
		}
	}
	return ""
}

// onlyNumbers tells whether a text is whole numbers parted by dots and dashes.
func onlyNumbers(s string) bool {
	digits := false
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			digits = true
		case c != '.' && c != '-' || !digits:
			return false
		default:
			digits = false
		}
	}
	return digits
}

// parseNumber reads digits; ok is false when they are more than a number holds.
func parseNumber(s string) (n uint64, length int, ok bool) {
	for length < len(s) && isDigit(s[length]) {
		d := uint64(s[length] - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, length + 1, false
		}
		n = n*10 + d
		length++
	}
	return n, length, true
}

// semver is the version as the range sees it: the first three numbers without
// prefix, suffix and build.
func (v *version) semver() *semver.Version {
	return semver.New(v.number[0], v.number[1], v.number[2], v.pre, "")
}

// compare orders by version alone: prefix, number of parts, suffix and build do
// not count.
func (v *version) compare(w *version) int {
	for i := range v.number {
		if v.number[i] != w.number[i] {
			return cmp.Compare(v.number[i], w.number[i])
		}
	}
	if v.pre == w.pre {
		return 0
	}
	return comparePrereleases(v.pre, w.pre)
}

// comparePrereleases follows semver: none is more than any, numbers are less than
// words, fewer identifiers less than more. Two things differ. The number at the end of
// a word is compared as one, for people write rc9 and rc10, which semver's text puts
// the other way round. And commits have no order: all are the same.
func comparePrereleases(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(len(b), len(a)) // only whether there is one counts
	}
	for a != "" && b != "" {
		var x, y string
		x, a = cutIdentifier(a)
		y, b = cutIdentifier(b)
		if n := compareIdentifiers(x, y); n != 0 {
			return n
		}
	}
	return cmp.Compare(len(a), len(b)) // one of them is at its end
}

// cutIdentifier takes the first identifier off: what ends at a dot or dash, or a word
// without the number at its end.
func cutIdentifier(s string) (id, rest string) {
	id = s
	if i := strings.IndexAny(s, ".-"); i >= 0 {
		id, rest = s[:i], s[i+1:]
	}
	if isCommit(id) && !allDigits(id) {
		return "~", rest
	}
	at := len(id)
	for at > 0 && isDigit(id[at-1]) {
		at--
	}
	if at > 0 && at < len(id) {
		return id[:at], s[at:]
	}
	return id, rest
}

func compareIdentifiers(a, b string) int {
	number, other := allDigits(a), allDigits(b)
	switch {
	case number && other:
		return compareDigits(a, b)
	case number:
		return -1
	case other:
		return 1
	}
	return strings.Compare(a, b)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// yearLike tells whether the first number is a year rather than a major version.
func (v *version) yearLike() bool {
	return v.number[0] >= firstYear && v.number[0] < endOfYears
}

// What looks like a year.
const (
	firstYear  = 1970
	endOfYears = 3000
)

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
