package adopt

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// rule is what a tag makes one believe of the tags to come.
type rule struct {
	policy policy.Policy // without name and image
	kind   string        // tags of one image with one kind can have one policy
	form   string        // of versions: the kind without the range
	suffix string        // what tells its policy from others of the image, part of a name
	why    string
	// variant tells versions of one suffix apart by what is behind them, part of a name.
	variant string

	reason, hint string // when no rule is to be had: why, and what to do
}

func noRule(reason, hint string) rule { return rule{reason: reason, hint: hint} }

// The forms of tags, tried in the order of guess.
var (
	commitTag   = regexp.MustCompile(`^(?:[a-zA-Z][a-zA-Z0-9_.]*-)*(?:g|sha-|git-)?([0-9a-f]{7,40})$`)
	stampedTag  = regexp.MustCompile(`^((?:[a-zA-Z][a-zA-Z0-9_.]*-)*)[0-9a-f]{7,40}-(\d{8,14})$`)
	stampFirst  = regexp.MustCompile(`^((?:[a-zA-Z][a-zA-Z0-9_.]*-)*)(\d{8,14})-[0-9a-f]{7,40}$`)
	countedTag  = regexp.MustCompile(`^((?:[a-zA-Z][a-zA-Z0-9_.]*-)*)(\d+)$`)
	minioTag    = regexp.MustCompile(`^RELEASE\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$`)
	dateTag     = regexp.MustCompile(`^([a-z][a-z._-]*[._-]|v)?((?:19|20)\d\d)([._-]?)(\d\d?)(?:([._-]?)(\d\d?))?(-\d{1,3})?(-[a-z][a-z0-9.-]*)?$`)
	versionTag  = regexp.MustCompile(`^(?:[a-zA-Z][a-zA-Z0-9_.-]*?[-_])?v?(\d+)\.(\d+)((?:\.\d+){0,4})([-_+].*)?$`)
	ubuntuTag   = regexp.MustCompile(`^[12]\d\.(04|10)$`)
	branchWords = regexp.MustCompile(`^(main|master|trunk|develop|development|dev|build|bld|ci|b|r|rev|release|edge|nightly)-$`)
	movingTag   = regexp.MustCompile(`^[a-zA-Z][a-zA-Z_.-]*$`)
	majorTag    = regexp.MustCompile(`^v?(\d{1,3})(-[a-zA-Z][a-zA-Z0-9._-]*)?$`)
)

// guess reads the form of a tag.
func guess(tag image.Tag, repo image.Repo) rule {
	t := string(tag)
	digits := strings.Trim(t, "0123456789") == ""
	switch {
	case minioTag.MatchString(t):
		return rule{policy: policy.Policy{Alphabetical: &policy.Alphabetical{Order: policy.OrderNewest}, Filter: &policy.Filter{Pattern: `^RELEASE\.[0-9TZ-]+Z$`}},
			kind: "release", suffix: "release", why: fmt.Sprintf("%s is a time of fixed form, so the last of the alphabet is the newest", t)}
	case digits && len(t) == 8:
		return rule{policy: policy.Policy{Numerical: newest(), Filter: &policy.Filter{Pattern: `^[0-9]{8}$`}},
			kind: "8 digits", suffix: "date", why: fmt.Sprintf("%s is a number of eight digits, as dates are written: the highest is the newest", t)}
	case digits && len(t) == 7:
		return noRule("seven digits may be a counter or a commit", "write an ImagePolicy that says which it is")
	case stampedTag.MatchString(t):
		m := stampedTag.FindStringSubmatch(t)
		return stamped(t, m[1], `[0-9a-f]{7,40}-(?P<ts>\d+)`)
	case stampFirst.MatchString(t):
		m := stampFirst.FindStringSubmatch(t)
		return stamped(t, m[1], `(?P<ts>\d+)-[0-9a-f]{7,40}`)
	case isCommit(t):
		return noRule("a commit hash has no order", "tag images with a version, or with a time as in main-<commit>-<time>, or follow a tag that moves")
	}
	if r, ok := guessDate(t); ok {
		return r
	}
	if r, ok := guessVersion(tag, repo); ok {
		return r
	}
	if r, ok := guessCounter(t); ok {
		return r
	}
	if movingTag.MatchString(t) || majorTag.MatchString(t) {
		return rule{policy: policy.Policy{DigestTag: tag}, kind: "digest " + t, suffix: label(t),
			why: fmt.Sprintf("%s is a tag that moves: it is followed by its digest", t)}
	}
	return noRule("nothing is known of tags like "+t, "write an ImagePolicy for it and mark the value by hand")
}

// isCommit tells whether a tag ends with an abbreviated commit: hexadecimal, and no
// number.
func isCommit(t string) bool {
	m := commitTag.FindStringSubmatch(t)
	if len(m) < 2 {
		return false
	}
	return strings.ContainsAny(m[1], "abcdef") || len(m[1]) == 7 || len(m[1]) == 40
}

func newest() *policy.Numerical { return &policy.Numerical{Order: policy.OrderNewest} }

