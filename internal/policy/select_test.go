package policy

import (
	"math/rand/v2"
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

const (
	hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	node8 = "8.1.0 8.1.5 8.1 8.2.0 8.2.5 8.2 8 9.0 9"
	ghost = "3.7.0 3.7.0b1 3.7-alpine 3.7.0-alpine 3.8.0-alpine 3.8.0b1-alpine 3.8.2"
)

// selections are tag lists that make other tools choose wrongly, and more. The
// numbers are the cases of the survey they come from; want "" is "unchanged".
var selections = []struct {
	name, why     string
	policy        Policy
	current, tags string
	want          string
}{
	{"1 minor updates stay on the major", "8.2.5 is the highest of ^8 with three parts", inRange("^8"), "8.1.0", node8, "8.2.5"},
	{"1 patch updates stay on the minor", "~8.1 ends before 8.2", inRange("~8.1"), "8.1.0", node8, "8.1.5"},
	{"2 two parts stay two parts", "8.2.5 is more precise than asked", inRange("^8"), "8.1", node8, "8.2"},
	{"3 one part moves only when the range lets the major move", "9 is the only higher one-part tag", inRange("*"), "8", node8, "9"},
	{"3 one part stays within its major", "nothing of one part is in 8.x but 8", inRange("8.x"), "8", node8, ""},
	{"4 a suffix stays", "-alpine is a variant, not a prerelease", inRange("3.x"), "3.7.0-alpine", ghost, "3.8.0-alpine"},
	{"5 no suffix stays none", "3.8.0-alpine is another variant, b1 is no semver", inRange("3.x"), "3.7.0", ghost, "3.8.2"},
	{"6 prereleases are not wanted", "all three are prereleases or no versions", inRange("1.x"), "1.1.0", "1.1.0 1.2.0-rc.1 1.2.0-rc1 1.2.0rc1", ""},
	{"6 prereleases are wanted", "semver orders rc.1 before rc1", inRange("1.x", prereleases), "1.1.0", "1.1.0 1.2.0-rc.1 1.2.0-rc1 1.2.0rc1", "1.2.0-rc1"},
	{"6 prereleases are asked for by the range", "-0 admits them", inRange(">=1.1.0-0 <2.0.0-0"), "1.1.0", "1.1.0 1.2.0-rc.1 1.2.0-rc1", "1.2.0-rc1"},
	{"8 the prefix stays", "1.1.0 has no v", inRange("1.x"), "v1.0.0", "v1.0.0 1.1.0 v1.0.5", "v1.0.5"},
	{"8 the prefix may go", "the lane is open", inRange("1.x", anyLane), "v1.0.0", "v1.0.0 1.1.0 v1.0.5", "1.1.0"},
	{"9 of two spellings the one like the current tag", "the v of the current tag breaks the tie", inRange("1.x", anyLane), "v1.0.0", "v1.0.0 1.1.0 v1.1.0", "v1.1.0"},
	{"10 commits and whole numbers are no versions", "1234567 would be major version 1234567", inRange("*"), "1.0.0", "1.0.0 0a1b2c3 deadbeef 1234567 1.0.1", "1.0.1"},
	{"11 whole numbers are no versions in an open lane", "nobody asked for them", inRange("*", anyLane), "1.0.0", "1.0.0 1.0.1 1234567", "1.0.1"},
	{"13 dashed dates are no semver", "calver is another selector; nothing moves by accident", inRange("*"), "2024-01-05", "2024-01-05 2024-02-10 2023-12-31", ""},
	{"14 dotted dates with leading zeros", "compared as numbers, written as they are", inRange("*"), "2024.01.05", "2024.01.05 2024.02.10 2024.10.01 2023.12.31", "2024.10.01"},
	{"15 dotted dates without leading zeros", "10 is more than 2", inRange("*"), "2024.1.5", "2024.1.5 2024.2.10 2024.10.1", "2024.10.1"},
	{"19 a year is another scheme", "2025 is no successor of 19", inRange("*"), "19.0.0", "19.0.0 22.0.0 2025.1.0", "22.0.0"},
	{"20 four parts by extract", "three of them are semver", inRange("*", filtered(`^(\d+\.\d+\.\d+)\.\d+$`, "$1")), "1.25.7.5604", "1.25.7.5604 1.25.8.5663 1.26.0.5715", "1.26.0.5715"},
	{"20 four parts as they are", "the current tag has four, and the range is held to the first three", inRange("1.x"), "1.25.7.5604", "1.25.7.5604 1.25.8.5663 1.26.0 1.26.0.5715 2.0.0.1", "1.26.0.5715"},
	{"22 a suffix with a revision stays", "the whole suffix is the lane", inRange("*"), "0.28.1-scratch-r0", "0.28.1-scratch-r0 0.28.1-scratch-r1 0.28.2-scratch-r0", "0.28.2-scratch-r0"},
	{"23 a build number by extract", "the current value has one part, so whole numbers are asked for", inRange("*", filtered(`^v[\d.]+-ls(\d+)$`, "$1")), "v1.0.20200827-ls30", "v1.0.20200827-ls30 v1.0.20200827-ls31 v1.0.20210101-ls32", "v1.0.20210101-ls32"},
	{"25 from latest to a version", "the policy says semver, and latest is no version to go below", inRange("*"), "latest", "latest 1.0.0", "1.0.0"},
	{"27 a bare number behind the dash is a build when the current tag has one", "prereleases are not wanted, so -99 is none", inRange("*"), "1.1.5-99", "1.1.5-99 1.1.5-100 1.1.6-1", "1.1.6-1"},
	{"28 an architecture stays", "arm64 images do not start here", inRange("1.x"), "1.2.3-amd64", "1.2.3-amd64 1.2.4-amd64 1.2.5-arm64 1.2.5", "1.2.4-amd64"},
	{"29 git describe is a prerelease of another architecture", "neither is asked for", inRange("*"), "v2.2.0", "v2.2.0 v2.3.0-rc.0.18.g1abb7b5dd-ppc64le", ""},
	{"30 a prefix of words by extract", "the extracted value has two parts, so 1.15.2 is another lane", inRange("1.x", filtered("^someenv-(.+)$", "$1")), "someenv-1.15", "someenv-1.15 someenv-1.15.2 someenv-1.16", "someenv-1.16"},
	{"32 leading zeros", "the text is kept, the order is by number", inRange("1.x"), "1.02.0", "1.02.0 1.03.0 1.10.0", "1.10.0"},
	{"33 ubuntu by range", "18.x ends before 20.04", inRange("18.x"), "18.04", "18.04 18.10 20.04 22.04", "18.10"},
	{"33 ubuntu without end", "two parts, highest", inRange("*"), "18.04", "18.04 18.10 20.04 22.04", "22.04"},
	{"35 the current tag is gone, something newer is there", "never lower, higher is fine", inRange("1.x"), "1.5.0", "1.4.0 1.5.1 1.6.0", "1.6.0"},
	{"35 the current tag is gone, only older ones are there", "a tag that left the registry is no reason to go back", inRange("1.x"), "1.5.0", "1.4.0 1.3.0", ""},
	{"38 a suffix of several words stays", "ltsc2022 does not run on ltsc2019", inRange("1.x"), "1.2.3-windowsservercore-ltsc2019", "1.2.3-windowsservercore-ltsc2019 1.2.4-windowsservercore-ltsc2019 1.2.5-windowsservercore-ltsc2022", "1.2.4-windowsservercore-ltsc2019"},
	{"40 signatures are no images", "sha256-… tags belong to other images", inRange("*"), "1.0.0", "1.0.0 1.0.1 sha256-" + hex64 + ".sig sha256-" + hex64 + ".att sha256-" + hex64, "1.0.1"},
	{"41 ^0 is all of 0", "1.0.0 is outside", inRange("^0"), "0.9.8", "0.9.8 0.10.0 1.0.0", "0.10.0"},
	{"41 ^0.9 is only 0.9", "below 1.0.0 the minor is the breaking number", inRange("^0.9"), "0.9.8", "0.9.8 0.10.0 1.0.0", ""},
	{"45 a capital V", "the current tag cannot be read, and it is said", inRange("*"), "V0.5.0", "V0.5.0 V0.6.0 0.7.0", ""},
	{"47 the range decides: major", "no end", inRange(">=1"), "1.4.5", "1.4.5 1.4.6 1.5.0 2.0.0", "2.0.0"},
	{"47 the range decides: minor", "1.x", inRange("1.x"), "1.4.5", "1.4.5 1.4.6 1.5.0 2.0.0", "1.5.0"},
	{"47 the range decides: patch", "~1.4", inRange("~1.4"), "1.4.5", "1.4.5 1.4.6 1.5.0 2.0.0", "1.4.6"},

	{"a release follows its candidate", "1.2.0 is higher than 1.2.0-rc.1", inRange("1.x", prereleases), "1.2.0-rc.1", "1.2.0-rc.1 1.2.0-rc.2 1.2.0", "1.2.0"},
	{"a candidate of the next major is not in the range", "2.0.0-rc.1 is lower than 2.0.0 and yet not wanted", inRange(">=1.0.0-0 <2.0.0"), "1.0.0", "1.0.0 1.1.0 2.0.0-rc.1", "1.1.0"},
	{"a candidate of the next major is named by the range", "it says so", inRange(">=2.0.0-rc.1 <2.0.0-rc.9"), "2.0.0-rc.1", "2.0.0-rc.1 2.0.0-rc.5 2.0.0", "2.0.0-rc.5"},
	{"an underscore stands for a plus", "it is build metadata, whose number counts when all else is equal", inRange("1.x"), "1.0.0_5", "1.0.0_5 1.0.0_6 1.0.0_4", "1.0.0_6"},
	{"build numbers of a newer version", "the highest build of the highest version", inRange("1.x"), "1.0.0_5", "1.0.0_5 1.1.0_7 1.1.0_6", "1.1.0_7"},
	{"builds for another machine", "arm64 is another kind of build than amd64", inRange("1.x"), "1.0.0_amd64", "1.0.0_amd64 1.1.0_arm64 1.1.0", ""},
	{"builds named by commit", "commits are no kind", inRange("1.x"), "1.0.0_0a1b2c3", "1.0.0_0a1b2c3 1.1.0_gdeadbe1", "1.1.0_gdeadbe1"},
	{"numbers too long to be counted", "no version at all", inRange("*"), "1.0.0", "1.0.0 1.99999999999999999999.0 99999999999999999999.0.0", ""},
	{"a long prerelease number", "no version at all", inRange("*", prereleases), "1.0.0", "1.0.0 1.1.0-rc.99999999999999999999", ""},
	{"a tag with a character no registry allows", "not a tag", inRange("*"), "1.0.0", "1.0.0 1.1.0+5 1.2.0/x -1.3.0", ""},
	{"an excluded tag", "by name", inRange("1.x", excluding("1.2.0")), "1.0.0", "1.0.0 1.1.0 1.2.0", "1.1.0"},
	{"tags excluded by an expression", "not anchored unless written", inRange("1.x", excluding("/^1\\.[23]\\./")), "1.0.0", "1.0.0 1.1.0 1.2.0 1.3.0", "1.1.0"},
	{"the current tag is excluded", "it stays until something higher comes", inRange("1.x", excluding("1.2.0")), "1.2.0", "1.0.0 1.1.0 1.2.0", ""},
	{"the current tag is excluded and going down is allowed", "the highest of what is left", inRange("1.x", excluding("1.2.0"), downgrade), "1.2.0", "1.0.0 1.1.0 1.2.0", "1.1.0"},
	{"the range ends below the current tag", "never lower", inRange("1.x"), "2.0.0", "1.0.0 1.9.0 2.0.0", ""},
	{"the range ends below the current tag and going down is allowed", "the range is what is wanted", inRange("1.x", downgrade), "2.0.0", "1.0.0 1.9.0 2.0.0", "1.9.0"},
	{"going down is allowed but not needed", "the current tag is the highest", inRange("*", downgrade), "2.0.0", "1.0.0 1.9.0 2.0.0", ""},
	{"the same version in another spelling", "the current spelling stays", inRange("*", anyLane), "1.0", "v1.0.0 1.0.0", ""},
	{"no current tag at all", "the highest plain version", inRange("*"), "", "1.0.0 1.1.0 1.2.0-alpine 7", "1.1.0"},
	{"no current tag and two precisions", "1.1 moves, 1.1.0 does not", inRange("*"), "", "1.1 1.1.0 1", "1.1.0"},
	{"the filter keeps tags of another form than the current one", "the filter is the lane then", inRange("1.x", filtered("-alpine$", "")), "latest", "latest 1.0.0 1.0.0-alpine 1.1.0-alpine", "1.1.0-alpine"},
	{"the filter drops the current tag, which is still no reason to go down", "1.5.0 is compared as it is", inRange("1.x", filtered("^(.+)-alpine$", "$1")), "1.5.0", "1.4.0-alpine 1.5.0", ""},
	{"two tags with one extracted value", "the shorter one, always", inRange("*", filtered(`^(?:a|bb)-(.+)$`, "$1")), "a-1.0.0", "a-1.0.0 bb-1.1.0 a-1.1.0", "a-1.1.0"},
	{"a word suffix is a variant when the current tag has it", "chainguard's -dev", inRange("*"), "1.2.3-dev", "1.2.3 1.2.3-dev 1.2.4-dev 1.2.4", "1.2.4-dev"},
	{"a word suffix is a prerelease otherwise", "nobody asked for nightly builds", inRange("*"), "1.2.3", "1.2.3 1.2.4-nightly 1.2.4-SNAPSHOT", ""},
	{"a variant of a candidate", "rc.1 is the prerelease, alpine the variant", inRange("*", prereleases), "1.2.3-alpine", "1.2.3-alpine 1.3.0-rc.1-alpine 1.3.0-alpine-rc2 1.3.0-rc.9", "1.3.0-alpine-rc2"},
	{"a suffix with a version in it stays", "debian-12-r5 is one suffix", inRange("*"), "1.2.3-debian-12-r5", "1.2.3-debian-12-r5 1.2.4-debian-12-r5 1.2.5-debian-11-r5", "1.2.4-debian-12-r5"},
	{"an underscore behind a suffix belongs to it", "linux_amd64 is not linux_arm64", inRange("*"), "1.2.3-linux_amd64", "1.2.3-linux_amd64 1.2.4-linux_arm64 1.2.4-linux_amd64", "1.2.4-linux_amd64"},
	{"a year after a year", "both are dates", inRange("*"), "2024.1.0", "2024.1.0 2025.1.0", "2025.1.0"},
	{"a year in an open lane", "as asked", inRange("*", anyLane), "19.0.0", "19.0.0 2025.1.0", "2025.1.0"},
	{"dots at odd places", "no versions", inRange("*"), "1.0.0", "1.0.0 1..1 1.1. v v1.x 1.1.0- 1.1.0_ 1.1.0-rc..1 1.1.0-01", ""},
	{"nothing listed that is a version", "nothing moves", inRange("*"), "1.0.0", "latest main edge", ""},
}

func TestSelect(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, test := range selections {
		t.Run(test.name, func(t *testing.T) {
			tags := strings.Fields(test.tags)
			want := test.want
			if want == "" {
				want = test.current
			}
			got := Select(test.policy, tags, image.Tag(test.current))
			if string(got.Selected) != want {
				t.Errorf("selected %q, want %q (%s)\nreason: %s\nrejected: %v", got.Selected, want, test.why, got.Reason, got.Rejected)
			}
			checkChoice(t, tags, got)
			for range 200 {
				random.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
				if d := cmp.Diff(got, Select(test.policy, tags, image.Tag(test.current))); d != "" {
					t.Fatalf("another order of tags, another choice (-first +then):\n%s", d)
				}
			}
		})
	}
}

// checkChoice holds what is true of every choice.
func checkChoice(t testing.TB, tags []string, c Choice) {
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
			{"2024.1.0", "another lane: the first number is a year, in the current tag it is not (lane: any accepts it)"},
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
