package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"towpath.dev/towpath/test/githttp"
)

// flip changes one byte in the middle of a file.
func flip(t testing.TB, file string) {
	t.Helper()
	data := must(os.ReadFile(file))(t)
	check(t, os.Chmod(file, 0o600))
	data[len(data)/2] ^= 0x55
	check(t, os.WriteFile(file, data, 0o600))
}

func TestAGarbledCacheNeverGivesAWrongAnswer(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, clone string){
		"pack": func(t *testing.T, clone string) { flip(t, packs(t, filepath.Dir(clone))[0]) },
		"index": func(t *testing.T, clone string) {
			flip(t, strings.TrimSuffix(packs(t, filepath.Dir(clone))[0], "pack")+"idx")
		},
		"refs": func(t *testing.T, clone string) { flip(t, filepath.Join(clone, packedRefs)) },
		"refs cut off": func(t *testing.T, clone string) {
			check(t, os.Truncate(filepath.Join(clone, packedRefs), must(os.Stat(filepath.Join(clone, packedRefs)))(t).Size()-3))
		},
		"marker": func(t *testing.T, clone string) { flip(t, filepath.Join(clone, markerFile)) },
		"loose objects": func(t *testing.T, clone string) {
			for _, f := range must(filepath.Glob(filepath.Join(clone, "objects", "??", "*")))(t) {
				flip(t, f)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := bare(t, t.TempDir(), "config.git")
			base := put(t, dir, "main", "", map[string]string{"a": "0\n", "text": strings.Repeat("many words\n", 500)})
			clock := at()
			cfg := Config{URL: dir, Branch: "main", Dir: t.TempDir(), Now: func() time.Time { return clock }}
			r := must(Open(t.Context(), cfg))(t)
			made := commit(t, r, base, map[string]string{"a": "1\n"})
			check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: made.Hash}))
			check(t, r.Close())
			spoil(t, filepath.Join(cfg.Dir, "clone-0"))

			r = open(t, cfg)
			for range 3 {
				check(t, r.Fetch(t.Context()))
				s, err := r.Snapshot(must(r.Head("main"))(t))
				if err != nil {
					continue
				}
				got, err := s.Files("", nil)
				if err != nil {
					continue
				}
				if s.Commit != made.Hash || string(got["a"]) != "1\n" || len(got["text"]) != 5500 || r.Counts().Clones > 1 {
					t.Errorf("commit %s, files %q, counts %+v", s.Commit, got, r.Counts())
				}
				return
			}
			t.Error("three fetches mend nothing")
		})
	}
}

func TestWhatAKilledProcessLeftIsClearedAway(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	cfg := Config{URL: dir, Branch: "main", Dir: t.TempDir()}
	check(t, must(Open(t.Context(), cfg))(t).Close())
	clone := filepath.Join(cfg.Dir, "clone-0")
	for _, name := range []string{"packed-refs.lock", "HEAD.lock", "packed-refs.new", "objects/pack/tmp_incoming_1", "objects/pack/tmp_pack_2",
		"objects/pack/tmp_obj_3", "objects/pack/tmp_repack_4", "../clone-0.new/objects/pack/tmp_incoming_5"} {
		file := filepath.Join(clone, name)
		check(t, os.MkdirAll(filepath.Dir(file), 0o700))
		check(t, os.WriteFile(file, []byte("half"), 0o600))
	}
	r := open(t, cfg) // clone-0.lock is there as well: a lock ends with its process
	check(t, r.Fetch(t.Context()))
	all := files(t, cfg.Dir)
	for _, left := range []string{"tmp_", ".new", "HEAD.lock", "refs.lock", "clone-1"} {
		if strings.Contains(all, left) {
			t.Errorf("%s is left in\n%s", left, all)
		}
	}
	if r.Counts().Clones != 0 {
		t.Errorf("counts %+v", r.Counts())
	}
}

// unfit serves root with some answers replaced.
func unfit(t testing.TB, root string, answer func(w http.ResponseWriter, r *http.Request, real http.Handler)) string {
	t.Helper()
	h := must(githttp.Handler(root, githttp.Options{}))(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r, h) }))
	t.Cleanup(s.Close)
	return s.URL
}

