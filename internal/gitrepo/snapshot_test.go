package gitrepo

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestFSKeepsTheRulesOfAFileSystem(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	head := put(t, dir, "main", "", map[string]string{
		"dev/web/app.yaml": "image: web:1\n", "dev/web/run.sh": "#!/bin/sh\n", "dev/web.txt": "x\n", "dev/web-x": "x\n", "README.md": "# hi\n",
	})
	r := open(t, Config{URL: dir})
	fsys := must(r.Snapshot(head))(t).FS()
	if err := fstest.TestFS(fsys, "dev/web/app.yaml", "dev/web/run.sh", "dev/web.txt", "dev/web-x", "README.md"); err != nil {
		t.Error(err)
	}
	modes := map[string]fs.FileMode{"dev": fs.ModeDir | 0o555, "dev/web/app.yaml": 0o444, "dev/web/run.sh": 0o555}
	for name, want := range modes {
		if got := must(fs.Stat(fsys, name))(t).Mode(); got != want {
			t.Errorf("%s has mode %s, want %s", name, got, want)
		}
	}
	empty := must(r.Commit(t.Context(), Change{Message: "m"}))(t)
	if err := fstest.TestFS(must(r.Snapshot(empty.Hash))(t).FS()); err != nil {
		t.Errorf("an empty tree: %v", err)
	}
}

func TestLinksAndSubmodulesAreListedButNotOpened(t *testing.T) {
	r, _, head := seeded(t)
	s := must(r.Snapshot(head))(t)
	fsys := s.FS()
	types := map[string]fs.FileMode{}
	for _, dir := range []string{".", "dev"} {
		for _, e := range must(fs.ReadDir(fsys, dir))(t) {
			types[e.Name()] = e.Type()
		}
	}
	if types["now.link"] != fs.ModeSymlink || types["vendor.module"] != fs.ModeIrregular || types["web"] != fs.ModeDir || types["web-x"] != 0 {
		t.Errorf("types %v", types)
	}
	for _, name := range []string{"dev/now.link", "dev/now.link/x", "vendor.module", "vendor.module/x"} {
		_, open := fsys.Open(name)
		_, read := fs.ReadFile(fsys, name)
		_, list := fs.ReadDir(fsys, name)
		_, stat := fs.Stat(fsys, name)
		for _, err := range []error{open, read, list, stat} {
			if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "not followed") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if target, err := fs.ReadLink(fsys, "dev/now.link"); err != nil || target != "web/app.yaml" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	for name, want := range map[string]fs.FileMode{"dev/now.link": fs.ModeSymlink, "vendor.module": fs.ModeIrregular, "dev/web": fs.ModeDir, "dev/web-x": 0} {
		if info, err := fs.Lstat(fsys, name); err != nil || info.Mode().Type() != want {
			t.Errorf("%s itself: %v, %v", name, info, err)
		}
		if want == fs.ModeSymlink {
			continue
		}
		if _, err := fs.ReadLink(fsys, name); err == nil || !strings.Contains(err.Error(), "is no symbolic link") {
			t.Errorf("%s leads somewhere: %v", name, err)
		}
	}
	if _, err := fs.Lstat(fsys, "absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent itself: %v", err)
	}
	for _, name := range []string{"absent", "dev/absent", "dev/web-x/below", "../x", "/dev", ""} {
		if _, err := fsys.Open(name); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	files := must(s.Files("", nil))(t)
	if len(files) != 7 || files["dev/now.link"] != nil {
		t.Errorf("files %v", files)
	}
}

func TestFilesReadsWhatIsWanted(t *testing.T) {
	r, dir, head := seeded(t)
	s := must(r.Snapshot(head))(t)
	yaml := func(p string) bool { return strings.HasSuffix(p, ".yaml") }
	for d, want := range map[string]int{"": 3, ".": 3, "dev": 1, "prod/": 2, "prod/web": 1} {
		if got := must(s.Files(d, yaml))(t); len(got) != want {
			t.Errorf("%q: %v", d, got)
		}
	}
	for d, want := range map[string]error{"absent": fs.ErrNotExist, "dev/web.txt": nil, "../x": fs.ErrInvalid, "dev/now.link": nil} {
		if _, err := s.Files(d, nil); err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), d) {
			t.Errorf("%q: %v", d, err)
		}
	}
	big := put(t, dir, "big", head, map[string]string{"big.txt": strings.Repeat("x", 101)})
	small := open(t, Config{URL: dir, MaxFileSize: 100})
	sb := must(small.Snapshot(big))(t)
	if _, err := sb.Files("", nil); err == nil || !strings.Contains(err.Error(), "big.txt: 101 bytes are more than the limit of 100") {
		t.Errorf("a file over the limit: %v", err)
	}
	if _, err := fs.ReadFile(sb.FS(), "big.txt"); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a file over the limit: %v", err)
	}
	must(sb.Files("dev", nil))(t)
	must(small.Snapshot(big))(t) // a limit is no damage
	check(t, small.Fetch(t.Context()))
	if c := small.Counts(); c.Clones != 1 {
		t.Errorf("counts %+v", c)
	}
	if _, err := r.Snapshot(strings.Repeat("1", 40)); !errors.Is(err, ErrNoCommit) {
		t.Errorf("a snapshot of nothing: %v", err)
	}
}

