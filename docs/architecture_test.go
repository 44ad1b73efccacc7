package docs_test

import (
	"fmt"
	"go/ast"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const architecture = "docs/architecture.md"

func TestArchitectureFloorsHold(t *testing.T) {
	none(t, checkFloors(readModule(t), readPage(t)))
}

func TestArchitectureFloorZeroIsPure(t *testing.T) {
	none(t, checkPure(readModule(t), readPage(t)))
}

func TestArchitectureWallsHold(t *testing.T) {
	none(t, checkWalls(readModule(t), readPage(t)))
}

func TestArchitecturePageNamesEveryFolder(t *testing.T) {
	none(t, checkNames(readModule(t), readPage(t), func(name string) bool {
		_, err := os.Stat(path.Join(root, name))
		return err == nil
	}))
}

// testFloor is the floor of helpers that only tests and floor 5 may import.
const testFloor = -1

// builder is the package that every test helper may import.
const builder = "test/build"

// everybody is the package that the rest of floor 0 may import.
const everybody = "internal/image"

// page is what architecture.md claims.
type page struct {
	floors map[string]int // package folder → floor
	walls  []wall
	named  []string // folders in backquotes
	tour   []string // folders that have a section of their own
}

type wall struct {
	library   string // prefix of import paths
	importers []string
}

var (
	quoted      = regexp.MustCompile("`([^`\n]+)`")
	folderName  = regexp.MustCompile(`^(internal|cmd|test|policies|examples|docs|changes)(/[a-z0-9_./-]+)?$`)
	tourHeading = regexp.MustCompile("(?m)^### `([^`]+)`$")
)

// parsePage reads the tables "Floors" and "Walls", the sections of the tour and
// every folder in backquotes.
func parsePage(text string) page {
	p := page{floors: map[string]int{}}
	for _, row := range tableRows(section(text, "Floors")) {
		floor := testFloor
		if n, err := strconv.Atoi(row[0]); err == nil {
			floor = n
		}
		for _, dir := range codeWords(row[1]) {
			p.floors[dir] = floor
		}
	}
	for _, row := range tableRows(section(text, "Walls")) {
		for _, library := range codeWords(row[0]) {
			p.walls = append(p.walls, wall{library, codeWords(row[1])})
		}
	}
	for _, m := range tourHeading.FindAllStringSubmatch(text, -1) {
		p.tour = append(p.tour, m[1])
	}
	for _, word := range codeWords(text) {
		if folderName.MatchString(word) {
			p.named = append(p.named, word)
		}
	}
	return p
}

func readPage(t *testing.T) page {
	t.Helper()
	p := parsePage(readText(t, architecture))
	if len(p.floors) == 0 || len(p.walls) == 0 || len(p.tour) == 0 {
		t.Fatalf("%s: the tables \"Floors\" and \"Walls\" or the tour cannot be read", architecture)
	}
	return p
}

// section returns the text below the heading "## title".
func section(text, title string) string {
	_, after, _ := strings.Cut(text, "\n## "+title+"\n")
	body, _, _ := strings.Cut(after, "\n## ")
	return body
}

// tableRows returns the cells of a table's rows, without its head.
func tableRows(text string) [][]string {
	var rows [][]string
	head := 2 // the titles and the line below them
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			head = 2
			continue
		}
		if head--; head >= 0 {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// codeWords returns what stands in backquotes.
func codeWords(text string) []string {
	var words []string
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		words = append(words, m[1])
	}
	return words
}

// checkFloors finds imports that go up or sideways.
func checkFloors(src source, p page) []string {
	var findings []string
	for _, pkg := range src.packages {
		from, known := p.floors[pkg.dir]
		if !known {
			continue // said by checkNames
		}
		for _, imp := range imports(pkg.code()) {
			dir, ours := local(imp)
			if !ours {
				continue
			}
			to, known := p.floors[dir]
			if known && mayImport(from, to, dir) {
				continue
			}
			findings = append(findings, fmt.Sprintf("%s imports %s: %s; an import only goes down (%s)",
				pkg.dir, dir, floorsText(from, to, known), architecture))
		}
	}
	return findings
}

func mayImport(from, to int, dir string) bool {
	switch {
	case from == testFloor:
		return to == 0 || dir == builder
	case to == testFloor:
		return from == 5 // the demo brings up real servers
	case from == 0:
		return dir == everybody
	}
	return to < from
}

func floorsText(from, to int, known bool) string {
	name := func(f int) string {
		if f == testFloor {
			return "a test helper"
		}
		return "floor " + strconv.Itoa(f)
	}
	if !known {
		return name(from) + " to a package without a floor"
	}
	return name(from) + " to " + name(to)
}

// impure are the imports that floor 0 must not have: a name ending in a slash
// stands for everything below it.
var impure = []string{
	"context", "crypto/rand", "io/ioutil", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http",
	"net/http/", "os", "os/", "os/exec", "os/signal", "runtime", "sync/atomic", "syscall", "testing", "testing/",
	"golang.org/x/sync/", "golang.org/x/sys/", "golang.org/x/time/",
}

// clock are the functions of package time that read or wait for the clock.
var clock = []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}

