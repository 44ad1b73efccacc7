package docs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDependenciesPageIsTrue(t *testing.T) {
	none(t, checkDependencies(readModule(t), directRequirements(readText(t, "go.mod")), readText(t, "docs/dependencies.md")))
}

// directRequirements returns the module paths that a go.mod requires without
// "// indirect".
func directRequirements(goMod string) []string {
	var modules []string
	inBlock := false
	for line := range strings.Lines(goMod) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			inBlock = true
			continue
		case line == ")":
			inBlock = false
			continue
		}
		if rest, ok := strings.CutPrefix(line, "require "); ok {
			line = rest
		} else if !inBlock {
			continue
		}
		if fields := strings.Fields(line); len(fields) >= 2 && !strings.HasSuffix(line, "// indirect") {
			modules = append(modules, fields[0])
		}
	}
	return modules
}

// checkDependencies compares the table with go.mod and with the real importers.
func checkDependencies(src source, required []string, text string) []string {
	var findings []string
	rows := map[string][]string{}
	for _, row := range tableRows(text) {
		words := codeWords(row[0])
		if len(words) != 1 || len(row) != 4 || row[2] == "" || row[3] == "" {
			findings = append(findings, fmt.Sprintf("docs/dependencies.md: a row must have a module, its importers, what for and why: %q", row))
			continue
		}
		rows[words[0]] = row
	}
	for _, mod := range required {
		row, ok := rows[mod]
		if !ok {
			findings = append(findings, "docs/dependencies.md has no line for "+mod)
			continue
		}
		delete(rows, mod)
		want := "tests"
		if words := codeWords(row[1]); len(words) > 0 {
			want = joined(words)
		}
		if got := importersText(src, mod); got != want {
			findings = append(findings, fmt.Sprintf("docs/dependencies.md: %s is imported by %s, the page says %s", mod, got, want))
		}
	}
	for mod := range rows {
		findings = append(findings, "docs/dependencies.md has a line for "+mod+", which go.mod does not require directly")
	}
	slices.Sort(findings)
	return findings
}

// importersText names the packages whose code imports a module, else says that
// only tests do, or nothing.
func importersText(src source, mod string) string {
	imported := func(files []goFile) bool {
		return slices.ContainsFunc(imports(files), func(imp string) bool { return imp == mod || strings.HasPrefix(imp, mod+"/") })
	}
	var dirs []string
	tests := false
	for _, pkg := range src.packages {
		switch {
		case imported(pkg.code()):
			dirs = append(dirs, pkg.dir)
		case imported(pkg.files):
			tests = true
		}
	}
	switch {
	case len(dirs) > 0:
		return joined(dirs)
	case tests:
		return "tests"
	}
	return "nothing: remove it from go.mod"
}

func joined(words []string) string {
	return strings.Join(slices.Sorted(slices.Values(words)), ", ")
}
