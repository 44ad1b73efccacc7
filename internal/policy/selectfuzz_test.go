package policy

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"towpath.dev/towpath/internal/image"
)

// selectors are what FuzzSelect tries with the same text: the byte says which.
func fuzzedPolicy(kind byte, text string) Policy {
	p := Policy{Name: "web"}
	switch kind % 8 {
	case 0, 1, 2:
		p.Semver = &Semver{Range: text, Prereleases: kind%8 == 1}
	case 3:
		p.Calver = &Calver{Layout: text}
	case 4:
		p.Numerical = &Numerical{Order: Order(text)}
	case 5:
		p.Alphabetical = &Alphabetical{Order: Order(text)}
	case 6:
		p.Semver = &Semver{Range: "*"}
	case 7:
		p.DigestTag = "main"
	}
	return p
}

// kindOf is the kind and text that make a policy of a case.
func kindOf(p Policy) (kind byte, text string) {
	switch {
	case p.Calver != nil:
		return 3, p.Calver.Layout
	case p.Numerical != nil:
		return 4, string(p.Numerical.Order)
	case p.Alphabetical != nil:
		return 5, string(p.Alphabetical.Order)
	case p.Semver.Prereleases:
		return 1, p.Semver.Range
	}
	return 0, p.Semver.Range
}

// Bits of the flags of FuzzSelect.
const (
	flagDowngrade = 1 << iota
	flagAnyLane
	flagExtract
)

// FuzzSelect, for every selector: nothing is selected that was not offered or is
// current, never anything lower than the current tag, the order of the tags does not
// matter, every other tag has its reason, and the candidates are what is chosen when
// those before them are skipped.
func FuzzSelect(f *testing.F) {
	for _, c := range readSelections(f) {
		var pattern, exclude string
		var flags byte
		if c.policy.Filter != nil {
			if pattern = c.policy.Filter.Pattern; c.policy.Filter.Extract != "" {
				flags |= flagExtract
			}
		}
		if len(c.policy.Exclude) > 0 {
			exclude = c.policy.Exclude[0].Text
		}
		if c.policy.Lane == LaneAny {
			flags |= flagAnyLane
		}
		if c.policy.AllowDowngrade {
			flags |= flagDowngrade
		}
		kind, text := kindOf(c.policy)
		f.Add(text, pattern, exclude, strings.Join(c.tags, " "), c.current, kind, flags)
	}
	f.Fuzz(func(t *testing.T, text, pattern, exclude, list, current string, kind, flags byte) {
		p := fuzzedPolicy(kind, text)
		p.AllowDowngrade = flags&flagDowngrade != 0
		if flags&flagAnyLane != 0 {
			p.Lane = LaneAny
		}
		if pattern != "" {
			p.Filter = &Filter{Pattern: pattern}
			if flags&flagExtract != 0 {
				p.Filter.Extract = "$1"
			}
		}
		if exclude != "" {
			p.Exclude = []Exclude{{exclude}}
		}
		checkSelect(t, p, strings.Fields(list), image.Tag(current))
	})
}

