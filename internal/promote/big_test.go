package promote

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
	"towpath.dev/towpath/test/bigrepo"
	"towpath.dev/towpath/test/githttp"
	"towpath.dev/towpath/test/ociregistry"
)

// The benchmarks of a large repository measure a bot in a process of its own,
// which the test binary becomes when it finds this variable.
const bigChild = "TOWPATH_BIG_TICK"

// bigJob is what such a process does.
type bigJob struct {
	URL, Cache string // of the repository, over http; folder of the clone
	Control    string // URL that pushes the next version to the registry
	Registry   string
	Idle       int    // ticks without news
	Edits      int    // ticks that find 20 new versions
	Profile    string // file for a profile of the processor during the idle ticks; "" = none
}

// bigResult is what it measured.
type bigResult struct {
	Open, First           time.Duration // of the cached clone, of the first tick
	Idle, FirstEdit, Edit time.Duration // the mean of idle ones, the first with edits, the mean of the others
	Idle0, IdlePeak, Peak int64         // resident bytes: after the first tick, at the peak of idle ticks and of all that came after
	Heap                  int64         // live bytes in the end
	IdleCPU, EditCPU      time.Duration // of the processor, in user and kernel, of the same means
	Edited                int           // moves of the last tick with edits
}

// bigBot is a bot as cmd/bot wires it, for a job.
type bigBot struct {
	job  bigJob
	git  *gitrepo.Repo
	bot  *Bot
	scan *scan.Scanner
	now  time.Time
}

func openBig(ctx context.Context, job bigJob) (*bigBot, error) {
	r, err := gitrepo.Open(ctx, gitrepo.Config{URL: job.URL, Dir: filepath.Join(job.Cache, "git")})
	if err != nil {
		return nil, err
	}
	b := &bigBot{job: job, git: r, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return b.now }
	b.scan = scan.New(scan.Config{
		Registry: registry.New(registry.Config{Hosts: []registry.Host{{Host: job.Registry, PlainHTTP: true, PrivateNetwork: true, RequestsPerSecond: 1e4}}}),
		Due:      func(_ string, last, now time.Time) bool { return now.Sub(last) >= time.Hour },
	})
	b.bot = New(Config{Git: r, Scanner: b.scan, Author: r.Author(), Now: clock,
		Forge:  local.New(local.Config{Git: r, User: "towpath", Now: clock}),
		States: state.NewLoader(r).Load})
	return b, nil
}

func (b *bigBot) close() error {
	b.scan.Close()
	return b.git.Close()
}

func (b *bigBot) tick(ctx context.Context) (Outcome, time.Duration, error) {
	began := time.Now()
	out, err := b.bot.Tick(ctx)
	if err == nil && len(out.Failures) > 0 {
		err = fmt.Errorf("tick: %s", out.Failures[0])
	}
	return out, time.Since(began), err
}

// run does the job.
func (b *bigBot) run(ctx context.Context) (res bigResult, err error) {
	if _, res.First, err = b.tick(ctx); err != nil {
		return res, err
	}
	res.Idle0 = resident("VmRSS")
	resetPeak()
	end, err := profile(b.job.Profile)
	if err != nil {
		return res, err
	}
	cpu := processor()
	for range b.job.Idle {
		b.now = b.now.Add(time.Second)
		out, took, err := b.tick(ctx)
		if err != nil {
			return res, err
		}
		if out.Changed() {
			return res, fmt.Errorf("an idle tick changed something: %d pushed", len(out.Plan.Push))
		}
		res.Idle += took / time.Duration(b.job.Idle)
	}
	end()
	res.IdleCPU = (processor() - cpu) / time.Duration(max(1, b.job.Idle))
	res.IdlePeak = resident("VmHWM")
	resetPeak()
	for i := range b.job.Edits {
		if err := get(ctx, b.job.Control); err != nil {
			return res, err
		}
		cpu := processor()
		b.now = b.now.Add(2 * time.Hour) // an hour, and what is put between images
		out, took, err := b.tick(ctx)
		if err != nil {
			return res, err
		}
		if out.Pushed == "" {
			return res, fmt.Errorf("nothing was pushed at tick %d: %v", i, out.Situation.Problems)
		}
		res.Edited = len(out.Plan.Push)
		if i == 0 {
			res.FirstEdit = took
		} else {
			res.Edit += took / time.Duration(b.job.Edits-1)
			res.EditCPU += (processor() - cpu) / time.Duration(b.job.Edits-1)
		}
	}
	res.Peak, res.Heap = resident("VmHWM"), heap()
	return res, nil
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// runBigChild does the job in the environment, and prints what it measured.
func runBigChild(text string) error {
	var job bigJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return err
	}
	ctx := context.Background()
	began := time.Now()
	b, err := openBig(ctx, job)
	if err != nil {
		return err
	}
	opened := time.Since(began)
	res, err := b.run(ctx)
	res.Open = opened
	if cerr := b.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

// resident reads a line of /proc/self/status, in bytes; 0 where there is none.
func resident(key string) int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), key+":"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}

