package gitrepo

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// packs lists the pack files of a cache.
func packs(t testing.TB, dir string) []string {
	t.Helper()
	names := must(filepath.Glob(filepath.Join(dir, "clone-0", "objects", "pack", "*.pack")))(t)
	if len(names) == 0 {
		t.Fatal("the cache has no pack")
	}
	return names
}

func TestAnUnusableCacheIsClonedAnew(t *testing.T) {
	truncate := func(t *testing.T, file string) {
		t.Helper()
		check(t, os.Chmod(file, 0o600))
		check(t, os.Truncate(file, must(os.Stat(file))(t).Size()/2))
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		quiet bool // nothing is wrong with a cache that was deleted
	}{
		"deleted":        {func(t *testing.T, dir string) { check(t, os.RemoveAll(dir)) }, true},
		"pack truncated": {func(t *testing.T, dir string) { truncate(t, packs(t, dir)[0]) }, false},
		"pack missing":   {func(t *testing.T, dir string) { check(t, os.Remove(packs(t, dir)[0])) }, false},
		"index missing": {func(t *testing.T, dir string) {
			check(t, os.Remove(strings.TrimSuffix(packs(t, dir)[0], "pack")+"idx"))
		}, false},
		"index truncated": {func(t *testing.T, dir string) { truncate(t, strings.TrimSuffix(packs(t, dir)[0], "pack")+"idx") }, false},
		"all packs missing": {func(t *testing.T, dir string) {
			check(t, os.RemoveAll(filepath.Join(dir, "clone-0", "objects", "pack")))
		}, false},
		"refs are garbage": {func(t *testing.T, dir string) {
			check(t, os.WriteFile(filepath.Join(dir, "clone-0", "packed-refs"), []byte("hello\n"), 0o600))
		}, false},
		"refs lead nowhere": {func(t *testing.T, dir string) {
			check(t, os.WriteFile(filepath.Join(dir, "clone-0", "packed-refs"), []byte(strings.Repeat("1", 40)+" refs/origin/heads/main\n"), 0o600))
		}, false},
		"foreign content": {func(t *testing.T, dir string) {
			check(t, os.RemoveAll(filepath.Join(dir, "clone-0")))
			check(t, os.MkdirAll(filepath.Join(dir, "clone-0", "photos"), 0o700))
		}, false},
		"half built": {func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "clone-0", markerFile))) }, false},
		"a file in the folder's place": {func(t *testing.T, dir string) {
			check(t, os.RemoveAll(filepath.Join(dir, "clone-0")))
			check(t, os.WriteFile(filepath.Join(dir, "clone-0"), []byte("x"), 0o600))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir()
			base := put(t, bare(t, root, "config.git"), "main", "", map[string]string{"a/b": "0\n"})
			var log logged
			cfg := Config{URL: filepath.Join(root, "config.git"), Dir: dir, Logger: log.logger()}
			check(t, must(Open(t.Context(), cfg))(t).Close())

			again := must(Open(t.Context(), cfg))(t)
			if c := again.Counts(); c.Clones != 0 || c.Fetches != 0 {
				t.Errorf("a good cache was not used: %+v", c)
			}
			check(t, again.Close())

			c.spoil(t, dir)
			r := open(t, cfg)
			if head := must(r.Head("main"))(t); head != base || r.Counts().Clones != 1 {
				t.Errorf("head %s, counts %+v", head, r.Counts())
			}
			files := must(must(r.Snapshot(base))(t).Files("", nil))(t)
			if string(files["a/b"]) != "0\n" {
				t.Errorf("files %q", files)
			}
			if said := strings.Count(log.String(), "cloned anew"); c.quiet != (said == 0) || said > 1 {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

func TestACacheOfAnotherURLIsNotUsed(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	put(t, bare(t, root, "one.git"), "main", "", map[string]string{"a": "1\n"})
	two := put(t, bare(t, root, "two.git"), "main", "", map[string]string{"a": "2\n"})
	check(t, must(Open(t.Context(), Config{URL: root + "/one.git", Dir: dir}))(t).Close())
	r := open(t, Config{URL: root + "/two.git", Dir: dir})
	if head := must(r.Head("main"))(t); head != two {
		t.Errorf("head %s, want %s", head, two)
	}
	if refs := must(r.Refs(""))(t); len(refs) != 1 {
		t.Errorf("refs %v", refs)
	}
}

func TestAFailedCloneLeavesNothingAndKeepsNoLock(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	cfg := Config{URL: root + "/late.git", Dir: dir}
	if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	if left := must(filepath.Glob(filepath.Join(dir, "*")))(t); len(left) != 1 || filepath.Base(left[0]) != "clone-0.lock" {
		t.Errorf("left: %v", left)
	}
	put(t, bare(t, root, "late.git"), "main", "", map[string]string{"a": "1\n"})
	if r := open(t, cfg); r.slot.dir != filepath.Join(dir, "clone-0") {
		t.Errorf("the lock was kept: %s", r.slot.dir)
	}
}

func TestTwoProcessesOnOneFolderDoNotShareIt(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	base := put(t, bare(t, root, "config.git"), "main", "", map[string]string{"a": "0\n"})
	cfg := Config{URL: root + "/config.git", Dir: dir, Now: at}
	a, b := must(Open(t.Context(), cfg))(t), open(t, cfg)
	if a.slot.dir == b.slot.dir {
		t.Fatalf("both use %s", a.slot.dir)
	}
	made := commit(t, a, base, map[string]string{"a": "1\n"})
	check(t, a.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: made.Hash}))
	check(t, b.Fetch(t.Context()))
	if head := must(b.Head("main"))(t); head != made.Hash {
		t.Errorf("head %s, want %s", head, made.Hash)
	}
	check(t, a.Close())
	check(t, a.Close())
	if _, err := a.Head("main"); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed repository answers %v", err)
	}
	if err := a.Fetch(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed repository fetches: %v", err)
	}
	if c := open(t, cfg); c.slot.dir != a.slot.dir || c.Counts().Clones != 0 {
		t.Errorf("the free cache was not taken: %s %+v", c.slot.dir, c.Counts())
	}
}

