package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/image"
)

func TestSkipSelectsTheNextCandidate(t *testing.T) {
	c := Select(inRange("1.x"), strings.Fields("1.0.0 1.1.0 1.2.0 1.2.0_1 2.0.0"), "1.0.0")
	want := []image.Tag{"1.2.0", "1.2.0_1", "1.1.0"}
	if !slices.Equal(c.Candidates, want) {
		t.Fatalf("candidates %v, want %v", c.Candidates, want)
	}
	before := fmt.Sprintf("%+v", c)
	c1 := c.Skip("it lacks linux/arm64")
	if fmt.Sprintf("%+v", c) != before {
		t.Error("Skip changed its receiver")
	}
	if d := cmp.Diff(Choice{
		Policy: "web", Current: "1.0.0", Selected: "1.2.0_1", Changed: true,
		Reason:     "1.2.0_1 is the best that is left: 1.2.0 is passed over: it lacks linux/arm64",
		Candidates: []image.Tag{"1.2.0_1", "1.1.0"},
		Rejected: []Rejected{
			{"1.0.0", "1.2.0 is higher"},
			{"1.1.0", "1.2.0 is higher"},
			{"1.2.0", "it lacks linux/arm64"},
			{"2.0.0", "outside the range 1.x"},
		},
	}, c1); d != "" {
		t.Errorf("after one skip (-want +got):\n%s", d)
	}
	last := c1.Skip("it is too young").Skip("it lacks linux/arm64, too")
	if d := cmp.Diff(Choice{
		Policy: "web", Current: "1.0.0", Selected: "1.0.0",
		Reason:     "nothing better than the current 1.0.0 is left: 1.1.0 is passed over: it lacks linux/arm64, too",
		Candidates: []image.Tag{},
		Rejected: []Rejected{
			{"1.1.0", "it lacks linux/arm64, too"},
			{"1.2.0", "it lacks linux/arm64"},
			{"1.2.0_1", "it is too young"},
			{"2.0.0", "outside the range 1.x"},
		},
	}, last); d != "" {
		t.Errorf("after all skips (-want +got):\n%s", d)
	}
	if d := cmp.Diff(last, last.Skip("again")); d != "" {
		t.Errorf("there was nothing to skip (-want +got):\n%s", d)
	}
}

func TestSkipWithoutACurrentTagLeavesNothing(t *testing.T) {
	c := Select(inRange("1.x"), []string{"1.0.0"}, "").Skip("it is too young")
	if c.Changed || c.Selected != "" || c.Reason != "no tag is acceptable: 1.0.0 is passed over: it is too young" {
		t.Errorf("%+v", c)
	}
}

func TestAFollowedTagCanBeSkipped(t *testing.T) {
	c := Select(Policy{DigestTag: "main"}, []string{"main", "v1"}, "v1").Skip("it lacks linux/arm64")
	if c.Changed || c.Selected != "v1" || len(c.Rejected) != 1 || c.Rejected[0].Reason != "it lacks linux/arm64" {
		t.Errorf("%+v", c)
	}
}

func TestCandidatesAreBounded(t *testing.T) {
	var tags []string
	for i := range 3 * MaxCandidates {
		tags = append(tags, fmt.Sprintf("1.%d.0", i))
	}
	c := Select(inRange("1.x"), tags, "1.10.0")
	if len(c.Candidates) != MaxCandidates {
		t.Fatalf("%d candidates", len(c.Candidates))
	}
	for i, tag := range c.Candidates {
		if want := fmt.Sprintf("1.%d.0", 3*MaxCandidates-1-i); string(tag) != want {
			t.Errorf("candidate %d is %s, want %s", i, tag, want)
		}
	}
}

