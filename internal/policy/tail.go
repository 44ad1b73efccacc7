package policy

import "strings"

// tail is what follows a version, looked into: what of it is a name, which stays
// the same in a lane, and what is a number that counts up from one build of the
// version to the next.
//
// Sideways and upwards look alike: jdk17 and jdk21, amd64 and arm64, ltsc2019 and
// ltsc2022 are different images, r0 and r1, ls30 and ls31 are builds of one. So a
// number behind letters counts only when the letters are a known word.
type tail struct {
	form    string // the numbers before a version and the suffix, each number that counts as #
	build   string // the same of the build metadata, commits as ~
	kind    string // build without bare numbers and commits: what stays in a lane
	count   int
	numbers [maxTailNumbers]tailNumber // in the order of the text
}

// maxTailNumbers is how many numbers of a tail count; the rest are names.
const maxTailNumbers = 4

// tailNumber is a whole number of any length.
type tailNumber struct {
	digits string
	word   string // of a base system such as alpine, which never goes down; else empty
}

// revisionWord tells whether a number behind the word counts builds of the same
// version.
func revisionWord(s string) bool {
	for _, w := range [...]string{
		"r", "rev", "revision", "p", "pl", "patch", "build", "bld", "ls", "post", "hotfix", // anyone, Alpine, linuxserver.io, Python
		"k3s", "rke2r", "eksbuild", "gke", // distributions of Kubernetes
	} {
		if strings.EqualFold(w, s) {
			return true
		}
	}
	return false
}

// baseSystem tells whether a number behind the word is the version of a base system
// that has minor releases: 3.20 follows 3.19. Its first number is part of the name, as
// debian-12 is another system than debian-11; so is each release of Ubuntu and Windows.
func baseSystem(s string) bool {
	for _, w := range [...]string{"alpine", "debian", "ubi", "rhel", "el", "ol", "centos", "rocky", "rockylinux", "almalinux", "photon", "wolfi"} {
		if strings.EqualFold(w, s) {
			return true
		}
	}
	return false
}

// add takes a number that counts; false: there are too many.
func (t *tail) add(digits, word string) bool {
	if t.count == maxTailNumbers {
		return false
	}
	t.numbers[t.count] = tailNumber{digits, word}
	t.count++
	return true
}

// compare orders tails of the same form by their numbers.
func (t *tail) compare(u *tail) int {
	for i := range min(t.count, u.count) {
		if n := compareDigits(t.numbers[i].digits, u.numbers[i].digits); n != 0 {
			return n
		}
	}
	return 0
}

// readNumbers takes bare numbers behind the version, parted by dots and dashes:
// 99, 20240105, 2024-01-05.
func (t *tail) readNumbers(s string) {
	t.form = "-" + t.hash(s, "", 0)
}

// readSuffix takes the suffix.
func (t *tail) readSuffix(s string) {
	form := t.mark(s, false)
	if t.form == "" {
		t.form = form
	} else {
		t.form += "-" + form
	}
}

// readBuild takes the build metadata.
func (t *tail) readBuild(s string) {
	t.build = t.mark(s, true)
	var kind strings.Builder
	for id := range strings.FieldsFuncSeq(t.build, isSeparator) {
		if id != "#" && id != "~" {
			kind.WriteString(id)
			kind.WriteByte('.')
		}
	}
	t.kind = kind.String()
}

func isSeparator(r rune) bool { return r == '.' || r == '-' || r == '_' || r == '+' }

// mark replaces the numbers that count. The text itself comes back when there are
// none.
func (t *tail) mark(s string, build bool) string {
	var out strings.Builder
	word := "" // the token before, when it is letters
	for rest := s; ; {
		end := strings.IndexAny(rest, "-_+")
		token := rest
		if end >= 0 {
			token = rest[:end]
		}
		out.WriteString(t.token(token, word, build))
		if end < 0 {
			break
		}
		out.WriteByte(rest[end])
		word, rest = token, rest[end+1:]
	}
	if out.String() == s {
		return s
	}
	return out.String()
}

// token marks the numbers of one token: all behind a word for revisions, all but the
// first behind a base system. Bare numbers count in build metadata.
func (t *tail) token(token, before string, build bool) string {
	at := trailingNumbers(token)
	word := strings.TrimSuffix(token[:at], ".")
	if word == "" {
		word = before
	}
	switch {
	case at == len(token):
	case revisionWord(word):
		return token[:at] + t.hash(token[at:], "", 0)
	case baseSystem(word):
		return token[:at] + t.hash(token[at:], word, 1)
	}
	if !build {
		return token
	}
	ids := strings.Split(token, ".")
	for i, id := range ids {
		switch {
		case buildNumber(id) && t.add(id, ""):
			ids[i] = "#"
		case isCommit(id):
			ids[i] = "~"
		}
	}
	return strings.Join(ids, ".")
}

// trailingNumbers is where the numbers, parted by dots, at the end of a token begin:
// 6 for alpine3.19, 3 for ce.0, 0 for 12.5.
func trailingNumbers(token string) int {
	at := len(token)
	for at > 0 && (isDigit(token[at-1]) || token[at-1] == '.' && at < len(token) && isDigit(token[at])) {
		at--
	}
	for at < len(token) && token[at] == '.' {
		at++
	}
	return at
}

// hash replaces the numbers of a text but the first ones by #.
func (t *tail) hash(s, word string, keep int) string {
	var out strings.Builder
	for at := 0; at < len(s); {
		end := at
		for end < len(s) && isDigit(s[end]) {
			end++
		}
		switch {
		case end == at:
			end++
			out.WriteByte(s[at])
		case keep > 0 || !t.add(s[at:end], word):
			keep--
			out.WriteString(s[at:end])
		default:
			out.WriteByte('#')
		}
		at = end
	}
	return out.String()
}

// buildNumber tells whether an identifier is a number that counts builds, and not a
// commit that happens to have no letter: seven digits, eight that are no date, or the
// forty of a whole one.
func buildNumber(id string) bool {
	const short, date, whole = 7, 8, 40
	for i := range len(id) {
		if !isDigit(id[i]) {
			return false
		}
	}
	switch len(id) {
	case 0, short, whole:
		return false
	case date:
		month, day := id[4:6], id[6:]
		return (id[:2] == "19" || id[:2] == "20") && month >= "01" && month <= "12" && day >= "01" && day <= "31"
	}
	return true
}

// buildNumbers tells the same of bare numbers parted by dots and dashes.
func buildNumbers(s string) bool {
	if !onlyNumbers(s) {
		return false
	}
	for id := range strings.FieldsFuncSeq(s, isSeparator) {
		if _, _, ok := parseNumber(id); !ok || !buildNumber(id) {
			return false
		}
	}
	return true
}