// loose is the path of a loose object in a repository's cache.
func loose(r *Repo, hash string) string {
	return filepath.Join(r.slot.dir, "objects", hash[:2], hash[2:])
}

func TestAHoleFoundWhileReadingIsFilledByTheNextFetch(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a/b": "0\n"})
	clock := at()
	var log logged
	cfg := Config{URL: dir, Dir: t.TempDir(), Logger: log.logger(), Now: func() time.Time { return clock }}
	r := must(Open(t.Context(), cfg))(t)
	made := commit(t, r, base, map[string]string{"a/b": "1\n"})
	check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: made.Hash}))
	blob, _ := must(r.Snapshot(made.Hash))(t).Hash("a/b")
	check(t, r.Close()) // the object is still in memory

	damage := func(r *Repo) error {
		t.Helper()
		check(t, os.WriteFile(loose(r, blob), nil, 0o600))
		_, err := must(r.Snapshot(made.Hash))(t).Files("", nil)
		return err
	}
	check(t, os.Chmod(loose(r, blob), 0o600))
	r = open(t, cfg)
	if err := damage(r); err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "a/b") {
		t.Fatalf("reading a damaged object: %v", err)
	}
	check(t, r.Fetch(t.Context()))
	files := must(must(r.Snapshot(made.Hash))(t).Files("", nil))(t)
	if string(files["a/b"]) != "1\n" || r.Counts().Clones != 1 {
		t.Errorf("files %q, counts %+v", files, r.Counts())
	}

	// A second time soon after is not the cache's fault; later it may be.
	r.broken(r.store, errors.New("again"))
	if err := r.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "check the disk") {
		t.Errorf("a second rebuild at once: %v", err)
	}
	clock = clock.Add(rebuildPause)
	check(t, r.Fetch(t.Context()))
	if r.Counts().Clones != 2 {
		t.Errorf("counts %+v", r.Counts())
	}
}

func TestACacheDeletedUnderARunningProcessIsRebuilt(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	r := open(t, Config{URL: dir})
	for range 2 {
		check(t, os.RemoveAll(r.slot.dir))
		check(t, r.Fetch(t.Context()))
		if files := must(must(r.Snapshot(base))(t).Files("", nil))(t); string(files["a"]) != "0\n" {
			t.Errorf("files %q", files)
		}
	}
	made := commit(t, r, base, map[string]string{"a": "1\n"})
	check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: made.Hash}))
	gitRun(t, dir, "fsck", "--strict")
}

