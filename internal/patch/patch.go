// Package patch writes image references at marked scalars of YAML files and
// changes nothing else: it finds the scalars with a YAML parser, splices the
// original bytes, parses the result again and proves that only marked scalars
// differ. Otherwise it refuses the file with a reason.
//
// It is on floor 0: values in, values out. It must not read a file, a clock or
// a network, and must never re-encode YAML.
package patch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"towpath.dev/towpath/internal/image"
)

// Grammar is the version of what MayHold and CheckFile answer: another version may
// answer otherwise of the same bytes. Whoever keeps their answers longer than a
// process lives keeps it beside them.
const Grammar = 1

// MaxFileSize is the size in bytes above which a file is refused unread.
const MaxFileSize = 4 << 20

// File is one file of a repository.
type File struct {
	Path string // slash-separated, relative to the repository or to the folder given
	Data []byte
}

// Part says which part of a reference a marked scalar holds.
type Part string

// The parts a marker may ask for.
const (
	PartRef    Part = "ref"    // repo:tag, with @digest when the set has one
	PartTag    Part = "tag"    // the tag only
	PartName   Part = "name"   // the repository only
	PartDigest Part = "digest" // sha256:… only
	// The two halves of a name, for Helm values that part them.
	PartRegistry   Part = "registry"   // the host as written, docker.io where none is
	PartRepository Part = "repository" // the path without the host
)

// parts are what may stand behind the colon of a marker.
var parts = []Part{PartTag, PartName, PartDigest, PartRegistry, PartRepository}

// Marker is a usable marker: a scalar and the policy whose value it holds.
type Marker struct {
	Path   string
	Line   int // 1-based line of the scalar
	Column int // 1-based column in runes; of the anchor when the scalar has one
	Policy string
	Part   Part
	Value  string // decoded value of the scalar
}

// Skipped is a marker or a file that was left alone, with the reason and, where
// there is one, what to do.
type Skipped struct {
	Path    string  `json:"path"`
	Line    int     `json:"line"`             // 0 when the reason concerns the whole file
	Column  int     `json:"column,omitempty"` // in runes, of the value or else of the marker; 0 when not known
	Policy  string  `json:"policy,omitempty"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
	Hint    string  `json:"hint,omitempty"` // what to do; "" when the reason says it
}

// String is one line: place, reason, what to do.
func (s Skipped) String() string {
	text := s.Path
	if s.Line > 0 {
		text += ":" + strconv.Itoa(s.Line)
	}
	if text != "" {
		text += ": "
	}
	text += s.Reason
	if s.Hint != "" {
		text += "; " + s.Hint
	}
	return text
}

// Set is a wanted value: the reference that every marker of Policy shall hold.
// A part that Ref lacks (a repository, a tag, a digest) cannot be written; the
// markers that ask for it are reported.
type Set struct {
	Policy string
	Ref    image.Ref
}

// Edit is one changed scalar. Old and New are decoded values, without quotes.
type Edit struct {
	Path   string `json:"path"`
	Line   int    `json:"line"`
	Policy string `json:"policy"`
	Part   Part   `json:"-"`
	Old    string `json:"old"`
	New    string `json:"new"`
}

// Result is what Apply did, in the order of the files given and of the lines in
// them. Files holds only changed files, whole and new.
type Result struct {
	Files    []File
	Edits    []Edit
	UpToDate []Marker // of the policies of the sets
	Skipped  []Skipped
}

// Markers returns the usable markers of f in the order of the file, and those
// that cannot work with the reason. A file without the bytes "towpath:" or
// "$imagepolicy" is not parsed at all. A file that cannot be read as YAML is
// one Skipped, and has no usable marker.
func Markers(f File) ([]Marker, []Skipped) {
	if !MayHold(f.Data) {
		return nil, nil
	}
	found, skipped := scan(f)
	markers := make([]Marker, 0, len(found))
	for _, t := range found {
		markers = append(markers, t.marker)
	}
	return markers, skipped
}

// Content names a set of values of one app in one environment: "sha256:<hex>"
// over env, app and the sorted "policy=ref" lines. The same values give the
// same content, whoever computes it; values are meant as Values returned them.
func Content(env, app string, values map[string]image.Ref) string {
	h := sha256.New()
	// Quoting keeps the lines of one field from being read as another's.
	fmt.Fprintf(h, "env=%q\napp=%q\n", env, app)
	for _, policy := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(h, "%s=%s\n", policy, values[policy])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
