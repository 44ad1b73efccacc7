package reconcile

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"sigs.k8s.io/yaml"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/state"
	"towpath.dev/towpath/test/controlplane"
)

// patience bounds what a test waits for; passing tests take a small part of it.
const patience = 90 * time.Second

const failingImage = "registry.example/shop/web:6.6.6"

// plane is the one control plane of the package, started when a test asks for it.
var plane = sync.OnceValues(func() (*controlplane.Set, error) {
	return controlplane.Start(context.Background(), controlplane.Config{
		Names: []string{"reconcile"}, FailingImages: []string{failingImage}, Progress: os.Stderr,
	})
})

var planeAsked atomic.Bool

func TestMain(m *testing.M) {
	code := m.Run()
	if planeAsked.Load() {
		if set, err := plane(); err == nil {
			if err := set.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// world is a repository, a cluster and a place for an agent's events.
type world struct {
	t          testing.TB
	kubeconfig string
	env        string // also the namespace that the test uses
	remote     string
	writer     *gitrepo.Repo
	reader     *gitrepo.Repo
	path       string
	wire       *wire
	client     *kube.Client

	mu      sync.Mutex
	events  []Event
	reports []state.Report
	hook    func(Event)
}

var worlds atomic.Int64

func newWorld(t testing.TB) *world {
	t.Helper()
	planeAsked.Store(true)
	set, err := plane()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, env: fmt.Sprintf("e%d", worlds.Add(1)), path: "envs/here", wire: &wire{}}
	w.kubeconfig = set.Kubeconfig("reconcile")
	w.remote = filepath.Join(t.TempDir(), "config.git")
	if out, err := exec.Command("git", "init", "-q", "--bare", "-b", "main", w.remote).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	w.writer, w.reader = w.open(), w.open()
	w.client = w.connect()
	w.commit("start", map[string]string{"README.md": "hello\n"})
	return w
}

func (w *world) open() *gitrepo.Repo {
	w.t.Helper()
	r, err := gitrepo.Open(w.t.Context(), gitrepo.Config{URL: w.remote, Dir: w.t.TempDir()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = r.Close() })
	return r
}

func (w *world) connect() *kube.Client {
	w.t.Helper()
	c, err := kube.Open(kube.Config{Kubeconfig: w.kubeconfig, WrapTransport: w.wire.wrap, Timeout: 10 * time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// commit puts files on main; an empty content deletes.
func (w *world) commit(message string, files map[string]string) string {
	w.t.Helper()
	if err := w.writer.Fetch(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	parent, err := w.writer.Head("main")
	if err != nil && !errors.Is(err, gitrepo.ErrEmpty) {
		w.t.Fatal(err)
	}
	change := gitrepo.Change{Parent: parent, Files: map[string][]byte{}, Message: message}
	for p, content := range files {
		change.Files[p] = nil
		if content != "" {
			change.Files[p] = []byte(strings.ReplaceAll(content, "ENV", w.env))
		}
	}
	c, err := w.writer.Commit(w.t.Context(), change)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.writer.Push(w.t.Context(), gitrepo.Update{Ref: "refs/heads/main", Old: parent, New: c.Hash}); err != nil {
		w.t.Fatal(err)
	}
	return c.Hash
}

// config is that of an agent in this world.
func (w *world) config() Config {
	return Config{
		Env: w.env, Cluster: "c1", Branch: "main",
		Locate: func(gitrepo.Snapshot) (Place, error) { return Place{Path: w.path}, nil },
		Source: w.reader, API: w.client, Namespace: "towpath-" + w.env,
		Poll: time.Hour, Wait: patience,
		Report: func(_ context.Context, r state.Report) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reports = append(w.reports, r)
			return nil
		},
		OnEvent: func(e Event) {
			w.mu.Lock()
			w.events = append(w.events, e)
			hook := w.hook
			w.mu.Unlock()
			if hook != nil {
				hook(e)
			}
		},
	}
}

func (w *world) agent(change ...func(*Config)) *Agent {
	w.t.Helper()
	c := w.config()
	for _, f := range change {
		f(&c)
	}
	a, err := New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// once makes a pass with a new agent.
func (w *world) once(change ...func(*Config)) state.Report {
	w.t.Helper()
	r, err := w.agent(change...).Once(w.t.Context())
	if err != nil {
		w.t.Fatalf("once: %v", err)
	}
	return r
}

// run runs an agent until stop is called, or the test ends.
func (w *world) run(a *Agent) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Run(ctx); err != nil {
			w.t.Errorf("run: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(stop)
	return stop
}

func (w *world) last() (state.Report, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.reports) == 0 {
		return state.Report{}, false
	}
	return w.reports[len(w.reports)-1], true
}

// awaitReport waits until the last report is as wanted.
func (w *world) awaitReport(what string, ok func(state.Report) bool) state.Report {
	w.t.Helper()
	var r state.Report
	w.eventually(func() string {
		var any bool
		if r, any = w.last(); any && ok(r) {
			return ""
		}
		return fmt.Sprintf("no report that says: %s; the last one: %+v", what, r)
	})
	return r
}

func (w *world) awaitHealthy(commit string) state.Report {
	w.t.Helper()
	return w.awaitReport("healthy at "+commit, func(r state.Report) bool { return r.Commit == commit && healthy(r) })
}

func healthy(r state.Report) bool {
	for _, app := range r.Apps {
		if app.Phase != state.Healthy {
			return false
		}
	}
	return r.Problem == "" && len(r.Apps) > 0
}

// seen returns the events of a type since mark.
func (w *world) seen(mark int, types ...EventType) []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Event
	for _, e := range w.events[mark:] {
		for _, t := range types {
			if e.Type == t {
				out = append(out, e)
			}
		}
	}
	return out
}

func (w *world) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

func (w *world) eventually(problem func() string) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		last := problem()
		if last == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("after %s: %s", patience, last)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// wire counts requests and can be cut.
type wire struct {
	cut atomic.Bool
	mu  sync.Mutex
	log []string
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (l *wire) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if l.cut.Load() {
			return nil, errors.New("the wire is cut")
		}
		l.mu.Lock()
		l.log = append(l.log, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery)
		l.mu.Unlock()
		return next.RoundTrip(r)
	})
}

// requests returns those since mark, with the given method or, for "", all.
func (l *wire) requests(mark int, method string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, r := range l.log[mark:] {
		if strings.HasPrefix(r, method) {
			out = append(out, r)
		}
	}
	return out
}

func (l *wire) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.log)
}

// person talks to the API server as anybody could, with the name of a tool.
type person struct {
	t     testing.TB
	http  *http.Client
	url   string
	token string
}

func (w *world) person() *person {
	w.t.Helper()
	data, err := os.ReadFile(w.kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	var conf struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Token string `json:"token"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(data, &conf); err != nil {
		w.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(conf.Clusters[0].Cluster.CA)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	w.t.Cleanup(client.CloseIdleConnections)
	return &person{t: w.t, http: client, url: conf.Clusters[0].Cluster.Server, token: conf.Users[0].User.Token}
}

// do sends a request and returns the answer's code and content.
func (p *person) do(method, path, contentType, body string) (int, map[string]any) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, p.url+path, bytes.NewBufferString(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", contentType)
	resp, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	var out map[string]any
	_ = json.Unmarshal(data, &out)
	return resp.StatusCode, out
}

const (
	mergePatch = "application/merge-patch+json"
	applyPatch = "application/apply-patch+yaml"
	plainJSON  = "application/json"
)

// must is do, and fails unless it worked.
func (p *person) must(method, path, contentType, body string) map[string]any {
	p.t.Helper()
	code, out := p.do(method, path, contentType, body)
	if code/100 != 2 {
		p.t.Fatalf("%s %s: %d %v", method, path, code, out["message"])
	}
	return out
}

func (p *person) get(path string) map[string]any {
	p.t.Helper()
	code, out := p.do("GET", path, "", "")
	if code == http.StatusNotFound {
		return nil
	}
	return out
}

// at returns the value at a path like spec.replicas or spec.containers.0.image.
func at(v any, path string) any {
	for _, key := range strings.Split(path, "|") {
		switch x := v.(type) {
		case map[string]any:
			v = x[key]
		case []any:
			i := int(key[0] - '0')
			if i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (w *world) apps(kind, name string) string {
	return fmt.Sprintf("/apis/apps/v1/namespaces/%s/%s/%s", w.env, kind, name)
}

func (w *world) core(kind, name string) string {
	return fmt.Sprintf("/api/v1/namespaces/%s/%s/%s", w.env, kind, name)
}

// Manifests. ENV becomes the world's namespace.
const namespaceYAML = "apiVersion: v1\nkind: Namespace\nmetadata: {name: ENV}\n"

func deploymentYAML(name, image string, replicas int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: ENV}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
      - name: main
        image: %[2]s # towpath: %[1]s
`, name, image, replicas)
}

func configMapYAML(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: ENV}\ndata: {key: %q}\n", name, value)
}

func deploymentID(w *world, name string) manifest.ID {
	return manifest.ID{Group: "apps", Kind: "Deployment", Namespace: w.env, Name: name}
}
