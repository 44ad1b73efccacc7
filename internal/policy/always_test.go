package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/image"
)

// everySelector is one policy of each kind with tags that it orders, the lowest
// first.
func everySelector() map[string]struct {
	policy Policy
	tags   []image.Tag
} {
	return map[string]struct {
		policy Policy
		tags   []image.Tag
	}{
		"semver":              {inRange("*"), []image.Tag{"1.2.0", "1.9.0", "1.10.0"}},
		"calver":              {Policy{Calver: &Calver{Layout: "YYYY.MM"}}, []image.Tag{"2023.12", "2024.2", "2024.10"}},
		"numerical newest":    {Policy{Numerical: &Numerical{Order: OrderNewest}}, []image.Tag{"9", "10", "100000000000000000000000"}},
		"numerical oldest":    {Policy{Numerical: &Numerical{Order: OrderOldest}}, []image.Tag{"10", "9", "1"}},
		"alphabetical newest": {Policy{Alphabetical: &Alphabetical{Order: OrderNewest}}, []image.Tag{"a", "b", "c"}},
		"alphabetical oldest": {Policy{Alphabetical: &Alphabetical{Order: OrderOldest}}, []image.Tag{"c", "b", "a"}},
	}
}

func texts(tags []image.Tag) []string {
	var out []string
	for _, tag := range tags {
		out = append(out, string(tag))
	}
	return out
}

func TestNothingLowerIsSelectedUnlessThePolicyAllowsIt(t *testing.T) {
	for name, s := range everySelector() {
		t.Run(name, func(t *testing.T) {
			low, high := s.tags[:2], s.tags[2]
			got := Select(s.policy, texts(low), high)
			if got.Changed || !strings.Contains(got.Reason, missing) {
				t.Errorf("from %s to %s: %s", high, got.Selected, got.Reason)
			}
			for _, r := range got.Rejected {
				if want := fmt.Sprintf(" than the current %s", high); !strings.HasSuffix(r.Reason, want) {
					t.Errorf("%s is rejected as %q, want …%q", r.Tag, r.Reason, want)
				}
			}
			p := s.policy
			p.AllowDowngrade = true
			if got := Select(p, texts(low), high); got.Changed || !strings.HasSuffix(got.Reason, missing) {
				t.Errorf("a tag that is gone is replaced when going down is allowed: %s: %s", got.Selected, got.Reason)
			}
			p.Exclude = []Exclude{{string(high)}}
			if got := Select(p, texts(low), high); got.Selected != low[1] || !strings.Contains(got.Reason, "allows going down from "+string(high)) {
				t.Errorf("when going down is allowed: %s: %s", got.Selected, got.Reason)
			}
			p.Exclude = nil
			if got := Select(p, texts(s.tags), low[0]); got.Selected != high {
				t.Errorf("when going down is allowed, up is still better: %s", got.Selected)
			}
		})
	}
}

func TestLowerIsAnOrderForEverySelector(t *testing.T) {
	for name, s := range everySelector() {
		for i, a := range s.tags {
			for j, b := range s.tags {
				if got := Lower(s.policy, a, b); got != (i < j) {
					t.Errorf("%s: Lower(%s, %s) = %v", name, a, b, got)
				}
			}
		}
	}
}

func TestAnEqualVersionKeepsTheSpellingOfTheCurrentTag(t *testing.T) {
	for _, test := range []struct {
		policy        Policy
		current, tags string
	}{
		{inRange("*", anyLane), "1.0", "1.0.0 v1.0.0 v1.0 1"},
		{inRange("*"), "1.02.0", "1.2.0 1.2.00"},
		{inRange("*"), "1.0.0_5", "1.0.0_05 1.0.0"},
		{inRange("*"), "1.0.0-r5", "1.0.0-r05"},
		{inRange("*", downgrade), "1.2.0", "1.02.0"},
		{Policy{Calver: &Calver{Layout: "YYYY.MM[.N]"}}, "2024.1", "2024.01 2024.1.0"},
		{Policy{Numerical: &Numerical{}}, "07", "7 007"},
	} {
		for _, tags := range []string{test.tags, test.current + " " + test.tags} {
			got := Select(test.policy, strings.Fields(tags), image.Tag(test.current))
			if got.Changed || len(got.Candidates) > 0 {
				t.Errorf("from %s among %s to %s: %s", test.current, tags, got.Selected, got.Reason)
			}
		}
	}
}

