package promote_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/examples"
	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
	"towpath.dev/towpath/test/ociregistry"
)

// line is a bot over a real repository, a real registry and the local forge.
// Only the clusters are played: reportGreen writes what agents would report.
type line struct {
	t     testing.TB
	reg   *ociregistry.Server
	url   string
	git   *gitrepo.Repo
	forge *countedForge
	bot   *promote.Bot
	now   time.Time

	reported string // the head that reportGreen reported last
}

func newLine(t testing.TB, change func(path string, data []byte) []byte) *line {
	t.Helper()
	reg, err := ociregistry.Start(ociregistry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	return newLineAt(t, reg, change)
}

// newLineAt is a new repository on a registry that is emptied first.
func newLineAt(t testing.TB, reg *ociregistry.Server, change func(path string, data []byte) []byte) *line {
	t.Helper()
	for _, tag := range []string{"1.1.0", "1.1.1", "1.2.0"} {
		_ = reg.Delete("shop/web", tag) // not there the first time
	}
	for _, image := range []string{"shop/web", "shop/api"} {
		if err := reg.PushAll(image, "1.0.0"); err != nil {
			t.Fatal(err)
		}
	}
	l := &line{t: t, reg: reg, url: filepath.Join(t.TempDir(), "config.git"), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	initBare(t, l.url)
	l.git = l.open()
	l.seed(change)
	l.bot = l.newBot(l.git)
	return l
}

// initBare makes a repository that waits for no disk and cleans nothing up after
// a push: it is thrown away with the test, which pushes hundreds of times.
func initBare(t testing.TB, path string) {
	t.Helper()
	if err := gitrepo.InitBare(path, "main"); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(path, "config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("[core]\n\tfsync = none\n[receive]\n\tautogc = false\n")
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (l *line) clock() time.Time { return l.now }

func (l *line) open() *gitrepo.Repo {
	l.t.Helper()
	r, err := gitrepo.Open(l.t.Context(), gitrepo.Config{URL: l.url, Dir: l.t.TempDir(), Now: l.clock})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = r.Close() })
	return r
}

// scanner asks the line's registry; nil: whenever it is used.
func (l *line) scanner(due func(schedule string, last, now time.Time) bool) *scan.Scanner {
	s := scan.New(scan.Config{Registry: registry.New(registry.Config{Hosts: []registry.Host{
		{Host: l.reg.Host(), PlainHTTP: true, PrivateNetwork: true, RequestsPerSecond: 1e4}, // ticks follow each other at once here
		{Host: "127.0.0.1:1", PlainHTTP: true, PrivateNetwork: true},
	}}), Due: due})
	l.t.Cleanup(s.Close)
	return s
}

func (l *line) newBot(r *gitrepo.Repo) *promote.Bot {
	l.forge = &countedForge{Forge: local.New(local.Config{Git: r, User: "towpath", Now: l.clock})}
	return promote.New(promote.Config{
		Git: r, Forge: l.forge, Author: r.Author(), Now: l.clock,
		Scanner:              l.scanner(nil),
		States:               func(ctx context.Context) (state.State, error) { return state.Load(ctx, r) },
		AllowUnauthenticated: true,
	})
}

// seed commits examples/shop with the address of the registry.
func (l *line) seed(change func(path string, data []byte) []byte) {
	l.t.Helper()
	files, err := examples.Shop(l.reg.Host())
	if err != nil {
		l.t.Fatal(err)
	}
	for p, data := range files {
		if change != nil {
			files[p] = change(p, data)
		}
	}
	c, err := l.git.Commit(l.t.Context(), gitrepo.Change{Files: files, Message: "shop\n"})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.git.Push(l.t.Context(), gitrepo.Update{Ref: "refs/heads/main", New: c.Hash}); err != nil {
		l.t.Fatal(err)
	}
}

// reportGreen reports, for every environment, that what Git holds now has been
// healthy for a minute.
func (l *line) reportGreen() {
	l.t.Helper()
	if err := l.git.Fetch(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	if l.reported == l.head() {
		return
	}
	l.reported = l.head()
	for _, env := range []string{"dev", "staging", "prod"} {
		r := state.Report{Env: env, Cluster: env, Commit: l.head(), At: l.now}
		for _, app := range []string{"api", "web"} {
			r.Apps = append(r.Apps, state.AppReport{App: app, Content: patch.Content(env, app, l.values(env, app)), Phase: state.Healthy, Since: l.now.Add(-time.Minute)})
		}
		if err := state.PutReport(l.t.Context(), l.git, r); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *line) head() string {
	l.t.Helper()
	h, err := l.git.Head("main")
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

func (l *line) values(env, app string) map[string]image.Ref {
	l.t.Helper()
	snap, err := l.git.Snapshot(l.head())
	if err != nil {
		l.t.Fatal(err)
	}
	apps, err := manifest.Apps(snap.FS(), "envs/"+env)
	if err != nil {
		l.t.Fatal(err)
	}
	var markers []patch.Marker
	for _, a := range apps {
		for _, f := range a.Files {
			if a.Name != app {
				continue
			}
			data, err := fs.ReadFile(snap.FS(), f)
			if err != nil {
				l.t.Fatal(err)
			}
			ms, _ := patch.Markers(patch.File{Path: f, Data: data})
			markers = append(markers, ms...)
		}
	}
	values, _ := patch.Values(markers)
	return values
}

// versions is "dev/staging/prod" of an app's only policy.
func (l *line) versions(app string) string {
	l.t.Helper()
	if err := l.git.Fetch(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	var out []string
	for _, env := range []string{"dev", "staging", "prod"} {
		out = append(out, promote.Versions(l.values(env, app)))
	}
	return strings.Join(out, " ")
}

func (l *line) tick() promote.Outcome {
	l.t.Helper()
	out, err := l.bot.Tick(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range out.Failures {
		l.t.Error(f)
	}
	return out
}

// settle ticks and reports until nothing moves any more.
func (l *line) settle() {
	l.t.Helper()
	for range 20 {
		l.reportGreen()
		l.now = l.now.Add(time.Second)
		if !l.tick().Changed() {
			return
		}
	}
	l.t.Fatal("never comes to rest")
}

func TestAVersionTravelsTheWholeLine(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	if err := l.reg.PushAll("shop/web", "1.1.0", "2.0.0"); err != nil {
		t.Fatal(err)
	}
	l.settle()
	if got := l.versions("web"); got != "1.1.0 1.1.0 1.0.0" {
		t.Fatalf("before the approval: %s", got)
	}
	pulls, err := l.forge.List(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	prod := pulls[0]
	if !prod.Open || prod.Branch != "towpath/prod/web" {
		t.Fatalf("newest pull request: %+v", prod)
	}
	if err := l.forge.Review(t.Context(), prod.Number, pr.Review{User: "alice", State: pr.Approved, Commit: prod.Head, At: l.now}); err != nil {
		t.Fatal(err)
	}
	l.settle()
	if got := l.versions("web"); got != "1.1.0 1.1.0 1.1.0" {
		t.Fatalf("after the approval: %s", got)
	}
	if got := l.versions("api"); got != "1.0.0 1.0.0 1.0.0" {
		t.Errorf("api moved: %s", got)
	}
	log, err := l.git.Log(l.head(), 10)
	if err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for _, c := range log {
		subjects = append(subjects, strings.SplitN(c.Message, "\n", 2)[0])
	}
	want := []string{"prod: web 1.0.0 → 1.1.0 (#2)", "staging: web 1.0.0 → 1.1.0 (#1)", "dev: web 1.0.0 → 1.1.0", "shop"}
	if !slices.Equal(subjects, want) {
		t.Errorf("commits %q, want %q", subjects, want)
	}
	if !strings.Contains(log[0].Message, "\nTowpath-Approved-By: alice\n") || !strings.Contains(log[0].Message, "\nTowpath-Content: sha256:") {
		t.Errorf("trailers are missing:\n%s", log[0].Message)
	}
}

func TestWhatATickCosts(t *testing.T) {
	second := []byte("\n---\napiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: web-patch}\nspec:\n  image: HOST/shop/web\n  select: {semver: {range: \"~1.0\"}}\n")
	l := newLine(t, func(path string, data []byte) []byte {
		switch path {
		case "policies/web.yaml":
			return append(bytes.TrimSuffix(data, []byte("\n")), second...)
		case "envs/dev/api/kustomization.yaml":
			return append(data, []byte("  - name: side\n    newTag: 1.0.0 # towpath: web-patch:tag\n")...)
		}
		return data
	})
	l.replaceHost()
	l.settle()
	t.Run("two policies on one image are one listing", func(t *testing.T) {
		l.reg.Reset()
		l.tick()
		if got := l.reg.Listings("shop/web"); got != 1 {
			t.Errorf("%d listings of shop/web", got)
		}
		if got := l.reg.Listings("shop/api"); got != 1 {
			t.Errorf("%d listings of shop/api", got)
		}
	})
	t.Run("a tick without change writes no object, pushes nothing and only lists pull requests", func(t *testing.T) {
		before := l.git.Counts()
		l.forge.calls = nil
		if out := l.tick(); out.Changed() {
			t.Fatalf("changed: %+v", out.Plan)
		}
		after := l.git.Counts()
		if n := after.ObjectsWritten - before.ObjectsWritten; n != 0 {
			t.Errorf("%d objects written", n)
		}
		if n := after.Pushes - before.Pushes; n != 0 {
			t.Errorf("%d pushes", n)
		}
		if n := after.Fetches - before.Fetches; n != 1 {
			t.Errorf("%d fetches", n)
		}
		if !slices.Equal(l.forge.calls, []string{"List"}) {
			t.Errorf("forge calls %v", l.forge.calls)
		}
	})
	t.Run("a pull request that waits costs nothing either", func(t *testing.T) {
		if err := l.reg.PushAll("shop/web", "1.3.0"); err != nil {
			t.Fatal(err)
		}
		l.settle() // prod waits for an approval now
		before := l.git.Counts()
		l.forge.calls = nil
		l.tick()
		after := l.git.Counts()
		if after.ObjectsWritten != before.ObjectsWritten || !slices.Equal(l.forge.calls, []string{"List"}) {
			t.Errorf("%d objects, calls %v", after.ObjectsWritten-before.ObjectsWritten, l.forge.calls)
		}
	})
	t.Run("changed lines are the changed markers", func(t *testing.T) {
		changed := l.changedLines("envs/dev/web/deployment.yaml")
		if changed != 1 {
			t.Errorf("%d lines of the deployment differ from the first commit", changed)
		}
	})
}

// replaceHost puts the registry's address where the test's own policy names HOST.
func (l *line) replaceHost() {
	l.t.Helper()
	snap, err := l.git.Snapshot(l.head())
	if err != nil {
		l.t.Fatal(err)
	}
	data, err := fs.ReadFile(snap.FS(), "policies/web.yaml")
	if err != nil {
		l.t.Fatal(err)
	}
	l.commit("the second policy\n", map[string][]byte{"policies/web.yaml": bytes.ReplaceAll(data, []byte("HOST"), []byte(l.reg.Host()))})
}

func (l *line) commit(message string, files map[string][]byte) {
	l.t.Helper()
	c, err := l.git.Commit(l.t.Context(), gitrepo.Change{Parent: l.head(), Files: files, Message: message})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.git.Push(l.t.Context(), gitrepo.Update{Ref: "refs/heads/main", Old: l.head(), New: c.Hash}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) changedLines(path string) int {
	l.t.Helper()
	log, err := l.git.Log(l.head(), 100)
	if err != nil {
		l.t.Fatal(err)
	}
	first := strings.Split(l.file(log[len(log)-1].Hash, path), "\n")
	last := strings.Split(l.file(l.head(), path), "\n")
	if len(first) != len(last) {
		l.t.Fatalf("%d lines became %d", len(first), len(last))
	}
	n := 0
	for i := range first {
		if first[i] != last[i] {
			n++
		}
	}
	return n
}

func (l *line) file(commit, path string) string {
	l.t.Helper()
	snap, err := l.git.Snapshot(commit)
	if err != nil {
		l.t.Fatal(err)
	}
	data, err := fs.ReadFile(snap.FS(), path)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(data)
}

func TestAPersonPushesAtTheSameMoment(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	if err := l.reg.PushAll("shop/web", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	person := l.open()
	racing := &racingGit{Repo: l.git, before: func() {
		if err := person.Fetch(t.Context()); err != nil {
			t.Error(err)
		}
		head, err := person.Head("main")
		if err != nil {
			t.Error(err)
		}
		c, err := person.Commit(t.Context(), gitrepo.Change{Parent: head, Files: map[string][]byte{"README.md": []byte("by hand\n")}, Message: "by hand\n"})
		if err != nil {
			t.Error(err)
		}
		if err := person.Push(t.Context(), gitrepo.Update{Ref: "refs/heads/main", Old: head, New: c.Hash}); err != nil {
			t.Error(err)
		}
	}}
	var waits []int
	bot := promote.New(promote.Config{Git: racing, Forge: l.forge, Author: l.git.Author(), Now: l.clock, Scanner: l.scanner(nil),
		Pause: func(_ context.Context, attempt int) error { waits = append(waits, attempt); return nil }})
	if _, err := bot.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(waits, []int{1}) {
		t.Errorf("waited before attempts %v", waits)
	}
	if got := l.versions("web"); !strings.HasPrefix(got, "1.1.0 ") {
		t.Errorf("the update was lost: %s", got)
	}
	if got := l.file(l.head(), "README.md"); got != "by hand\n" {
		t.Errorf("the person's commit was lost: %q", got)
	}
}

// racingGit lets somebody else push just before our first push.
type racingGit struct {
	*gitrepo.Repo
	before func()
}

func (r *racingGit) Publish(ctx context.Context, c gitrepo.Change, ref, old string) (gitrepo.Commit, error) {
	if r.before != nil {
		before := r.before
		r.before = nil
		before()
	}
	return r.Repo.Publish(ctx, c, ref, old)
}

// countedForge counts the calls of a tick.
type countedForge struct {
	*local.Forge
	calls []string
}

func (f *countedForge) List(ctx context.Context, base string) ([]pr.Pull, error) {
	f.calls = append(f.calls, "List")
	return f.Forge.List(ctx, base)
}

func (f *countedForge) Ensure(ctx context.Context, r pr.Request) (pr.Pull, error) {
	f.calls = append(f.calls, "Ensure")
	return f.Forge.Ensure(ctx, r)
}

func (f *countedForge) Comment(ctx context.Context, n int, c pr.Comment) error {
	f.calls = append(f.calls, "Comment")
	return f.Forge.Comment(ctx, n, c)
}

func (f *countedForge) SetStatus(ctx context.Context, n int, c pr.Check) error {
	f.calls = append(f.calls, "SetStatus")
	return f.Forge.SetStatus(ctx, n, c)
}

func (f *countedForge) SetLabel(ctx context.Context, n int, label string, on bool) error {
	f.calls = append(f.calls, "SetLabel")
	return f.Forge.SetLabel(ctx, n, label, on)
}

func TestBadInputStopsOnlyItself(t *testing.T) {
	l := newLine(t, func(path string, data []byte) []byte {
		switch path {
		case "policies/api.yaml":
			return bytes.ReplaceAll(data, []byte("range:"), []byte("rnage:"))
		case "envs/staging/web/service.yaml":
			return append(data, []byte("  bad: [\n")...)
		}
		return data
	})
	if err := l.reg.PushAll("shop/web", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	out := l.tick()
	if got := l.versions("web"); !strings.HasPrefix(got, "1.1.0 ") {
		t.Errorf("the good policy did not move: %s", got)
	}
	var lines []string
	for _, p := range out.Situation.Problems {
		lines = append(lines, p.String())
	}
	all := strings.Join(lines, "\n")
	for _, want := range []string{`policies/api.yaml:9:14: unknown key "rnage"`, `policy "api" has an error (policies/api.yaml:9)`} {
		if !strings.Contains(all, want) {
			t.Errorf("no problem %q in\n%s", want, all)
		}
	}
}

func TestARegistryThatIsDownChangesNothing(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	if err := l.reg.PushAll("shop/web", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	if err := l.reg.Close(); err != nil {
		t.Fatal(err)
	}
	before := l.head()
	out := l.tick()
	if l.head() != before {
		t.Error("something was committed")
	}
	for _, c := range out.Situation.Choices {
		if !strings.Contains(c.Problem, l.reg.Host()) {
			t.Errorf("choice %s does not name the registry: %q", c.Policy, c.Problem)
		}
	}
	if len(out.Situation.Choices) != 2 {
		t.Errorf("%d choices", len(out.Situation.Choices))
	}
}

func TestTwoBotsAtOnceEndLikeOne(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	if err := l.reg.PushAll("shop/web", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	other := l.newBot(l.open())
	for range 6 {
		l.reportGreen()
		l.now = l.now.Add(time.Second)
		done := make(chan error, 1)
		go func() {
			_, err := other.Tick(t.Context())
			done <- err
		}()
		_, err := l.bot.Tick(t.Context())
		if err != nil {
			t.Log(err) // a lost race is looked at again at the next tick
		}
		if err := <-done; err != nil {
			t.Log(err)
		}
	}
	l.settle()
	if got := l.versions("web"); got != "1.1.0 1.1.0 1.0.0" {
		t.Errorf("versions %s", got)
	}
	pulls, err := l.forge.List(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if len(pulls) != 2 {
		t.Errorf("%d pull requests, want one for staging and one for prod", len(pulls))
	}
	log, err := l.git.Log(l.head(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(log) != 3 {
		t.Errorf("%d commits on main, want 3", len(log))
	}
}
