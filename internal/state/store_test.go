package state_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// bare makes an empty bare repository.
func bare(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "config.git")
	git(t, t.TempDir(), "init", "-q", "--bare", "-b", "main", dir)
	return dir
}

// open opens a cache of its own, as another process would.
func open(t *testing.T, url string) *gitrepo.Repo {
	t.Helper()
	r, err := gitrepo.Open(t.Context(), gitrepo.Config{URL: url, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if err := r.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func load(t *testing.T, r *gitrepo.Repo) state.State {
	t.Helper()
	if err := r.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := state.Load(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func report(env, cluster string) state.Report {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return state.Report{
		Env: env, Cluster: cluster, Commit: strings.Repeat("a", 40), At: at,
		Apps: []state.AppReport{{
			App: "web", Content: "sha256:0", Phase: state.Progressing, Since: at,
			Failing: []state.Failing{{Object: "apps/Deployment shop/web", Reason: "0 of 2 pods <ready>"}},
		}},
	}
}

// write commits files as the whole state, past the store.
func write(t *testing.T, r *gitrepo.Repo, files map[string][]byte) {
	t.Helper()
	refs, err := r.Refs(state.Ref)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Commit(t.Context(), gitrepo.Change{Files: files, Message: "by hand"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Push(t.Context(), gitrepo.Update{Ref: state.Ref, Old: refs[state.Ref], New: c.Hash}); err != nil {
		t.Fatal(err)
	}
}

func TestNoRefIsAnEmptyState(t *testing.T) {
	s := load(t, open(t, bare(t)))
	if s.Commit != "" || len(s.Reports) != 0 {
		t.Errorf("state %+v", s)
	}
}

func TestReportsComeBackSortedAndAreReadableWithGitShow(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	names := [][2]string{{"prod", "eu"}, {"dev", "dev"}, {"prod", "arn:aws:eks:eu-1:1/c"}, {"a b", "../.."}, {".git", ".."}, {"dev", "é%2F"}}
	for _, n := range names {
		if err := state.PutReport(t.Context(), r, report(n[0], n[1])); err != nil {
			t.Fatal(err)
		}
	}
	s := load(t, open(t, url))
	want := []state.Report{
		report(".git", ".."), report("a b", "../.."), report("dev", "dev"), report("dev", "é%2F"),
		report("prod", "arn:aws:eks:eu-1:1/c"), report("prod", "eu"),
	}
	if d := cmp.Diff(want, s.Reports); d != "" {
		t.Errorf("reports (-want +got):\n%s", d)
	}
	shown := git(t, url, "show", "refs/towpath/state:reports/dev/dev.json")
	if !strings.Contains(shown, "  \"env\": \"dev\",\n") {
		t.Errorf("git show prints:\n%s", shown)
	}
	if n := git(t, url, "rev-list", "--count", "refs/towpath/state"); n != "1" {
		t.Errorf("the state has %s commits, want no history", n)
	}
	git(t, url, "fsck", "--strict")
}

func TestAnEqualReportCostsNothing(t *testing.T) {
	r := open(t, bare(t))
	if err := state.PutReport(t.Context(), r, report("dev", "dev")); err != nil {
		t.Fatal(err)
	}
	before := r.Counts()
	if err := state.PutReport(t.Context(), r, report("dev", "dev")); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, r.Counts()); d != "" {
		t.Errorf("counts (-before +after):\n%s", d)
	}
}

func TestANewReportReplacesTheOldAndLeavesAllElse(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	write(t, r, map[string][]byte{
		"seen/sha256-0.json":       []byte("first sight\n"),
		"reports/README":           []byte("not a report"),
		"reports/dev/other.json":   []byte("{broken"),
		"reports/dev/dev.json":     []byte("{broken too"),
		"reports/stage/one.json":   []byte(`{"env":"prod","cluster":"one"}`),
		"reports/dev/deeper/x":     []byte("not ours"),
		"reports/dev/big.json":     make([]byte, 4<<20-1),
		"reports/dev/unclear.text": []byte("?"),
	})
	if err := state.PutReport(t.Context(), r, report("dev", "dev")); err != nil {
		t.Fatal(err)
	}
	r2 := open(t, url)
	snap, err := r2.Snapshot(load(t, r2).Commit)
	if err != nil {
		t.Fatal(err)
	}
	files, err := snap.Files("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 8 || string(files["seen/sha256-0.json"]) != "first sight\n" || string(files["reports/dev/other.json"]) != "{broken" {
		t.Errorf("%d files: %q", len(files), files["seen/sha256-0.json"])
	}
}

func TestABrokenReportIsItsOwnProblemOnly(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	write(t, r, map[string][]byte{
		"reports/dev/broken.json": []byte("{broken"),
		"reports/dev/forged.json": []byte(`{"env":"prod","cluster":"eu"}`),
	})
	if err := state.PutReport(t.Context(), r, report("dev", "good")); err != nil {
		t.Fatal(err)
	}
	// a link, as somebody with push rights could leave
	work := t.TempDir()
	git(t, work, "clone", "-q", url, "w")
	w := filepath.Join(work, "w")
	git(t, w, "fetch", "-q", "origin", state.Ref)
	git(t, w, "checkout", "-q", "FETCH_HEAD")
	git(t, w, "update-index", "--add", "--cacheinfo", "120000,"+git(t, w, "rev-parse", "HEAD:reports/dev/good.json")+",reports/dev/link.json")
	git(t, w, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "-m", "link")
	git(t, w, "push", "-q", "origin", "HEAD:"+state.Ref)

	s := load(t, open(t, url))
	if len(s.Reports) != 4 {
		t.Fatalf("%d reports: %+v", len(s.Reports), s.Reports)
	}
	for _, got := range s.Reports {
		if got.Env != "dev" || (got.Problem == "") != (got.Cluster == "good") {
			t.Errorf("report %s/%s: problem %q", got.Env, got.Cluster, got.Problem)
		}
		if got.Problem != "" && (len(got.Apps) > 0 || !strings.Contains(got.Problem, "reports/dev/"+got.Cluster+".json")) {
			t.Errorf("problem does not name its file, or apps came with it: %+v", got)
		}
	}
	if got := s.Report("dev"); len(got) != 4 {
		t.Errorf("Report(dev) has %d", len(got))
	}
}

func TestAReportNeedsNames(t *testing.T) {
	r := open(t, bare(t))
	for _, n := range [][2]string{{"", "eu"}, {"prod", ""}} {
		if err := state.PutReport(t.Context(), r, report(n[0], n[1])); err == nil {
			t.Errorf("%q was accepted", n)
		}
	}
}

func TestTenWritersAtOnceAllLand(t *testing.T) {
	url := bare(t)
	const writers, each = 10, 2
	repos := make([]*gitrepo.Repo, writers)
	for i := range repos {
		repos[i] = open(t, url)
	}
	var wg sync.WaitGroup
	for i, r := range repos {
		wg.Go(func() {
			for range each {
				if err := state.PutReport(t.Context(), r, report("prod", fmt.Sprintf("c%02d", i))); err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if s := load(t, open(t, url)); len(s.Reports) != writers {
		t.Errorf("%d reports, want %d", len(s.Reports), writers)
	}
}

// loser is a repository in which somebody else is always first.
type loser struct {
	*gitrepo.Repo
	pushes, fetches int
}

func (l *loser) Push(context.Context, ...gitrepo.Update) error {
	l.pushes++
	return fmt.Errorf("push: %w", gitrepo.ErrStale)
}

func (l *loser) Fetch(ctx context.Context) error { l.fetches++; return l.Repo.Fetch(ctx) }

func TestItGivesUpAfterTenLostRaces(t *testing.T) {
	l := &loser{Repo: open(t, bare(t))}
	err := state.PutReport(t.Context(), l, report("dev", "dev"))
	if !errors.Is(err, gitrepo.ErrStale) || l.pushes != 10 {
		t.Errorf("%d pushes, %d fetches, error %v", l.pushes, l.fetches, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if err := state.PutReport(ctx, l, report("dev", "dev")); err == nil {
		t.Error("a cancelled write succeeded")
	}
}
