package promote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// Limits of reading a tree.
const (
	maxWalked = 1_000_000 // files and folders of one walk
	maxRead   = 1 << 30   // bytes of files that one walk keeps
	maxLinks  = 8         // links that lead from one to the next
)

// Files reads every file below a folder that may hold a marker: .yaml and .yml
// in any case, the file Kustomization, and names that end in one of more, such as
// ".json". Links are not followed, .git and submodules are not entered, devices
// are not opened; what may hold a marker and cannot be read is skipped, with its
// verdict. The error is about the folder itself, or that it is too large.
func Files(fsys fs.FS, more ...string) (files []patch.File, skipped []patch.Skipped, err error) {
	read := 0
	err = walk(fsys, ".", func(p string, d fs.DirEntry, k *patch.Skipped) error {
		switch {
		case k != nil:
			skipped = append(skipped, *k)
			return nil
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			if k := odd(fsys, p, mayMark(p, more), nil); k != nil {
				skipped = append(skipped, *k)
			}
			return nil
		case !mayMark(p, more):
			return nil
		}
		f, k := readFile(fsys, p)
		if k != nil {
			skipped = append(skipped, *k)
			return nil
		}
		if read += len(f.Data); read > maxRead {
			return fmt.Errorf("more than %d MiB of files", maxRead>>20)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return files, skipped, nil
}

// mayMark reports whether markers are looked for in files of this name.
func mayMark(p string, more []string) bool {
	return isYAML(p) || path.Base(p) == "Kustomization" || slices.Contains(more, strings.ToLower(path.Ext(p)))
}

func isYAML(p string) bool {
	ext := strings.ToLower(path.Ext(p))
	return ext == ".yaml" || ext == ".yml"
}

// walk visits what is at and below dir. k says why something was not entered: it
// cannot be read, or is a submodule.
func walk(fsys fs.FS, dir string, visit func(p string, d fs.DirEntry, k *patch.Skipped) error) error {
	walked := 0
	return fs.WalkDir(fsys, dir, func(p string, d fs.DirEntry, err error) error {
		walked++
		switch {
		case err != nil && p == dir:
			return err
		case walked > maxWalked:
			return fmt.Errorf("more than %d files and folders", maxWalked)
		case err != nil:
			return visit(p, d, notRead(p, cause(err)))
		case d.IsDir() && p != dir && isSubmodule(fsys, p):
			if err := visit(p, d, submodule(p)); err != nil {
				return err
			}
			return fs.SkipDir
		}
		return visit(p, d, nil)
	})
}

// isSubmodule reports whether a folder of a checkout is another repository's:
// Git puts a file called .git into it.
func isSubmodule(fsys fs.FS, dir string) bool {
	info, err := fs.Lstat(fsys, path.Join(dir, ".git"))
	return err == nil && info.Mode().IsRegular()
}

// readFile reads a regular file that is small enough and is text, or says why
// it is left alone. It never opens anything else, and reads at most
// patch.MaxFileSize bytes and one.
func readFile(fsys fs.FS, p string) (patch.File, *patch.Skipped) {
	f := patch.File{Path: p}
	info, err := fs.Lstat(fsys, p)
	switch {
	case err != nil:
		return f, notRead(p, cause(err))
	case !info.Mode().IsRegular():
		nothing := func(string) bool { return false }
		return f, odd(fsys, p, true, nothing)
	case info.Size() > patch.MaxFileSize:
		k := patch.TooLargeFile(p)
		return f, &k
	}
	file, err := fsys.Open(p)
	if err != nil {
		return f, notRead(p, cause(err))
	}
	defer func() { _ = file.Close() }() // opened for reading: nothing is lost
	f.Data, err = io.ReadAll(io.LimitReader(file, patch.MaxFileSize+1))
	if err != nil {
		return f, notRead(p, cause(err))
	}
	if m, metered := fsys.(*meter); metered && patch.MayHold(f.Data) {
		if err := m.parse(p, len(f.Data)); err != nil {
			return f, notRead(p, cause(err))
		}
	}
	return f, patch.CheckFile(f)
}

// odd judges what is neither file nor folder; named tells that it is named like
// a file with markers, and reads what is read at its own place (nil: every file
// of the tree). A link to such a file has nothing wrong. nil: it is nobody's
// problem.
func odd(fsys fs.FS, p string, named bool, reads func(p string) bool) *patch.Skipped {
	info, err := fs.Lstat(fsys, p)
	switch {
	case err != nil:
		return notRead(p, cause(err))
	case info.IsDir(), info.Mode()&fs.ModeType == fs.ModeIrregular:
		return submodule(p)
	case info.Mode()&fs.ModeSymlink != 0:
		return link(fsys, p, named, reads)
	case !named:
		return nil
	}
	return &patch.Skipped{Path: p, Verdict: patch.NotRead, Reason: "it is a device, a socket or a pipe, which is not opened", Hint: "put a regular file there"}
}

// link judges a symbolic link by where it leads.
func link(fsys fs.FS, p string, named bool, reads func(p string) bool) *patch.Skipped {
	to, kind, reason := follow(fsys, p)
	switch {
	case kind == regular && (!named || reads == nil || reads(to)):
		return nil
	case kind == unknown && !named && path.Ext(p) != "":
		return nil // named like neither manifests nor a folder
	case kind == regular:
		reason = fmt.Sprintf("leads to %s, which is read at its own place only", to)
	}
	return &patch.Skipped{Path: p, Verdict: patch.Link, Reason: "the symbolic link " + reason, Hint: "links are not followed: put the file or the folder itself there"}
}

// kind is what a link leads to, as far as that is known.
type kind int

const (
	unknown kind = iota
	folder
	regular
)

// follow finds where a link leads, and says what is wrong with that when it is no
// regular file of the tree.
func follow(fsys fs.FS, p string) (at string, k kind, reason string) {
	for range maxLinks {
		to, err := fs.ReadLink(fsys, p)
		if err != nil {
			return "", unknown, "cannot be read: " + cause(err).Error()
		}
		p = path.Join(path.Dir(p), to)
		if path.IsAbs(to) || !fs.ValidPath(p) {
			return "", unknown, fmt.Sprintf("leads out of the folder, to %q", to)
		}
		info, err := fs.Lstat(fsys, p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", unknown, fmt.Sprintf("leads to %q, which does not exist", to)
		case err != nil:
			return "", unknown, fmt.Sprintf("leads to %q, which cannot be looked at: %v", to, cause(err))
		case info.IsDir():
			return p, folder, fmt.Sprintf("leads to the folder %q", to)
		case info.Mode().IsRegular():
			return p, regular, ""
		case info.Mode()&fs.ModeSymlink == 0:
			return "", unknown, fmt.Sprintf("leads to %q, which is no regular file", to)
		}
	}
	return "", unknown, fmt.Sprintf("leads in a circle, or through more than %d links", maxLinks)
}

func notRead(p string, err error) *patch.Skipped {
	return &patch.Skipped{Path: p, Verdict: patch.NotRead, Reason: "it cannot be read: " + err.Error(), Hint: "make it readable, or take it away"}
}

func submodule(p string) *patch.Skipped {
	return &patch.Skipped{Path: p, Verdict: patch.Submodule, Reason: "the folder is a submodule: another repository, which is not looked into",
		Hint: "commit the files themselves, or make it an environment of its own repository"}
}

// cause takes the path out of an error, as it is said beside it.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// ownMarker is a marker of our form in any text.
var ownMarker = regexp.MustCompile(`#[# \t]*towpath:[ \t]*[a-z0-9]`)

// markerLine is a line of a text that holds a marker, of Flux's form alone or not.
type markerLine struct {
	line int
	flux bool
}

// markerLines finds the markers of a text that no YAML parser is to read.
func markerLines(data []byte) []markerLine {
	var out []markerLine
	n := 0
	for text := range bytes.Lines(data) {
		n++
		own, flux := ownMarker.Match(text), bytes.Contains(text, []byte(`{"$imagepolicy"`))
		if own || flux {
			out = append(out, markerLine{n, !own})
		}
	}
	return out
}

// ownDocument is the apiVersion of a policy or a pipeline.
var ownDocument = regexp.MustCompile(`(?m)^(?:- )?["']?apiVersion["']?:[ \t]+["']?towpath\.dev/`)

// documents finds the policies and pipelines in a file of an environment, where
// nobody reads them, and whence an agent would apply them to a cluster.
func documents(env string, f patch.File) []policy.Problem {
	var out []policy.Problem
	for _, at := range ownDocument.FindAllIndex(f.Data, -1) {
		out = append(out, policy.Problem{Path: f.Path, Line: 1 + bytes.Count(f.Data[:at[0]], []byte{'\n'}), Object: "file",
			Reason: fmt.Sprintf("a document of towpath.dev is inside environment %s, where it is a manifest and no policy", env),
			Hint:   "move it to policies/"})
	}
	return out
}

// parseApp reads the markers of an app. What keeps one from being read is in
// AppState.Skipped, also where it is a whole file. known may be nil.
func parseApp(fsys fs.FS, env string, d manifest.AppDir, known *blobs) AppState {
	a := AppState{Env: env, Name: d.Name, Dir: d.Dir}
	for _, p := range d.Files {
		f := known.read(fsys, env, p)
		a.misplaced = append(a.misplaced, f.misplaced...)
		a.Markers = append(a.Markers, f.markers...)
		a.Skipped = append(a.Skipped, f.skipped...)
		if len(f.markers) > 0 {
			a.Files = append(a.Files, f.file)
		}
	}
	read := map[string]bool{}
	for _, p := range d.Files {
		read[p] = true
	}
	for _, p := range d.Odd {
		if k := odd(fsys, p, mayMark(p, nil), func(p string) bool { return read[p] }); k != nil {
			a.Skipped = append(a.Skipped, *k)
		}
	}
	if d.Unread != "" {
		a.Skipped = append(a.Skipped, patch.Skipped{Path: d.Dir, Verdict: patch.NotRead, Reason: "not all of it is read: " + d.Unread})
	}
	values, skipped := patch.Values(a.Markers)
	a.Values = values
	a.Skipped = append(a.Skipped, skipped...)
	a.Content = patch.Content(env, d.Name, values)
	return a
}