func TestAServerThatBreaksOffOrSendsGarbageSpoilsNothing(t *testing.T) {
	cut := func(keep func(n int) int) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, real http.Handler) {
			rec := httptest.NewRecorder()
			real.ServeHTTP(rec, r)
			body := rec.Body.Bytes()
			w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			_, _ = w.Write(body[:keep(len(body))])
		}
	}
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request, real http.Handler){
		"cut in the middle":  cut(func(n int) int { return n / 2 }),
		"cut before its end": cut(func(n int) int { return n - 10 }),
		"cut at its start":   cut(func(int) int { return 12 }),
		"nothing":            cut(func(int) int { return 0 }),
		"garbage": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = w.Write(bytes.Repeat([]byte("xyz"), 1000))
		},
		"an error page": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			http.Error(w, "no", http.StatusBadGateway)
		},
		"the connection ends": func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
		"a spoiled byte": func(w http.ResponseWriter, r *http.Request, real http.Handler) {
			rec := httptest.NewRecorder()
			real.ServeHTTP(rec, r)
			body := rec.Body.Bytes()
			body[len(body)-40] ^= 0x55
			w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			_, _ = w.Write(body)
		},
	} {
		for _, where := range []string{"git-upload-pack", "info/refs"} {
			if name == "a spoiled byte" && where == "info/refs" {
				continue // a listing has no checksum; what it then names is not there
			}
			t.Run(name+" of "+where, func(t *testing.T) {
				root := t.TempDir()
				dir := bare(t, root, "config.git")
				base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
				var bad atomic.Bool
				url := unfit(t, root, func(w http.ResponseWriter, r *http.Request, real http.Handler) {
					if bad.Load() && strings.HasSuffix(r.URL.Path, where) {
						answer(w, r, real)
						return
					}
					real.ServeHTTP(w, r)
				})
				cfg := Config{URL: url + "/config.git", Branch: "main", Dir: t.TempDir()}
				r := open(t, cfg)
				head := put(t, dir, "main", "-", map[string]string{"a": strings.Repeat("news\n", 100)})
				before := files(t, filepath.Join(r.slot.dir, "objects"))
				bad.Store(true)
				err := r.Fetch(t.Context())
				if err == nil || strings.Contains(err.Error(), "damaged again") {
					t.Errorf("got %v", err)
				}
				if got := must(r.Head("main"))(t); got != base {
					t.Errorf("head %s after %v", got, err)
				}
				if after := files(t, filepath.Join(r.slot.dir, "objects")); strings.Count(after, "\n") != strings.Count(before, "\n") {
					t.Errorf("left behind: %s", after)
				}
				if _, err := Open(t.Context(), Config{URL: cfg.URL, Branch: "main", Dir: t.TempDir()}); err == nil {
					t.Error("a first clone succeeds")
				}
				bad.Store(false)
				check(t, r.Fetch(t.Context()))
				if got := must(r.Head("main"))(t); got != head || r.Counts().Clones != 1 {
					t.Errorf("head %s, want %s; counts %+v", got, head, r.Counts())
				}
			})
		}
	}
}

func TestAServerThatHangsEndsWithTheContext(t *testing.T) {
	for _, where := range []string{"git-upload-pack", "info/refs"} {
		t.Run(where, func(t *testing.T) {
			root := t.TempDir()
			dir := bare(t, root, "config.git")
			base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
			var hang atomic.Bool
			reached := make(chan struct{}, 1)
			url := unfit(t, root, func(w http.ResponseWriter, r *http.Request, real http.Handler) {
				if hang.Load() && strings.HasSuffix(r.URL.Path, where) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.WriteHeader(http.StatusOK)
					_ = http.NewResponseController(w).Flush()
					reached <- struct{}{}
					<-r.Context().Done()
					return
				}
				real.ServeHTTP(w, r)
			})
			r := open(t, Config{URL: url + "/config.git", Branch: "main"})
			put(t, dir, "main", "-", map[string]string{"a": "1\n"})
			hang.Store(true)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-reached; cancel() }()
			if err := r.Fetch(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if head := must(r.Head("main"))(t); head != base {
				t.Errorf("head %s", head)
			}
		})
	}
}

