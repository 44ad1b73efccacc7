package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/test/controlplane"
)

// shared is a writer that tests read while a command writes.
type shared struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// until waits for a match in what a command prints.
func (s *shared) until(ctx context.Context, t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		if m := re.FindStringSubmatch(s.String()); m != nil {
			return m
		}
		if !sleep(ctx, 100*time.Millisecond) && re.FindString(s.String()) == "" {
			t.Fatalf("never printed %s:\n%s", pattern, s.String())
		}
	}
}

// demoLimit bounds one demo on a slow machine; nothing is asserted about time.
const demoLimit = 5 * time.Minute

func TestTheDemoTellsTheStoryAndLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
	defer cancel()
	var out, errs shared
	code := run(ctx, []string{"demo"}, std{in: strings.NewReader(""), out: &out, err: &errs})
	if code != exitDone {
		t.Fatalf("exit %d\n%s\n%s", code, &out, &errs)
	}
	text := out.String()
	for _, want := range []string{
		`all three clusters run version 1\.0\.0 and are healthy`,
		`shop/web:1\.1\.0 is pushed`,
		`dev: the agent applied it, and it is healthy`,
		`staging: pull request #1 is open: staging: web 1\.0\.0 → 1\.1\.0`,
		`staging: it waits for soak`,
		`prod: pull request #2 is open and waits for a person`,
		"\\| `127\\.0\\.0\\.1:\\d+/shop/web` \\| `envs/prod/web/deployment\\.yaml:\\d+` \\| `1\\.0\\.0` \\| `1\\.1\\.0` \\|",
		`prod +web +1\.0\.0 +Healthy +\S+ +#2 wait +approvals: 0 of 1 approvals`,
		`prod: healthy; version 1\.1\.0 has travelled`,
		`the agent saw it after \d+ ms and put it back after \d+ ms`,
		`staging and prod stay at 1\.1\.0`,
		`dev/web holds 1\.2\.0, (progressing|degraded)`,
		`summary:`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("the story lacks %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, "towpath:v1") {
		t.Error("the hidden block is shown")
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestTheDemoInBorrowedClustersWithAPersonsApproval runs `demo --keep --contexts`
// in clusters that the test started, approves with the command that the demo
// prints, looks around with the commands that it prints, and stops it.
func TestTheDemoInBorrowedClustersWithAPersonsApproval(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
	defer cancel()
	planes, err := controlplane.Start(ctx, controlplane.Config{Names: demoEnvs[:]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := planes.Stop(); err != nil {
			t.Error(err)
		}
	})
	var configs []string
	for _, env := range demoEnvs {
		configs = append(configs, planes.Kubeconfig(env))
	}
	t.Setenv("KUBECONFIG", strings.Join(configs, string(filepath.ListSeparator)))
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("TOWPATH_CACHE", t.TempDir())

	demo, interrupt := context.WithCancel(ctx)
	defer interrupt()
	var out, errs shared
	done := make(chan int, 1)
	go func() {
		done <- run(demo, []string{"demo", "--keep", "--contexts", "dev,staging,prod"}, std{in: strings.NewReader(""), out: &out, err: &errs})
		cancel() // nothing more is printed
	}()
	args := strings.Fields(out.until(ctx, t, `\| \S+ (approve prod/web --repo \S+)`)[1])
	var said bytes.Buffer
	if code := run(ctx, append(args, "--as", "alice"), std{out: &said, err: io.Discard}); code != exitDone || !strings.Contains(said.String(), "approved #2 as alice") {
		t.Fatalf("approve: exit %d, %s", code, &said)
	}
	repo := out.until(ctx, t, `export TOWPATH_REPO=(\S+)`)[1]
	said.Reset()
	if code := run(ctx, []string{"status", "--repo", repo, "-o", "wide"}, std{out: &said, err: io.Discard}); code != exitDone || !strings.Contains(said.String(), "staging") {
		t.Errorf("status: exit %d, %s", code, &said)
	}
	interrupt()
	if code := <-done; code != exitDone {
		t.Errorf("exit %d\n%s\n%s", code, &out, &errs)
	}
	for _, env := range demoEnvs {
		nothingLeft(t.Context(), t, planes.Kubeconfig(env), env)
	}
}

func nothingLeft(ctx context.Context, t *testing.T, kubeconfig, env string) {
	t.Helper()
	client, err := kube.Open(kube.Config{Kubeconfig: kubeconfig, Context: env})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, name := range demoNamespaces {
		target, err := namespace(ctx, client, name)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := client.GetMeta(ctx, target); err == nil {
			t.Errorf("%s: namespace %s is left: %+v", env, name, m)
		}
	}
}