// TestSelectOnTagsThatLookAlike draws tags that differ in one thing or another, which
// random bytes hardly do, and holds the choice to the same as FuzzSelect.
func TestSelectOnTagsThatLookAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.SampledFrom([]string{"0", "1", "2", "10", "02", "2024", "20240105.1", "1234567", "1.0", "1.1", "1.0.0", "1.0.1", "1.1.0", "1.0.0.7"})
		tail := rapid.SampledFrom([]string{
			"", "", "", "-rc.1", "-rc.2", "-dev", "-SNAPSHOT", "-alpine", "-alpine3.1", "-alpine3.2", "-alpine3.2.0", "-r0", "-r1", "-r01", "-debian-1.1-r1",
			"-1", "-2", "-02", "-1-alpine", "-1.2", "-20240105", "-20240106", "-1234567", "-7654321", "_1", "_2", "_02", "_1234567", "_amd64", "_k3s1", "_k3s2", "-01-05", "-01-06", "-2-g0a1b2c3", "-10-gfffff1a", "-0a1b2c3", "-hotfix.1", "-security-2", "-alpine-0a1b2c3", "-rc9", "-rc10", "-20240105T101010Z",
		})
		tag := rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"", "", "", "v", "V", "env-", "env-v"}).Draw(t, "prefix") + number.Draw(t, "number") + tail.Draw(t, "tail")
		})
		p := fuzzedPolicy(rapid.Byte().Draw(t, "kind"), "")
		switch {
		case p.Semver != nil:
			p.Semver.Range = rapid.SampledFrom([]string{"*", "1.x", "^1.0", ">=1.0.0-0", ">=1.0.1", "<1.1.0", "1.0.0", "!=1.0.1", ">1.0.0-rc.1 <1.1.0-rc.2", ">2 <1"}).Draw(t, "range")
		case p.Calver != nil:
			p.Calver.Layout = rapid.SampledFrom([]string{"YYYY-0M-0D", "YYYY-0M-0D[-N]", "YYYY[-MM[-DD]]", "MAJOR.YY[.MICRO]", "YY.MM"}).Draw(t, "layout")
		case p.Numerical != nil:
			p.Numerical.Order = rapid.SampledFrom([]Order{OrderNewest, OrderOldest}).Draw(t, "order")
		case p.Alphabetical != nil:
			p.Alphabetical.Order = rapid.SampledFrom([]Order{OrderNewest, OrderOldest}).Draw(t, "order")
		}
		p.AllowDowngrade = rapid.Bool().Draw(t, "downgrade")
		p.Lane = rapid.SampledFrom([]Lane{LaneStrict, LaneAny}).Draw(t, "lane")
		p.Filter = rapid.SampledFrom([]*Filter{nil, nil, nil, {Pattern: `^env-(.*)$`, Extract: "$1"}, {Pattern: `-`}, {Pattern: `^(?:v|env-)?([0-9.]+)`, Extract: "$1"}}).Draw(t, "filter")
		if rapid.Bool().Draw(t, "exclude") {
			p.Exclude = []Exclude{{tag.Draw(t, "excluded")}}
		}
		tags := rapid.SliceOfN(tag, 1, 12).Draw(t, "tags")
		current := rapid.OneOf(tag, rapid.SampledFrom(append([]string{"", "latest", "alpine", "stable-alpine", "env-5", "env-1.0-1.1"}, tags...))).Draw(t, "current")
		checkSelect(t, p, tags, image.Tag(current))
	})
}

// reporter is a test, or a draw of one.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// checkSelect holds what is true of every choice whatever the policy.
func checkSelect(t reporter, p Policy, tags []string, current image.Tag) {
	t.Helper()
	got := Select(p, tags, current)
	checkChoice(t, tags, got)
	checkCandidates(t, p, tags, got)
	checkLower(t, p, tags, got)
	if _, bad := newChooser(p, current); bad != nil && got.Changed {
		t.Errorf("a broken policy (%s) selected %q", bad.reason, got.Selected)
	}
	if reason, hint := NeverMatches(p, current); reason != "" && got.Changed || reason != "" && hint == "" {
		t.Errorf("%q was selected though nothing can be: %s (%s)", got.Selected, reason, hint)
	}
	if ok, reason := Accepts(p, got.Selected); got.Changed && p.DigestTag == "" && !ok {
		t.Errorf("%q is selected and not acceptable: %s", got.Selected, reason)
	}
	checkPromises(t, p, got)
	backward := slices.Clone(tags)
	slices.Reverse(backward)
	if d := cmp.Diff(got, Select(p, backward, current)); d != "" {
		t.Errorf("the order of tags matters (-forward +backward):\n%s", d)
	}
	if again := Select(p, tags, got.Selected); again.Changed && !p.AllowDowngrade {
		t.Errorf("the choice is not the end: %q -> %q -> %q", current, got.Selected, again.Selected)
	}
}

// checkCandidates skips one after the other, and asks Select for a choice without
// the tags that are gone.
func checkCandidates(t reporter, p Policy, tags []string, c Choice) {
	t.Helper()
	if len(c.Candidates) > MaxCandidates || c.Changed != (len(c.Candidates) > 0) {
		t.Fatalf("changed is %v with %d candidates", c.Changed, len(c.Candidates))
	}
	candidates, left := c.Candidates, slices.Clone(tags)
	for i, tag := range candidates {
		if c.Selected != tag {
			t.Fatalf("after %d skips %q is selected, not the candidate %q", i, c.Selected, tag)
		}
		left = slices.DeleteFunc(left, func(s string) bool { return s == string(tag) })
		c = c.Skip("because")
		checkChoice(t, tags, c)
		without := Select(p, left, c.Current)
		if without.Selected != c.Selected && i+1 < MaxCandidates {
			t.Errorf("without %q there is %q, but Skip selects %q", tag, without.Selected, c.Selected)
		}
	}
	if c.Changed || c.Skip("because").Reason != c.Reason {
		t.Errorf("with nothing left it is still changed: %+v", c)
	}
}