func TestACacheKeepsWorkingWhenTheServerIsAway(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	cfg := Config{URL: dir, Dir: t.TempDir()}
	check(t, must(Open(t.Context(), cfg))(t).Close())
	check(t, os.Rename(dir, dir+".away"))
	r := open(t, cfg)
	if err := r.Fetch(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("fetch: %v", err)
	}
	if head := must(r.Head("main"))(t); head != base {
		t.Errorf("head %s", head)
	}
}

func TestAFetchFollowsWhatBranchesDo(t *testing.T) {
	everyTransport(t, func(t *testing.T, w world) {
		dir := bare(t, w.root, "config.git")
		first := put(t, dir, "main", "", map[string]string{"a": "0\n", "big": strings.Repeat("text\n", 1000)})
		second := put(t, dir, "main", "-", map[string]string{"a": "1\n"})
		gitRun(t, dir, "update-ref", "refs/heads/gone", first)
		gitRun(t, dir, "update-ref", "refs/towpath/state", first)
		gitRun(t, dir, "update-ref", "refs/pull/1/head", first)
		gitRun(t, dir, "tag", "v1", first)
		r := open(t, w.config("config.git"))
		want := map[string]string{"refs/heads/main": second, "refs/heads/gone": first, "refs/towpath/state": first}
		if got := must(r.Refs("refs/"))(t); len(got) != 3 || got["refs/heads/gone"] != first {
			t.Fatalf("refs %v, want %v", got, want)
		}
		if got := must(r.Refs("refs/towpath/"))(t); len(got) != 1 || got["refs/towpath/state"] != first {
			t.Errorf("refs below refs/towpath: %v", got)
		}

		before, was := len(packs(t, filepath.Dir(r.slot.dir))), r.Counts()
		for range 3 {
			check(t, r.Fetch(t.Context()))
		}
		was.Fetches, was.Connections = was.Fetches+3, was.Connections+3
		if c := r.Counts(); c != was || c.Clones != 1 || c.Connections != 4 || len(packs(t, filepath.Dir(r.slot.dir))) != before {
			t.Errorf("fetches without news: %+v", c)
		}

		// Rewritten: the same first commit, another second one, which is older.
		rewritten := put(t, dir, "main", first, map[string]string{"a": "2\n"})
		gitRun(t, dir, "update-ref", "-d", "refs/heads/gone")
		check(t, r.Fetch(t.Context()))
		if head := must(r.Head("main"))(t); head != rewritten {
			t.Errorf("head %s, want %s", head, rewritten)
		}
		if _, err := r.Head("gone"); !errors.Is(err, ErrNoBranch) {
			t.Errorf("a deleted branch: %v", err)
		}
		if yes := must(r.IsAncestor(second, rewritten))(t); yes {
			t.Error("the old head counts as an ancestor of the rewritten one")
		}
		// Only the news came: commit, tree and blob.
		all := packs(t, filepath.Dir(r.slot.dir))
		small := 0
		for _, p := range all {
			if n := strings.Count(gitRun(t, r.slot.dir, "verify-pack", "-v", p), "\n"); n <= 5 {
				small++
			}
		}
		if len(all) != before+1 || small == 0 {
			t.Errorf("%d packs, %d small ones", len(all), small)
		}
		gitRun(t, r.slot.dir, "fsck", "--strict", "--connectivity-only")
		if got := gitRun(t, r.slot.dir, "for-each-ref", "--format=%(refname)"); got != "refs/origin/heads/main\nrefs/origin/towpath/state" {
			t.Errorf("refs in the cache: %s", got)
		}
	})
}