// checkPure finds contexts, goroutines, clocks, files and networks on floor 0.
func checkPure(src source, p page) []string {
	var findings []string
	for _, pkg := range src.packages {
		if floor, known := p.floors[pkg.dir]; !known || floor != 0 {
			continue
		}
		for _, imp := range imports(pkg.code()) {
			if slices.ContainsFunc(impure, func(no string) bool {
				return imp == no || strings.HasSuffix(no, "/") && strings.HasPrefix(imp, no)
			}) {
				findings = append(findings, fmt.Sprintf("%s is on floor 0, which is pure, and imports %s", pkg.dir, imp))
			}
		}
		for _, f := range pkg.code() {
			findings = append(findings, impureSyntax(src, f)...)
		}
	}
	return findings
}

func impureSyntax(src source, f goFile) []string {
	var findings []string
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			findings = append(findings, src.at(n.Pos())+": a goroutine on floor 0, which is pure")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
				findings = append(findings, src.at(n.Pos())+": time."+n.Sel.Name+" on floor 0, where time is an input")
			}
		}
		return true
	})
	return findings
}

// checkWalls finds a second importer of a heavy library, and walls around nothing.
func checkWalls(src source, p page) []string {
	var findings []string
	for _, w := range p.walls {
		real := map[string]bool{}
		for _, pkg := range src.packages {
			for _, imp := range imports(pkg.code()) {
				if strings.HasPrefix(imp, w.library) {
					real[pkg.dir] = true
					if !slices.Contains(w.importers, pkg.dir) {
						findings = append(findings, fmt.Sprintf("%s imports %s; only %s may", pkg.dir, imp, strings.Join(w.importers, " and ")))
					}
				}
			}
		}
		for _, dir := range w.importers {
			if !real[dir] {
				findings = append(findings, fmt.Sprintf("%s: wall %s names %s, which does not import it", architecture, w.library, dir))
			}
		}
	}
	return findings
}

// checkNames finds packages and nested modules that the page does not show, and
// folders that it shows but that are not there.
func checkNames(src source, p page, exists func(string) bool) []string {
	var findings []string
	for _, pkg := range src.packages {
		if len(pkg.code()) == 0 {
			continue
		}
		if _, known := p.floors[pkg.dir]; !known {
			findings = append(findings, fmt.Sprintf("%s: package %s has no floor", architecture, pkg.dir))
		}
		if !slices.Contains(p.tour, pkg.dir) {
			findings = append(findings, fmt.Sprintf("%s: package %s has no section \"### `%s`\"", architecture, pkg.dir, pkg.dir))
		}
	}
	for _, dir := range src.nested {
		if !slices.Contains(p.named, dir) {
			findings = append(findings, fmt.Sprintf("%s: module %s is not named", architecture, dir))
		}
	}
	for _, dir := range slices.Compact(slices.Sorted(slices.Values(p.named))) {
		if !exists(dir) {
			findings = append(findings, fmt.Sprintf("%s: %s is named and does not exist", architecture, dir))
		}
	}
	for dir := range p.floors {
		if !slices.ContainsFunc(src.packages, func(pkg goPackage) bool { return pkg.dir == dir && len(pkg.code()) > 0 }) {
			findings = append(findings, fmt.Sprintf("%s: %s has a floor and no Go file", architecture, dir))
		}
	}
	slices.Sort(findings)
	return findings
}
