// Package patch writes image references at marked scalars of YAML files and
// changes nothing else: it finds the scalars with a YAML parser, splices the
// original bytes, parses the result again and proves that only marked scalars
// differ. Otherwise it refuses the file with a reason.
//
// It is on floor 0: values in, values out. It must not read a file, a clock or
// a network, and must never re-encode YAML.
package patch

import "towpath.dev/towpath/internal/image"

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
)

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
	Path   string `json:"path"`
	Line   int    `json:"line"` // 0 when the reason concerns the whole file
	Policy string `json:"-"`    // "" when unknown
	Reason string `json:"reason"`
}

// Set is a wanted value: the reference that every marker of Policy shall hold.
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

// Result is what Apply did. Files holds only changed files, whole and new.
type Result struct {
	Files   []File
	Edits   []Edit
	Skipped []Skipped
}

// Markers returns the usable markers of f in the order of the file, and those
// that cannot work with the reason. A file that names no marker is not parsed.
func Markers(f File) ([]Marker, []Skipped) { return nil, nil }

// Apply writes the sets at their markers. A file is changed wholly or not at
// all. Applying the result again changes nothing.
func Apply(files []File, sets []Set) Result { return Result{} }

// Values assembles one reference per policy from the markers of one app.
// Contradictory or incomplete values of a policy are reported and left out.
func Values(markers []Marker) (map[string]image.Ref, []Skipped) { return nil, nil }

// Content names a set of values of one app in one environment: "sha256:<hex>"
// over env, app and the sorted "policy=ref" lines. The same values give the
// same content, whoever computes it.
func Content(env, app string, values map[string]image.Ref) string { return "" }
