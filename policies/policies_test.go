package policies

import (
	"io/fs"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// TestEveryPolicyDoesWhatItsCommentSays loads each file and follows one story.
func TestEveryPolicyDoesWhatItsCommentSays(t *testing.T) {
	stories := map[string]struct{ tags, path string }{
		"semver-minor.yaml":      {"1.4.2 1.4.3 1.5.0 1.6.0-rc.1 1.6.0-alpine 2.0.0", "1.4.2 1.5.0"},
		"semver-patch.yaml":      {"1.4.2 1.4.3 1.4.7 1.5.0", "1.4.2 1.4.3"},
		"semver-prerelease.yaml": {"1.4.2 1.5.0-rc.1 1.5.0-rc.2", "1.4.2 1.5.0-rc.2"},
		"alpine-variant.yaml":    {"7.2.0-alpine 7.4.0-alpine 7.4.2 7.4.1-slim 8.0.0-alpine", "7.2.0-alpine 7.4.0-alpine"},
		"digest-of-main.yaml":    {"main 1.0.0", "main main"},
		"build-number.yaml":      {"1.25.7.5604 1.25.8.5663 1.26.0.5715", "1.25.7.5604 1.26.0.5715"},
	}
	names, err := fs.Glob(FS, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			data, err := fs.ReadFile(FS, name)
			if err != nil {
				t.Fatal(err)
			}
			c := policy.Load([]policy.File{{Path: name, Data: data}})
			if len(c.Problems) > 0 || len(c.Policies) != 1 {
				t.Fatalf("problems %v, %d policies", c.Problems, len(c.Policies))
			}
			if !strings.HasPrefix(string(data), "# ") {
				t.Error("it does not begin with a comment that says what it does")
			}
			story, ok := stories[name]
			if !ok {
				t.Fatal("it has no story in this test")
			}
			from, to, _ := strings.Cut(story.path, " ")
			got := policy.Select(c.Policies[0], strings.Fields(story.tags), image.Tag(from))
			if string(got.Selected) != to {
				t.Errorf("from %s to %s, want %s: %s %v", from, got.Selected, to, got.Reason, got.Rejected)
			}
		})
	}
	if len(names) != len(stories) {
		t.Errorf("%d files, %d stories", len(names), len(stories))
	}
}
