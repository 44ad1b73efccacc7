package policy

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// versionRange is a Semver ready to use.
type versionRange struct {
	text        string
	prereleases bool
	asWritten   *semver.Constraints
	widened     *semver.Constraints // with prereleases

	outside, prerelease string
}

func newVersionRange(s *Semver) (*versionRange, *flaw) {
	if s == nil {
		return nil, &flaw{"it has no selector", "add select: {semver: {range: …}}"}
	}
	c, bad := compileRange(s.Range)
	if bad != nil {
		return nil, bad
	}
	wide := *c
	wide.IncludePrerelease = true
	return &versionRange{
		text: s.Range, prereleases: s.Prereleases, asWritten: c, widened: &wide,
		outside:    fmt.Sprintf("outside the range %s", s.Range),
		prerelease: "a prerelease (prereleases: true accepts it)",
	}, nil
}

// reject tells why a version is not wanted; empty: it is.
func (r *versionRange) reject(v version) string {
	full := v.semver()
	if v.pre == "" {
		if r.asWritten.Check(full) {
			return ""
		}
		return r.outside
	}
	if !r.widened.Check(full) || !r.admitsRelease(v) {
		return r.outside
	}
	if r.prereleases || r.asWritten.Check(full) {
		return ""
	}
	return r.prerelease
}

// admitsRelease tells whether the release a prerelease leads to is in the range,
// or the range speaks of prereleases of that release. Without it 2.0.0-rc.1 would
// be in "<2.0.0": it is lower, and not what anyone means.
func (r *versionRange) admitsRelease(v version) bool {
	text := fmt.Sprintf("%d.%d.%d", v.number[0], v.number[1], v.number[2])
	v.pre = ""
	return r.asWritten.Check(v.semver()) || strings.Contains(r.text, text+"-")
}