func TestBareNumbersAndHexAreNoVersionsUnlessTheCurrentTagIsOne(t *testing.T) {
	numbers := "7 1234567 20240105 0a1b2c3 deadbeef 1e5 0x1f 7-alpine"
	for _, p := range []Policy{inRange("*"), inRange("*", anyLane), inRange("*", prereleases)} {
		for _, current := range []image.Tag{"", "latest", "1.0.0"} {
			got := Select(p, strings.Fields(numbers), current)
			if got.Changed {
				t.Errorf("from %q to %s: %s", current, got.Selected, got.Reason)
			}
		}
	}
	if got := Select(inRange("*"), strings.Fields(numbers), "6"); got.Selected != "7" {
		t.Errorf("asked for by the current tag 6: %s: %s", got.Selected, got.Reason)
	}
	if got := Select(inRange("<100"), strings.Fields(numbers), "6"); got.Selected != "7" {
		t.Errorf("asked for by the current tag 6 and a range: %s: %s", got.Selected, got.Reason)
	}
}

func TestAnUnderscoreStandsForAPlus(t *testing.T) {
	// A tag cannot hold a plus, so charts and distributions write 1.2.3+4 as 1.2.3_4.
	got := Select(inRange("1.x"), []string{"1.2.3_4", "1.2.3_5", "1.2.4_1"}, "1.2.3_4")
	if got.Selected != "1.2.4_1" || !slices.Equal(got.Candidates, []image.Tag{"1.2.4_1", "1.2.3_5"}) {
		t.Errorf("%s, candidates %v: %s", got.Selected, got.Candidates, got.Reason)
	}
	if got := Select(inRange("1.x", filtered(`^(\d.*)_(\d+)$`, "$1+$2")), []string{"1.2.3_4", "1.2.3_5"}, "1.2.3_4"); got.Selected != "1.2.3_5" {
		t.Errorf("with a plus by extract: %s: %s", got.Selected, got.Reason)
	}
}

func TestNumbersThatAreTooLongAreNoVersion(t *testing.T) {
	const long = "99999999999999999999"
	for _, tag := range []string{long + ".0.0", "1." + long + ".0", "1.1." + long, "1.1.0-rc." + long, "1.1.0-" + long, "v" + long + ".1"} {
		got := Select(inRange("*", prereleases), []string{tag}, "")
		if got.Changed || got.Rejected[0].Reason != notLong {
			t.Errorf("%s: %v", tag, got)
		}
	}
	for _, p := range []Policy{{Numerical: &Numerical{}}, {Calver: &Calver{Layout: "YYYY.N"}}} {
		small, big := "5", long
		if p.Calver != nil {
			small, big = "2024.5", "2024."+long
		}
		if got := Select(p, []string{big}, image.Tag(small)); string(got.Selected) != big {
			t.Errorf("the selectors of whole numbers read them all: %s: %v", big, got.Rejected)
		}
	}
}

func TestTagsOfSignaturesAreNeverSelected(t *testing.T) {
	var tags []string
	for _, end := range []string{"", ".sig", ".att", ".sbom", "-sig", ".0.1"} {
		tags = append(tags, "sha256-"+hex64+end)
	}
	for name, s := range everySelector() {
		p := s.policy
		p.Lane = LaneAny
		for _, f := range []*Filter{nil, {Pattern: "."}, {Pattern: `^sha256-(\d)`, Extract: "$1.$1"}} {
			p.Filter = f
			got := Select(p, tags, "")
			for _, r := range got.Rejected {
				if r.Reason != referrerTag {
					t.Errorf("%s: %s is rejected as %q", name, r.Tag, r.Reason)
				}
			}
			if got.Changed {
				t.Errorf("%s: %s is selected", name, got.Selected)
			}
		}
	}
}

