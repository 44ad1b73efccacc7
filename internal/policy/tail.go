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
	switch strings.ToLower(s) {
	case "r", "rev", "revision", "p", "pl", "patch", "build", "bld", "ls", "post", "hotfix", // anyone, Alpine, linuxserver.io, Python
		"k3s", "rke2r", "eksbuild", "gke": // distributions of Kubernetes
		return true
	}
	return false
}

// baseSystem tells whether a number behind the word is the version of a base system
// that has minor releases: 3.20 follows 3.19. Its first number is part of the name, as
// debian-12 is another system than debian-11; so is each release of Ubuntu and Windows.
func baseSystem(s string) bool {
	switch strings.ToLower(s) {
	case "alpine", "debian", "ubi", "rhel", "el", "ol", "centos", "rocky", "rockylinux", "almalinux", "photon":
		return true
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

// marker reads tails. It writes each form in one place and keeps those it has
// written, for most tags of an image share a few.
type marker struct {
	text  []byte
	known map[string]string
}

// maxKnownForms bounds what a marker keeps.
const maxKnownForms = 1000

// form ends a form and begins the next.
func (m *marker) form() string {
	s, ok := m.known[string(m.text)]
	if !ok {
		s = string(m.text)
		if m.known == nil {
			m.known = map[string]string{}
		}
		if len(m.known) < maxKnownForms {
			m.known[s] = s
		}
	}
	m.text = m.text[:0]
	return s
}

// read fills the tail of a version from its suffix and build. numbers are bare ones
// behind the version that count, parted by dots and dashes: 99, 20240105, 2024-01-05;
// variant is a word that stays the same.
func (m *marker) read(v *version, numbers, variant string) {
	t, suffix, build := &v.tail, v.suffix, v.build
	if numbers != "" {
		m.text = append(m.text, '-')
		m.hash(t, numbers, "", 0)
	}
	m.text = append(m.text, variant...)
	if suffix != "" {
		if len(m.text) > 0 {
			m.text = append(m.text, '-')
		}
		m.mark(t, suffix, false)
	}
	t.form = m.form()
	if build != "" {
		m.mark(t, build, true)
		t.build = m.form()
		t.kind = m.kind(t.build)
	}
}

// kind is what stays in a lane of the form of a build.
func (m *marker) kind(build string) string {
	for id := range strings.FieldsFuncSeq(build, isSeparator) {
		if id != "#" && id != "~" {
			m.text = append(append(m.text, id...), '.')
		}
	}
	return m.form()
}

func isSeparator(r rune) bool { return r == '.' || r == '-' || r == '_' || r == '+' }

// mark writes a text with the numbers that count replaced.
func (m *marker) mark(t *tail, s string, build bool) {
	before := "" // the token before
	for {
		end := strings.IndexAny(s, "-_+")
		if end < 0 {
			m.token(t, s, before, build)
			return
		}
		m.token(t, s[:end], before, build)
		m.text = append(m.text, s[end])
		before, s = s[:end], s[end+1:]
	}
}

// token marks the numbers of one token: a single one behind a word for revisions
// (r36.2.0 is the name of a system), all but the first behind a base system. Bare
// numbers count in build metadata.
func (m *marker) token(t *tail, token, before string, build bool) {
	at := trailingNumbers(token)
	word := strings.TrimSuffix(token[:at], ".")
	if word == "" {
		word = before
	}
	switch {
	case at == len(token):
	case revisionWord(word) && allDigits(token[at:]):
		m.text = append(m.text, token[:at]...)
		m.hash(t, token[at:], "", 0)
		return
	case baseSystem(word):
		m.text = append(m.text, token[:at]...)
		m.hash(t, token[at:], word, 1)
		return
	}
	if !build {
		m.text = append(m.text, token...)
		return
	}
	for i, id := 0, ""; token != ""; i++ {
		id, token, _ = strings.Cut(token, ".")
		if i > 0 {
			m.text = append(m.text, '.')
		}
		switch {
		case buildNumber(id) && t.add(id, ""):
			m.text = append(m.text, '#')
		case isCommit(id):
			m.text = append(m.text, '~')
		default:
			m.text = append(m.text, id...)
		}
	}
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

// hash writes a text with the numbers but the first ones replaced by #.
func (m *marker) hash(t *tail, s, word string, keep int) {
	for at := 0; at < len(s); {
		end := at
		for end < len(s) && isDigit(s[end]) {
			end++
		}
		switch {
		case end == at:
			end++
			m.text = append(m.text, s[at])
		case keep > 0 || !t.add(s[at:end], word):
			keep--
			m.text = append(m.text, s[at:end]...)
		default:
			m.text = append(m.text, '#')
		}
		at = end
	}
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
