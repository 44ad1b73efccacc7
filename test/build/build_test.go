package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const modulePath = "test/some/servers"

// some are three binaries of two modules.
func some() Servers {
	return Servers{
		Name: "some", Title: "some servers", Module: modulePath, Intro: []string{"building some servers, kept in"},
		Steps: []Step{
			{Folder: ".", Package: "./janitor", Binary: "janitor", What: "janitor"},
			{Folder: "kwok", Package: ".", Binary: "kwok", What: "kwok"},
			{Folder: ".", Package: ".", Binary: "servers", What: "the rest"},
		},
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sources writes a checkout whose servers are three programs of one line, which build in a second.
func sources(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module example.com/servers\n\ngo 1.26\n",
		"main.go":         "package main\n\nfunc main() {}\n",
		"janitor/main.go": "package main\n\nfunc main() {}\n",
		"kwok/go.mod":     "module example.com/servers/kwok\n\ngo 1.26\n",
		"kwok/main.go":    "package main\n\nfunc main() {}\n",
	} {
		write(t, filepath.Join(root, filepath.FromSlash(modulePath), filepath.FromSlash(name)), text)
	}
	return root
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// kept returns the folders of servers in the cache.
func kept(t *testing.T, cache string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(cache, "some"))
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, entry := range entries {
		if entry.IsDir() {
			dirs = append(dirs, filepath.Join(cache, "some", entry.Name()))
		}
	}
	return dirs
}

func TestBuildsAtTheSameTimeBuildOnce(t *testing.T) {
	cfg := Config{Source: sources(t), CacheDir: t.TempDir()}
	var (
		said [3]atomic.Int64 // builds
		dirs [3]string
		errs [3]error
		wg   sync.WaitGroup
	)
	for i := range said {
		wg.Go(func() {
			mine := cfg
			mine.Say = func(format string, _ ...any) {
				if strings.HasPrefix(format, "built in ") {
					said[i].Add(1)
				}
			}
			dirs[i], errs[i] = some().Build(t.Context(), mine)
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	builds := int64(0)
	for i := range said {
		builds += said[i].Load()
		if dirs[i] != dirs[0] {
			t.Errorf("different answers: %s and %s", dirs[i], dirs[0])
		}
	}
	if builds != 1 {
		t.Errorf("%d builds", builds)
	}
	for _, step := range some().Steps {
		path := filepath.Join(dirs[0], step.Binary)
		if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got := kept(t, cfg.CacheDir); !slices.Equal(got, []string{dirs[0]}) {
		t.Errorf("the cache holds %v, want %s only", got, dirs[0])
	}
}

func TestChangedSourcesAreBuiltAndUnusedServersGo(t *testing.T) {
	cfg := Config{Source: sources(t), CacheDir: t.TempDir()}
	var dirs []string
	for _, text := range []string{"package main\n\nfunc main() { println(1) }\n", "package main\n\nfunc main() { println(2) }\n", "package main\n\nfunc main() { println(3) }\n"} {
		write(t, filepath.Join(cfg.Source, filepath.FromSlash(modulePath), "kwok", "main.go"), text)
		if len(dirs) == 2 {
			// The first was last used long ago, the second just now.
			long := time.Now().Add(-2 * keepUnused)
			if err := os.Chtimes(dirs[0], long, long); err != nil {
				t.Fatal(err)
			}
		}
		dir, err := some().Build(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	want := slices.Sorted(slices.Values(dirs[1:]))
	if got := kept(t, cfg.CacheDir); !slices.Equal(got, want) {
		t.Errorf("the cache holds %v, want %v of %v", got, want, dirs)
	}
}

func TestABuildThatFailsSaysWhereAndLeavesNothing(t *testing.T) {
	cfg := Config{Source: sources(t), CacheDir: t.TempDir()}
	write(t, filepath.Join(cfg.Source, filepath.FromSlash(modulePath), "kwok", "main.go"), "package main\n\nfunc main() { undefined() }\n")
	_, err := some().Build(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "main.go:3:15: undefined: undefined") {
		t.Errorf("got %v", err)
	}
	if got := kept(t, cfg.CacheDir); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestABuildThatIsGivenUpLeavesNothing(t *testing.T) {
	cfg := Config{Source: sources(t), CacheDir: t.TempDir()}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	reason := errors.New("interrupted by a person")
	cfg.Say = func(format string, args ...any) {
		if strings.HasPrefix(fmt.Sprintf(format, args...), "[2/3]") {
			cancel(reason)
		}
	}
	if _, err := some().Build(ctx, cfg); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
	if got := kept(t, cfg.CacheDir); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestTheOutputOfTheGoCommandIsCountedAndErrorsAreKept(t *testing.T) {
	m := &meter{begin: time.Now()}
	m.read(strings.NewReader("go: downloading k8s.io/api v0.36.3\ngo: downloading k8s.io/client-go v0.36.3\n"))
	if got := m.line(); got != "2 modules downloaded (0s)" {
		t.Error(got)
	}
	m.read(strings.NewReader("internal/abi\nk8s.io/api/core/v1\n# k8s.io/x\nx.go:1:2: wrong type\n"))
	if got := m.line(); got != "2 packages compiled (0s)" {
		t.Error(got)
	}
	if got, want := m.output(), "# k8s.io/x\nx.go:1:2: wrong type"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestTheCheckoutIsFoundUpwardAndTheCacheByItsVariable(t *testing.T) {
	root := sources(t)
	deep := filepath.Join(root, "docs", "more")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(deep)
	real, err := filepath.EvalSymlinks(filepath.Join(root, filepath.FromSlash(modulePath)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := some().source(Config{})
	if err == nil {
		got, err = filepath.EvalSymlinks(got)
	}
	if err != nil || got != real {
		t.Errorf("got %q, %v; want %q", got, err, real)
	}
	cache := t.TempDir()
	t.Setenv("TOWPATH_CACHE", cache)
	if got, err := some().cacheDir(Config{}); err != nil || got != filepath.Join(cache, "some") {
		t.Errorf("got %q, %v", got, err)
	}
	t.Chdir(cache)
	if _, err := some().source(Config{}); err == nil || !strings.Contains(err.Error(), "no checkout of Towpath holds") {
		t.Errorf("got %v", err)
	}
}
