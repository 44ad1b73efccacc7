package promote

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// linter is one look at a whole repository.
type linter struct {
	fsys    fs.FS
	more    []string          // further extensions of files that markers are looked for in
	paths   []string          // of the environments
	covered map[string]bool   // files whose markers were judged, and folders that are no app
	reached map[string]string // path → folder of an app that it is rendered from
}

// cover takes over what parsing an environment has judged.
func (l *linter) cover(v envView) {
	for _, p := range v.read {
		l.covered[p] = true
	}
	for _, p := range v.problems {
		l.covered[p.Path] = true
	}
}

// texts are files that only speak of markers.
const texts = ".md .markdown .rst .adoc .txt"

// strays finds the markers in files that no environment's apps are made of:
// outside of every environment's directory, and in files there that are no YAML.
// Hidden folders, submodules and policies/ are left out.
func (l *linter) strays() ([]policy.Problem, error) {
	var out []policy.Problem
	err := walk(l.fsys, ".", func(p string, d fs.DirEntry, k *patch.Skipped) error {
		switch {
		case k != nil: // in an environment it is said there; elsewhere it is nobody's problem
		case d.IsDir():
			if p != "." && (strings.HasPrefix(d.Name(), ".") || p == PolicyDir || l.covered[p]) {
				return fs.SkipDir
			}
		case d.Type().IsRegular() && !l.covered[p]:
			out = append(out, l.stray(p)...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for markers outside the environments: %w", err)
	}
	return out, nil
}

func (l *linter) stray(p string) []policy.Problem {
	inside := slices.ContainsFunc(l.paths, func(dir string) bool { return dir == "." || strings.HasPrefix(p, dir+"/") })
	yaml := mayMark(p, l.more)
	if !yaml && (!inside || isText(p)) {
		return nil
	}
	f, k := readFile(l.fsys, p)
	switch {
	case k != nil, !patch.MayHold(f.Data): // no app is made of it: who cannot read it misses nothing
		return nil
	case !yaml, inside && !isYAML(p) && path.Base(p) != "Kustomization":
		return notYAML(f)
	}
	return l.outside(f, inside)
}

func isText(p string) bool {
	ext := strings.ToLower(path.Ext(p))
	return ext != "" && slices.Contains(strings.Fields(texts), ext)
}

// notYAML reports the markers of a file in an environment that is no YAML by its
// name.
func notYAML(f patch.File) []policy.Problem {
	hint := "keep the value in a YAML file, or take the marker away"
	if strings.EqualFold(path.Ext(f.Path), ".json") {
		hint = "rename the file to .yaml, as JSON is YAML; or write it by hand with towpath set --json"
	}
	var out []policy.Problem
	for _, m := range markerLines(f.Data) {
		out = append(out, policy.Problem{Path: f.Path, Line: m.line, Object: "marker", Verdict: string(patch.NotYAML), Warning: m.flux,
			Reason: fmt.Sprintf("markers work in .yaml and .yml only, so nothing is written in %s", path.Base(f.Path)), Hint: hint})
	}
	return out
}

// outside reports every marker of a file that no app is made of. Flux's form may
// be another tool's, and is a warning.
func (l *linter) outside(f patch.File, inside bool) []policy.Problem {
	type place struct{ line, column int }
	var at []place
	lines := markerLines(f.Data)
	flux := map[int]bool{} // lines whose marker is of Flux's form alone
	for _, m := range lines {
		flux[m.line] = m.flux
	}
	markers, skipped := patch.Markers(f)
	for _, m := range markers {
		at = append(at, place{m.Line, m.Column})
	}
	for _, k := range skipped {
		if !fileVerdict(k) {
			at = append(at, place{k.Line, k.Column})
			continue
		}
		for _, m := range lines {
			at = append(at, place{m.line, 0})
		}
	}
	var out []policy.Problem
	for _, m := range at {
		w := policy.Problem{Path: f.Path, Line: m.line, Column: m.column, Object: "marker", Verdict: string(patch.OutsidePath), Warning: flux[m.line]}
		switch app, rendered := l.reached[f.Path]; {
		case inside:
			w.Reason = "no app of the environment holds the file, so nothing is written here"
			w.Hint = "names that start with a dot are left out: rename it, or take the marker away"
		case rendered:
			w.Reason = "no environment's directory holds the file, so nothing is written here"
			w.Hint = fmt.Sprintf("put an images: entry with the marker into the kustomization of %s, which uses it", app)
		default:
			w.Reason = "no environment's directory holds the file, so nothing is written here"
			w.Hint = "mark the value in an environment's directory (" + strings.Join(first(l.paths, 3), ", ") + "), or take the marker away"
		}
		out = append(out, w)
	}
	return out
}

// fileVerdict reports whether a verdict is about a whole file.
func fileVerdict(k patch.Skipped) bool {
	switch k.Verdict {
	case patch.NotYAML, patch.Template, patch.TooMany, patch.TooManyValues, patch.TooDeep:
		return k.Policy == ""
	}
	return k.Line == 0
}

// first is the list, or its first n with an ellipsis.
func first(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	return append(slices.Clone(list[:n]), "…")
}
