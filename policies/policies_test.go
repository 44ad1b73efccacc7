package policies

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// story is what happens to one marked value over time.
type story struct {
	file, policy string
	from         string
	steps        []step
	never        map[string]string // tags that were pushed and must never be chosen, and a part of the reason
}

// step is a push, and where the value is then.
type step struct {
	pushed string // tags
	passed string // tags that are passed over when their image is looked at: too new, or a platform is missing
	then   string
}

func stories() []story {
	return []story{
		{file: "semver-minor", from: "1.4.2", steps: []step{
			{pushed: "1.4.2 1.4.1 latest 1.4.3", then: "1.4.3"}, {pushed: "1.5.0 1.4.4 1.6.0-rc.1 1.6.0-alpine", then: "1.5.0"}, {pushed: "2.0.0 2.0.0-rc.1 1.5 v1.9.0", then: "1.5.0"}},
			never: map[string]string{"2.0.0": "outside the range", "1.6.0-rc.1": "prerelease", "1.6.0-alpine": "another lane", "v1.9.0": "another lane", "latest": "not a version", "1.5": "another lane"}},
		{file: "semver-patch", from: "1.4.2", steps: []step{{pushed: "1.4.2 1.4.3", then: "1.4.3"}, {pushed: "1.4.7 1.5.0 1.4.4-debug", then: "1.4.3"}},
			never: map[string]string{"1.4.7": "excluded by name", "1.5.0": "outside the range", "1.4.4-debug": "another lane"}},
		{file: "semver-prerelease", from: "1.4.2", steps: []step{
			{pushed: "1.4.2 1.5.0-rc.1", then: "1.5.0-rc.1"}, {pushed: "1.5.0-rc.2 1.5.0-rc.2-alpine", then: "1.5.0-rc.2"}, {pushed: "1.5.0 2.0.0-rc.1", then: "1.5.0"}},
			never: map[string]string{"2.0.0-rc.1": "outside the range", "1.5.0-rc.2-alpine": "another lane"}},
		{file: "calver", from: "2026.9.30", steps: []step{
			{pushed: "2026.9.30 2026.9.9", then: "2026.9.30"}, {pushed: "2026.10.2 2025.12.31", then: "2026.10.2"}, {pushed: "2026.11.15 2026.13.1 2026.11 v7.0.0 latest", then: "2026.11.15"}},
			never: map[string]string{"2026.9.9": "older", "2025.12.31": "older", "2026.13.1": "", "2026.11": "layout", "v7.0.0": "layout"}},
		{file: "calver-daily", from: "2026-11-20", steps: []step{
			{pushed: "2026-11-20 2026-11-20-1 2026-11-20-2", then: "2026-11-20-2"}, {pushed: "2026-11-21 2026-11-19-30", then: "2026-11-21"}, {pushed: "2026-11-21-9 2026-11-21-10 2026-11-22-rc 20261122", then: "2026-11-21-10"}},
			never: map[string]string{"2026-11-19-30": "older", "2026-11-22-rc": "layout", "20261122": "layout"}},
		{file: "calver-lts", from: "22.04", steps: []step{
			{pushed: "18.04 20.04 22.04 jammy rolling latest", then: "22.04"}, {pushed: "24.04 24.10 23.10 noble", then: "24.04"}, {pushed: "25.04 noble-20260801 26.04", then: "26.04"}},
			never: map[string]string{"24.10": "filter", "25.04": "filter", "noble": "filter", "rolling": "filter", "18.04": "older"}},
		{file: "main-timestamp", from: "main-9f8e7d6-1763700000", steps: []step{
			{pushed: "main-9f8e7d6-1763700000 main-ffffff0-1763600000", then: "main-9f8e7d6-1763700000"},
			{pushed: "main-0a1b2c3-1763703600 feature-x-0a1b2c4-1763709999 main-zzzzzzz-1763709999 main", then: "main-0a1b2c3-1763703600"}},
			never: map[string]string{"main-ffffff0-1763600000": "lower", "feature-x-0a1b2c4-1763709999": "filter", "main-zzzzzzz-1763709999": "filter", "main": "filter"}},
		{file: "build-number", from: "build-998", steps: []step{{pushed: "build-998 build-997", then: "build-998"}, {pushed: "build-999 build-1000 build-rc test-2000 3000", then: "build-1000"}},
			never: map[string]string{"build-997": "lower", "build-rc": "filter", "test-2000": "filter", "3000": "filter"}},
		{file: "four-part-version", from: "1.25.7.5604", steps: []step{
			{pushed: "1.25.7.5604 1.25.7.5610", then: "1.25.7.5610"}, {pushed: "1.26.0.5715 1.25.8.5663 1.27.0 2.0.0.1", then: "1.26.0.5715"}},
			never: map[string]string{"2.0.0.1": "outside the range", "1.27.0": "another lane"}},
		{file: "dated-tags", from: "nightly-20261119", steps: []step{{pushed: "nightly-20261119 nightly-20261118", then: "nightly-20261119"}, {pushed: "nightly-20261120 nightly-20261121 nightly-x weekly-20261130", then: "nightly-20261121"}},
			never: map[string]string{"nightly-20261118": "", "nightly-x": "filter", "weekly-20261130": "filter"}},
		{file: "alpine-variant", from: "7.2.0-alpine3.19", steps: []step{
			{pushed: "7.2.0 7.2.0-alpine3.19 7.2.0-alpine 7.4.0-alpine3.19", then: "7.4.0-alpine3.19"}, {pushed: "7.4.0-alpine3.20", then: "7.4.0-alpine3.20"},
			{pushed: "7.4.1-alpine3.20 7.4.1-bookworm 7.4.2 8.0.0-alpine3.20 alpine", then: "7.4.1-alpine3.20"}},
			never: map[string]string{"7.4.2": "another lane", "7.4.1-bookworm": "another lane", "8.0.0-alpine3.20": "outside the range", "alpine": "not a version", "7.2.0-alpine": "another lane"}},
		{file: "linuxserver", from: "4.0.14.2939-ls290", steps: []step{
			{pushed: "4.0.14.2939-ls290 4.0.14.2939-ls291 latest", then: "4.0.14.2939-ls291"},
			{pushed: "4.0.15.2941-ls293 amd64-4.0.15.2941-ls293 arm64v8-4.0.15.2941-ls293 version-4.0.15.2941 4.0.16.2944 develop-4.0.17.2950-ls1 5.0.0.1-ls1", then: "4.0.15.2941-ls293"}},
			never: map[string]string{"amd64-4.0.15.2941-ls293": "", "4.0.16.2944": "another lane", "5.0.0.1-ls1": "outside the range", "version-4.0.15.2941": "", "develop-4.0.17.2950-ls1": ""}},
		{file: "bitnami", from: "16.3.0-debian-12-r4", steps: []step{
			{pushed: "16.3.0-debian-12-r4 16.3.0-debian-12-r9 16.3.0-debian-12-r10 16.3.0", then: "16.3.0-debian-12-r10"},
			{pushed: "16.4.0-debian-12-r0 16.4.0-debian-11-r7 16.4.1-debian-12 16.5.0 17.0.0-debian-12-r0", then: "16.4.0-debian-12-r0"}},
			never: map[string]string{"16.4.0-debian-11-r7": "another lane", "16.4.1-debian-12": "another lane", "16.5.0": "another lane", "17.0.0-debian-12-r0": "outside the range"}},
		{file: "hotfix-pin", from: "1.4.2-r0", steps: []step{
			{pushed: "1.4.1-r9 1.4.2-r0 1.4.2-r1 1.4.3-r0", then: "1.4.2-r1"}, {pushed: "1.4.2-r2 1.5.0-r0", then: "1.4.2-r1"}, {pushed: "1.4.2-r3", then: "1.4.2-r3"}},
			never: map[string]string{"1.4.2-r2": "excluded by name", "1.4.3-r0": "outside the range", "1.5.0-r0": "outside the range", "1.4.1-r9": "lower"}},
		{file: "min-age", from: "3.1.0", steps: []step{
			{pushed: "3.1.0 3.1.1", then: "3.1.1"}, {pushed: "3.2.0 3.1.2", passed: "3.2.0 3.1.2", then: "3.1.1"}, {then: "3.2.0"}},
			never: map[string]string{"3.1.2": "lower"}},
		{file: "platforms", from: "2.7.0", steps: []step{
			{pushed: "2.7.0 2.7.1", then: "2.7.1"}, {pushed: "2.8.0", passed: "2.8.0", then: "2.7.1"}, {pushed: "2.8.1 2.9.0", passed: "2.9.0 2.8.0", then: "2.8.1"}},
			never: map[string]string{"2.8.0": "lower"}},
		{file: "pin-digest", from: "1.4.2", steps: []step{{pushed: "1.4.2 1.5.0 2.0.0 sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.sig", then: "1.5.0"}, {then: "1.5.0"}},
			never: map[string]string{"2.0.0": "outside the range"}},
		{file: "digest-of-main", from: "main", steps: []step{{pushed: "main 1.0.0", then: "main"}, {pushed: "main-2 latest", then: "main"}},
			never: map[string]string{"1.0.0": "not the followed tag", "latest": "not the followed tag"}},
		{file: "two-lines", policy: "my-app-next", from: "1.4.2", steps: []step{
			{pushed: "1.4.2 1.5.0-rc.1", then: "1.5.0-rc.1"}, {pushed: "1.5.0-rc.2", then: "1.5.0-rc.2"}, {pushed: "1.5.0", then: "1.5.0"}, {pushed: "2.0.0-rc.1", then: "1.5.0"}},
			never: map[string]string{"2.0.0-rc.1": "outside the range"}},
		{file: "two-lines", policy: "my-app", from: "1.4.2", steps: []step{
			{pushed: "1.4.2 1.5.0-rc.1", then: "1.4.2"}, {pushed: "1.5.0-rc.2", then: "1.4.2"}, {pushed: "1.5.0", then: "1.5.0"}, {pushed: "1.6.0-rc.1", then: "1.5.0"}},
			never: map[string]string{"1.5.0-rc.2": "", "1.6.0-rc.1": "prerelease"}},
	}
}

