package policy

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"towpath.dev/towpath/internal/image"
)

// FuzzLoad: Load never panics, every problem has its place, and whatever loads is
// complete and usable.
func FuzzLoad(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/bad.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files[:len(archive.Files)-1] {
		f.Add(file.Data)
	}
	f.Add([]byte(policyYAML("web") + "---\n" + policyYAML("api")))
	f.Fuzz(func(t *testing.T, data []byte) {
		files := []File{{Path: "policies/a.yaml", Data: data}, {Path: "policies/b.yaml", Data: []byte(policyYAML("other"))}}
		c := Load(files)
		checkConfig(t, files, c)
		_, ok := c.Policy("other")
		taken := slices.ContainsFunc(c.Problems, func(p Problem) bool { return p.Path == "policies/b.yaml" })
		if !ok && !taken {
			t.Error("a good policy is gone without a word")
		}
	})
}

// plainVersion is what every reader of semver agrees on.
var plainVersion = regexp.MustCompile(`^v?(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-rc\.[1-9])?$`)

// FuzzSelect: nothing is selected that was not offered or current, never anything
// lower than the current tag, and the order of the tags does not matter.
func FuzzSelect(f *testing.F) {
	for i, s := range selections {
		var extract, exclude string
		if s.policy.Filter != nil {
			extract = s.policy.Filter.Pattern
		}
		if len(s.policy.Exclude) > 0 {
			exclude = s.policy.Exclude[0].Text
		}
		f.Add(s.policy.Semver.Range, extract, exclude, s.tags, s.current, byte(i))
	}
	f.Fuzz(func(t *testing.T, text, pattern, exclude, list, current string, flags byte) {
		p := inRange(text)
		p.Semver.Prereleases = flags&1 != 0
		p.AllowDowngrade = flags&2 != 0
		if flags&4 != 0 {
			p.Lane = LaneAny
		}
		if flags&8 != 0 {
			p.DigestTag, p.Semver = "main", nil
		}
		if pattern != "" {
			p.Filter = &Filter{Pattern: pattern}
			if flags&16 != 0 {
				p.Filter.Extract = "$1"
			}
		}
		if exclude != "" {
			p.Exclude = []Exclude{{exclude}}
		}
		tags := strings.Fields(list)
		got := Select(p, tags, image.Tag(current))
		checkChoice(t, tags, got)
		if !p.AllowDowngrade && p.DigestTag == "" && (p.Filter == nil || p.Filter.Extract == "") {
			checkNotLower(t, got)
		}
		if p.DigestTag == "" && got.Changed {
			if _, bad := newChooser(p, image.Tag(current)); bad != nil {
				t.Errorf("a broken policy (%s) selected %q", bad.reason, got.Selected)
			}
		}
		slices.Reverse(tags)
		if d := cmp.Diff(got, Select(p, tags, image.Tag(current))); d != "" {
			t.Errorf("the order of tags matters (-forward +backward):\n%s", d)
		}
		again := Select(p, tags, got.Selected)
		if again.Changed && !p.AllowDowngrade {
			t.Errorf("the choice is not the end: %q -> %q -> %q", current, got.Selected, again.Selected)
		}
	})
}

func checkNotLower(t *testing.T, c Choice) {
	t.Helper()
	if !plainVersion.MatchString(string(c.Current)) || !plainVersion.MatchString(string(c.Selected)) {
		return
	}
	was, err := semver.NewVersion(string(c.Current))
	if err != nil {
		t.Fatal(err)
	}
	is, err := semver.NewVersion(string(c.Selected))
	if err != nil {
		t.Fatal(err)
	}
	if is.LessThan(was) {
		t.Errorf("%s is lower than the current %s", c.Selected, c.Current)
	}
}