func TestCandidatesBelowTheCurrentTagOnlyWhenItIsNotAcceptable(t *testing.T) {
	tags := strings.Fields("1.0.0 1.1.0 1.2.0 1.3.0")
	if c := Select(inRange("1.x", downgrade), tags, "1.1.0"); !slices.Equal(c.Candidates, []image.Tag{"1.3.0", "1.2.0"}) {
		t.Errorf("the current tag is acceptable: %v", c.Candidates)
	}
	if c := Select(inRange("1.x", downgrade, excluding("1.1.0")), tags, "1.1.0"); !slices.Equal(c.Candidates, []image.Tag{"1.3.0", "1.2.0", "1.0.0"}) {
		t.Errorf("the current tag is excluded: %v", c.Candidates)
	}
}

func TestAcceptsDoesNotAskForTheCurrentTag(t *testing.T) {
	calver := Policy{Calver: &Calver{Layout: "YYYY.0M"}}
	for _, test := range []struct {
		policy Policy
		tag    image.Tag
		reason string
	}{
		{inRange("1.x"), "1.2.3", ""},
		{inRange("1.x"), "v1.2", ""},
		{inRange("1.x"), "1.2.3-alpine3.19", ""},
		{inRange("1.x"), "1", ""},
		{inRange("1.x"), "1.2.3.4", ""},
		{inRange("1.x"), "1.2.3-99", ""},
		{inRange("1.x"), "env-1.2", ""},
		{inRange("1.x"), "2.0.0", "outside the range 1.x"},
		{inRange("1.x"), "1.2.3-rc.1", "a prerelease (prereleases: true accepts it)"},
		{inRange("1.x", prereleases), "1.2.3-rc.1", ""},
		{inRange("1.x"), "latest", "not a version"},
		{inRange("1.x"), "a b", notATag},
		{inRange("1.x"), "", notATag},
		{inRange("1.x", excluding("/^1/")), "1.2.3", "excluded by /^1/"},
		{inRange("1.x", filtered("^v", "")), "1.2.3", notInFilter},
		{inRange("x.y"), "1.2.3", `the policy is broken: bad semver range "x.y": improper constraint: "x.y"`},
		{calver, "2024.01", ""},
		{calver, "2024.13", "no date: there is no month 13"},
		{calver, "1.2.3", "not of the layout YYYY.0M"},
		{Policy{Numerical: &Numerical{}}, "5", ""},
		{Policy{Numerical: &Numerical{}}, "5a", notNumber},
		{Policy{Numerical: &Numerical{Order: "up"}}, "5", `the policy is broken: unknown order "up"`},
		{Policy{Alphabetical: &Alphabetical{}}, "anything", ""},
		{Policy{DigestTag: "main"}, "main", ""},
		{Policy{DigestTag: "main"}, "latest", "not the followed tag main"},
		{Policy{DigestTag: "main", Semver: &Semver{Range: "1.x"}}, "main", "the policy is broken: it has several selectors"},
	} {
		ok, reason := Accepts(test.policy, test.tag)
		if ok != (reason == "") || reason != test.reason {
			t.Errorf("Accepts(%s) = %v, %q, want %q", test.tag, ok, reason, test.reason)
		}
	}
}