// checkPromises opens the lane for every tag of which is said that this helps.
func checkPromises(t reporter, p Policy, c Choice) {
	t.Helper()
	p.Lane = LaneAny
	for _, r := range c.Rejected {
		if !strings.HasSuffix(r.Reason, lanesEnd) || p.AllowDowngrade {
			continue
		}
		if open := Select(p, []string{r.Tag, string(c.Current)}, c.Current); string(open.Selected) != r.Tag {
			t.Errorf("from %q: %q is %s, and with it: %s", c.Current, r.Tag, r.Reason, open.Reason)
		}
	}
}

// checkLower holds the choice to Lower, and Lower to an order: never both ways, never
// of a tag and itself.
func checkLower(t reporter, p Policy, tags []string, c Choice) {
	t.Helper()
	if p.AllowDowngrade {
		return
	}
	if Lower(p, c.Selected, c.Current) {
		t.Errorf("%q is lower than the current %q, says Lower", c.Selected, c.Current)
	}
	if p.Semver != nil && (p.Filter == nil || p.Filter.Extract == "") {
		checkNotLower(t, c)
	}
	for _, tag := range tags {
		if tag, cur := image.Tag(tag), c.Current; Lower(p, tag, cur) && Lower(p, cur, tag) {
			t.Errorf("%q and %q are both lower than the other", tag, cur)
		}
	}
}

// plainVersion is what every reader of semver agrees on.
var plainVersion = regexp.MustCompile(`^v?(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-rc\.[1-9])?$`)

func checkNotLower(t reporter, c Choice) {
	t.Helper()
	if !plainVersion.MatchString(string(c.Current)) || !plainVersion.MatchString(string(c.Selected)) {
		return
	}
	was, err := semver.NewVersion(string(c.Current))
	if err != nil {
		t.Fatalf("%v", err)
	}
	is, err := semver.NewVersion(string(c.Selected))
	if err != nil {
		t.Fatalf("%v", err)
	}
	if is.LessThan(was) {
		t.Errorf("%s is lower than the current %s", c.Selected, c.Current)
	}
}

// goLayouts are layouts that the time package can read, too.
var goLayouts = map[string]string{
	"YYYY-0M-0D":    "2006-01-02",
	"YYYY0M0D":      "20060102",
	"YYYY.0M":       "2006.01",
	"0D.0M.YYYY":    "02.01.2006",
	"YYYY_0M_0D.x":  "2006_01_02.x",
	"nightlyYYYY0M": "nightly200601",
}

// FuzzCalver: any layout is either refused with a reason and a hint or reads tags
// without a panic; dates are those that the time package knows, in its order.
func FuzzCalver(f *testing.F) {
	f.Add("YYYY-0M-0D[-N]", "2024-01-05", "2024-02-10-1")
	f.Add("[[YYYY", "2024", "")
	f.Add("YYYY[.MINOR[.MICRO]][-N]", "2024.1", "2024.1.2-3")
	f.Add("YY.0W.N", "24.53.1", "24.54.1")
	f.Add("MAJOR.YYYY.MM.DD", "1.2024.2.30", "1.2024.2.29")
	f.Add("vYYYY.DD.MM", "v2023.29.2", "v2024.29.2")
	for layout := range goLayouts {
		f.Add(layout, "2024-02-29", "20240230")
	}
	f.Fuzz(func(t *testing.T, layout, a, b string) {
		reason, hint := CheckLayout(layout)
		if (reason == "") != (hint == "") {
			t.Errorf("layout %q: reason %q, hint %q", layout, reason, hint)
		}
		p := Policy{Name: "web", Calver: &Calver{Layout: layout}}
		got := Select(p, []string{a, b}, image.Tag(a))
		if reason != "" && got.Changed {
			t.Errorf("the broken layout %q chose %q", layout, got.Selected)
		}
		for layout, time := range goLayouts {
			checkDates(t, layout, time, a, b)
		}
	})
}

func checkDates(t *testing.T, layout, goLayout, a, b string) {
	t.Helper()
	p := Policy{Name: "web", Lane: LaneAny, Calver: &Calver{Layout: layout}}
	var known [2]time.Time
	for i, tag := range []string{a, b} {
		var err error
		if known[i], err = time.Parse(goLayout, tag); err == nil && (known[i].Year() < firstYear || known[i].Year() >= endOfYears) {
			return
		}
		ok, reason := Accepts(p, image.Tag(tag))
		if strings.HasPrefix(tag, "v") || !image.ValidTag(tag) {
			return
		}
		if ok != (err == nil) {
			t.Fatalf("layout %s, tag %q: accepted is %v (%s), the time package says %v", layout, tag, ok, reason, err)
		}
		if !ok {
			return
		}
	}
	if got, want := Lower(p, image.Tag(a), image.Tag(b)), known[0].Before(known[1]); got != want {
		t.Errorf("layout %s: %q lower than %q is %v, the time package says %v", layout, a, b, got, want)
	}
}
