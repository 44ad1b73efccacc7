package local

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	pullFile    = "pull.json"
	reviewsDir  = "reviews"
	commentsDir = "comments"
	checksDir   = "checks"
	jsonExt     = ".json"
)

// record is pull.json.
type record struct {
	Number      int       `json:"number"`
	Open        bool      `json:"open"`
	Merged      bool      `json:"merged"`
	Branch      string    `json:"branch"`
	Base        string    `json:"base"`
	Title       string    `json:"title"`
	Body        string    `json:"body"`
	Author      string    `json:"author"`
	Labels      []string  `json:"labels"`
	Created     time.Time `json:"created"`
	Closed      time.Time `json:"closed,omitzero"`
	ClosedBy    string    `json:"closedBy,omitempty"`
	MergedHead  string    `json:"mergedHead,omitempty"`  // head that was merged
	MergeCommit string    `json:"mergeCommit,omitempty"` // commit on the base that carried it in
	// Reopens makes the record no pull request but the mark that this one was opened
	// again when the record's number was taken.
	Reopens int `json:"reopens,omitempty"`
}

// stored is a pull request as one commit of its ref holds it.
type stored struct {
	commit   string
	problem  error // why it cannot be read; then nothing else is set
	rec      record
	reviews  map[string]pr.Review  // file → review
	comments map[string]pr.Comment // file → comment
	checks   map[string]pr.Check   // file → check, of every head there was
}

func read(g Git, number int, commit string) (*stored, error) {
	snap, err := g.Snapshot(commit)
	if err != nil {
		return nil, err
	}
	files, err := snap.Files(".", nil)
	if err != nil {
		return nil, err
	}
	s := &stored{
		commit:   commit,
		reviews:  map[string]pr.Review{},
		comments: map[string]pr.Comment{},
		checks:   map[string]pr.Check{},
	}
	if err := decode(files, pullFile, &s.rec); err != nil {
		return nil, err
	}
	if s.rec.Number != number {
		return nil, fmt.Errorf("%s is about pull request %d", pullFile, s.rec.Number)
	}
	for name := range files {
		switch dir, _, _ := strings.Cut(name, "/"); dir {
		case reviewsDir:
			err = decodeInto(files, name, s.reviews)
		case commentsDir:
			err = decodeInto(files, name, s.comments)
		case checksDir:
			err = decodeInto(files, name, s.checks)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func decodeInto[T any](files map[string][]byte, name string, to map[string]T) error {
	var v T
	if err := decode(files, name, &v); err != nil {
		return err
	}
	to[name] = v
	return nil
}

func decode(files map[string][]byte, name string, v any) error {
	data, ok := files[name]
	if !ok {
		return fmt.Errorf("%s is missing", name)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// encode is indented JSON with < and > as they are: a body is full of them and
// people read these files.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil { // strings, bools and years below 10000 always encode
		panic(fmt.Sprintf("encode a record: %v", err))
	}
	return b.Bytes()
}

// pull is the record as the callers see it.
func (s *stored) pull(heads map[string]string) pr.Pull {
	p := pr.Pull{
		Number: s.rec.Number, Branch: s.rec.Branch, Base: s.rec.Base,
		Head:  heads[headRef(s.rec.Branch)],
		Ref:   headRef(s.rec.Branch),
		Title: s.rec.Title, Body: s.rec.Body, Author: s.rec.Author,
		Open: s.rec.Open, Merged: s.rec.Merged, ClosedBy: s.rec.ClosedBy,
		Created: s.rec.Created, Closed: s.rec.Closed,
		Labels:      slices.Clone(s.rec.Labels),
		Reviews:     inOrder(s.reviews),
		Comments:    s.numbered(),
		MergeCommit: s.rec.MergeCommit,
	}
	for i := range p.Reviews {
		p.Reviews[i].Authenticated = false // whatever the file says
	}
	for _, c := range inOrder(s.checks) {
		if c.Commit == p.Head {
			p.Checks = append(p.Checks, c)
		}
	}
	return p
}

// numbered is the comments with their files' numbers as IDs.
func (s *stored) numbered() []pr.Comment {
	var out []pr.Comment
	for _, name := range names(s.comments) {
		c := s.comments[name]
		c.ID = int64(fileNumber(name))
		out = append(out, c)
	}
	return out
}

func inOrder[T any](files map[string]T) []T {
	var out []T
	for _, name := range names(files) {
		out = append(out, files[name])
	}
	return out
}

// names are in the order of their numbers: 10000.json is behind 9999.json.
func names[T any](files map[string]T) []string {
	return slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		return cmp.Or(cmp.Compare(fileNumber(a), fileNumber(b)), cmp.Compare(a, b))
	})
}

// fileNumber is the number of a review or comment; 0 for other files.
func fileNumber(name string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(path.Base(name), jsonExt))
	if err != nil {
		return 0
	}
	return n
}

// next names the file behind the last one of dir.
func next[T any](dir string, files map[string]T) string {
	last := 0
	for name := range files {
		last = max(last, fileNumber(name))
	}
	return fmt.Sprintf("%s/%04d%s", dir, last+1, jsonExt)
}

// Contexts become paths in a Git tree: no dot may start a segment.
var goodContext = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$`)

var goodCommit = regexp.MustCompile(`^[0-9a-f]{40,64}$`)

func checkFile(c pr.Check) (string, error) {
	if !goodContext.MatchString(c.Context) {
		return "", fmt.Errorf("status context %q: use letters, digits, '.', '_', '-' and '/'", c.Context)
	}
	if !goodCommit.MatchString(c.Commit) {
		return "", fmt.Errorf("status %s: %q is not a commit", c.Context, c.Commit)
	}
	return checksDir + "/" + c.Commit + "/" + c.Context + jsonExt, nil
}
