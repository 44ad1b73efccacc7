package promote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/promote"
)

// deaf is a forge that takes no status as long as it is deaf.
type deaf struct {
	*countedForge
	on bool
}

func (d *deaf) SetStatus(ctx context.Context, n int, c pr.Check) error {
	if d.on {
		return errors.New("the forge is down")
	}
	return d.countedForge.SetStatus(ctx, n, c)
}

// A head that takes too long is given up, and not tried again because the base
// branch moved.
func TestAHeadThatTakesTooLongIsGivenUpOnce(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	l.branch("more", l.head(), map[string][]byte{"envs/dev/web/more.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n")})
	n := l.ask("more")
	forge := &deaf{countedForge: l.forge, on: true}
	step := 500 * time.Millisecond
	now := l.clock()
	bot := promote.New(promote.Config{Git: l.git, Forge: forge, Author: l.git.Author(), Now: func() time.Time {
		now = now.Add(step)
		return now
	}})
	tick := func() {
		t.Helper()
		if _, err := bot.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tick()
	step, forge.on = 0, false
	l.commit("text\n", map[string][]byte{"README.md": []byte("text\n")})
	tick()
	if status, comment := l.lintOf(n); !strings.HasPrefix(status, "failure: cannot be checked: ") || !strings.Contains(status, "takes longer than 10s") || !strings.Contains(comment, "takes longer than 10s") {
		t.Errorf("%q %q", status, comment)
	}
}

// What holds markers is parsed, and has a limit of its own.
func TestWhatIsReadOfAHeadIsBounded(t *testing.T) {
	// As docs/reference/markers.md says.
	if bytes, marked, entries := newLine(t, nil).bot.LintBudget(); bytes != 128<<20 || marked != 32<<20 || entries != 500_000 {
		t.Errorf("%d bytes, %d in marked files, %d entries", bytes, marked, entries)
	}
}

func TestAHeadWithTooManyMarkedFilesIsRefused(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	l.bot.SetLintBudget(8<<20, 4<<20)
	big := append([]byte("a: b # towpath: web\n"), bytes.Repeat([]byte("# text\n"), 150_000)...)
	files := map[string][]byte{}
	for i := range 5 {
		files[fmt.Sprintf("big/%d.yaml", i)] = big
	}
	l.branch("big", l.head(), files)
	n := l.ask("big")
	l.tick()
	if status, _ := l.lintOf(n); status != "failure: cannot be checked: more than 4 MiB of its files hold markers" {
		t.Errorf("%q", status)
	}
}

// counted counts what is opened and ends a context at one of them.
type counted struct {
	fs.FS
	opened int
	at     int
	end    context.CancelFunc
}

func (c *counted) Open(name string) (fs.File, error) {
	if c.opened++; c.opened == c.at {
		c.end()
	}
	return c.FS.Open(name)
}

func TestReadingEndsWithItsContext(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 500 {
		files[fmt.Sprintf("envs/%d.yaml", i)] = &fstest.MapFile{Data: []byte("a: b # towpath: web\n")}
	}
	ctx, end := context.WithCancel(t.Context())
	c := &counted{FS: files, at: 10, end: end}
	_, _, err := promote.Files(promote.Within(ctx, c))
	if ctx.Err() == nil || c.opened > 15 {
		t.Errorf("%d opened, %v", c.opened, err)
	}
}

// TestManyMarkersOutsideAreReported ends only when the cost of each does not grow
// with their number.
func TestManyMarkersOutsideAreReported(t *testing.T) {
	const lines = 60_000
	fsys := fstest.MapFS{
		"policies/p.yaml": {Data: []byte("apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: shop}\nspec:\n  branch: main\n  environments:\n  - {name: dev, path: envs/dev, update: {policies: [\"*\"]}, merge: push}\n")},
		"envs/dev/x.yaml": {Data: []byte("a: b\n")},
		"base/x.yaml":     {Data: bytes.Repeat([]byte("a: b/c:1 # towpath: web\n"), lines)},
	}
	problems, err := promote.Lint(fsys)
	if err != nil || len(problems) < lines {
		t.Errorf("%d problems, %v", len(problems), err)
	}
}

// TestManyNamesAreChecked is the same for policies: each of many that markers name,
// known or not, is looked up, and not searched for among all.
func TestManyNamesAreChecked(t *testing.T) {
	const names = 15_000
	var known, unknown, policies bytes.Buffer
	for i := range names {
		fmt.Fprintf(&known, "a%d: b/c:1 # towpath: p%d\n", i, i)
		fmt.Fprintf(&unknown, "a%d: b/c:1 # towpath: unknown-policy-%d\n", i, i)
		if i%2 == 0 {
			fmt.Fprintf(&policies, "---\n{apiVersion: towpath.dev/v1, kind: ImagePolicy, metadata: {name: p%d}, spec: {image: b/c, pin: digest, select: {semver: {range: 1.x}}}}\n", i)
		}
	}
	fsys := fstest.MapFS{
		"policies/p.yaml":       {Data: []byte("apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: shop}\nspec:\n  branch: main\n  environments:\n  - {name: dev, path: envs/dev, update: {policies: [\"*\"]}, merge: push}\n")},
		"policies/q.yaml":       {Data: policies.Bytes()},
		"envs/dev/web/x.yaml":   {Data: known.Bytes()},
		"envs/dev/other/x.yaml": {Data: unknown.Bytes()},
	}
	problems, err := promote.Lint(fsys)
	if err != nil || len(problems) < names+names/2 {
		t.Errorf("%d problems, %v", len(problems), err)
	}
}
