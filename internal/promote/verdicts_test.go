package promote_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/internal/promote"
)

// odd is a config repository of oddities, made by Git itself and served bare.
type odd struct{ clone, bare string }

func newOdd(t *testing.T) odd {
	t.Helper()
	o := odd{clone: t.TempDir(), bare: filepath.Join(t.TempDir(), "config.git")}
	o.git(t, "init", "-q", "-b", "main")
	o.write(t, "policies/p.yaml", "apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: web}\nspec:\n  image: registry.example/web\n  select: {semver: {range: 1.x}}\n"+
		"---\napiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  branch: main\n  environments:\n"+
		"  - {name: dev, path: envs/dev, update: {policies: [\"*\"]}, merge: push}\n  - {name: prod, path: envs/prod, from: [dev], merge: auto}\n")
	for _, env := range []string{"dev", "prod"} {
		o.write(t, "envs/"+env+"/web/ok.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata:\n  web: registry.example/web:1.0.0 # towpath: web\n")
	}
	return o
}

func (o odd) git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", o.clone, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (o odd) write(t *testing.T, p, text string) {
	t.Helper()
	p = filepath.Join(o.clone, p)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (o odd) link(t *testing.T, to, p string) {
	t.Helper()
	if err := os.Symlink(to, filepath.Join(o.clone, p)); err != nil {
		t.Fatal(err)
	}
}

// look commits, with a submodule at each of the paths, pushes and has a bot look.
func (o odd) look(t *testing.T, modules ...string) promote.Situation {
	t.Helper()
	o.git(t, "add", "-A")
	for _, m := range modules {
		o.git(t, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+","+m)
	}
	o.git(t, "commit", "-q", "-m", "odd")
	o.git(t, "clone", "-q", "--bare", ".", o.bare)
	l := &line{t: t, url: o.bare}
	repo := l.open()
	s, err := promote.New(promote.Config{Git: repo, Forge: local.New(local.Config{Git: repo, User: "towpath"}), Author: repo.Author()}).Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lint is what lint says of a tree: verdict and place.
func lint(t *testing.T, fsys fs.FS) []string {
	t.Helper()
	problems, err := promote.Lint(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return places(problems)
}

func places(problems []policy.Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Path+": "+p.Verdict)
	}
	slices.Sort(out)
	return out
}

// The bot reads Git's objects, lint a checkout: both say the same, once.
func TestOddFilesHaveTheirVerdictInGitAndOnDisk(t *testing.T) {
	o := newOdd(t)
	o.write(t, "envs/dev/web/binary.yaml", "a\x00b")
	o.write(t, "envs/dev/web/lfs.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:x\n")
	o.write(t, "envs/dev/web/large.yaml", strings.Repeat("#", 5<<20))
	o.write(t, "envs/dev/web/wide.yaml", "\xff\xfea\x00")
	o.write(t, "envs/dev/kust/kustomization.yaml", "resources: [ok.yaml]\n")
	o.write(t, "envs/dev/kust/ok.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kust}\n")
	o.write(t, "envs/dev/plain/ok.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n")
	o.link(t, "/etc/passwd", "envs/dev/kust/out.yaml")
	o.link(t, "../web", "envs/dev/kust/folder")
	o.link(t, "ok.yaml", "envs/dev/kust/beside.yaml")
	o.link(t, "../web/ok.yaml", "envs/dev/plain/elsewhere.yaml")
	o.link(t, "web", "envs/prod/linked")
	s := o.look(t, "envs/prod/module")
	o.write(t, "envs/prod/module/.git", "gitdir: ../../../.git/modules/module\n") // as a checkout has it
	o.write(t, "envs/prod/module/x.yaml", "a: 1\n")
	want := []string{
		"envs/dev/kust/folder: link", "envs/dev/kust/out.yaml: link", "envs/dev/plain/elsewhere.yaml: link",
		"envs/dev/web/binary.yaml: binary", "envs/dev/web/large.yaml: too large", "envs/dev/web/lfs.yaml: LFS pointer", "envs/dev/web/wide.yaml: not UTF-8",
		"envs/prod/linked: link", "envs/prod/module: submodule",
	}
	if got := places(s.Problems); !slices.Equal(got, want) {
		t.Errorf("the bot says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, p := range s.Problems {
		if p.Hint == "" || p.Warning {
			t.Errorf("%s says not what to do, or is a warning", p)
		}
	}
	dev, _ := s.Envs["dev"].App("web")
	if len(dev.Markers) != 1 || len(dev.Skipped) != 4 {
		t.Errorf("the good file beside the odd ones: %+v", dev)
	}
	// lint renders, too, and says no second time why that fails.
	if got := lint(t, os.DirFS(o.clone)); !slices.Equal(got, want) {
		t.Errorf("lint says\n%s", strings.Join(got, "\n"))
	}
	root, err := os.OpenRoot(o.clone)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if got := lint(t, root.FS()); !slices.Equal(got, want) {
		t.Errorf("lint of the rooted folder says\n%s", strings.Join(got, "\n"))
	}
}

func TestPoliciesBehindALinkAreRefusedByBotAndLint(t *testing.T) {
	o := newOdd(t)
	if err := os.Rename(filepath.Join(o.clone, "policies"), filepath.Join(o.clone, "real")); err != nil {
		t.Fatal(err)
	}
	o.link(t, "real", "policies")
	const want = "policies: policies is no folder: a link is not followed; make it a folder, with policies/*.yaml in it"
	problems, err := promote.Lint(os.DirFS(o.clone))
	if err != nil || len(problems) != 1 || problems[0].String() != want {
		t.Errorf("lint: %v, %v", problems, err)
	}
	if s := o.look(t); len(s.Problems) != 1 || s.Problems[0].String() != want {
		t.Errorf("the bot: %v", s.Problems)
	}
}

func TestOnePolicyBehindALinkIsRefused(t *testing.T) {
	o := newOdd(t)
	o.write(t, "elsewhere/p.yaml", "a: 1\n")
	o.link(t, "../elsewhere/p.yaml", "policies/linked.yaml")
	want := []string{"policies/linked.yaml: link"}
	if got := lint(t, os.DirFS(o.clone)); !slices.Equal(got, want) {
		t.Errorf("lint: %v", got)
	}
	if got := places(o.look(t).Problems); !slices.Equal(got, want) {
		t.Errorf("the bot: %v", got)
	}
}