func TestHashAndChangedCompareTrees(t *testing.T) {
	r, _, head := seeded(t)
	made := must(r.Commit(t.Context(), Change{Parent: head, Message: "m", Files: map[string][]byte{
		"dev/web/app.yaml": []byte("image: web:2\n"), "dev/web.txt": nil, "dev/web.txt/now": []byte("dir\n"), "qa/a/b": []byte("new\n"), "only/one/deep/file": nil,
	}}))(t)
	a, b := must(r.Snapshot(head))(t), must(r.Snapshot(made.Hash))(t)
	all := []string{"dev/web.txt", "dev/web.txt/now", "dev/web/app.yaml", "only/one/deep/file", "qa/a/b"}
	for dir, want := range map[string][]string{"": all, "dev": all[:3], "qa/a": all[4:], "only/one/deep/file": all[3:4], "prod": nil, "absent": nil} {
		for _, got := range [][]string{must(a.Changed(b, dir))(t), must(b.Changed(a, dir))(t)} {
			if !slices.Equal(got, want) {
				t.Errorf("%q: %v, want %v", dir, got, want)
			}
		}
	}
	for _, p := range []string{"", ".", "prod", "dev/now.link", "prod/web/app.yaml", "vendor.module"} {
		ha, oka := a.Hash(p)
		hb, okb := b.Hash(p)
		if !oka || !okb || (ha == hb) != (p != "" && p != ".") {
			t.Errorf("%q: %s %v, %s %v", p, ha, oka, hb, okb)
		}
	}
	if h, ok := a.Hash("absent"); ok || h != "" {
		t.Errorf("hash of what is not there: %q", h)
	}
	if h, _ := a.Hash(""); h != a.Tree {
		t.Errorf("hash of the root %s, want %s", h, a.Tree)
	}
}

// TestHistoryAgreesWithGit asks the same questions about random histories, with
// merges and clocks that run backwards, here and of the real git.
func TestHistoryAgreesWithGit(t *testing.T) {
	const n = 40
	for seed := range uint64(3) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		dir := bare(t, t.TempDir(), "history.git")
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "commit refs/heads/c%02d\nmark :%d\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nx\n", i, i+1, 1_700_000_000+100*i-rnd.IntN(500))
			parents := map[int]bool{}
			for range 1 + rnd.IntN(2) {
				if i > 1 && rnd.IntN(12) > 0 {
					parents[i-rnd.IntN(min(i, 6))] = true
				}
			}
			word := "from"
			for p := range parents {
				fmt.Fprintf(&b, "%s :%d\n", word, p)
				word = "merge"
			}
			b.WriteString("\n")
		}
		gitIn(t, dir, b.String(), "fast-import", "--quiet", "--force")
		r := open(t, Config{URL: dir})
		heads := must(r.Refs("refs/heads/"))(t)
		branch := func() string { return heads[fmt.Sprintf("refs/heads/c%02d", rnd.IntN(n))] }
		for range 40 {
			x, y := branch(), branch()
			best := mergeBases(dir, x, y)
			got := must(r.MergeBase(x, y))(t)
			if got == "" && len(best) != 0 || got != "" && !slices.Contains(best, got) {
				t.Errorf("seed %d: merge base of %s and %s is %q, git says %v", seed, x, y, got, best)
			}
			if yes := must(r.IsAncestor(x, y))(t); yes != slices.Contains(best, x) {
				t.Errorf("seed %d: %s an ancestor of %s: %v, git says %v", seed, x, y, yes, best)
			}
		}
		tip := heads[fmt.Sprintf("refs/heads/c%02d", n-1)]
		var log []string
		for _, c := range must(r.Log(tip, 0))(t) {
			log = append(log, c.Hash)
		}
		want := strings.Fields(gitRun(t, dir, "rev-list", tip))
		slices.Sort(log)
		slices.Sort(want)
		if !slices.Equal(log, want) {
			t.Errorf("seed %d: log has %d commits, git's %d", seed, len(log), len(want))
		}
		if got := must(r.Log(tip, 3))(t); len(got) != min(3, len(want)) || got[0].Hash != tip {
			t.Errorf("seed %d: the first three: %v", seed, got)
		}
	}
}

// mergeBases asks git, which answers "none" with exit code 1.
func mergeBases(dir, x, y string) []string {
	cmd := exec.Command("git", "merge-base", "--all", x, y)
	cmd.Dir = dir
	out, _ := cmd.Output()
	return strings.Fields(string(out))
}