func TestAPolicyThatCanNeverChooseAnythingIsTold(t *testing.T) {
	for _, test := range []struct {
		policy  Policy
		current image.Tag
		reason  string
	}{
		{inRange("1.x"), "", ""},
		{inRange(">2 <1"), "", "no version is in the range >2 <1"},
		{inRange("<0.0.0"), "", "no version is in the range <0.0.0"},
		{inRange("<0.0.0-0"), "", "no version is in the range <0.0.0-0"},
		{inRange(">1 <2"), "", "no version is in the range >1 <2"},
		{inRange(">1.2 <1.3"), "", "no version is in the range >1.2 <1.3"},
		{inRange(">1.2.0 <1.2.2"), "", ""},
		{inRange("1.x 2.x"), "", "no version is in the range 1.x 2.x"},
		{inRange(">2 <1 || 3.x"), "", ""},
		{inRange(">=2.0.0-rc.1 <2.0.0-rc.9"), "", ""},
		{inRange(">2.0.0-rc.1 <2.0.0-rc.1"), "", "no version is in the range >2.0.0-rc.1 <2.0.0-rc.1"},
		{inRange("1.x"), "1.5.0", ""},
		{inRange("1.2.3"), "1.2.3", ""}, // a pin: nothing else is wanted
		{inRange("1.x"), "2.0.0", "every version in 1.x is lower than the current one"},
		{inRange("1.x", downgrade), "2.0.0", ""},
		{inRange("6.x"), "18.04", "every version in 6.x is lower than the current one"},
		{inRange("6.x", downgrade), "18.04", ""},
		{inRange("~1.2.3"), "1.2", "every version in ~1.2.3 … form"},
		{inRange("~1.2.3", anyLane), "1.2", ""},
		{inRange("^1.2.3"), "1.2", ""},
		{inRange("~1.2"), "1", "form"},
		{inRange(">=2024"), "19.0.0", "form"},
		{inRange(">=1000"), "19.0.0", ""}, // 1000.0.0 is no year
		{inRange(">=2025"), "2024.1.0", ""},
		{inRange(">=20240101"), "2024.1.0", "form"},
		{inRange(">=2024 <2025"), "19.0.0", "form"},
		{inRange(">=2024 <2025", anyLane), "19.0.0", ""},
		{inRange("1.x"), "V1.0.0", "the current tag V1.0.0 is not a version: unparseable capital V, so nothing can be compared with it"},
		{inRange("1.x"), "latest", ""},
		{inRange("1.x"), "1.2.0-rc.1", ""},
		{inRange("<1.2.0"), "1.2.0-rc.1", "every version in <1.2.0 is lower than the current one"},
		{inRange("1.x"), "1.1.5-99", ""},
		{inRange("nope"), "", "the policy is broken: bad semver range \"nope\": improper constraint: \"nope\""},
		{inRange("1.x", filtered("^$", "")), "", "no tag matches the filter ^$"},
		{inRange("1.x", filtered("a b", "")), "", "no tag matches the filter a b"},
		{inRange("1.x", filtered("^(?:a:(.+)|b/(.+))$", "$1")), "", "no tag matches the filter ^(?:a:(.+)|b/(.+))$"},
		{inRange("1.x", filtered("^a(:b)?", "")), "", ""},
		{inRange("1.x", filtered("(?i)^K", "")), "", ""},
		{inRange("1.x", excluding("1.0.0", "/.*/")), "", "every tag is excluded by /.*/"},
		{inRange("1.x", excluding("/^.$/", "/^1.*/")), "", ""},
		{inRange(">=2025"), "1.2.3", "form"},
		{Policy{}, "", "the policy is broken: it has no selector"},
		{Policy{Calver: &Calver{Layout: "YYYY.0M"}}, "2024.01", ""},
		{Policy{Calver: &Calver{Layout: "YYYY.0M"}}, "1.2.3", "the current tag 1.2.3 is not of the layout YYYY.0M, so nothing can be compared with it"},
		{Policy{Calver: &Calver{Layout: "MM"}}, "", "the policy is broken: the layout has no year"},
		{Policy{Numerical: &Numerical{}}, "5", ""},
		{Policy{Numerical: &Numerical{}}, "1.2.3", "the current tag 1.2.3 is not a whole number (filter with extract can take one out), so nothing can be compared with it"},
		{Policy{Alphabetical: &Alphabetical{}}, "5", ""},
		{Policy{DigestTag: "main"}, "latest", ""},
	} {
		reason, hint := NeverMatches(test.policy, test.current)
		want := test.reason
		if strings.HasSuffix(want, "form") {
			want = fmt.Sprintf("no version in %s has the form of the current one", test.policy.Semver.Range)
			reason, _, _ = strings.Cut(reason, ":")
		}
		if reason != want || (reason == "") != (hint == "") {
			t.Errorf("current %q:\n got %s (%s)\nwant %s", test.current, reason, hint, want)
		}
	}
}
