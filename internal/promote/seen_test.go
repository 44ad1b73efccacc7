package promote

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/test/bigrepo"
)

// node is what a tree of the test holds at a path.
type node struct {
	mode string // as Git writes it
	data string // the commit of a submodule
}

// scribble is a repository whose tree a test changes at random.
type scribble struct {
	t     *testing.T
	dir   string
	files map[string]node
	n     int
	rand  *rand.Rand
}

const twoEnvironments = `apiVersion: towpath.dev/v1
kind: Pipeline
metadata: {name: two}
spec:
  branch: main
  environments:
    - {name: dev, path: envs/dev, update: {policies: ["*"]}, merge: push}
    - {name: prod, path: envs/prod, from: [dev], merge: approval}
`

func newScribble(t *testing.T, seed uint64) *scribble {
	t.Helper()
	s := &scribble{t: t, dir: filepath.Join(t.TempDir(), "config.git"), files: map[string]node{}, rand: rand.New(rand.NewPCG(seed, 1))}
	if err := gitrepo.InitBare(s.dir, "main"); err != nil {
		t.Fatal(err)
	}
	s.files["policies/pipeline.yaml"] = node{"100644", twoEnvironments}
	for _, name := range []string{"web", "api"} {
		s.files["policies/"+name+".yaml"] = node{"100644", "apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: " + name + "}\n" +
			"spec: {image: registry.example/" + name + ", select: {semver: {range: \"1.x\"}}}\n"}
	}
	for _, env := range []string{"dev", "prod"} {
		for _, app := range []string{"one", "two", "three"} {
			s.files["envs/"+env+"/"+app+"/web.yaml"] = node{"100644", s.content(0)}
			s.files["envs/"+env+"/"+app+"/plain.yaml"] = node{"100644", s.content(3)}
		}
	}
	s.files["base/shared.yaml"] = node{"100644", s.content(0)}
	return s
}

// content is what a file may hold, by a number from 0 to 11.
func (s *scribble) content(kind int) string {
	tag := fmt.Sprintf("1.%d.%d", s.rand.IntN(3), s.rand.IntN(3))
	switch kind {
	case 0, 1, 2:
		return "image: registry.example/web:" + tag + " # towpath: web\n"
	case 3, 4:
		return fmt.Sprintf("a: %d\n", s.rand.IntN(5))
	case 5:
		return "image: registry.example/api:" + tag + " # towpath: api\nother: {image: registry.example/web:" + tag + "} # towpath: web:tag\n"
	case 6:
		return "apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: lost}\n"
	case 7:
		return "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("ab", 32) + "\nsize 12345\n"
	case 8:
		return "binary: \x00\x01 # towpath: web\n"
	case 9:
		return "image: [registry.example/web:1.0.0 # towpath: web\n"
	case 10:
		return "image: registry.example/none:" + tag + " # towpath: none\n"
	}
	return "big: " + strings.Repeat("x", patch.MaxFileSize) + "\n"
}

func (s *scribble) path() string {
	r := s.rand
	p := "envs/" + []string{"dev", "prod"}[r.IntN(2)]
	if r.IntN(12) > 0 {
		p += "/" + []string{"one", "two", "three", "four", "root", "bad name"}[r.IntN(6)]
	}
	if r.IntN(4) == 0 {
		p += "/deeper"
	}
	return p + "/" + []string{"web.yaml", "api.yml", "plain.yaml", "notes.txt", "kustomization.yaml"}[r.IntN(5)]
}

// change does something at random.
func (s *scribble) change() string {
	r := s.rand
	p := s.path()
	have := slices.Sorted(maps.Keys(s.files))
	old := have[r.IntN(len(have))]
	switch k := r.IntN(16); {
	case k < 6:
		kind := r.IntN(11)
		if r.IntN(25) == 0 {
			kind = 11
		}
		s.files[p] = node{"100644", s.content(kind)}
		return fmt.Sprintf("write %s, %d", p, kind)
	case k < 8 && strings.HasPrefix(old, "envs/"):
		s.files[p] = s.files[old]
		delete(s.files, old)
		return "rename " + old + " to " + p
	case k == 8 && strings.HasPrefix(old, "envs/"):
		delete(s.files, old)
		return "delete " + old
	case k == 9:
		from, to := "envs/"+[]string{"dev/one/", "prod/one/", "dev/two/"}[r.IntN(3)], "envs/"+[]string{"dev/three/", "prod/four/", "dev/one/"}[r.IntN(3)]
		for _, name := range have {
			if rest, in := strings.CutPrefix(name, from); in && from != to {
				s.files[to+rest] = s.files[name]
				delete(s.files, name)
			}
		}
		return "move " + from + " to " + to
	case k == 10:
		f := s.files[old]
		if f.mode == "100644" {
			f.mode = "100755"
		} else if f.mode == "100755" {
			f.mode = "100644"
		}
		s.files[old] = f
		return "mode of " + old
	case k == 11:
		up := strings.Repeat("../", strings.Count(p, "/"))
		target := []string{"web.yaml", "../one/web.yaml", up + "base/shared.yaml", "missing.yaml", "/etc/passwd", up + "base"}[r.IntN(6)]
		s.files[p] = node{"120000", target}
		return "link " + p + " to " + target
	case k == 12:
		if _, is := s.files["base/shared.yaml"]; is {
			delete(s.files, "base/shared.yaml")
			return "delete the base"
		}
		s.files["base/shared.yaml"] = node{"100644", s.content(0)}
		return "write the base"
	case k == 13:
		s.files[filepath.ToSlash(filepath.Dir(p))+"/sub"] = node{"160000", strings.Repeat("12", 20)}
		return "submodule at " + p
	case k == 14:
		name := "policies/api.yaml"
		f := s.files[name]
		f.data = strings.Replace(f.data, []string{"1.x", "2.x"}[r.IntN(2)], []string{"1.x", "2.x", "oops["}[r.IntN(3)], 1)
		s.files[name] = f
		return "change " + name
	}
	s.files["README.md"] = node{"100644", fmt.Sprintf("%d\n", s.n)}
	return "change the README"
}