func TestManyPacksBecomeOne(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	head := put(t, dir, "main", "", map[string]string{"a": "0\n", "large": strings.Repeat("0123456789\n", 10_000)})
	reader, writer := open(t, Config{URL: dir}), open(t, Config{URL: dir})
	reader.packs = 4
	for i := range 12 {
		made := commit(t, writer, head, map[string]string{"a": strconv.Itoa(i) + "\n"})
		check(t, writer.Push(t.Context(), Update{Ref: "refs/heads/main", Old: head, New: made.Hash}))
		head = made.Hash
		check(t, reader.Fetch(t.Context()))
		files := must(must(reader.Snapshot(head))(t).Files("", nil))(t)
		if string(files["a"]) != strconv.Itoa(i)+"\n" || len(files["large"]) != 110_000 {
			t.Errorf("after fetch %d: a %q, large %d bytes", i, files["a"], len(files["large"]))
		}
	}
	if c := reader.Counts(); c.Clones != 1 || len(packs(t, filepath.Dir(reader.slot.dir))) > 4 {
		t.Errorf("counts %+v, packs %v", c, packs(t, filepath.Dir(reader.slot.dir)))
	}
	gitRun(t, reader.slot.dir, "fsck", "--strict")
}

func TestManyLooseObjectsBecomeOnePack(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	head := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	cfg := Config{URL: dir, Dir: t.TempDir(), Now: at}
	r := must(Open(t.Context(), cfg))(t)
	r.loose = 255 // one object in the folder that is counted
	for i := 0; countLoose(r.slot.dir) == 0; i++ {
		head = commit(t, r, head, map[string]string{"a": strconv.Itoa(i) + "\n"}).Hash
	}
	unpushed := commit(t, r, head, map[string]string{"b": "not pushed\n"})
	old := must(r.Head("main"))(t)
	check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: old, New: head}))
	check(t, r.Fetch(t.Context()))
	if c := r.Counts(); c.Clones != 1 || countLoose(r.slot.dir) != 0 || len(packs(t, cfg.Dir)) != 2 {
		t.Errorf("counts %+v, packs %v", c, packs(t, cfg.Dir))
	}
	gitRun(t, r.slot.dir, "fsck", "--strict")
	check(t, r.Close())
	r = open(t, cfg)
	if got := must(r.Head("main"))(t); got != head || r.Counts().Clones != 0 {
		t.Errorf("head %s, want %s; counts %+v", got, head, r.Counts())
	}
	if files := must(must(r.Snapshot(unpushed.Hash))(t).Files("", nil))(t); string(files["b"]) != "not pushed\n" {
		t.Errorf("what was not pushed: %q", files)
	}
}

func TestManyGoroutinesShareARepo(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a/b": "0\n", "c": "1\n"})
	r := open(t, Config{URL: dir})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 5 {
				made, err := r.Commit(t.Context(), Change{Parent: base, Files: map[string][]byte{"a/b": []byte(strconv.Itoa(i*10 + n + 1))}})
				if err != nil {
					t.Error(err)
					return
				}
				branch := "refs/heads/b" + strconv.Itoa(i*10+n)
				if err := r.Push(t.Context(), Update{Ref: branch, New: made.Hash}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 5 {
				if err := r.Fetch(t.Context()); err != nil {
					t.Error(err)
				}
				s, err := r.Snapshot(base)
				if err != nil {
					t.Error(err)
					return
				}
				if files, err := s.Files("", nil); err != nil || len(files) != 2 {
					t.Errorf("%q %v", files, err)
				}
				r.Counts()
			}
		})
	}
	wg.Wait()
	if refs := must(r.Refs("refs/heads/b"))(t); len(refs) != 20 {
		t.Errorf("%d branches, want 20", len(refs))
	}
	gitRun(t, dir, "fsck", "--strict")
}

func TestOnlyARebuildThatSucceededHasToWait(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	r := open(t, Config{URL: dir, Branch: "main"})
	damage := func() { check(t, os.WriteFile(filepath.Join(r.slot.dir, markerFile), nil, 0o600)) }

	damage()
	check(t, os.Rename(dir, dir+".away"))
	if err := r.Fetch(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("damaged while the server is away: %v", err)
	}
	check(t, os.Rename(dir+".away", dir))
	check(t, r.Fetch(t.Context()))
	if n := r.Counts().Clones; n != 2 {
		t.Errorf("%d clones", n)
	}
	damage()
	if err := r.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "damaged again") {
		t.Errorf("damaged after it was cloned anew: %v", err)
	}
	// A folder that was deleted says nothing of the disk.
	check(t, os.RemoveAll(r.slot.dir))
	check(t, r.Fetch(t.Context()))
}

