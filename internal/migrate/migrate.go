// Package migrate turns what other updaters of images read (Flux's ImageRepository,
// ImagePolicy and ImageUpdateAutomation; Argo CD Image Updater's annotations and
// ImageUpdater resources) into policies and a pipeline.
//
// Floor 3. Pure: files in, new files and notes out. Nothing is lost silently: every
// field of an object is carried over, means nothing here, or becomes a Note. What is
// written loads without an error; what has no equal stands in it as a comment. It must
// not touch the objects themselves, nor write markers: that is what adopt is for.
package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/patch"
)

// Where the new files go.
const (
	PolicyDir    = "policies"
	PipelineFile = PolicyDir + "/pipeline.yaml"
)

// Note is something that could not be carried over, or that a person must look at.
type Note struct {
	Path   string `json:"path"`
	Line   int    `json:"line"`             // from 1; 0: the whole file
	Object string `json:"object,omitempty"` // "ImagePolicy/web"
	Text   string `json:"text"`             // "field: reason; what to do instead"
}

// String is "path:line: Kind/name: field: reason; what to do instead".
func (n Note) String() string {
	s := oneLine(n.Path)
	if n.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, n.Line)
	}
	if n.Object != "" {
		s += ": " + n.Object
	}
	return s + ": " + n.Text
}

// Result is what a migration proposes.
type Result struct {
	Files   []patch.File // new files only, sorted by path
	Notes   []Note       // sorted by place
	Objects int          // how many objects were found that say which tags are wanted, and where; 0: nothing to migrate
}

// collector keeps the notes, each once.
type collector struct {
	files   []patch.File
	notes   []Note
	said    map[Note]bool
	objects int
	head    string // the branch of a pipeline whose branch nothing names
}

func newCollector(files []patch.File, branch string) *collector {
	return &collector{files: files, said: map[Note]bool{}, head: cmp.Or(branch, defaultBranch)}
}

// note keeps a note on a line of an object and returns its text.
func (c *collector) note(o *object, line int, text string) string {
	c.add(Note{Path: o.path, Line: line, Object: o.String(), Text: oneLine(text)})
	return text
}

func (c *collector) add(n Note) {
	if !c.said[n] {
		c.said[n] = true
		c.notes = append(c.notes, n)
	}
}

func (c *collector) sorted() []Note {
	slices.SortStableFunc(c.notes, func(a, b Note) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	return c.notes
}

// has tells whether a file, or a file below the folder, is among those that were read.
func (c *collector) has(path string) bool {
	return slices.ContainsFunc(c.files, func(f patch.File) bool {
		return f.Path == path || path == "." || strings.HasPrefix(f.Path, path+"/")
	})
}
