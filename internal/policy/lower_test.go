package policy

import (
	"testing"

	"towpath.dev/towpath/internal/image"
)

func TestLower(t *testing.T) {
	semver := Policy{Name: "web", Semver: &Semver{Range: "1.x"}}
	filtered := semver
	filtered.Filter = &Filter{Pattern: `^build-(\d+\.\d+)$`, Extract: "$1"}
	digest := Policy{Name: "web", DigestTag: "main"}
	tests := []struct {
		name               string
		p                  Policy
		candidate, current image.Tag
		want               bool
	}{
		{"an older version is lower", semver, "1.0.0", "1.1.0", true},
		{"a newer version is not", semver, "1.1.0", "1.0.0", false},
		{"the same is not", semver, "1.0.0", "1.0.0", false},
		{"another spelling of the same is not", semver, "v1.0.0", "1.0.0", false},
		{"a prerelease is lower than its release", semver, "1.1.0-rc.1", "1.1.0", true},
		{"a release is not lower than its prerelease", semver, "1.1.0", "1.1.0-rc.1", false},
		{"numbers, not text", semver, "1.9.0", "1.10.0", true},
		{"outside the range it is still ordered", semver, "2.0.0", "3.0.0", true},
		{"what cannot be ordered is not lower", semver, "latest", "1.0.0", false},
		{"nor than what cannot be ordered", semver, "1.0.0", "latest", false},
		{"the filter's extract is what counts", filtered, "build-1.2", "build-1.10", true},
		{"a followed tag has no order", digest, "main", "other", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Lower(tt.p, tt.candidate, tt.current); got != tt.want {
				t.Errorf("Lower(%s, %s) = %t, want %t", tt.candidate, tt.current, got, tt.want)
			}
		})
	}
}
