package controlplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	goodImage = "registry.example/shop/web:1.1.0"
	badImage  = "registry.example/shop/web:1.2.0"
	digest    = "@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)

// TestControlPlane uses one start for all that a running control plane must do.
func TestControlPlane(t *testing.T) {
	dir := t.TempDir()
	set, err := Start(t.Context(), Config{
		Names: []string{"one"}, FailingImages: []string{"registry.example/other:1", badImage},
		WorkDir: dir, Progress: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Stop(); err != nil {
			t.Error(err)
		}
	})
	api := newAPI(t, set, "one")

	t.Run("a person gets a kubeconfig that nobody else can read", func(t *testing.T) {
		info, err := os.Stat(set.Kubeconfig("one"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
		if got := set.Kubeconfig("two"); got != "" {
			t.Errorf("a name that was not started has kubeconfig %q", got)
		}
		if set.Ready() <= 0 {
			t.Errorf("Ready is %s", set.Ready())
		}
	})
	t.Run("a request without the token is refused", func(t *testing.T) {
		stranger := newClient(set.clusters["one"].pki.pool, "")
		defer stranger.close()
		_, err := stranger.do(t.Context(), http.MethodGet, api.url+"/api/v1/namespaces", nil)
		if status := (*statusError)(nil); !errors.As(err, &status) || status.code != http.StatusUnauthorized {
			t.Errorf("got %v, want HTTP 401", err)
		}
	})
	t.Run("an object that breaks the rules is rejected", func(t *testing.T) {
		body := workload("Deployment", "broken", goodImage)
		body["spec"].(map[string]any)["replicas"] = -1
		err := api.try(http.MethodPost, "/apis/apps/v1/namespaces/default/deployments", body)
		if status := (*statusError)(nil); !errors.As(err, &status) || status.code != http.StatusUnprocessableEntity {
			t.Errorf("got %v, want HTTP 422", err)
		}
	})
	api.beginDeletion(t)
	t.Run("workloads of each kind become ready", func(t *testing.T) { api.workloads(t) })
	t.Run("a version that fails never becomes ready and says why", func(t *testing.T) { api.failing(t) })
	t.Run("a namespace is deleted with what is in it", func(t *testing.T) { api.endDeletion(t) })
	t.Run("a server that ends by itself is named with its log", func(t *testing.T) {
		if err := set.Err(); err != nil {
			t.Fatalf("all should run: %v", err)
		}
		for _, srv := range set.servers {
			if srv.spec.name == "kube-scheduler of one" {
				srv.kill()
				srv.wait()
			}
		}
		err := set.Err()
		if err == nil || !strings.Contains(err.Error(), "kube-scheduler of one ended (signal: killed)") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("after Stop nothing is left", func(t *testing.T) {
		if len(processes(t, dir)) == 0 {
			t.Error("no process is found while the set runs, so this test shows nothing")
		}
		for range 2 {
			if err := set.Stop(); err != nil {
				t.Error(err)
			}
		}
		nothingLeft(t, dir)
		if err := set.Err(); err != nil {
			t.Errorf("a stopped set has error %v", err)
		}
	})
}

func TestAKilledParentLeavesNothing(t *testing.T) {
	built(t)
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ") {
		t.Errorf("the child said %q, %v", line, err)
	}
	if got := processes(t, filepath.Join(dir, workFolder)); len(got) < 6 {
		t.Errorf("the child should have six processes, got:\n%s", strings.Join(got, "\n"))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, func() string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err.Error()
		}
		if left := processes(t, dir); len(left)+len(entries) > 0 {
			return fmt.Sprintf("left are %d folders and the processes\n%s", len(entries), strings.Join(left, "\n"))
		}
		return ""
	})
}

func TestACancelledStartLeavesNothing(t *testing.T) {
	built(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	reason := errors.New("interrupted by a person")
	go func() {
		// The log is there as soon as the API server has been started.
		for log := filepath.Join(dir, workFolder, "logs", "one-kube-apiserver.log"); ctx.Err() == nil; {
			if info, err := os.Stat(log); err == nil && info.Size() > 0 {
				cancel(reason)
			}
		}
	}()
	set, err := Start(ctx, Config{Names: []string{"one"}, WorkDir: dir})
	if !errors.Is(err, reason) || set != nil {
		t.Errorf("got %v, %v", set, err)
	}
	nothingLeft(t, dir)
}

func TestAPortTakenByAnotherProcessIsNotUsed(t *testing.T) {
	bin := built(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	set := newSet(Config{Progress: io.Discard})
	tries := 0
	set.freePorts = func() (string, string, error) {
		tries++
		first, second, err := freePorts()
		if tries == 1 {
			first = taken.Addr().String()
		}
		return first, second, err
	}
	defer set.Stop()
	if err := set.makeDir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if _, err := set.startEtcd(t.Context(), bin); err != nil || tries != 2 {
		t.Errorf("after %d tries: %v", tries, err)
	}
}

func TestAServerThatCannotStartIsNamedWithItsLog(t *testing.T) {
	bin := built(t)
	set := newSet(Config{})
	defer set.Stop()
	if err := set.makeDir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	srv, err := set.launch(serverSpec{
		name: "kube-scheduler of one", path: bin.Servers, args: []string{"kube-scheduler", "--no-such-flag"},
		log: filepath.Join(set.dir, "logs", "scheduler.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = until(t.Context(), "the scheduler", []*server{srv}, func(context.Context) error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "kube-scheduler of one ended (exit status") ||
		!strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("got %v", err)
	}
}

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  Config
		want string
	}{
		"no names":                          {Config{}, "no name is given"},
		"a name that leaves its folder":     {Config{Names: []string{"../x"}}, `name "../x" is not a DNS label`},
		"a name given twice":                {Config{Names: []string{"a", "b", "a"}}, `name "a" is given twice`},
		"more names than a machine holds":   {Config{Names: make([]string, maxNames+1)}, "at most 16"},
		"a failing image without a tag":     {Config{Names: []string{"a"}, FailingImages: []string{"host:5000/web"}}, "is not of the form repository:tag"},
		"a failing image with a digest":     {Config{Names: []string{"a"}, FailingImages: []string{badImage + digest}}, "is not of the form repository:tag"},
		"a source that is not a checkout":   {Config{Names: []string{"a"}, Source: "/"}, "/ is not a checkout of Towpath"},
		"a work folder that does not exist": {Config{Names: []string{"a"}, WorkDir: "/no/such/folder"}, "make a folder for the control planes"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := Start(t.Context(), test.cfg)
			if set != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v; want %q", set, err, test.want)
			}
		})
	}
}

// built returns the servers, building them if no test before did.
func built(t *testing.T) Binaries {
	t.Helper()
	bin, err := Build(t.Context(), Config{Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	return bin
}