// commit makes the tree the newest commit of main. What lies below a file of
// another name gives way.
func (s *scribble) commit() {
	s.t.Helper()
	var b bytes.Buffer
	s.n++
	fmt.Fprintf(&b, "commit refs/heads/main\ncommitter Pat <pat@example.com> %d +0000\ndata 1\nx\n", 1_700_000_000+60*s.n)
	if s.n > 1 {
		b.WriteString("from refs/heads/main^0\n")
	}
	b.WriteString("deleteall\n")
	for _, p := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[p]
		if f.mode == "160000" {
			fmt.Fprintf(&b, "M 160000 %s \"%s\"\n", f.data, p)
			continue
		}
		fmt.Fprintf(&b, "M %s inline \"%s\"\ndata %d\n%s\n", f.mode, p, len(f.data), f.data)
	}
	cmd := exec.CommandContext(s.t.Context(), "git", "fast-import", "--quiet", "--force")
	cmd.Dir, cmd.Stdin = s.dir, &b
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
}

func openScribble(t *testing.T, url string) *gitrepo.Repo {
	t.Helper()
	r, err := gitrepo.Open(t.Context(), gitrepo.Config{URL: url, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func botOn(r *gitrepo.Repo, dir string, logs *bytes.Buffer) *Bot {
	c := Config{Git: r, Dir: dir, Author: r.Author(), Forge: local.New(local.Config{Git: r, User: "towpath"}),
		Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }}
	if logs != nil {
		c.Logger = slog.New(slog.NewTextHandler(logs, nil))
	}
	return New(c)
}

func TestWhatIsRememberedChangesNoSituation(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newScribble(t, seed)
			s.commit()
			r := openScribble(t, s.dir)
			dir := t.TempDir()
			warm := botOn(r, dir, nil)
			for step := range 45 {
				var did []string
				for range 1 + s.rand.IntN(3) {
					did = append(did, s.change())
				}
				s.commit()
				if step%13 == 12 {
					warm = botOn(r, dir, nil) // a process that starts with what another left
				}
				got, err := warm.Look(t.Context())
				if err != nil {
					t.Fatalf("step %d, %q: %v", step, did, err)
				}
				want, err := botOn(r, "", nil).Look(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("step %d, %q: remembered:\n%s\nread anew:\n%s", step, did, asJSON(got), asJSON(want))
				}
			}
		})
	}
}

