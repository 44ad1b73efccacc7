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
	form    string // the suffix: each number that counts as #, date as @, time as %, commit as ~
	build   string // the same of the build metadata
	kind    string // build without bare numbers: what stays in a lane
	loose   bool   // the suffix begins with a bare number or date, or has a commit
	count   int
	numbers [maxTailNumbers]tailNumber // in the order of the text
}

// timeDigits is how many digits a number has that counts seconds, or is a date with
// its time, and no builds.
const timeDigits = 9

// marks are what stands for numbers in a form, and what is between them.
const marks = "#@%."

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
	case "r", "rev", "revision", "p", "pl", "patch", "build", "bld", "ls", "post", "hotfix", "security", // anyone, Alpine, linuxserver.io, Python, Grafana
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

// read fills the tail of a version from its suffix and build. number is what behind
// the dash counts builds (99, 3.6.0), variant a word that stays the same.
func (m *marker) read(v *version, number, variant string) {
	t := &v.tail
	for _, s := range [...]string{number, variant, v.suffix} {
		if s == "" {
			continue
		}
		if len(m.text) > 0 {
			m.text = append(m.text, '-')
		}
		m.mark(t, m.bare(t, s))
	}
	t.form = m.form()
	if v.build != "" {
		m.mark(t, m.first(t, v.build))
		t.build = m.form()
		t.kind = m.kind(t.build)
	}
}

// bare marks the bare numbers, dates and commits at the beginning of a suffix, and
// returns the rest.
func (m *marker) bare(t *tail, s string) (rest string) {
	for s != "" {
		end := strings.IndexAny(s, "-_+")
		if end < 0 {
			end = len(s)
		}
		token := s[:end]
		switch {
		case dashDate(s):
			token = s[:len("2006-01-02")]
			m.number(t, token, '@')
		case commitLike(token) || timestamp(token):
			m.text = append(m.text, '~')
		case onlyNumbers(token):
			m.hash(t, token, "", 0)
		default:
			return s
		}
		t.loose = true
		if s = s[len(token):]; s != "" {
			m.text = append(m.text, s[0])
			s = s[1:]
		}
	}
	return ""
}

// first marks the first identifier of build metadata when it is a bare number or a
// commit, and returns the rest, whose bare numbers are names: 12-jre-ubuntu-22.04.
func (m *marker) first(t *tail, s string) (rest string) {
	end := strings.IndexAny(s, ".-_+")
	if end < 0 {
		end = len(s)
	}
	switch id := s[:end]; {
	case commitLike(id):
		m.text = append(m.text, '~')
	case allDigits(id):
		m.hash(t, id, "", 0)
	default:
		return s
	}
	if end == len(s) {
		return ""
	}
	m.text = append(m.text, s[end])
	return s[end+1:]
}

// kind is what stays in a lane of the form of a build.
func (m *marker) kind(build string) string {
	for id := range strings.FieldsFuncSeq(build, isSeparator) {
		if id != "#" {
			m.text = append(append(m.text, id...), '.')
		}
	}
	return m.form()
}

func isSeparator(r rune) bool { return r == '.' || r == '-' || r == '_' || r == '+' }

// mark writes a text with the numbers behind known words, and commits, replaced.
func (m *marker) mark(t *tail, s string) {
	before := "" // the token before
	for s != "" {
		end := strings.IndexAny(s, "-_+")
		if end < 0 {
			m.token(t, s, before)
			return
		}
		m.token(t, s[:end], before)
		m.text = append(m.text, s[end])
		before, s = s[:end], s[end+1:]
	}
}

// token marks the numbers of one token: a single one behind a word for revisions
// (r36.2.0 is the name of a system), all but the first behind a base system.
func (m *marker) token(t *tail, token, before string) {
	at := trailingNumbers(token)
	word := strings.TrimSuffix(token[:at], ".")
	if word == "" {
		word = before
	}
	switch {
	case at < len(token) && revisionWord(word) && allDigits(token[at:]):
		m.text = append(m.text, token[:at]...)
		m.hash(t, token[at:], "", 0)
	case at < len(token) && baseSystem(word):
		m.text = append(m.text, token[:at]...)
		m.hash(t, token[at:], word, 1)
	case commitLike(token):
		t.loose = true
		m.text = append(m.text, '~')
	default:
		m.text = append(m.text, token...)
	}
}

// number writes the mark of a number that counts, or the number when there are too
// many of them.
func (m *marker) number(t *tail, digits string, mark byte) {
	if t.add(digits, "") {
		m.text = append(m.text, mark)
	} else {
		m.text = append(m.text, digits...)
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
		case keep > 0 || word != "" && !t.add(s[at:end], word):
			keep--
			m.text = append(m.text, s[at:end]...)
		case word != "":
			m.text = append(m.text, '#')
		case isDate(s[at:end]):
			m.number(t, s[at:end], '@')
		case end-at >= timeDigits:
			m.number(t, s[at:end], '%')
		default:
			m.number(t, s[at:end], '#')
		}
		at = end
	}
}

// commitLike tells whether an identifier is a commit, or may be one that happens to
// have no letter: seven digits, eight that are no date, or the forty of a whole one.
func commitLike(id string) bool {
	const short, date, whole = 7, 8, 40
	if !allDigits(id) {
		return isCommit(id)
	}
	return len(id) == short || len(id) == whole || len(id) == date && !isDate(id)
}

// isDate tells whether eight digits are a date: 20240105.
func isDate(s string) bool {
	if len(s) != 8 || !allDigits(s) {
		return false
	}
	year, month, day := smallNumber(s[:4]), smallNumber(s[4:6]), smallNumber(s[6:])
	return year >= firstYear && year < endOfYears && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(month, year)
}

// dashDate tells whether a text begins with a date like 2024-01-05.
func dashDate(s string) bool {
	const whole = len("2006-01-02")
	return len(s) >= whole && s[4] == '-' && s[7] == '-' && (len(s) == whole || isSeparator(rune(s[whole]))) &&
		isDate(s[:4]+s[5:7]+s[8:whole])
}

// timestamp tells whether a token is a time like 20240105T101010Z.
func timestamp(token string) bool {
	day, clock, ok := strings.Cut(token, "T")
	return ok && isDate(day) && allDigits(strings.TrimSuffix(clock, "Z"))
}

// plainForm is a form without what is only of one build: commits with the numbers and
// dates around them (5-gabcdef1), and hotfixes. It is the way out of such a build. ok
// is false for other forms, in which numbers count for ever (r7, 20240105).
func plainForm(form string) (plain string, ok bool) {
	dropped := true // what stands before is, too
	for token := range strings.FieldsFuncSeq(form, func(r rune) bool { return r == '-' || r == '_' || r == '+' }) {
		commit := token == "~"
		word := fixWord(strings.TrimRight(token, marks))
		ok = ok || commit || word
		if dropped = commit || word || dropped && strings.Trim(token, marks) == ""; !dropped {
			plain = joinDash(plain, token)
		}
	}
	return plain, ok
}

// fixWord is a word for one build of a version that is followed by a plain release.
func fixWord(s string) bool {
	switch strings.ToLower(s) {
	case "hotfix", "post", "security":
		return true
	}
	return false
}
