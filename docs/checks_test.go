package docs_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"
)

const smallPage = "\n## Floors\n\n" +
	"| floor | packages | may |\n|---|---|---|\n" +
	"| 5 | `cmd/bot` | wire |\n| 3 | `internal/a`, `internal/b` | decide |\n| 0 | `internal/image`, `internal/pure` | compute |\n| test | `test/server` | help |\n" +
	"\n## Walls\n\n| library | only importer |\n|---|---|\n| `example.com/heavy` | `internal/a` |\n" +
	"\n## Tour\n\n### `cmd/bot`\n### `internal/a`\n### `internal/b`\n### `internal/image`\n### `internal/pure`\n### `test/server`\n"

const smallModule = `
-- cmd/bot/main.go --
package main
import (
	_ "towpath.dev/towpath/internal/a"
	_ "towpath.dev/towpath/test/server"
)
-- internal/a/a.go --
package a
import (
	_ "example.com/heavy/v2/sub"
	_ "towpath.dev/towpath/internal/pure"
)
-- internal/b/b.go --
package b
import _ "time"
-- internal/b/b_test.go --
package b
import _ "towpath.dev/towpath/internal/a"
import _ "example.com/heavy/v2"
var state int
-- internal/image/image.go --
package image
import ( "errors"; "regexp" )
var ErrBad = errors.New("bad")
var good, fine = regexp.MustCompile("x"), regexp.MustCompile("y")
var _ error = ErrBad
-- internal/pure/pure.go --
package pure
import ( _ "embed"; "time"; _ "towpath.dev/towpath/internal/image" )
//go:embed pure.go
var text string
var units = map[string][]time.Duration{"h": {-1 * time.Hour}}
func f() time.Duration { return units["h"][0] + time.Hour }
-- internal/pure/testdata/x.go --
package broken because nobody compiles it
-- test/server/server.go --
package server
-- test/server/module/go.mod --
module towpath.dev/towpath/test/server/module
`