// TestEveryPolicyDoesWhatItsCommentSays follows the stories, whatever the order
// in which a registry lists the tags, and holds the way to what the comment of
// the file says: "Follows 1.4.2 -> 1.5.0".
func TestEveryPolicyDoesWhatItsCommentSays(t *testing.T) {
	for _, s := range stories() {
		t.Run(strings.TrimSuffix(s.file+"/"+s.policy, "/"), func(t *testing.T) {
			text, p := libraryPolicy(t, s.file, s.policy)
			way, at, listed := []string{s.from}, image.Tag(s.from), []string(nil)
			for _, step := range s.steps {
				listed = append(listed, strings.Fields(step.pushed)...)
				at = follow(t, p, listed, at, step)
				if way[len(way)-1] != string(at) {
					way = append(way, string(at))
				}
			}
			got := policy.Select(p, listed, at)
			for tag, reason := range s.never {
				i := slices.IndexFunc(got.Rejected, func(r policy.Rejected) bool { return r.Tag == tag })
				if i < 0 || !strings.Contains(got.Rejected[i].Reason, reason) || slices.Contains(way, tag) && tag != s.from {
					t.Errorf("%s must be rejected with %q: %v", tag, reason, got.Rejected)
				}
			}
			if told := strings.Join(way, " -> "); len(way) > 1 && !strings.Contains(comments(text), "ollows "+told) {
				t.Errorf("its comment does not say \"Follows %s\"", told)
			}
		})
	}
}

