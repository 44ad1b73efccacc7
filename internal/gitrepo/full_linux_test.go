package gitrepo

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of so many bytes.
func smallDisk(t *testing.T, bytes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("towpath-test", dir, "tmpfs", 0, "size="+bytes); err != nil {
		t.Skipf("a small file system cannot be mounted here, so a full disk is not tested: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all room that is left but for a few bytes, and returns what gives it back.
func fill(t *testing.T, dir string, leave int64) func() {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f := must(os.Create(name))(t)
	block := make([]byte, 4096)
	for range 5 { // what was removed just before may be given back late
		for {
			if _, err := f.Write(block); err != nil {
				break
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	size := must(f.Stat())(t).Size()
	check(t, f.Truncate(max(size-leave, 0)))
	check(t, f.Close())
	return func() { check(t, os.Remove(name)) }
}

// noise is text that no compression makes small.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(' ' + r.IntN(90))
	}
	return string(b)
}

func TestAFullDiskIsSaidAndDamagesNothing(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	disk := smallDisk(t, "2m")
	var log logged
	cfg := Config{URL: dir, Branch: "main", Dir: filepath.Join(disk, "cache"), Logger: log.logger(), Now: at}
	r := must(Open(t.Context(), cfg))(t)
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "cloned anew") {
			t.Errorf("%s: %v", what, err)
		}
		if head := must(r.Head("main"))(t); head != base {
			t.Errorf("%s: head %s", what, head)
		}
	}

	// While receiving a pack, with room for none and for a part of it.
	head := put(t, dir, "main", "-", map[string]string{"a": "1\n", "big": noise(300_000)})
	for _, room := range []int64{0, 64 << 10, 320 << 10} {
		free := fill(t, disk, room)
		full("receive", r.Fetch(t.Context()))
		if left := files(t, r.slot.dir); strings.Contains(left, "tmp_") {
			t.Errorf("left behind:\n%s", left)
		}
		free()
	}
	// While writing objects.
	free := fill(t, disk, 0)
	_, err := r.Commit(t.Context(), Change{Parent: base, Files: map[string][]byte{"b": []byte(noise(50_000))}})
	full("write", err)
	free()
	made := commit(t, r, base, map[string]string{"b": noise(50_000)})
	check(t, r.Push(t.Context(), Update{Ref: "refs/heads/towpath/x", New: made.Hash}))
	gitRun(t, dir, "fsck", "--strict")

	// While writing refs: nothing must be downloaded for this one.
	free = fill(t, disk, 0)
	gitRun(t, dir, "update-ref", "refs/heads/towpath/y", base)
	gitRun(t, dir, "update-ref", "refs/heads/main", base)
	full("refs", r.Fetch(t.Context()))
	if err := r.Push(t.Context(), Update{Ref: "refs/heads/towpath/z", New: base}); err != nil || !strings.Contains(log.String(), "does not hold what was pushed") {
		t.Errorf("a push that the cache cannot note: %v, log %s", err, log.String())
	}
	free()
	check(t, r.Fetch(t.Context()))
	gitRun(t, dir, "update-ref", "refs/heads/main", head)
	check(t, r.Fetch(t.Context()))
	if c := r.Counts(); c.Clones != 1 {
		t.Errorf("counts %+v", c)
	}
	gitRun(t, r.slot.dir, "fsck", "--strict", "--no-dangling")
	check(t, r.Close())

	// What is on the disk serves the next process.
	r = open(t, cfg)
	if got := must(r.Refs("refs/heads/"))(t); len(got) != 4 || got["refs/heads/main"] != head || r.Counts().Clones != 0 {
		t.Errorf("refs %v, counts %+v", got, r.Counts())
	}
	// A first clone onto a full disk.
	defer fill(t, disk, 16<<10)()
	if _, err := Open(t.Context(), Config{URL: dir, Branch: "main", Dir: filepath.Join(disk, "other")}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("first clone: %v", err)
	}
}

func TestAReadOnlyCacheIsSaid(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	cfg := Config{URL: dir, Branch: "main", Dir: smallDisk(t, "2m")}
	r := open(t, cfg)
	// The folder is mounted on itself: the lock that is open for writing is no obstacle.
	check(t, syscall.Mount(cfg.Dir, cfg.Dir, "", syscall.MS_BIND, ""))
	t.Cleanup(func() { check(t, syscall.Unmount(cfg.Dir, syscall.MNT_DETACH)) })
	check(t, syscall.Mount("", cfg.Dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	put(t, dir, "main", "-", map[string]string{"a": "1\n"})
	if err := r.Fetch(t.Context()); !errors.Is(err, syscall.EROFS) {
		t.Errorf("fetch: %v", err)
	}
	if files := must(must(r.Snapshot(base))(t).Files("", nil))(t); string(files["a"]) != "0\n" || r.Counts().Clones != 1 {
		t.Errorf("files %q, counts %+v", files, r.Counts())
	}
	if _, err := Open(t.Context(), cfg); !errors.Is(err, syscall.EROFS) {
		t.Errorf("open: %v", err)
	}
}