// stamped is the rule of tags with a commit and a time.
func stamped(t, words, rest string) rule {
	return rule{policy: policy.Policy{Numerical: newest(), Filter: &policy.Filter{Pattern: "^" + regexp.QuoteMeta(words) + rest + "$", Extract: "$ts"}},
		kind: "stamp " + words + rest, suffix: label(words),
		why: fmt.Sprintf("%s holds a commit, which has no order, and a time, which has: the filter takes the time", t)}
}

// guessDate reads dates.
func guessDate(t string) (rule, bool) {
	if ubuntuTag.MatchString(t) {
		return dated(t, "0Y.0M", "0Y.0M"), true
	}
	m := dateTag.FindStringSubmatch(t)
	if m == nil {
		return rule{}, false
	}
	word, year, sep, month, sep2, day, build, rest := m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8]
	y, _ := strconv.Atoi(year) // four digits
	mo, _ := strconv.Atoi(month)
	d, _ := strconv.Atoi(day)
	isDate := mo >= 1 && mo <= 12
	if day != "" {
		when := time.Date(y, time.Month(mo), d, 0, 0, 0, 0, time.UTC)
		isDate = isDate && sep == sep2 && when.Day() == d && int(when.Month()) == mo
	}
	if holdsCommit(rest) {
		return noRule("a commit stands behind the date, and it is not known which of two commits is newer", "write an ImagePolicy for it and mark the value by hand"), true
	}
	padded := len(month) == 2 && (month[0] == '0' || mo > 9) && (day == "" || len(day) == 2)
	layout := word + "YYYY" + sep
	switch {
	case sep == "" && (!isDate || !padded || day == ""):
		return rule{}, false
	case isDate && padded && (month[0] == '0' || day != "" || sep != "."):
		layout += "0M"
		if day != "" {
			layout += sep2 + "0D"
		}
	case sep == "." && (day == "" || sep2 == "."):
		layout += "MINOR"
		if day != "" {
			layout += ".MICRO"
		}
	default:
		return rule{}, false
	}
	if build != "" {
		layout += "-N"
	}
	return dated(t, layout+rest, layout+rest), true
}

func dated(t, layout, kind string) rule {
	return rule{policy: policy.Policy{Calver: &policy.Calver{Layout: layout}}, kind: kind, suffix: "date",
		why: fmt.Sprintf("%s is a date, so the newest of the layout %s is taken", t, layout)}
}

// guessVersion reads versions, with whatever stands before and behind them.
func guessVersion(tag image.Tag, repo image.Repo) (rule, bool) {
	m := versionTag.FindStringSubmatch(string(tag))
	if m == nil {
		return rule{}, false
	}
	major, minor, more, tail := m[1], m[2], m[3], m[4]
	r := rule{form: "semver " + shape(string(tag)), suffix: label(major), variant: label(tail)}
	ranges := []string{zeroless(major) + ".x"}
	if zeroless(major) == "0" && more != "" {
		ranges = []string{"0." + zeroless(minor) + ".x", "0.x"}
	}
	for _, pre := range []bool{false, true} {
		if pre && holdsCommit(tail) {
			return noRule("a commit stands behind the version, and it is not known which of two commits is newer", "tag images with the version alone, or with a number or time behind it"), true
		}
		if pre && zeroless(major) != "0" { // 3.x has no candidates of 3.0.0
			ranges = append(ranges, nextOf(zeroless(major)))
		}
		for _, in := range ranges {
			p := policy.Policy{Name: "x", Image: repo, Semver: &policy.Semver{Range: in, Prereleases: pre}}
			if reason, _ := policy.NeverMatches(p, tag); reason != "" {
				continue
			}
			if ok, _ := policy.Accepts(p, tag); !ok {
				continue
			}
			r.policy = policy.Policy{Semver: p.Semver}
			r.kind = r.form + " " + in
			if strings.HasSuffix(in, ".x") {
				r.suffix = label(strings.TrimSuffix(in, ".x"))
			}
			r.why = versionWhy(string(tag), in, tail, pre)
			return r, true
		}
	}
	return rule{}, false
}

// holdsCommit tells whether a part of what is behind a version or date is a commit.
func holdsCommit(tail string) bool {
	return slices.ContainsFunc(tokens.FindAllString(tail, -1), isCommitToken)
}

// isCommitToken tells whether a part of a tag is a commit: hexadecimal, and no number.
func isCommitToken(token string) bool {
	m := commitToken.FindStringSubmatch(token)
	return len(m) > 1 && strings.ContainsAny(m[1], "abcdef")
}

// nextOf is the range of a major version with the candidates of its first release.
func nextOf(major string) string {
	n, err := strconv.Atoi(major)
	if err != nil {
		return major + ".x"
	}
	return fmt.Sprintf(">=%d.0.0-0 <%d.0.0-0", n, n+1)
}