func TestADamagedCacheOfARewrittenBaseIsNotDownloadedAgainAndAgain(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	packs := 0
	url := unfit(t, root, func(w http.ResponseWriter, r *http.Request, real http.Handler) {
		if r.Method == http.MethodPost {
			packs++
		}
		real.ServeHTTP(w, r)
	}) + "/config.git"
	r := open(t, Config{URL: url, Branch: "main"})
	put(t, dir, "main", "", map[string]string{"a": "1\n"})
	check(t, os.WriteFile(filepath.Join(r.slot.dir, markerFile), nil, 0o600))
	for range 3 {
		if err := r.Fetch(t.Context()); !errors.Is(err, ErrRewritten) {
			t.Errorf("%v, want ErrRewritten", err)
		}
	}
	if packs != 2 {
		t.Errorf("%d packs were downloaded, want the first and one that showed the rewriting", packs)
	}
}

func TestTheFoldersPathIsNoPattern(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	cfg := Config{URL: dir, Branch: "main", Dir: filepath.Join(t.TempDir(), `[x]*?\`)}
	check(t, must(Open(t.Context(), cfg))(t).Close())
	left := filepath.Join(cfg.Dir, "clone-0", "objects", "pack", "tmp_incoming_1")
	check(t, os.WriteFile(left, nil, 0o600))
	r := open(t, cfg)
	if _, err := os.Stat(left); err == nil {
		t.Error("what a killed process left is there")
	}
	r.packs = 2
	for i := range 6 {
		put(t, dir, "main", "-", map[string]string{"a": fmt.Sprint(i + 1)})
		check(t, r.Fetch(t.Context()))
	}
	if n := len(must(os.ReadDir(packDir(r.slot.dir)))(t)); n > 6 {
		t.Errorf("%d files of packs, want 3 packs at most", n)
	}
}

func TestAProcessKilledWhileItReplacedACacheForgetsNoHead(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	cfg := Config{URL: dir, Branch: "main", Dir: t.TempDir()}
	check(t, must(Open(t.Context(), cfg))(t).Close())
	check(t, os.Rename(filepath.Join(cfg.Dir, "clone-0"), filepath.Join(cfg.Dir, "clone-0.new")))
	put(t, dir, "main", "", map[string]string{"a": "rewritten\n"})
	r, err := Open(t.Context(), cfg)
	if !errors.Is(err, ErrRewritten) {
		t.Errorf("%v, want ErrRewritten", err)
	}
	if err == nil {
		check(t, r.Close())
	}
}

func TestASecondProcessDoesNotFollowWhatTheFirstRefuses(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	cfg := Config{URL: dir, Branch: "main", Dir: t.TempDir()}
	first := open(t, cfg)
	put(t, dir, "main", "", map[string]string{"a": "rewritten\n"})
	if err := first.Fetch(t.Context()); !errors.Is(err, ErrRewritten) {
		t.Fatalf("the first: %v, want ErrRewritten", err)
	}
	second, err := Open(t.Context(), cfg)
	if !errors.Is(err, ErrRewritten) {
		t.Errorf("the second: %v, want ErrRewritten", err)
	}
	if err == nil {
		check(t, second.Close())
	}
	cfg.AllowRewrite = true
	check(t, must(Open(t.Context(), cfg))(t).Close())
}

func TestOpeningACacheReadsNoObjectOfOtherRefs(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	head := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	cfg := Config{URL: dir, Branch: "main", Dir: t.TempDir()}
	check(t, must(Open(t.Context(), cfg))(t).Close())
	// A ref to nothing, as after a disk lost it, is found when it is read.
	gone := strings.Repeat("1", 40)
	refs := filepath.Join(cfg.Dir, "clone-0", packedRefs)
	check(t, os.WriteFile(refs, []byte("# pack-refs with: sorted\n"+head+" refs/origin/heads/main\n"+gone+" refs/origin/heads/towpath/x\n"), 0o600))
	r := open(t, cfg)
	if n, c := r.ObjectsRead(), r.Counts(); n != 2 || c.Clones != 0 {
		t.Errorf("%d objects read, %+v; want the base branch's commit and tree", n, c)
	}
	if _, err := r.Snapshot(gone); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("reading it: %v", err)
	}
	check(t, r.Fetch(t.Context()))
	if n := r.Counts().Clones; n != 1 {
		t.Errorf("%d clones", n)
	}
}
