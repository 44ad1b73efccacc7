package gitrepo

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// seeded is a repository with all kinds of entries.
func seeded(t testing.TB) (r *Repo, dir, head string) {
	t.Helper()
	dir = bare(t, t.TempDir(), "config.git")
	head = put(t, dir, "main", "", map[string]string{
		"dev/web/app.yaml":   "image: web:1\n",
		"dev/web/run.sh":     "#!/bin/sh\n",
		"dev/web.txt":        "between web and web/ in Git's order\n",
		"dev/web-x":          "before both\n",
		"dev/now.link":       "web/app.yaml",
		"vendor.module":      strings.Repeat("1", 40),
		"prod/web/app.yaml":  "image: web:0\n",
		"prod/api/app.yaml":  "image: api:0\n",
		"only/one/deep/file": "x\n",
	})
	return open(t, Config{URL: dir}), dir, head
}

func TestAChangeChangesOnlyWhatItNames(t *testing.T) {
	r, dir, head := seeded(t)
	other := put(t, dir, "other", head, map[string]string{
		"dev/web/run.sh": "#!/bin/bash\n", "prod/web/app.yaml": "", "prod/web/new.link": "app.yaml", "tools/x.sh": "#!/bin/sh\n",
	})
	check(t, r.Fetch(t.Context()))
	for name, c := range map[string]struct {
		change Change
		raw    string // of git diff --raw --no-renames, hashes left out
		wrote  int    // objects
	}{
		"one file deep down": {
			Change{Files: map[string][]byte{"dev/web/app.yaml": []byte("image: web:2\n")}},
			"100644 100644 M dev/web/app.yaml", 5,
		},
		"an executable stays one": {
			Change{Files: map[string][]byte{"dev/web/run.sh": []byte("#!/bin/sh -e\n")}},
			"100755 100755 M dev/web/run.sh", 5,
		},
		"a new file in a new directory": {
			Change{Files: map[string][]byte{"qa/web/app.yaml": []byte("image: web:9\n")}},
			"000000 100644 A qa/web/app.yaml", 5,
		},
		"a file that sorts between a directory and its neighbour": {
			Change{Files: map[string][]byte{"dev/web0": []byte("after web/\n"), "dev/web,": []byte("before web-x\n")}},
			"000000 100644 A dev/web,; 000000 100644 A dev/web0", 5,
		},
		"an empty file": {
			Change{Files: map[string][]byte{"empty": {}}},
			"000000 100644 A empty", 3,
		},
		"a deleted file takes its empty directories along": {
			Change{Files: map[string][]byte{"only/one/deep/file": nil}},
			"100644 000000 D only/one/deep/file", 2,
		},
		"a link and a submodule may be deleted": {
			Change{Files: map[string][]byte{"dev/now.link": nil, "vendor.module": nil}},
			"120000 000000 D dev/now.link; 160000 000000 D vendor.module", 3,
		},
		"a file makes way for a directory": {
			Change{Files: map[string][]byte{"dev/web.txt": nil, "dev/web.txt/now": []byte("a directory\n")}},
			"100644 000000 D dev/web.txt; 000000 100644 A dev/web.txt/now", 5,
		},
		"entries copied as they are": {
			Change{Copy: map[string]string{"dev/web/run.sh": other, "prod/web": other, "tools": other, "absent": other}},
			"100755 100755 M dev/web/run.sh; 100644 000000 D prod/web/app.yaml; 000000 120000 A prod/web/new.link; 000000 100755 A tools/x.sh", 1, // the trees are those of the commit it is copied from
		},
		"the whole tree replaced": {
			Change{ReplaceTree: true, Files: map[string][]byte{"a": []byte("1\n")}, Copy: map[string]string{"dev": head, "only": head, "vendor.module": head}},
			"000000 100644 A a; 100644 000000 D prod/api/app.yaml; 100644 000000 D prod/web/app.yaml", 3,
		},
		"everything deleted": {
			Change{ReplaceTree: true, Copy: map[string]string{"dev": head}, Files: map[string][]byte{}},
			"100644 000000 D only/one/deep/file; 100644 000000 D prod/api/app.yaml; 100644 000000 D prod/web/app.yaml; 160000 000000 D vendor.module", 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := r.Counts().ObjectsWritten
			c.change.Parent, c.change.Message = head, name
			made := must(r.Commit(t.Context(), c.change))(t)
			var got []string
			for l := range strings.Lines(gitRun(t, r.slot.dir, "diff", "--raw", "--no-renames", head, made.Hash)) {
				f := strings.Fields(l)
				got = append(got, strings.Join([]string{f[0][1:], f[1], f[4], f[5]}, " "))
			}
			if strings.Join(got, "; ") != c.raw {
				t.Errorf("changed: %s\n   want: %s", strings.Join(got, "; "), c.raw)
			}
			if n := r.Counts().ObjectsWritten - before; n != c.wrote {
				t.Errorf("%d objects written, want %d", n, c.wrote)
			}
			gitRun(t, r.slot.dir, "fsck", "--strict", "--no-dangling", made.Hash)
		})
	}
}

