package adopt

import (
	"path"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/patch"
)

// kustomization is what one kustomization takes and replaces.
type kustomization struct {
	path  string   // of its file
	takes []string // files and folders, from the repository's root
	names []string // that entries of its images: replace
}

// kustomizations reads all of them, by folder.
func kustomizations(files []patch.File) map[string]kustomization {
	out := map[string]kustomization{}
	for _, f := range files {
		if hidden(f.Path) || !kustomizationFiles.MatchString(path.Base(f.Path)) {
			continue
		}
		docs, err := parse(f.Data)
		if err != nil {
			continue // what is in it is nobody's base
		}
		dir := path.Dir(f.Path)
		k := kustomization{path: f.Path}
		for _, d := range docs {
			for _, key := range []string{"resources", "bases", "components"} {
				for _, n := range items(d, key) {
					if n.Value != "" && !strings.Contains(n.Value, "://") {
						k.takes = append(k.takes, path.Join(dir, n.Value))
					}
				}
			}
			for _, n := range items(d, "images") {
				k.names = append(k.names, text(n, "name"))
			}
		}
		out[dir] = k
	}
	return out
}

// chainTo finds the kustomizations through which the one in dir takes a file, itself
// first; none: it does not take it.
func (a *adoption) chainTo(dir, file string) []string {
	seen := map[string]bool{}
	var visit func(dir string) []string
	visit = func(dir string) []string {
		k, ok := a.kustomized[dir]
		if !ok || seen[dir] {
			return nil
		}
		seen[dir] = true
		if k.path == file {
			return []string{dir}
		}
		for _, to := range k.takes {
			if _, built := a.kustomized[to]; to == file || !built && within(file, to) {
				return []string{dir}
			}
			if chain := visit(to); chain != nil {
				return append([]string{dir}, chain...)
			}
		}
		return nil
	}
	return visit(dir)
}

// replaced tells whether an entry of images: on the way gives an image its tag. An
// entry in the file itself is not on the way.
func (a *adoption) replaced(chain []string, file, name string) bool {
	return slices.ContainsFunc(chain, func(dir string) bool {
		return a.kustomized[dir].path != file && slices.Contains(a.kustomized[dir].names, name)
	})
}

// takers are the kustomizations of environments that take a file, by their files'
// names: all, and those that do not replace the image of this name.
func (a *adoption) takers(file, name string, of func(env string) bool) (all, plain []string) {
	for _, dir := range sortedKeys(a.kustomized) {
		k := a.kustomized[dir]
		e, _ := a.home(k.path)
		if e == nil || !of(e.Name) {
			continue
		}
		chain := a.chainTo(dir, file)
		if chain == nil {
			continue
		}
		all = append(all, k.path)
		if !a.replaced(chain, file, name) {
			plain = append(plain, k.path)
		}
	}
	return all, plain
}

// given tells whether a kustomization that takes a file gives an image its tag.
func (a *adoption) given(file, name string) bool {
	for dir := range a.kustomized {
		if chain := a.chainTo(dir, file); chain != nil && a.replaced(chain, file, name) {
			return true
		}
	}
	return false
}

// sharedFolders are the folders and files that kustomizations take from elsewhere.
func (a *adoption) sharedFolders() []string {
	var shared []string
	for _, dir := range sortedKeys(a.kustomized) {
		for _, to := range a.kustomized[dir].takes {
			if !within(to, dir) {
				shared = append(shared, to)
			}
		}
	}
	return shared
}

// maxNamed is how many files a hint names.
const maxNamed = 3

// some names the first few of a list.
func some(list []string) string {
	if len(list) > maxNamed {
		return strings.Join(list[:maxNamed], ", ") + ", …"
	}
	return strings.Join(list, ", ")
}

// images tells whether images: of a kustomization reaches a value: it looks into the
// containers of manifests, and not into values of Helm.
func (v *value) byImages() bool {
	for _, other := range []string{"HelmRelease/", "Application/", "ApplicationSet/", "values"} {
		if strings.HasPrefix(v.slot, other) {
			return false
		}
	}
	return true
}

// perOverlay is what to do that overlays have tags of their own.
func (v *value) perOverlay(overlays []string) string {
	where := "each overlay's kustomization.yaml"
	if len(overlays) > 0 {
		where = some(overlays)
	}
	if !v.byImages() {
		return "patch the tag in " + where + ", as images: does not reach values of Helm, and mark it there"
	}
	return "put an entry into images: of " + where + " and run adopt again"
}

// borrowed leaves values that another environment takes, too: what is merged in one
// would be in both.
func (a *adoption) borrowed() {
	a.keep(func(v *value) (string, string) {
		_, plain := a.takers(v.path, v.ref.Repo.String(), func(env string) bool { return env != v.env })
		if len(plain) == 0 {
			return "", ""
		}
		return plain[0] + " takes it, too, so a change in it would reach both environments at once", v.perOverlay(plain)
	})
}
