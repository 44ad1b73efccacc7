package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/image"
)

func inRange(r string, more ...func(*Policy)) Policy {
	p := Policy{Name: "web", Semver: &Semver{Range: r}}
	for _, f := range more {
		f(&p)
	}
	return p
}

func anyLane(p *Policy)     { p.Lane = LaneAny }
func prereleases(p *Policy) { p.Semver.Prereleases = true }
func downgrade(p *Policy)   { p.AllowDowngrade = true }
func filtered(pattern, extract string) func(*Policy) {
	return func(p *Policy) { p.Filter = &Filter{Pattern: pattern, Extract: extract} }
}
func excluding(texts ...string) func(*Policy) {
	return func(p *Policy) {
		for _, s := range texts {
			p.Exclude = append(p.Exclude, Exclude{s})
		}
	}
}

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// checkChoice holds what is true of every choice.
func checkChoice(t reporter, tags []string, c Choice) {
	t.Helper()
	if c.Selected != c.Current && !slices.Contains(tags, string(c.Selected)) {
		t.Errorf("selected %q, which was not offered", c.Selected)
	}
	if c.Changed != (c.Selected != c.Current) {
		t.Errorf("changed is %v from %q to %q", c.Changed, c.Current, c.Selected)
	}
	if c.Reason == "" || c.Rejected == nil {
		t.Errorf("no reason or nil rejections: %+v", c)
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(tags)))
	var want, got []string
	for _, tag := range sorted {
		if tag != string(c.Selected) {
			want = append(want, tag)
		}
	}
	for _, r := range c.Rejected {
		got = append(got, r.Tag)
		if r.Reason == "" {
			t.Errorf("tag %q is rejected without a reason", r.Tag)
		}
	}
	if !slices.Equal(want, got) {
		t.Errorf("rejected %q, want %q", got, want)
	}
}

func TestEveryRejectionHasItsReason(t *testing.T) {
	p := inRange("1.x", excluding("1.9.0", "/-debug$/"), filtered("^[^m]", ""))
	got := Select(p, strings.Fields("1.4.0 1.5.0 1.5.0_2 1.3.0 2.0.0 1.6.0-rc.1 1.9.0 1.9.1-debug main v1.7.0 1.7 1.7.0-alpine 7 8.1.0rc1 V1.8.0 1.2.3.4 2024.1.0 a+b sha256-"+hex64), "1.4.0")
	want := Choice{
		Policy: "web", Current: "1.4.0", Selected: "1.5.0", Changed: true, Reason: "1.5.0 is the highest version in 1.x",
		Candidates: []image.Tag{"1.5.0", "1.5.0_2"},
		Rejected: []Rejected{
			{"1.2.3.4", "not a version: more than three numeric parts (filter with extract can drop some)"},
			{"1.3.0", "lower than the current 1.4.0"},
			{"1.4.0", "1.5.0 is higher"},
			{"1.5.0_2", "the same version as 1.5.0"},
			{"1.6.0-rc.1", "a prerelease (prereleases: true accepts it)"},
			{"1.7", "another lane: the current tag has 3 numeric parts (lane: any accepts it)"},
			{"1.7.0-alpine", "another lane: a suffix, the current tag has none (lane: any accepts it)"},
			{"1.9.0", "excluded by name"},
			{"1.9.1-debug", "excluded by /-debug$/"},
			{"2.0.0", "outside the range 1.x"},
			{"2024.1.0", "another lane: its first number is no version but a year, a date or a commit"},
			{"7", "a bare whole number is no version"},
			{"8.1.0rc1", "not a version"},
			{"V1.8.0", "not a version: unparseable capital V"},
			{"a+b", "not a valid tag"},
			{"main", "does not match the filter"},
			{"sha256-" + hex64, "a signature or attestation of another image"},
			{"v1.7.0", "another lane: a v in front, the current tag has none (lane: any accepts it)"},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTheReasonSaysWhyNothingMoves(t *testing.T) {
	for _, test := range []struct {
		policy        Policy
		current, tags string
		want          string
	}{
		{inRange("1.x"), "1.0.0", "", "the registry listed no tags"},
		{inRange("1.x"), "1.1.0", "1.0.0 1.1.0", "the current 1.1.0 is the highest version in 1.x"},
		{inRange("1.x"), "1.1.0", "1.0.0", "nothing acceptable is higher than the current 1.1.0; current tag is not in the registry"},
		{inRange("1.x"), "2.1.0", "1.0.0 2.1.0", "nothing acceptable is higher than the current 2.1.0, which is itself not: outside the range 1.x"},
		{inRange("1.x"), "V1.0.0", "V1.0.0 1.1.0", "the current tag V1.0.0 is not a version: unparseable capital V, so nothing can be compared with it"},
		{inRange("1.x"), "", "main", "no tag is acceptable"},
		{inRange("1.x"), "1.0.0", "1.1.0", "1.1.0 is the highest version in 1.x; current tag is not in the registry"},
		{inRange("1.x", downgrade), "2.0.0", "1.1.0 2.0.0", "1.1.0 is the highest version in 1.x, and the policy allows going down from 2.0.0"},
		{inRange("latest"), "1.0.0", "1.1.0", `the policy is broken: bad semver range "latest": improper constraint: "latest"`},
		{Policy{}, "1.0.0", "1.1.0", "the policy is broken: it has no selector"},
		{inRange("1.x", filtered("(", "")), "1.0.0", "1.1.0", `the policy is broken: bad expression "(": missing closing ) near "("`},
		{inRange("1.x", excluding("/x")), "1.0.0", "1.1.0", `the policy is broken: "/x" is neither a tag nor an expression in slashes`},
		{Policy{DigestTag: "main"}, "main", "main 1.0.0", "the policy follows the tag main by its digest"},
		{Policy{DigestTag: "main"}, "1.0.0", "main 1.0.0", "the policy follows the tag main by its digest"},
		{Policy{DigestTag: "main"}, "main", "1.0.0", "the followed tag main is not in the registry"},
	} {
		tags := strings.Fields(test.tags)
		got := Select(test.policy, tags, image.Tag(test.current))
		if got.Reason != test.want {
			t.Errorf("current %q, tags %q:\n got %s\nwant %s", test.current, test.tags, got.Reason, test.want)
		}
		checkChoice(t, tags, got)
	}
}

func TestADigestPolicyFollowsItsTag(t *testing.T) {
	got := Select(Policy{Name: "app", DigestTag: "main"}, []string{"1.0.0", "main", "main", "a b", "sha256-" + hex64 + ".sig"}, "main")
	want := Choice{
		Policy: "app", Current: "main", Selected: "main", Reason: "the policy follows the tag main by its digest",
		Rejected: []Rejected{
			{"1.0.0", "not the followed tag main"},
			{"a b", "not a valid tag"},
			{"sha256-" + hex64 + ".sig", "a signature or attestation of another image"},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestSelectLeavesItsInputAlone(t *testing.T) {
	tags := []string{"1.1.0", "1.0.0", "1.1.0"}
	Select(inRange("1.x"), tags, "1.0.0")
	if d := cmp.Diff([]string{"1.1.0", "1.0.0", "1.1.0"}, tags); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