func TestARefusedChangeSaysWhich(t *testing.T) {
	r, _, head := seeded(t)
	for name, c := range map[string]struct {
		change Change
		text   string
	}{
		"over a symbolic link":      {Change{Files: map[string][]byte{"dev/now.link": []byte("x")}}, "dev/now.link: is a symbolic link"},
		"through a symbolic link":   {Change{Files: map[string][]byte{"dev/now.link/x": []byte("x")}}, "dev/now.link: is a symbolic link"},
		"over a submodule":          {Change{Files: map[string][]byte{"vendor.module": []byte("x")}}, "vendor.module: is a submodule"},
		"into a submodule":          {Change{Files: map[string][]byte{"vendor.module/x": []byte("x")}}, "vendor.module: is a submodule"},
		"over a directory":          {Change{Files: map[string][]byte{"dev/web": []byte("x")}}, "dev/web: is a directory"},
		"deleting a directory":      {Change{Files: map[string][]byte{"dev/web": nil}}, "dev/web: is a directory"},
		"below a file":              {Change{Files: map[string][]byte{"dev/web.txt/x": []byte("x")}}, "dev/web.txt: is a file"},
		"file and directory":        {Change{Files: map[string][]byte{"n": []byte("x"), "n/m": []byte("x")}}, "n: is to be a file and a directory"},
		"written and copied":        {Change{Files: map[string][]byte{"a": []byte("x")}, Copy: map[string]string{"a": head}}, "a: is both"},
		"outside":                   {Change{Files: map[string][]byte{"../x": []byte("x")}}, "no path inside"},
		"absolute":                  {Change{Files: map[string][]byte{"/x": []byte("x")}}, "no path inside"},
		"the root":                  {Change{Files: map[string][]byte{".": []byte("x")}}, "no path inside"},
		"git's folder":              {Change{Files: map[string][]byte{"a/.GIT/config": []byte("x")}}, "not allowed"},
		"git's folder on windows":   {Change{Files: map[string][]byte{"git~1/config": []byte("x")}}, "not allowed"},
		"git's folder with a dot":   {Change{Files: map[string][]byte{".git. /config": []byte("x")}}, "not allowed"},
		"git's folder as a stream":  {Change{Files: map[string][]byte{".git::$INDEX_ALLOCATION/config": []byte("x")}}, "not allowed"},
		"git's folder on a mac":     {Change{Files: map[string][]byte{".g\u200cit/config": []byte("x")}}, "not allowed"},
		"a backslash":               {Change{Files: map[string][]byte{`a\b`: []byte("x")}}, "not allowed"},
		"a newline":                 {Change{Files: map[string][]byte{"a\nb": []byte("x")}}, "not allowed"},
		"too deep":                  {Change{Files: map[string][]byte{strings.Repeat("d/", maxDepth) + "f": []byte("x")}}, "deeper"},
		"too long":                  {Change{Files: map[string][]byte{strings.Repeat("d", maxPathBytes+1): []byte("x")}}, "longer"},
		"too large":                 {Change{Files: map[string][]byte{"big": make([]byte, DefaultMaxFileSize+1)}}, "big: 4194305 bytes"},
		"a message that is no text": {Change{Files: map[string][]byte{"a": []byte("x")}, Message: "a\x00b"}, "message"},
	} {
		t.Run(name, func(t *testing.T) {
			c.change.Parent = head
			_, err := r.Commit(t.Context(), c.change)
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, c := range []Change{
		{Parent: strings.Repeat("1", 40)}, {Parent: "main"}, {Parent: head, Copy: map[string]string{"a": strings.Repeat("2", 40)}},
	} {
		if _, err := r.Commit(t.Context(), c); !errors.Is(err, ErrNoCommit) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestAChangeWithoutEffectIsTheParent(t *testing.T) {
	r, _, head := seeded(t)
	for name, files := range map[string]map[string][]byte{
		"nothing named":          nil,
		"the same content":       {"dev/web/app.yaml": []byte("image: web:1\n")},
		"deleting what is not":   {"dev/absent": nil, "x/y/z": nil, "dev/web.txt/below/a/file": nil},
		"same and deleted alike": {"dev/web/run.sh": []byte("#!/bin/sh\n"), "dev/x": nil},
	} {
		t.Run(name, func(t *testing.T) {
			made := must(r.Commit(t.Context(), Change{Parent: head, Files: files, Message: "m"}))(t)
			if made.Hash != head || r.Counts().ObjectsWritten != 0 {
				t.Errorf("got %s after %d objects", made.Hash, r.Counts().ObjectsWritten)
			}
		})
	}
	made := must(r.Commit(t.Context(), Change{Parent: head, AllowEmpty: true, Message: "m"}))(t)
	if made.Hash == head || made.Parents[0] != head || r.Counts().ObjectsWritten != 1 {
		t.Errorf("an empty commit that was asked for: %+v", made)
	}
}

func TestACommitIsWhatGitWouldMake(t *testing.T) {
	r, _, head := seeded(t)
	when := time.Date(2026, 11, 20, 13, 30, 0, 999, time.FixedZone("", 3600))
	change := Change{
		Parent: head, Message: "  web: 1 → 2\n\nTowpath-Policy: web\n\n\n", Time: when,
		Files:  map[string][]byte{"dev/web/app.yaml": []byte("image: web:2\n")},
		Author: Identity{Name: "Grace <x>\n", Email: "grace@example.com"},
	}
	made := must(r.Commit(t.Context(), change))(t)
	if again := must(open(t, r.c).Commit(t.Context(), change)); again(t).Hash != made.Hash {
		t.Errorf("the same change is %s and %s", made.Hash, again(t).Hash)
	}
	object := gitRun(t, r.slot.dir, "cat-file", "commit", made.Hash) + "\n"
	want := fmt.Sprintf("tree %s\nparent %s\nauthor Grace x <grace@example.com> 1795177800 +0000\n"+
		"committer Towpath <towpath@localhost> 1795177800 +0000\n\n  web: 1 → 2\n\nTowpath-Policy: web\n", made.Tree, head)
	if object != want {
		t.Errorf("commit object:\n%s\nwant:\n%s", object, want)
	}
	if got := gitIn(t, r.slot.dir, object, "hash-object", "-t", "commit", "--stdin"); got != made.Hash {
		t.Errorf("git hashes it %s, we %s", got, made.Hash)
	}
	read := must(r.ReadCommit(made.Hash))(t)
	if fmt.Sprint(read) != fmt.Sprint(made) {
		t.Errorf("read back %+v\n  written %+v", read, made)
	}
	if orphan := must(r.Commit(t.Context(), Change{Message: "m"}))(t); orphan.Parents != nil || orphan.Tree != emptyTree.String() || !orphan.Time.Equal(at()) {
		t.Errorf("an empty orphan: %+v", orphan)
	}
}

func TestAChangeInALargeRepositoryTouchesFewObjects(t *testing.T) {
	r, dir, head := large(t, 2000)
	files := map[string][]byte{}
	for i := range 3 {
		files[fmt.Sprintf("env/team-%02d/app-%02d/f0.yaml", i, i)] = []byte("image: new\n" + fmt.Sprint(i))
	}
	made := must(r.Commit(t.Context(), Change{Parent: head, Files: files, Message: "m"}))(t)
	check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: head, New: made.Hash}))
	// 3 × (file, app, team), env, root, commit.
	if c := r.Counts(); c.ObjectsWritten != 12 || c.ObjectsSent != 12 {
		t.Errorf("counts %+v", c)
	}
	gitRun(t, dir, "fsck", "--strict")
	if n := strings.Count(gitRun(t, dir, "ls-tree", "-r", "main"), "\n") + 1; n != 2000 {
		t.Errorf("%d files on the server", n)
	}
}

// large makes a repository with n files, ten per application folder.
func large(t testing.TB, n int) (r *Repo, dir, head string) {
	t.Helper()
	dir = bare(t, t.TempDir(), "large.git")
	var b strings.Builder
	b.WriteString("commit refs/heads/main\ncommitter Ada <ada@example.com> 1700000000 +0000\ndata 4\nseed\n")
	for i := range n {
		text := fmt.Sprintf("kind: Deployment\nname: %d\nimage: web:1\n", i)
		fmt.Fprintf(&b, "M 100644 inline env/team-%02d/app-%02d/f%d.yaml\ndata %d\n%s\n", i/10%20, i/200, i%10, len(text), text)
	}
	gitIn(t, dir, b.String(), "fast-import", "--quiet")
	r = open(t, Config{URL: dir})
	return r, dir, must(r.Head("main"))(t)
}

func TestAPushSendsOnlyWhatTheServerLacks(t *testing.T) {
	r, dir, head := large(t, 400)
	push := func(ref, old, hash string, want int) {
		t.Helper()
		before := r.Counts().ObjectsSent
		check(t, r.Push(t.Context(), Update{Ref: ref, Old: old, New: hash}))
		if n := r.Counts().ObjectsSent - before; n != want {
			t.Errorf("%s: %d objects sent, want %d", ref, n, want)
		}
		gitRun(t, dir, "fsck", "--strict")
	}
	push("refs/heads/same", "", head, 0)

	chain := head
	for i := range nearby + 10 { // longer than what is looked at first
		chain = commit(t, r, chain, map[string]string{"note": fmt.Sprint(i)}).Hash
	}
	push("refs/heads/chain", "", chain, 3*(nearby+10))
	back := must(r.Log(chain, 5))(t)[4].Hash
	push("refs/heads/back", "", back, 0)
	push("refs/heads/side", "", commit(t, r, back, map[string]string{"side": "1"}).Hash, 3)

	// Commits without parent share with the one they replace.
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("reports/%d.json", i)] = fmt.Sprint(i)
	}
	first := commit(t, r, "", files)
	push("refs/towpath/state", "", first.Hash, 23)
	files["reports/7.json"] = "new"
	second := commit(t, r, "", files)
	push("refs/towpath/state", first.Hash, second.Hash, 4)
	push("refs/towpath/state", second.Hash, "", 0)
}

