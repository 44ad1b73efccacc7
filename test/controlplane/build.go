package controlplane

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	// modulePath is where a checkout holds the servers' modules.
	modulePath = "test/controlplane/servers"
	// progressEvery is the time between two progress lines of a build.
	progressEvery = 10 * time.Second
	// lockPoll is the time between two tries to become the process that builds.
	lockPoll = 250 * time.Millisecond
	// keepUnused is how long servers of other sources, perhaps of another checkout that is in use
	// right now, survive a build.
	keepUnused = time.Hour
	// interruptGrace is how long the go command has to clean up when the build is given up.
	interruptGrace = 10 * time.Second
	// buildOutputLines bounds how much of the compiler's output an error shows.
	buildOutputLines = 20
)

// buildSteps are the three binaries: the folder below the servers' module in which the go command
// runs, the package, and the name.
var buildSteps = [...]struct{ folder, pkg, binary, what string }{
	{".", "./janitor", "janitor", "janitor"},
	{"kwok", ".", "kwok", "kwok"},
	{".", ".", "servers", "etcd, kube-apiserver, kube-controller-manager, kube-scheduler"},
}

// buildArgs leaves out symbols, which halves the link time and the size, paths of this machine, and
// the commit, which the servers do not depend on.
func buildArgs(out, pkg string) []string {
	return []string{"build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, pkg}
}

// Binaries are the built servers.
type Binaries struct {
	Dir     string // the folder that holds them
	Servers string // etcd and the Kubernetes servers, chosen by the first argument
	Kwok    string
	Janitor string
}

func binariesIn(dir string) Binaries {
	return Binaries{
		Dir:     dir,
		Servers: filepath.Join(dir, "servers"),
		Kwok:    filepath.Join(dir, "kwok"),
		Janitor: filepath.Join(dir, "janitor"),
	}
}

// Build returns the servers, compiled when the cache folder has none for these sources, this Go
// version and this platform. Processes that call it at the same time build once: the others wait.
// A build that fails or is given up leaves no half-built servers.
func Build(ctx context.Context, cfg Config) (Binaries, error) {
	source, err := cfg.source()
	if err != nil {
		return Binaries{}, err
	}
	cache, err := cfg.cacheDir()
	if err != nil {
		return Binaries{}, err
	}
	sum, err := sourceHash(ctx, source)
	if err != nil {
		return Binaries{}, err
	}
	b := &builder{
		source: source, cache: cache, dir: filepath.Join(cache, sum),
		progress: newProgress(cfg.Progress),
	}
	if b.built() {
		return binariesIn(b.dir), nil
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return Binaries{}, err
	}
	defer unlock()
	if b.built() {
		return binariesIn(b.dir), nil
	}
	if err := b.build(ctx); err != nil {
		return Binaries{}, fmt.Errorf("build the Kubernetes servers: %w", err)
	}
	return binariesIn(b.dir), nil
}

// source returns the folder of the servers' module.
func (cfg Config) source() (string, error) {
	if cfg.Source != "" {
		dir := filepath.Join(cfg.Source, filepath.FromSlash(modulePath))
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			return "", fmt.Errorf("%s is not a checkout of Towpath: %w", cfg.Source, err)
		}
		return dir, nil
	}
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find a checkout of Towpath: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		module := filepath.Join(dir, filepath.FromSlash(modulePath))
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no checkout of Towpath holds %s; run this inside one: the Kubernetes servers are built from %s", start, modulePath)
		}
	}
}

// cacheDir returns the folder that holds one folder of servers per source hash.
func (cfg Config) cacheDir() (string, error) {
	dir := cfg.CacheDir
	if dir == "" {
		dir = os.Getenv("TOWPATH_CACHE")
	}
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the cache folder: %w; set TOWPATH_CACHE", err)
		}
		dir = filepath.Join(user, "towpath")
	}
	// Absolute, since the go command and the servers run in other folders.
	abs, err := filepath.Abs(filepath.Join(dir, "controlplane"))
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return abs, nil
}