func TestAShallowOriginIsRefused(t *testing.T) {
	everyTransport(t, func(t *testing.T, w world) {
		full := bare(t, t.TempDir(), "full.git")
		put(t, full, "main", "", map[string]string{"a": "0\n"})
		head := put(t, full, "main", "-", map[string]string{"a": "1\n"})
		gitRun(t, w.root, "clone", "--quiet", "--bare", "--depth=1", "file://"+full, "config.git")
		cfg := w.config("config.git")
		cfg.Branch, cfg.Dir = "main", t.TempDir()
		if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrShallow) || !strings.Contains(err.Error(), "--unshallow") {
			t.Fatalf("got %v", err)
		}
		gitRun(t, filepath.Join(w.root, "config.git"), "fetch", "--quiet", "--unshallow")
		if got := must(open(t, cfg).Head("main"))(t); got != head {
			t.Errorf("head %s", got)
		}
	})
}

func TestARepositoryOfAnotherHashIsRefused(t *testing.T) {
	everyTransport(t, func(t *testing.T, w world) {
		dir := filepath.Join(w.root, "config.git")
		gitRun(t, w.root, "init", "--quiet", "--bare", "--initial-branch=main", "--object-format=sha256", dir)
		tree := gitIn(t, dir, "", "mktree")
		gitRun(t, dir, "update-ref", "refs/heads/main", gitRun(t, dir, "commit-tree", tree, "-m", "x"))
		cfg := w.config("config.git")
		cfg.Branch, cfg.Dir = "main", t.TempDir()
		if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "sha1") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAzureDevOpsGetsTheRequestsItWants(t *testing.T) {
	root := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(root, "org", "_git"), 0o700))
	dir := bare(t, root, "org/_git/config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	url := unfit(t, root, func(w http.ResponseWriter, r *http.Request, real http.Handler) {
		body := must(io.ReadAll(r.Body))(t)
		if strings.HasSuffix(r.URL.Path, "/git-upload-pack") && !bytes.Contains(body, []byte(" multi_ack")) {
			http.Error(w, "TF401030: multi_ack is needed", http.StatusBadRequest)
			return
		}
		if bytes.Contains(body, []byte("thin-pack")) {
			t.Error("a thin pack is asked for")
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		real.ServeHTTP(w, r)
	})
	r := open(t, Config{URL: url + "/org/_git/config.git", Branch: "main"})
	for i := range 5 { // each fetch tells of more commits that are known
		head := base
		for n := range 3 {
			head = put(t, dir, "main", "-", map[string]string{"a": fmt.Sprint(i, n)})
		}
		check(t, r.Fetch(t.Context()))
		if got := must(r.Head("main"))(t); got != head {
			t.Fatalf("head %s, want %s", got, head)
		}
	}
	gitRun(t, r.slot.dir, "fsck", "--strict")
}

func TestAPushedPackIsWhole(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"dir/a": "0\n", "dir/b": strings.Repeat("line\n", 200)})
	// A server that knows no deltas against what it has: index-pack without --fix-thin.
	strict := filepath.Join(t.TempDir(), "strict.git")
	gitRun(t, root, "init", "--quiet", "--bare", strict)
	var seen atomic.Int32
	url := unfit(t, root, func(w http.ResponseWriter, r *http.Request, real http.Handler) {
		body := must(io.ReadAll(r.Body))(t)
		if _, pack, ok := bytes.Cut(body, []byte("PACK")); ok && strings.HasSuffix(r.URL.Path, "receive-pack") {
			seen.Add(1)
			gitIn(t, strict, "PACK"+string(pack), "index-pack", "--stdin")
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		real.ServeHTTP(w, r)
	})
	r := open(t, Config{URL: url + "/config.git", Branch: "main"})
	made := commit(t, r, base, map[string]string{"dir/b": strings.Repeat("line\n", 201)})
	check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: made.Hash}))
	if seen.Load() != 1 {
		t.Errorf("%d packs seen", seen.Load())
	}
	gitRun(t, dir, "fsck", "--strict")
}