// processor is how long the process has used the processor.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resetPeak makes VmHWM begin anew.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// bigWorld is a large repository behind a server, and a registry that gives all
// apps of its first policy a new version whenever it is asked to.
type bigWorld struct {
	shape    bigrepo.Config
	root     string
	registry *ociregistry.Server
	job      bigJob
	requests *atomic.Int64 // to the Git server
}

func newBigWorld(tb testing.TB, s bigrepo.Config) *bigWorld {
	tb.Helper()
	reg, err := ociregistry.Start(ociregistry.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = reg.Close() })
	s.Host = reg.Host()
	w := &bigWorld{shape: s, root: tb.TempDir(), registry: reg, requests: new(atomic.Int64)}
	for p := range s.Policies() {
		if err := reg.PushAll(s.Image(p), bigrepo.Version); err != nil {
			tb.Fatal(err)
		}
	}
	if err := bigrepo.Make(tb.Context(), filepath.Join(w.root, "big.git"), s.Shape()); err != nil {
		tb.Fatal(err)
	}
	git, err := githttp.Handler(w.root, githttp.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	version := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/next", func(w2 http.ResponseWriter, _ *http.Request) {
		version++
		if err := reg.PushAll(s.Image(0), fmt.Sprintf("1.1.%d", version)); err != nil {
			http.Error(w2, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/", func(w2 http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		git.ServeHTTP(w2, r)
	})
	srv := httptest.NewServer(mux)
	tb.Cleanup(srv.Close)
	w.job = bigJob{URL: srv.URL + "/big.git", Cache: tb.TempDir(), Control: srv.URL + "/next", Registry: reg.Host()}
	return w
}

// pulls opens pull requests of ours, which have nothing left to do but wait.
func (w *bigWorld) pulls(tb testing.TB, n int) {
	tb.Helper()
	r, err := gitrepo.Open(tb.Context(), gitrepo.Config{URL: filepath.Join(w.root, "big.git"), Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	forge := local.New(local.Config{Git: r, User: "pat"})
	head, err := r.Head("main")
	if err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		branch := fmt.Sprintf("topic-%03d", i)
		c, err := r.Publish(tb.Context(), gitrepo.Change{Parent: head, Files: map[string][]byte{fmt.Sprintf("docs/topic-%03d.md", i): []byte("words\n")}, Message: "words\n"}, "refs/heads/"+branch, "")
		if err != nil {
			tb.Fatal(err)
		}
		p, err := forge.Ensure(tb.Context(), pr.Request{Branch: branch, Base: "main", Head: c.Hash, Title: branch, Body: "words"})
		if err != nil {
			tb.Fatal(err)
		}
		if err := forge.SetStatus(tb.Context(), p.Number, pr.Check{Context: pr.LintContext, Commit: c.Hash, State: pr.CheckSuccess}); err != nil {
			tb.Fatal(err)
		}
	}
}

// measure does the world's job in a process of its own.
func (w *bigWorld) measure(tb testing.TB) bigResult {
	tb.Helper()
	job, err := json.Marshal(w.job)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), bigChild+"="+string(job))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	var res bigResult
	if err := json.Unmarshal(out, &res); err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	return res
}

func report(b *testing.B, r bigResult) {
	ms := func(d time.Duration, what string) { b.ReportMetric(float64(d.Microseconds())/1000, what) }
	mb := func(n int64, what string) { b.ReportMetric(float64(n)/1e6, what) }
	ms(r.First, "ms-first")
	ms(r.Idle, "ms-idle")
	ms(r.FirstEdit, "ms-first-edits")
	ms(r.Edit, "ms-edits")
	ms(r.IdleCPU, "cpu-ms-idle")
	ms(r.EditCPU, "cpu-ms-edits")
	mb(r.Idle0, "MB-began")
	mb(r.IdlePeak, "MB-idle")
	mb(r.Peak, "MB-edits")
	mb(r.Heap, "MB-heap")
	b.ReportMetric(float64(r.Edited), "edits")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBigRepository is a bot on a repository of 10,000 files and one of
// 100,000, both of 20,000 commits, over http: ticks without news and ticks that
// find 20 new versions. ms-first is of a process whose clone is there already.
func BenchmarkBigRepository(b *testing.B) {
	for _, files := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			w := newBigWorld(b, bigrepo.Config{Files: files, Commits: 20_000})
			w.job.Idle, w.job.Edits = 0, 0
			w.measure(b) // clones
			w.job.Idle, w.job.Edits, w.job.Profile = 20, 6, os.Getenv("TOWPATH_BIG_PROFILE")
			b.ResetTimer()
			for b.Loop() {
				report(b, w.measure(b))
			}
		})
	}
	b.Run("files=10000,pulls=200", func(b *testing.B) {
		w := newBigWorld(b, bigrepo.Config{Files: 10_000, Commits: 20_000})
		w.pulls(b, 200)
		w.measure(b)
		w.job.Idle, w.job.Edits = 20, 6
		b.ResetTimer()
		for b.Loop() {
			report(b, w.measure(b))
		}
	})
}