func TestPushRefusesNonsense(t *testing.T) {
	r, _, head := seeded(t)
	none := strings.Repeat("1", 40)
	for name, updates := range map[string][]Update{
		"nothing":           nil,
		"no hash":           {{Ref: "refs/heads/x", New: "main"}},
		"neither":           {{Ref: "refs/heads/x"}},
		"a tag":             {{Ref: "refs/tags/v1", New: head}},
		"a bad name":        {{Ref: "refs/heads/a..b", New: head}},
		"a trailing lock":   {{Ref: "refs/heads/a.lock", New: head}},
		"one ref twice":     {{Ref: "refs/heads/x", New: head}, {Ref: "refs/heads/x", New: head}},
		"an unknown commit": {{Ref: "refs/heads/x", New: none}},
	} {
		if err := r.Push(t.Context(), updates...); err == nil || errors.Is(err, ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := r.Counts(); c.Pushes != 0 {
		t.Errorf("counts %+v", c)
	}
}

func FuzzTreeSurvivesItsEncoding(f *testing.F) {
	r, _, head := seeded(f)
	c := must(r.ReadCommit(head))(f)
	f.Add([]byte("100644 a\x0012345678901234567890" + "40000 a.b\x0012345678901234567890"))
	f.Add([]byte("40000 a\x0012345678901234567890" + "100644 a\x0012345678901234567890"))
	f.Add([]byte("100644 a\x0012345678901234567890" + "100644 a.b\x0012345678901234567890" + "40000 a\x0012345678901234567890"))
	f.Add([]byte("40000 ..\x0012345678901234567890"))
	f.Add([]byte(c.Tree))
	f.Fuzz(func(t *testing.T, data []byte) {
		tr, err := decodeTree(emptyTree, data)
		if err != nil {
			return
		}
		again, err := decodeTree(emptyTree, encodeTree(slices.Clone(tr.entries)))
		if err != nil || len(again.entries) != len(tr.entries) || again.index != nil {
			t.Fatalf("%q became %q (%v)", data, encodeTree(tr.entries), err)
		}
		for _, e := range tr.entries {
			one, ok := tr.find(e.name)
			other, also := again.find(e.name)
			if !ok || !also || one != e || other != e {
				t.Errorf("%q: %q is %v, %v, %v", data, e.name, e, one, other)
			}
			if e.name == ".." || strings.Contains(e.name, "/") {
				t.Errorf("name %q", e.name)
			}
		}
	})
}

// BenchmarkCommitAndPush10k changes one file of 10,000 and pushes it to a
// repository on this machine, which starts git once.
func BenchmarkCommitAndPush10k(b *testing.B) {
	r, _, head := large(b, 10_000)
	b.ResetTimer()
	for i := range b.N {
		made := must(r.Commit(b.Context(), Change{Parent: head, Message: "m",
			Files: map[string][]byte{"env/team-03/app-07/f1.yaml": fmt.Appendf(nil, "image: web:%d\n", i)}}))(b)
		check(b, r.Push(b.Context(), Update{Ref: "refs/heads/main", Old: head, New: made.Hash}))
		head = made.Hash
	}
}

// BenchmarkCommit10k is the part of it without the server.
func BenchmarkCommit10k(b *testing.B) {
	r, _, head := large(b, 10_000)
	b.ResetTimer()
	for i := range b.N {
		must(r.Commit(b.Context(), Change{Parent: head, Message: "m",
			Files: map[string][]byte{"env/team-03/app-07/f1.yaml": fmt.Appendf(nil, "image: web:%d\n", i)}}))(b)
	}
}

// BenchmarkFetchNoNews10k is the cost of a tick's look at an unchanged repository.
func BenchmarkFetchNoNews10k(b *testing.B) {
	r, _, _ := large(b, 10_000)
	b.ResetTimer()
	for range b.N {
		check(b, r.Fetch(b.Context()))
	}
}

// BenchmarkFiles10k reads all files of 10,000.
func BenchmarkFiles10k(b *testing.B) {
	r, _, head := large(b, 10_000)
	s := must(r.Snapshot(head))(b)
	b.ResetTimer()
	for range b.N {
		if files := must(s.Files("env", nil))(b); len(files) != 10_000 {
			b.Fatal(len(files))
		}
	}
}
