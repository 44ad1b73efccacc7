package policy

import "towpath.dev/towpath/internal/image"

// Lower reports whether the policy's selector orders candidate below current.
// Tags that it cannot order are not lower: they are equal to it.
func Lower(p Policy, candidate, current image.Tag) bool {
	if p.DigestTag != "" || candidate == current {
		return false
	}
	p.AllowDowngrade, p.Lane, p.Exclude, p.Semver = false, LaneAny, nil, &Semver{Range: ">=0-0", Prereleases: true}
	return Select(p, []string{string(candidate)}, "").Changed && !Select(p, []string{string(candidate)}, current).Changed &&
		Select(p, []string{string(current)}, candidate).Changed
}