// check runs every check on the small module, changed by files in txtar form.
func check(t *testing.T, changed string) []string {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, text := range []string{smallModule, changed} {
		for _, f := range txtar.Parse([]byte(text)).Files {
			fsys[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	src, err := readSource(fsys)
	if err != nil {
		t.Fatal(err)
	}
	p := parsePage(smallPage + "`test/server/module`")
	if f, ok := fsys["page"]; ok {
		p = parsePage(smallPage + string(f.Data))
	}
	findings := checkFloors(src, p)
	findings = append(findings, checkPure(src, p)...)
	findings = append(findings, checkWalls(src, p)...)
	findings = append(findings, checkNames(src, p, func(name string) bool { return name != "internal/gone" })...)
	return append(findings, checkGlobals(src, nil)...)
}

func TestChecksPassOnAGoodModule(t *testing.T) {
	none(t, check(t, ""))
}

func TestChecksFind(t *testing.T) {
	tests := []struct{ name, changed, want string }{
		{"an import that goes up", "-- internal/image/up.go --\npackage image\nimport _ \"towpath.dev/towpath/internal/a\"\n",
			"internal/image imports internal/a: floor 0 to floor 3"},
		{"an import that goes sideways", "-- internal/b/side.go --\npackage b\nimport _ \"towpath.dev/towpath/internal/a\"\n",
			"internal/b imports internal/a: floor 3 to floor 3"},
		{"a sideways import on floor 0", "-- internal/image/up.go --\npackage image\nimport _ \"towpath.dev/towpath/internal/pure\"\n",
			"internal/image imports internal/pure: floor 0 to floor 0"},
		{"a test helper in a decision", "-- internal/b/side.go --\npackage b\nimport _ \"towpath.dev/towpath/test/server\"\n",
			"internal/b imports test/server: floor 3 to a test helper"},
		{"a test helper that needs the house", "-- test/server/x.go --\npackage server\nimport _ \"towpath.dev/towpath/internal/a\"\n",
			"test/server imports internal/a: a test helper to floor 3"},
		{"a context on floor 0", "-- internal/pure/x.go --\npackage pure\nimport _ \"context\"\n", "which is pure, and imports context"},
		{"a server on floor 0", "-- internal/pure/x.go --\npackage pure\nimport _ \"net/http/httputil\"\n", "which is pure, and imports net/http/httputil"},
		{"the clock on floor 0", "-- internal/pure/x.go --\npackage pure\nimport \"time\"\nfunc g() { time.Now() }\n", "internal/pure/x.go:3: time.Now on floor 0"},
		{"a goroutine on floor 0", "-- internal/pure/x.go --\npackage pure\nfunc g() { go g() }\n", "internal/pure/x.go:2: a goroutine on floor 0"},
		{"a second importer of a heavy library", "-- internal/b/x.go --\npackage b\nimport _ \"example.com/heavy/v2\"\n",
			"internal/b imports example.com/heavy/v2; only internal/a may"},
		{"a wall around nothing", "-- internal/a/a.go --\npackage a\n", "wall example.com/heavy names internal/a, which does not import it"},
		{"a package without a floor", "-- internal/c/c.go --\npackage c\n", "package internal/c has no floor"},
		{"a package without a section", "-- internal/c/c.go --\npackage c\n", "package internal/c has no section"},
		{"a folder that is gone", "-- page --\n`internal/gone`\n", "internal/gone is named and does not exist"},
		{"a nested module that is not named", "-- page --\n", "module test/server/module is not named"},
		{"an init function", "-- internal/b/x.go --\npackage b\nfunc init() {}\n", "internal/b/x.go:2: an init function"},
		{"state in a variable", "-- internal/b/x.go --\npackage b\nvar cache map[string]int\n", "cache has no value, so it is state"},
		{"a computed variable", "-- internal/b/x.go --\npackage b\nvar now = compute()\n", "now is computed by compute"},
		{"a function in a variable", "-- internal/b/x.go --\npackage b\nvar now = func() {}\n", "now is neither a sentinel"},
		{"a pointer in a table", "-- internal/b/x.go --\npackage b\nvar all = []*int{&n}\n", "all is no table of constants"},
		{"an exported table", "-- internal/b/x.go --\npackage b\nvar All = []int{1}\n", "All is an exported table"},
		{"a table that is written to", "-- internal/b/x.go --\npackage b\nvar all = map[string]int{}\nfunc f() { all[\"x\"]++ }\n", "all is written to in x.go"},
		{"a table that is deleted from", "-- internal/b/x.go --\npackage b\nvar all = map[string]int{}\nfunc f() { delete(all, \"x\") }\n", "all is written to in x.go"},
		{"a sentinel that is replaced", "-- internal/b/x.go --\npackage b\nimport \"errors\"\nvar ErrX = errors.New(\"x\")\nfunc f() { ErrX = nil }\n", "ErrX is written to in x.go"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findings := check(t, tt.changed)
			if !strings.Contains(strings.Join(findings, "\n"), tt.want) {
				t.Errorf("findings %q, want one with %q", findings, tt.want)
			}
		})
	}
}

func TestDependencyChecksFind(t *testing.T) {
	const goMod = "module m\n\nrequire example.com/heavy v2.0.0\n\nrequire (\n\texample.com/unused v1.0.0\n\texample.com/deep v1.0.0 // indirect\n)\n"
	fsys := fstest.MapFS{}
	for _, f := range txtar.Parse([]byte(smallModule)).Files {
		fsys[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	src, err := readSource(fsys)
	if err != nil {
		t.Fatal(err)
	}
	head := "| module | imported by | what for | why |\n|---|---|---|---|\n"
	tests := []struct{ name, rows, want string }{
		{"a module without a line", "", "has no line for example.com/heavy"},
		{"a wrong importer", "| `example.com/heavy` | `internal/b` | x | y |\n", "example.com/heavy is imported by internal/a, the page says internal/b"},
		{"a module nobody imports", "| `example.com/unused` | tests | x | y |\n", "example.com/unused is imported by nothing"},
		{"a line too many", "| `example.com/deep` | tests | x | y |\n", "has a line for example.com/deep, which go.mod does not require directly"},
		{"a line without a reason", "| `example.com/heavy` | `internal/a` | x | |\n", "a row must have"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findings := checkDependencies(src, directRequirements(goMod), head+tt.rows)
			if !strings.Contains(strings.Join(findings, "\n"), tt.want) {
				t.Errorf("findings %q, want one with %q", findings, tt.want)
			}
		})
	}
}