// sourceHash covers everything that decides what the build yields.
func sourceHash(ctx context.Context, source string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	cmd.Dir, cmd.Env = source, goEnv()
	version, err := cmd.Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		return "", fmt.Errorf("ask the go command, which builds the Kubernetes servers, for its version: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s/%s %q\n", bytes.TrimSpace(version), runtime.GOOS, runtime.GOARCH, buildArgs("", ""))
	err = filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		switch name := entry.Name(); {
		case name == "go.mod", name == "go.sum", strings.HasSuffix(name, ".go"):
		default:
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %x\n", filepath.ToSlash(rel), sha256.Sum256(raw))
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read the sources of the Kubernetes servers: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// goEnv is the environment for the go command: a static binary for this machine, untouched by what
// a person has set for building something else.
func goEnv() []string {
	return append(os.Environ(),
		"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}

type builder struct {
	source   string // folder of the servers' module
	cache    string // folder of all built servers
	dir      string // where these belong
	progress *progress
}

// built reports whether the servers are there, and marks them as used.
func (b *builder) built() bool {
	// The folder appears by a rename, so it is whole.
	now := time.Now()
	return os.Chtimes(b.dir, now, now) == nil
}

// lock waits until this process is the only one that builds into the cache folder.
func (b *builder) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(b.cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the cache folder: %w", err)
	}
	for said := false; ; said = true {
		ok, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock the cache folder %s: %w", b.cache, err)
		}
		if ok {
			return func() { f.Close() }, nil
		}
		if !said {
			b.progress.printf("another process is building the Kubernetes servers; waiting for it")
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for another process that builds the Kubernetes servers: %w", context.Cause(ctx))
		case <-time.After(lockPoll):
		}
	}
}

func (b *builder) build(ctx context.Context) error {
	begin := time.Now()
	if err := b.clean(); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(b.cache, ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	b.progress.printf("building real Kubernetes servers for tests and the demo: this compiles etcd, Kubernetes and kwok")
	b.progress.printf("from source, about 2,500 packages, and takes some minutes. It is done once; the result is kept in")
	b.progress.printf("%s", b.dir)
	for i, step := range buildSteps {
		label := fmt.Sprintf("[%d/%d] %s", i+1, len(buildSteps), step.what)
		args := buildArgs(filepath.Join(tmp, step.binary), step.pkg)
		if err := b.goCommand(ctx, filepath.Join(b.source, step.folder), label, args); err != nil {
			return err
		}
	}
	// MkdirTemp makes a folder for its owner only; servers hold no secret.
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.Rename(tmp, b.dir); err != nil {
		return err
	}
	b.progress.printf("built in %s", time.Since(begin).Round(time.Second))
	return nil
}

// clean removes what builds that were killed have left, and servers of other sources that nobody
// has used for keepUnused.
func (b *builder) clean() error {
	entries, err := os.ReadDir(b.cache)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !entry.IsDir() {
			continue // gone already, or the lock
		}
		if strings.HasPrefix(entry.Name(), ".build-") || time.Since(info.ModTime()) > keepUnused {
			if err := os.RemoveAll(filepath.Join(b.cache, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// goCommand runs go build -v, which writes one line per downloaded module and compiled package.
func (b *builder) goCommand(ctx context.Context, dir, label string, args []string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, goEnv()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.progress.printf("%s", label)
	meter := &buildMeter{begin: time.Now()}
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				b.progress.printf("  %s", meter.line())
			case <-stop:
				return
			}
		}
	})
	meter.read(out)
	err = cmd.Wait()
	close(stop)
	ticking.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, meter.output())
	}
	return nil
}

// buildMeter counts the lines of go build -v and keeps those that are neither packages nor
// downloads.
type buildMeter struct {
	begin time.Time

	mu         sync.Mutex
	downloaded int
	compiled   int
	other      []string
}

func (m *buildMeter) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		m.add(lines.Text())
	}
	// A line longer than the scanner takes ends the scan, but the command must not block.
	_, _ = io.Copy(io.Discard, r)
}

func (m *buildMeter) add(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		m.downloaded++
	case !strings.ContainsAny(line, " \t:"):
		m.compiled++
	default:
		m.other = append(m.other, line)
		m.other = m.other[max(0, len(m.other)-buildOutputLines):]
	}
}

func (m *buildMeter) line() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	took := time.Since(m.begin).Round(time.Second)
	switch {
	case m.compiled > 0:
		return fmt.Sprintf("%d packages compiled (%s)", m.compiled, took)
	case m.downloaded > 0:
		return fmt.Sprintf("%d modules downloaded (%s)", m.downloaded, took)
	default:
		return fmt.Sprintf("putting together what is compiled already (%s)", took)
	}
}

func (m *buildMeter) output() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.other, "\n")
}
