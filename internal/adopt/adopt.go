// Package adopt proposes markers, policies and a pipeline for a repository that has
// none, or not enough: it finds image references in manifests, kustomizations and
// Helm values, guesses a policy from the tags that are there, and environments from
// the names of folders. Each guess says why, and what it leaves alone has a reason.
//
// Floor 3, and pure: files in, files out. It must not read a disk, a registry or a
// clock, and changes nothing in a file but the comments behind values.
package adopt

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// Input is a repository as it is.
type Input struct {
	Files  []patch.File  // its YAML files, paths relative to its root
	Config policy.Config // what Load made of its policies
	Branch string        // for a new pipeline; empty: main
	Images []string      // patterns of path.Match; only images that one matches are adopted; none: all

	// Renders says why the manifests of an environment at dir cannot be rendered;
	// empty: they can. Nil: nothing is asked.
	Renders func(dir string) string
}

// Proposal is what to write, and what not and why.
type Proposal struct {
	Files     []patch.File // whole new contents of changed and new files, by path
	Marks     []Mark
	Policies  []Guess // new ones only
	Pipelines []Line  // new ones only
	Left      []Left
	Unknown   []string // policies that markers name and that are not there, by name
	Untaken   []string // policies of Marks that no environment of any pipeline takes, by name
	Marked    int      // values that had a marker before
	Others    int      // values of images that Images leaves out
}

// Mark is a value that gets a marker.
type Mark struct {
	Path        string     `json:"path"`
	Line        int        `json:"line"`
	Policy      string     `json:"policy"`
	Part        patch.Part `json:"part"`
	Value       string     `json:"value"`
	Image       string     `json:"image"` // as written, without tag
	Environment string     `json:"environment"`
	App         string     `json:"app"`
}

// Guess is a new policy.
type Guess struct {
	Policy policy.Policy
	Path   string // of its file
	Why    string
}

// Line is a new pipeline.
type Line struct {
	Pipeline policy.Pipeline
	Path     string // of its file
	Why      string
}

// Left is a value, or a file, that gets no marker.
type Left struct {
	Path   string `json:"path"`
	Line   int    `json:"line,omitempty"` // 0: the whole file
	Value  string `json:"value,omitempty"`
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"` // what to do; empty: the reason says it
}

// String is one line: place, value, reason, what to do.
func (l Left) String() string {
	s := place(l.Path, l.Line) + ": "
	if l.Value != "" {
		s += l.Value + ": "
	}
	s += l.Reason
	if l.Hint != "" {
		s += "; " + l.Hint
	}
	return s
}

// policyDir is where policies and pipelines live.
const policyDir = "policies"

// Propose finds what can be marked and guesses what is missing for it. The same
// input gives the same proposal, and proposing again for what it wrote proposes
// nothing.
func Propose(in Input) Proposal {
	a := &adoption{in: in, files: map[string]patch.File{}, kustomized: kustomizations(in.Files)}
	a.find()
	a.place()
	a.assign()
	a.write()
	return a.result()
}

// adoption is one proposal being made.
type adoption struct {
	in         Input
	files      map[string]patch.File    // what was looked into, by path
	markers    []patch.Marker           // that were there before
	kustomized map[string]kustomization // by folder
	values     []*value                 // that can be marked
	left       []Left
	envs       []environment
	pipelines  []Line
	guesses    []Guess
	changed    []patch.File
	others     int
}

// leave records that a value is left alone.
func (a *adoption) leave(v *value, reason, hint string) {
	a.left = append(a.left, Left{Path: v.path, Line: v.line(), Value: v.text, Reason: reason, Hint: hint})
}

// keep drops the values for which f gives a reason, which it records.
func (a *adoption) keep(f func(v *value) (reason, hint string)) {
	a.values = slices.DeleteFunc(a.values, func(v *value) bool {
		reason, hint := f(v)
		if reason != "" {
			a.leave(v, reason, hint)
		}
		return reason != ""
	})
}

// wanted tells whether an image is one that the input asks for.
func (a *adoption) wanted(r image.Repo) bool {
	if len(a.in.Images) == 0 {
		return true
	}
	for _, pattern := range a.in.Images {
		for _, name := range []string{r.String(), r.Canonical(), r.Path(), path.Base(r.Path())} {
			if ok, err := path.Match(pattern, name); ok && err == nil {
				return true
			}
		}
	}
	return false
}

func (a *adoption) result() Proposal {
	p := Proposal{Files: a.changed, Policies: a.guesses, Pipelines: a.pipelines, Left: a.left, Marked: len(a.markers), Others: a.others}
	for _, v := range a.values {
		for _, s := range v.spots {
			p.Marks = append(p.Marks, Mark{Path: v.path, Line: s.node.Line, Policy: v.policy, Part: s.part, Value: s.node.Value,
				Image: v.ref.Repo.String(), Environment: v.env, App: v.app})
		}
	}
	p.Unknown, p.Untaken = a.unknown(), a.untaken()
	slices.SortFunc(p.Marks, func(x, y Mark) int {
		return cmp.Or(strings.Compare(x.Path, y.Path), cmp.Compare(x.Line, y.Line), strings.Compare(string(x.Part), string(y.Part)))
	})
	for i, l := range p.Left {
		if l.Reason == hasNoTag && a.given(l.Path, l.Value) {
			p.Left[i].Reason, p.Left[i].Hint = hasEntry, ""
		}
	}
	slices.SortStableFunc(p.Left, func(x, y Left) int {
		return cmp.Or(strings.Compare(x.Path, y.Path), cmp.Compare(x.Line, y.Line), strings.Compare(x.Value, y.Value))
	})
	p.Left = slices.Compact(p.Left)
	slices.SortFunc(p.Files, func(x, y patch.File) int { return strings.Compare(x.Path, y.Path) })
	return p
}