// TestTiesAreBrokenTheSameEveryTime: of tags that mean the same, one wins in any order
// of the list, and the others follow it in one order.
func TestTiesAreBrokenTheSameEveryTime(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for _, test := range []struct {
		name          string
		policy        Policy
		current, tags string
		want          string
	}{
		{"the form of the current tag", inRange("*", anyLane), "v1.0.0", "1.1 1.1.0 v1.1.0 v1.1 1.1.0-alpine 1.1.0_1", "v1.1.0 v1.1 v1.1.0"},
		{"no form to follow", inRange("*", anyLane), "latest", "1.1 1.1.0 v1.1.0 v1.1 1.1.0-alpine 1.1.0_1 01.1.0", "1.1.0"},
		{"one extract of several tags", Policy{Numerical: &Numerical{}, Filter: &Filter{Pattern: `^[a-z]+-(\d+)$`, Extract: "$1"}}, "", "b-5 a-5 aa-5 a-05 c-4", "a-5"},
		{"one date in several spellings", Policy{Calver: &Calver{Layout: "YYYY.MM"}, Lane: LaneAny}, "", "2024.01 2024.1 v2024.1 v2024.01", "2024.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tags := strings.Fields(test.tags)
			first := Select(test.policy, tags, image.Tag(test.current))
			if want, _, _ := strings.Cut(test.want, " "); string(first.Selected) != want {
				t.Errorf("%s wins, want %s", first.Selected, want)
			}
			for range 200 {
				random.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
				if d := cmp.Diff(first, Select(test.policy, tags, image.Tag(test.current))); d != "" {
					t.Fatalf("another order of tags, another choice (-first +then):\n%s", d)
				}
			}
		})
	}
}

func TestACurrentTagThatLeftTheRegistryIsSaidAndNotReplacedByAnOlderOne(t *testing.T) {
	for name, s := range everySelector() {
		older, current, newer := s.tags[0], s.tags[1], s.tags[2]
		if got := Select(s.policy, []string{string(older)}, current); got.Changed || !strings.HasSuffix(got.Reason, missing) {
			t.Errorf("%s: only older ones are left: %s: %s", name, got.Selected, got.Reason)
		}
		if got := Select(s.policy, []string{string(older), string(newer)}, current); got.Selected != newer || !strings.HasSuffix(got.Reason, missing) {
			t.Errorf("%s: a newer one is there: %s: %s", name, got.Selected, got.Reason)
		}
	}
}

func TestACurrentTagThatCannotBeReadIsSaidAndKeptUnlessItIsAWord(t *testing.T) {
	for _, test := range []struct {
		policy  Policy
		current image.Tag
		tag     string
		reason  string // why it is kept; empty: it is left
	}{
		{inRange("*"), "V1.0.0", "1.1.0", "the current tag V1.0.0 is not a version: unparseable capital V, so nothing can be compared with it"},
		{inRange("*"), "2024-01-05", "1.1.0", "the current tag 2024-01-05 is not a version: a date with dashes (select.calver reads it), so nothing can be compared with it"},
		{inRange("*"), "rel1.0", "1.1.0", "the current tag rel1.0 is not a version, so nothing can be compared with it"},
		{inRange("*"), "main", "1.1.0", ""},
		{Policy{Calver: &Calver{Layout: "YYYY.0M"}}, "1.0.0", "2024.01", "the current tag 1.0.0 is not of the layout YYYY.0M, so nothing can be compared with it"},
		{Policy{Calver: &Calver{Layout: "YYYY.0M"}}, "2024.13", "2024.01", "the current tag 2024.13 is no date: there is no month 13, so nothing can be compared with it"},
		{Policy{Calver: &Calver{Layout: "YYYY.0M"}}, "main", "2024.01", ""},
		{Policy{Numerical: &Numerical{}}, "1.0.0", "7", "the current tag 1.0.0 is not a whole number (filter with extract can take one out), so nothing can be compared with it"},
		{Policy{Numerical: &Numerical{}}, "main", "7", ""},
	} {
		got := Select(test.policy, []string{test.tag}, test.current)
		if test.reason == "" && string(got.Selected) != test.tag || test.reason != "" && (got.Changed || got.Reason != test.reason) {
			t.Errorf("from %s to %s:\n got %s\nwant %s", test.current, got.Selected, got.Reason, test.reason)
		}
	}
}