func asJSON(s Situation) string {
	var problems []string
	for _, e := range s.Envs {
		for _, a := range e.Apps {
			for _, p := range a.misplaced {
				problems = append(problems, p.String())
			}
		}
	}
	out, err := json.MarshalIndent([]any{s.Envs, s.Problems, problems, s.Past}, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func TestATickReadsOnlyWhatChanged(t *testing.T) {
	s := newScribble(t, 1)
	for p, f := range s.files { // nothing is to move, so that no history is looked at
		if strings.HasSuffix(p, "/web.yaml") && strings.HasPrefix(p, "envs/") {
			f.data = "image: registry.example/web:1.0.0 # towpath: web\n"
			s.files[p] = f
		}
	}
	s.commit()
	r := openScribble(t, s.dir)
	dir := t.TempDir()
	look := func(b *Bot) int {
		t.Helper()
		if err := r.Fetch(t.Context()); err != nil { // what a fetch with news reads is not meant
			t.Fatal(err)
		}
		before := r.ObjectsRead()
		if _, err := b.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r.ObjectsRead() - before
	}
	bot := botOn(r, dir, nil)
	look(bot)
	if n := look(bot); n != 0 {
		t.Errorf("%d objects read without news", n)
	}
	s.files["README.md"] = node{"100644", "words\n"}
	s.commit()
	if n := look(bot); n > 2 {
		t.Errorf("%d objects read for a file outside the environments: want the commit and the root", n)
	}
	s.files["envs/dev/one/plain.yaml"] = node{"100644", "a: changed\n"}
	s.commit()
	if n := look(bot); n > 6 {
		t.Errorf("%d objects read for one file of one app: want the commit, four trees and the file", n)
	}
	// Trees are in the repository's memory already: what a new bot reads is files.
	if n, marked, policies := look(botOn(r, dir, nil)), 6, 3; n != 1+marked+policies {
		t.Errorf("a bot that starts read %d objects, want the commit, the %d files with markers and %d in policies", n, marked, policies)
	}
}

func TestTheFileOfPlainFilesIsUsedOnlyWhenItIsRight(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		said   string // in the log; "" = it is used
	}{
		{"as it was written", func(b []byte) []byte { return b }, ""},
		{"cut off", func(b []byte) []byte { return b[:len(b)-7] }, "damaged"},
		{"a bit is another", func(b []byte) []byte { b[len(b)-40] ^= 1; return b }, "damaged"},
		{"empty", func([]byte) []byte { return nil }, "another version"},
		{"of another format", func(b []byte) []byte { return bytes.Replace(b, []byte("format 1"), []byte("format 0"), 1) }, "another version"},
		{"of other rules", func(b []byte) []byte { return bytes.Replace(b, []byte("markers "), []byte("markers 9"), 1) }, "another version"},
		{"foreign", func([]byte) []byte { return []byte("something else") }, "another version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScribble(t, 1)
			s.commit()
			r := openScribble(t, s.dir)
			dir := t.TempDir()
			want, err := botOn(r, dir, nil).Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, plainFile)
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, c.change(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			var logs bytes.Buffer
			got, err := botOn(r, dir, &logs).Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Error("the situation is another")
			}
			if said := logs.String(); c.said == "" && said != "" || !strings.Contains(said, c.said) {
				t.Errorf("log: %q, want %q", said, c.said)
			}
			if again, err := os.ReadFile(file); err != nil || !bytes.Equal(again, whole) {
				t.Errorf("the file was not written anew: %v", err)
			}
		})
	}
}

func TestAFolderThatCannotBeWrittenIsNoFailure(t *testing.T) {
	s := newScribble(t, 1)
	s.commit()
	r := openScribble(t, s.dir)
	file := filepath.Join(t.TempDir(), "a file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	if _, err := botOn(r, file, &logs).Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logs.String(), "is not kept") {
		t.Errorf("log: %q", logs.String())
	}
}

func TestMemoryOfFilesIsBounded(t *testing.T) {
	b := &blobs{}
	for i := range 3 * maxPlain {
		b.addPlain([20]byte{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	if n := len(b.plain) + len(b.oldPlain); n > 2*maxPlain {
		t.Errorf("%d plain files are kept", n)
	}
	for i := range 3 * maxParsed {
		b.addParsed(blobAt{path: fmt.Sprint(i)}, appFile{file: patch.File{Data: make([]byte, 4<<10)}})
	}
	if n := len(b.parsed) + len(b.oldParsed); n > 2*(maxHeld/(4<<10)+1) {
		t.Errorf("%d parsed files are kept", n)
	}
}

func TestAnIdleTickIsOneRequestAndReadsNoObject(t *testing.T) {
	w := newBigWorld(t, bigrepo.Config{Files: 600, Commits: 50})
	w.pulls(t, 3)
	b, err := openBig(t.Context(), w.job)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.close() })
	for range 3 { // what the first says on pull requests the next one reads
		if _, _, err := b.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	requests, objects, listings := w.requests.Load(), b.git.ObjectsRead(), w.registry.Listings(w.shape.Image(0))
	out, _, err := b.tick(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out.Changed() || len(out.Situation.Pulls) != 3 || len(out.Situation.Envs["prod"].Apps) != w.shape.Apps() {
		t.Fatalf("not the world that is meant: %d pull requests", len(out.Situation.Pulls))
	}
	if n := w.requests.Load() - requests; n != 1 {
		t.Errorf("%d requests to the Git server, want the advertisement of refs alone", n)
	}
	if n := b.git.ObjectsRead() - objects; n != 0 {
		t.Errorf("%d objects read", n)
	}
	if n := w.registry.Listings(w.shape.Image(0)) - listings; n != 0 {
		t.Errorf("%d listings of an image that is not due", n)
	}
}

// What is kept on disk is only right while the rules are the same: who has to
// change this table raises patch.Grammar.
func TestWhatCountsAsNothingIsWhatTheGrammarSays(t *testing.T) {
	if patch.Grammar != 1 {
		t.Fatal("the table is of another grammar")
	}
	for text, plain := range map[string]bool{
		"": true, "a: 1\n": true, "a: 1 # a comment\n": true, "kind: Deployment\n": true, "a: [\n": true, "# tow path: web\n": true,
		"a: b:1 # towpath: web\n": false, "a: b:1 # {\"$imagepolicy\": \"ns:web\"}\n": false, "# towpath: web\n": false,
		"apiVersion: towpath.dev/v1\n": false, "a: \x00\n": false, "\xff\xfea\x00": false, "a: \xc3\x28\n": false,
		"version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("a", 64) + "\nsize 1\n": false,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readAppFile(os.DirFS(dir), "dev", "a.yaml").plain(); got != plain {
			t.Errorf("%q: nothing in it: %v, want %v", text, got, plain)
		}
	}
}
