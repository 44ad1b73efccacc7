package adopt

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// The stops that folders are named after, in the order in which versions pass them.
// Words of one rank mean the same.
const (
	rankDev = iota
	rankTest
	rankInt
	rankQA
	rankUAT
	rankStage
	rankPreprod
	rankProd
)

// rankOf reads one word.
func rankOf(word string) (int, bool) {
	switch word {
	case "dev", "develop", "development":
		return rankDev, true
	case "test", "testing", "tst":
		return rankTest, true
	case "int", "integration":
		return rankInt, true
	case "qa":
		return rankQA, true
	case "uat":
		return rankUAT, true
	case "stage", "staging", "stg":
		return rankStage, true
	case "preprod", "preproduction":
		return rankPreprod, true
	case "prod", "production", "prd", "live":
		return rankProd, true
	}
	return 0, false
}

// readFolder reads a folder's name: prod, prod-eu, eu-prod. rest is what it says
// beside.
func readFolder(name string) (rank int, rest string, ok bool) {
	name = strings.ToLower(name)
	if rank, ok = rankOf(name); ok {
		return rank, "", true
	}
	if name == "pre-prod" || name == "pre-production" {
		return rankPreprod, "", true
	}
	if first, rest, cut := strings.Cut(name, "-"); cut {
		if rank, ok = rankOf(first); ok {
			return rank, rest, true
		}
	}
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		if rank, ok = rankOf(name[i+1:]); ok {
			return rank, name[:i], true
		}
	}
	return 0, "", false
}

// folder is a folder that is named like an environment.
type folder struct {
	dir  string
	rank int
	rest string
}

// group is folders beside each other that make a line.
type group struct {
	parent  string
	folders []folder
}

// holdsStops tells whether a folder's name says that environments are in it.
func holdsStops(name string) bool {
	switch strings.ToLower(name) {
	case "envs", "env", "environments", "overlays", "clusters", "stages":
		return true
	}
	return false
}

// groups finds the outermost folders that are named like environments and hold values.
func (a *adoption) groups() []group {
	dirs := map[string]bool{}
	for _, f := range a.in.Files {
		if hidden(f.Path) || within(f.Path, policyDir) {
			continue
		}
		for dir := path.Dir(f.Path); dir != "." && !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	beside := map[string][]folder{}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if rank, rest, ok := readFolder(path.Base(dir)); ok {
			beside[path.Dir(dir)] = append(beside[path.Dir(dir)], folder{dir, rank, rest})
		}
	}
	parents := slices.SortedFunc(maps.Keys(beside), func(x, y string) int {
		if d := depthOf(x) - depthOf(y); d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	var out []group
	for _, parent := range parents {
		folders := stops(parent, beside[parent])
		inner := slices.ContainsFunc(out, func(g group) bool {
			return slices.ContainsFunc(g.folders, func(f folder) bool { return within(parent, f.dir) })
		})
		holds := slices.ContainsFunc(a.values, func(v *value) bool {
			return slices.ContainsFunc(folders, func(f folder) bool { return within(v.path, f.dir) })
		})
		if !inner && holds {
			out = append(out, group{parent, folders})
		}
	}
	return out
}

// depthOf counts the folders of a path.
func depthOf(dir string) int {
	if dir == "." {
		return 0
	}
	return 1 + strings.Count(dir, "/")
}

// stops picks the folders that are environments. Outside of a folder that is made for
// them it takes two that differ in nothing but the word: one alone, as test/, says
// little.
func stops(parent string, folders []folder) []folder {
	if holdsStops(path.Base(parent)) {
		return folders
	}
	ranks := map[string]map[int]bool{} // by rest
	for _, f := range folders {
		if ranks[f.rest] == nil {
			ranks[f.rest] = map[int]bool{}
		}
		ranks[f.rest][f.rank] = true
	}
	return slices.DeleteFunc(slices.Clone(folders), func(f folder) bool {
		alone := len(ranks[f.rest]) < 2
		variant := f.rest != "" && len(ranks[""]) >= 1 && !ranks[""][f.rank] && strings.HasSuffix(f.dir, "-"+f.rest)
		return alone && !variant || f.rest == "" && len(ranks[""]) < 2 && len(folders) < 2
	})
}

// groupName tells a group from others: the folder that it is about.
func groupName(parent string) string {
	for holdsStops(path.Base(parent)) {
		parent = path.Dir(parent)
	}
	if parent == "." {
		return ""
	}
	return path.Base(parent)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