func versionWhy(t, in, tail string, pre bool) string {
	why := fmt.Sprintf("%s is a version, so new versions in the range %s are taken", t, in)
	if strings.HasPrefix(in, "0.") && in != "0.x" {
		why += ", as below 1.0 the second number is the one that breaks things"
	}
	switch {
	case pre:
		why += "; candidates count, because this is one"
	case tail != "":
		why += fmt.Sprintf("; the lane is strict, so only tags of the form %s follow", shape(t))
	}
	return why
}

// zeroless drops zeros in front.
func zeroless(s string) string {
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return s
}

// guessCounter reads numbers, alone or behind the word of a branch or build.
func guessCounter(t string) (rule, bool) {
	m := countedTag.FindStringSubmatch(t)
	if m == nil {
		return rule{}, false
	}
	words, number := m[1], m[2]
	if len(number) == 4 && words == "" && (strings.HasPrefix(number, "19") || strings.HasPrefix(number, "20")) {
		return rule{}, false // a year
	}
	if len(number) <= 3 && !branchWords.MatchString(words) || len(number) == 7 {
		return rule{}, false // 16 is a major version that moves, jdk-17 a name, seven digits may be a commit
	}
	return rule{policy: policy.Policy{Numerical: newest(), Filter: &policy.Filter{Pattern: "^" + regexp.QuoteMeta(words) + `(?P<n>\d+)$`, Extract: "$n"}},
		kind: "number " + words, suffix: label(words + "build"), why: fmt.Sprintf("%s counts builds: the highest number is the newest", t)}, true
}

// shape is a tag with N for each number that may change without another lane being
// entered, so that tags of one lane have one shape: N.N.N-alpine3.N. A number that is
// part of a name stays, as in arm64v8, jdk17 or debian-12.
func shape(t string) string {
	m := versionTag.FindStringSubmatchIndex(t)
	if m == nil {
		return numbers.ReplaceAllString(t, "N")
	}
	head, tail := len(t), ""
	if m[8] >= 0 {
		head, tail = m[8], t[m[8]:]
	}
	var b strings.Builder
	b.WriteString(t[:m[2]])
	b.WriteString(numbers.ReplaceAllString(t[m[2]:head], "N"))
	before := ""
	for _, token := range tokens.FindAllString(tail, -1) {
		word := strings.ToLower(strings.TrimRight(strings.TrimLeft(token, "-_+"), "0123456789."))
		switch {
		case baseWord.MatchString(word):
			b.WriteString(minor.ReplaceAllString(token, "$1.N"))
		case isCommitToken(token):
			b.WriteString(token[:1] + "COMMIT")
		case word == "" && baseWord.MatchString(before):
			b.WriteString(token)
		case word == "", countWord.MatchString(word):
			b.WriteString(trailing.ReplaceAllStringFunc(token, func(s string) string { return numbers.ReplaceAllString(s, "N") }))
		default:
			b.WriteString(token)
		}
		before = word
	}
	return b.String()
}

var (
	numbers     = regexp.MustCompile(`\d+`)
	tokens      = regexp.MustCompile(`[-_+]*[^-_+]*`)
	minor       = regexp.MustCompile(`(\d+)\.\d+(?:\.\d+)*$`)
	trailing    = regexp.MustCompile(`\d+(?:\.\d+)*$`)
	commitToken = regexp.MustCompile(`^[-_+.][bg]?([0-9a-f]{7,40})$`)
	// Words behind which a number counts: the minor releases of a base system, builds and
	// candidates.
	baseWord  = regexp.MustCompile(`^(alpine|debian|ubi|rhel|el|ol|centos|rocky|rockylinux|almalinux|photon)$`)
	countWord = regexp.MustCompile(`^(r|rev|revision|p|pl|patch|build|bld|ls|post|hotfix|security|k3s|rke2r|eksbuild|gke|alpha|a|beta|b|rc|pre|preview|dev|m|ea)$`)
)

// label makes a text a part of a policy's name.
func label(s string) string {
	s = notLabel.ReplaceAllString(strings.ToLower(s), "-")
	s = strings.Trim(s, "-")
	if len(s) > maxLabel {
		s = strings.Trim(s[:maxLabel], "-")
	}
	return s
}

// maxLabel bounds a part of a name, in bytes.
const maxLabel = 40

var notLabel = regexp.MustCompile(`[^a-z0-9]+`)

// check holds a guess to the rules of policies: Load must read it, and it must take
// the tag that it was made from.
func (r rule) check(name string, repo image.Repo, tag image.Tag) string {
	p := r.policy
	p.Name, p.Image = name, repo
	cfg := policy.Load([]policy.File{{Path: policyDir + "/x.yaml", Data: policy.Format(p)}})
	if len(cfg.Problems) > 0 || len(cfg.Policies) != 1 {
		return "no policy can be written for it"
	}
	if ok, reason := policy.Accepts(cfg.Policies[0], tag); !ok {
		return "no policy takes it: " + reason
	}
	if reason, _ := policy.NeverMatches(cfg.Policies[0], tag); reason != "" {
		return "no policy could choose anything after it: " + reason
	}
	return ""
}
