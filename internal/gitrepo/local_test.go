package gitrepo

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSettingsOfTheUserRunNothing(t *testing.T) {
	root, home := t.TempDir(), t.TempDir()
	dir := bare(t, root, "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	trap := filepath.Join(home, "hooks")
	check(t, os.MkdirAll(trap, 0o700))
	ran := filepath.Join(home, "ran")
	script := "#!/bin/sh\necho \"$0\" >>" + ran + "\nexit 1\n"
	for _, hook := range []string{"pre-receive", "update", "post-receive", "reference-transaction", "pack"} {
		check(t, os.WriteFile(filepath.Join(trap, hook), []byte(script), 0o700))
	}
	settings := "[core]\n\thooksPath = " + trap + "\n\talternateRefsCommand = " + trap + "/pack\n" +
		"[uploadpack]\n\tpackObjectsHook = " + trap + "/pack\n[trace2]\n\teventTarget = " + ran + "\n[receive]\n\tdenyDeletes = true\n"
	check(t, os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(settings), 0o600))
	t.Setenv("HOME", home)
	t.Setenv("GIT_CONFIG_GLOBAL", "") // puts back afterwards what TestMain set
	check(t, os.Unsetenv("GIT_CONFIG_GLOBAL"))
	t.Setenv("GIT_TRACE", ran)
	t.Setenv("GIT_DIR", filepath.Join(root, "elsewhere.git"))
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
	t.Setenv("GIT_CONFIG_VALUE_0", trap)
	r := open(t, Config{URL: dir})
	base := must(r.Head("main"))(t)
	made := commit(t, r, base, map[string]string{"a": "1\n"})
	check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: made.Hash}))
	if said, err := os.ReadFile(ran); err == nil {
		t.Errorf("something ran: %s", said)
	}
}

func TestSafeDirectoriesOfTheUserCount(t *testing.T) {
	home := t.TempDir()
	check(t, os.WriteFile(filepath.Join(home, "more"), []byte("[safe]\n\tdirectory = /srv/a b\n"), 0o600))
	check(t, os.WriteFile(filepath.Join(home, "gitconfig"), []byte("[safe]\n\tdirectory = *\n\tdirectory =\n\tdirectory = ~/x\n[include]\n\tpath = more\n"), 0o600))
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + filepath.Join(home, "gitconfig"),
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=/srv/c", "GIT_DIR=/nowhere", "GIT_TRACE=1"}
	want := []string{"*", "", "~/x", "/srv/a b", "/srv/c"}
	got := safeDirectories(t.Context(), env)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	out := strings.Join(gitEnv(env, got), "\n")
	for _, line := range []string{"HOME=" + home, "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_COUNT=5", "GIT_CONFIG_KEY_4=safe.directory", "GIT_CONFIG_VALUE_3=/srv/a b", "LC_ALL=C"} {
		if !strings.Contains(out+"\n", line+"\n") {
			t.Errorf("%s is missing in\n%s", line, out)
		}
	}
	for _, gone := range []string{"GIT_DIR", "GIT_TRACE", "gitconfig"} {
		if strings.Contains(out, gone) {
			t.Errorf("%s is left in\n%s", gone, out)
		}
	}
	if none := safeDirectories(t.Context(), []string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull}); none != nil {
		t.Errorf("without settings: %q", none)
	}
}

func TestARepositoryOfAnotherUserNeedsToBeCalledSafe(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a folder to another user")
	}
	dir := bare(t, t.TempDir(), "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	check(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, 12345, 12345)
	}))
	_, err := Open(t.Context(), Config{URL: dir, Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "git config --global --add safe.directory "+dir) {
		t.Errorf("got %v", err)
	}
	settings := filepath.Join(t.TempDir(), "gitconfig")
	check(t, os.WriteFile(settings, []byte("[safe]\n\tdirectory = "+dir+"\n"), 0o600))
	t.Setenv("GIT_CONFIG_GLOBAL", settings)
	check(t, open(t, Config{URL: dir}).Fetch(t.Context()))
}

func TestTheOriginOfAClone(t *testing.T) {
	root := must(filepath.EvalSymlinks(t.TempDir()))(t)
	dir := bare(t, root, "config.git")
	put(t, dir, "main", "", map[string]string{"sub/a": "0\n"})
	clone, linked := filepath.Join(root, "clone"), filepath.Join(root, "linked")
	gitRun(t, root, "clone", "--quiet", dir, clone)
	gitRun(t, clone, "worktree", "add", "--quiet", "-b", "other", linked)
	relative := filepath.Join(root, "relative")
	gitRun(t, root, "clone", "--quiet", dir, relative)
	gitRun(t, relative, "remote", "set-url", "origin", "../config.git")
	scp := filepath.Join(root, "scp")
	gitRun(t, root, "clone", "--quiet", dir, scp)
	gitRun(t, scp, "remote", "set-url", "origin", "git@git.example:team/config.git")
	for from, want := range map[string]string{
		dir: dir, clone: dir, filepath.Join(clone, "sub"): dir, linked: dir, filepath.Join(linked, "sub"): dir,
		relative: dir, filepath.Join(relative, "sub"): dir, scp: "git@git.example:team/config.git",
	} {
		if got, err := Origin(from); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", from, got, err, want)
		}
	}
	if _, err := Origin(root); !errors.Is(err, ErrNotFound) {
		t.Errorf("no clone: %v", err)
	}
}
