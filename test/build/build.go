// Package build compiles the real servers of tests and of the demo from modules of their own, once,
// into the user's cache folder, so that neither the bot's module nor a second test run pays for them.
//
// It is below the other test helpers: they may import it, it imports nothing of Towpath. It must not
// know what a server is for, nor start one.
package build

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

// Servers says which binaries are built and from what. All fields but Files are needed.
type Servers struct {
	// Name is the folder in the cache.
	Name string
	// Title names them in errors and progress lines: "the Kubernetes servers".
	Title string
	// Module is where a checkout holds their sources, with slashes: a module, which may hold more.
	Module string
	// Intro are the lines said when a build begins; the last is followed by the folder.
	Intro []string
	Steps []Step
	// Files are copied beside the binaries.
	Files []Files
}

// Step is one binary.
type Step struct {
	// Folder, below Servers.Module, is where the go command runs: "." or that of a module in it.
	Folder string
	// Package is what is built.
	Package string
	// Binary is the name of the file.
	Binary string
	// What names it in progress lines.
	What string
}

// Config says where. The zero value is usable.
type Config struct {
	// CacheDir is where built servers are kept. Empty means $TOWPATH_CACHE, or the folder towpath in
	// os.UserCacheDir.
	CacheDir string
	// Source is the root of a Towpath checkout. Empty means the nearest one found upward from the
	// working directory.
	Source string
	// Say gets one line per step, formatted as by fmt.Sprintf, for a person to read; goroutines call it at
	// the same time. nil means silence.
	Say func(format string, args ...any)
}

// args leave out symbols, which halves the link time and the size, paths of this machine, and the
// commit, which the servers do not depend on.
func args(out, pkg string) []string {
	return []string{"build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, pkg}
}

// Build returns the folder that holds the binaries, compiled when the cache has none for these
// sources, this Go version and this platform. Processes that call it at the same time build once: the
// others wait. A build that fails or is given up leaves no half-built servers.
func (s Servers) Build(ctx context.Context, cfg Config) (string, error) {
	source, err := s.source(cfg)
	if err != nil {
		return "", err
	}
	cache, err := s.cacheDir(cfg)
	if err != nil {
		return "", err
	}
	sum, err := s.hash(ctx, source)
	if err != nil {
		return "", err
	}
	b := &builder{Servers: s, source: source, cache: cache, dir: filepath.Join(cache, sum), say: cfg.Say}
	if b.say == nil {
		b.say = func(string, ...any) {}
	}
	if b.built() {
		return b.dir, nil
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if b.built() {
		return b.dir, nil
	}
	if err := b.build(ctx); err != nil {
		return "", fmt.Errorf("build %s: %w", s.Title, err)
	}
	return b.dir, nil
}

// source returns the folder of the servers' module.
func (s Servers) source(cfg Config) (string, error) {
	path := filepath.FromSlash(s.Module)
	if cfg.Source != "" {
		dir := filepath.Join(cfg.Source, path)
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
		module := filepath.Join(dir, path)
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no checkout of Towpath holds %s; run this inside one: %s are built from %s", start, s.Title, s.Module)
		}
	}
}

// cacheDir returns the folder that holds one folder of servers per source hash.
func (s Servers) cacheDir(cfg Config) (string, error) {
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
	abs, err := filepath.Abs(filepath.Join(dir, s.Name))
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return abs, nil
}

// hash covers everything that decides what the build yields.
func (s Servers) hash(ctx context.Context, source string) (string, error) {
	version, err := ask(ctx, source, "env", "GOVERSION")
	if err != nil {
		return "", fmt.Errorf("ask the go command, which builds %s, for its version: %w", s.Title, err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s/%s %q\n", version, runtime.GOOS, runtime.GOARCH, args("", ""))
	for _, files := range s.Files {
		fmt.Fprintf(h, "%q\n", files)
	}
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
		return "", fmt.Errorf("read the sources of %s: %w", s.Title, err)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// ask returns what the go command, run in dir, answers.
func ask(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, goEnv()
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return string(bytes.TrimSpace(out)), err
}

// goEnv is the environment for the go command: a static binary for this machine, untouched by what
// a person has set for building something else.
func goEnv() []string {
	return append(os.Environ(),
		"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}

type builder struct {
	Servers
	source string // folder of the servers' module
	cache  string // folder of all built servers of this name
	dir    string // where these belong
	say    func(format string, args ...any)
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
			b.say("another process is building %s; waiting for it", b.Title)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for another process that builds %s: %w", b.Title, context.Cause(ctx))
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
	for _, line := range b.Intro {
		b.say("%s", line)
	}
	b.say("%s", b.dir)
	for i, step := range b.Steps {
		label := fmt.Sprintf("[%d/%d] %s", i+1, len(b.Steps), step.What)
		command := args(filepath.Join(tmp, step.Binary), step.Package)
		if err := b.goCommand(ctx, filepath.Join(b.source, filepath.FromSlash(step.Folder)), label, command); err != nil {
			return err
		}
	}
	for _, files := range b.Files {
		if err := b.copy(ctx, files, tmp); err != nil {
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
	b.say("built in %s", time.Since(begin).Round(time.Second))
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
	b.say("%s", label)
	m := &meter{begin: time.Now()}
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				b.say("  %s", m.line())
			case <-stop:
				return
			}
		}
	})
	m.read(out)
	err = cmd.Wait()
	close(stop)
	ticking.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, m.output())
	}
	return nil
}

// meter counts the lines of go build -v and keeps those that are neither packages nor
// downloads.
type meter struct {
	begin time.Time

	mu         sync.Mutex
	downloaded int
	compiled   int
	other      []string
}

func (m *meter) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		m.add(lines.Text())
	}
	// A line longer than the scanner takes ends the scan, but the command must not block.
	_, _ = io.Copy(io.Discard, r)
}

func (m *meter) add(line string) {
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

func (m *meter) line() string {
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

func (m *meter) output() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.other, "\n")
}