// follow chooses among the tags, and again in reverse order, and passes over what
// the step says, as happens when the images are looked at.
func follow(t *testing.T, p policy.Policy, listed []string, at image.Tag, s step) image.Tag {
	t.Helper()
	c := policy.Select(p, listed, at)
	backward := slices.Clone(listed)
	slices.Reverse(backward)
	if other := policy.Select(p, backward, at); other.Selected != c.Selected {
		t.Errorf("from %s to %s, in another order of tags to %s", at, c.Selected, other.Selected)
	}
	for c.Changed && slices.Contains(strings.Fields(s.passed), string(c.Selected)) {
		c = c.Skip("passed over")
	}
	if string(c.Selected) != s.then {
		t.Errorf("from %s to %s, want %s: %s %v", at, c.Selected, s.then, c.Reason, c.Rejected)
	}
	return image.Tag(s.then)
}

func libraryPolicy(t *testing.T, file, name string) (string, policy.Policy) {
	t.Helper()
	data, err := fs.ReadFile(FS, file+".yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := policy.Load([]policy.File{{Path: file + ".yaml", Data: data}})
	if len(c.Problems) > 0 || len(c.Policies) == 0 {
		t.Fatalf("problems %v, %d policies", c.Problems, len(c.Policies))
	}
	if name == "" {
		name = c.Policies[0].Name
	}
	p, ok := c.Policy(name)
	if !ok {
		t.Fatalf("no policy %q", name)
	}
	return string(data), p
}

var lineComment = regexp.MustCompile(`(?m)^# (.*)$`)

// comments are the comment lines of a file, in one line.
func comments(text string) string {
	var all []string
	for _, m := range lineComment.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, " ")
}

// TestEveryPolicyIsToldAndListed wants a story, a comment and a line of the
// folder's README for every file, and nothing that could never be chosen.
func TestEveryPolicyIsToldAndListed(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(FS, "*.yaml")
	if err != nil || len(names) < 18 {
		t.Fatalf("%d policies: %v", len(names), err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(FS, name)
		if err != nil {
			t.Fatal(err)
		}
		c := policy.Load([]policy.File{{Path: name, Data: data}})
		for _, p := range c.Policies {
			told := slices.ContainsFunc(stories(), func(s story) bool {
				return s.file+".yaml" == name && (s.policy == p.Name || s.policy == "" && len(c.Policies) == 1) && len(s.steps) > 1 && len(s.never) > 0
			})
			if !told {
				t.Errorf("%s: policy %s has no story of two steps in this test, with what is never chosen", name, p.Name)
			}
			if reason, _ := policy.NeverMatches(p, ""); reason != "" {
				t.Errorf("%s: %s", name, reason)
			}
		}
		if _, rest, _ := strings.Cut(string(data), "\n"); !strings.HasPrefix(rest, "# ") {
			t.Errorf("%s: no comment in the second line that says what it does", name)
		}
		if !strings.Contains(string(readme), "("+name+")") {
			t.Errorf("README.md does not list %s", name)
		}
	}
	if links := strings.Count(string(readme), ".yaml)"); links != len(names) {
		t.Errorf("README.md lists %d files, there are %d", links, len(names))
	}
}
