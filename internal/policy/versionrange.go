package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// versionRange is a Semver ready to use.
//
// The library that reads ranges takes a microsecond to compare, and most of that
// for an error text nobody reads. A range has few places where a release that is
// in can be followed by one that is out, and all of them are written in it; so one
// release between each two of them is compared and stands for the others.
type versionRange struct {
	text        string
	prereleases bool
	plain       bool // it does not speak of prereleases
	asWritten   *semver.Constraints
	widened     *semver.Constraints // with prereleases

	edges   [][3]uint64 // sorted; releases between two edges are in or out together
	verdict []verdict   // of the releases below the first edge, from it on, …

	outside, prerelease string
}

type verdict byte

const (
	unasked verdict = iota
	isIn
	isOut
)

func newVersionRange(s *Semver) (*versionRange, *flaw) {
	c, bad := compileRange(s.Range)
	if bad != nil {
		return nil, bad
	}
	wide := *c
	wide.IncludePrerelease = true
	edges := edgesOf(s.Range)
	return &versionRange{
		text: s.Range, prereleases: s.Prereleases, plain: !strings.Contains(betweenVersions.ReplaceAllString(s.Range, " "), "-"), asWritten: c, widened: &wide,
		edges: edges, verdict: make([]verdict, len(edges)+1),
		outside:    fmt.Sprintf("outside the range %s", s.Range),
		prerelease: "a prerelease (prereleases: true accepts it)",
	}, nil
}

// betweenVersions is the dash of "1.2 - 1.4".
var betweenVersions = regexp.MustCompile(`\s-\s`)

var numbersInRange = regexp.MustCompile(`(\d+)(?:\.(\d+))?(?:\.(\d+))?`)

// edgesOf are the releases at which a range could begin or end: those written in
// it, with missing parts as zero (a * alone is 0.0.0), and the next patch, minor and
// major of each.
func edgesOf(text string) [][3]uint64 {
	var edges [][3]uint64
	for _, m := range numbersInRange.FindAllStringSubmatch("0 "+text, -1) {
		var n [3]uint64
		for i := range n {
			n[i], _ = strconv.ParseUint(m[i+1], 10, 64) // a missing part is zero
		}
		edges = append(edges, [3]uint64{n[0]}, [3]uint64{n[0], n[1]}, n,
			[3]uint64{n[0], n[1], n[2] + 1}, [3]uint64{n[0], n[1] + 1}, [3]uint64{n[0] + 1})
	}
	slices.SortFunc(edges, compareNumbers)
	return slices.Compact(edges)
}

func compareNumbers(a, b [3]uint64) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2]))
}

// hasRelease tells whether the release of these numbers is in the range.
func (r *versionRange) hasRelease(n [3]uint64) bool {
	i, exact := slices.BinarySearchFunc(r.edges, n, compareNumbers)
	if exact {
		i++
	}
	if r.verdict[i] == unasked {
		r.verdict[i] = isOut
		if r.asWritten.Check(semver.New(n[0], n[1], n[2], "", "")) {
			r.verdict[i] = isIn
		}
	}
	return r.verdict[i] == isIn
}

// isEdge tells whether the range could begin or end at a release.
func (r *versionRange) isEdge(n [3]uint64) bool {
	_, is := slices.BinarySearchFunc(r.edges, n, compareNumbers)
	return is
}

// reject tells why a version is not wanted; empty: it is.
func (r *versionRange) reject(v *version) string {
	release := r.hasRelease([3]uint64(v.number[:usualParts]))
	if v.pre == "" {
		if release {
			return ""
		}
		return r.outside
	}
	switch {
	case r.plain && !release:
		return r.outside
	case r.plain && !r.prereleases:
		return r.prerelease
	}
	if r.plain && !r.isEdge([3]uint64(v.number[:usualParts])) {
		return "" // nothing begins or ends between a release and its prereleases
	}
	full := v.semver()
	if !r.widened.Check(full) || !release && !r.names(v) {
		return r.outside
	}
	if r.prereleases || r.asWritten.Check(full) {
		return ""
	}
	return r.prerelease
}

// names tells whether the range speaks of prereleases of this release. Otherwise
// a prerelease is only in when its release is: 2.0.0-rc.1 is lower than 2.0.0,
// and not what anyone means by "<2.0.0".
func (r *versionRange) names(v *version) bool {
	return strings.Contains(r.text, fmt.Sprintf("%d.%d.%d-", v.number[0], v.number[1], v.number[2]))
}

var prereleaseInRange = regexp.MustCompile(`(\d+)(?:\.(\d+))?(?:\.(\d+))?-([0-9A-Za-z][0-9A-Za-z.-]*)`)

// reaches tells whether any version not below the floor is in the range: of all
// versions, or of those with so many numeric parts (0: any) whose first number is below a limit (0: none).
func (r *versionRange) reaches(floor *version, parts int, limit uint64) bool {
	low := [3]uint64(floor.number[:usualParts])
	for i, edge := range r.edges {
		n, ok := roundUp(edge, parts)
		if compareNumbers(edge, low) < 0 {
			n, ok = roundUp(low, parts)
		}
		if ok = ok && (limit == 0 || n[0] < limit); ok && (i+1 == len(r.edges) || compareNumbers(n, r.edges[i+1]) < 0) && r.hasRelease(n) {
			return true
		}
	}
	return r.reachesPrerelease(floor, parts, limit)
}

// roundUp is the lowest release from n on of so many parts; false: there is none.
func roundUp(n [3]uint64, parts int) (up [3]uint64, ok bool) {
	for i := len(n) - 1; i > 0 && parts > 0 && i >= parts; i-- {
		if n[i] > 0 {
			n[i] = 0
			n[i-1]++
			if n[i-1] == 0 {
				return n, false
			}
		}
	}
	return n, true
}

// reachesPrerelease tries the floor and the prereleases at which a range could begin
// or end: those written in it, what follows each at once, and the lowest of its
// release.
func (r *versionRange) reachesPrerelease(floor *version, parts int, limit uint64) bool {
	if floor.pre != "" && r.reject(floor) == "" {
		return true
	}
	for _, m := range prereleaseInRange.FindAllStringSubmatch(r.text, -1) {
		var v version
		for i := range usualParts {
			v.number[i], _ = strconv.ParseUint(m[i+1], 10, 64) // a missing part is zero
		}
		for _, pre := range []string{m[4], m[4] + ".0", "0"} {
			n := [3]uint64(v.number[:usualParts])
			if up, _ := roundUp(n, parts); up != n || limit > 0 && n[0] >= limit {
				continue // it takes more parts to write it, or is another scheme
			}
			if v.pre = pre; checkPrerelease(pre) == "" && v.compare(floor) >= 0 && r.reject(&v) == "" {
				return true
			}
		}
	}
	return false
}
