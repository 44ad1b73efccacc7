package scan_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/schedule"
	"towpath.dev/towpath/test/ociregistry"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a Scanner over a real registry, a clock and a memory of sights.
type world struct {
	t     testing.TB
	reg   *ociregistry.Server
	asked *wrapped
	s     *scan.Scanner
	dir   string
	now   time.Time
	log   *bytes.Buffer
	seen  map[string]time.Time // repository@digest → first sight

	edit   func(*scan.Config)
	pushes *http.Client      // of what reg.Push cannot
	tokens map[string]string // for pushes, by repository; nil: none are needed
}

func newWorld(t testing.TB, edit func(*scan.Config)) *world {
	t.Helper()
	return newWorldAt(t, ociregistry.Config{}, edit)
}

func newWorldAt(t testing.TB, c ociregistry.Config, edit func(*scan.Config)) *world {
	t.Helper()
	reg, err := ociregistry.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	// The rate is the client's to keep, and its tests'.
	client := registry.New(registry.Config{Hosts: []registry.Host{{Host: reg.Host(), PlainHTTP: true, RequestsPerSecond: 1e6}}})
	w := &world{t: t, reg: reg, asked: &wrapped{Registry: client}, dir: t.TempDir(), now: t0,
		log: &bytes.Buffer{}, seen: map[string]time.Time{}, edit: edit}
	pushes := &http.Transport{}
	w.pushes = &http.Client{Transport: pushes}
	if c.Tokens {
		w.tokens = map[string]string{}
	}
	t.Cleanup(func() { client.Close(); pushes.CloseIdleConnections(); _ = reg.Close() })
	w.start()
	return w
}

// start makes a Scanner anew, as a restart does.
func (w *world) start() {
	if w.s != nil {
		w.s.Close()
	}
	c := scan.Config{Registry: w.asked, Dir: w.dir, Due: due, Logger: slog.New(slog.NewTextHandler(&locked{w: w.log}, nil))}
	if w.edit != nil {
		w.edit(&c)
	}
	w.s = scan.New(c)
	w.t.Cleanup(w.s.Close)
}

// due is how the bot wires schedules.
func due(spec string, last, now time.Time) bool {
	s, err := schedule.Parse(spec)
	return err == nil && !s.Next(last).After(now)
}

func (w *world) push(repo string, tags ...string) {
	w.t.Helper()
	if err := w.reg.PushAll(repo, tags...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) delete(repo string, tags ...string) {
	w.t.Helper()
	for _, tag := range tags {
		if err := w.reg.Delete(repo, tag); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) repo(name string) image.Repo { return parse(w.t, w.reg.Image(name)) }

func sameRepo(a, b image.Repo) bool { return a == b }

func parse(t testing.TB, name string) image.Repo {
	t.Helper()
	r, err := image.ParseRepo(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// want is a semver policy on repo for a current tag.
func (w *world) want(repo, current string, edit ...func(*scan.Want)) scan.Want {
	return wantOf(w.repo(repo), current, edit...)
}

func wantOf(repo image.Repo, current string, edit ...func(*scan.Want)) scan.Want {
	want := scan.Want{Env: "dev", App: "web", Current: image.Ref{Repo: repo, Tag: image.Tag(current)}, Policy: policy.Policy{
		Name: "web", Image: repo, Schedule: policy.DefaultSchedule, Semver: &policy.Semver{Range: ">=0"}}}
	for _, e := range edit {
		e(&want)
	}
	return want
}

func minAge(d time.Duration) func(*scan.Want) {
	return func(w *scan.Want) { w.Policy.MinAge = d }
}

func platforms(names ...string) func(*scan.Want) {
	return func(w *scan.Want) {
		for _, n := range names {
			os, arch, _ := strings.Cut(n, "/")
			w.Policy.Platforms = append(w.Policy.Platforms, image.Platform{OS: os, Architecture: arch})
		}
	}
}

func pinned(digest string) func(*scan.Want) {
	return func(w *scan.Want) {
		w.Policy.Pin, w.Current.Digest = policy.PinDigest, image.Digest(digest)
	}
}

func follow(tag, digest string) func(*scan.Want) {
	return func(w *scan.Want) {
		w.Policy.Semver, w.Policy.DigestTag = nil, image.Tag(tag)
		w.Current.Digest = image.Digest(digest)
	}
}

// scan asks at the world's time and records the sights, as the bot does.
func (w *world) scan(wants ...scan.Want) scan.Report {
	w.t.Helper()
	return w.record(w.s.Scan(w.t.Context(), w.now, wants, w.first))
}

func (w *world) record(rep scan.Report) scan.Report {
	for _, s := range rep.Sights {
		w.seen[s.Repo+"@"+string(s.Digest)] = s.First
	}
	return rep
}

func (w *world) first(repo string, d image.Digest) (time.Time, bool) {
	t, ok := w.seen[repo+"@"+string(d)]
	return t, ok
}

// one scans for one want and returns its result.
func (w *world) one(want scan.Want) scan.Result {
	w.t.Helper()
	return w.scan(want).Results[0]
}

// later moves the clock.
func (w *world) later(d time.Duration) { w.now = w.now.Add(d) }

// nextListing moves the clock until the default schedule is due again.
func (w *world) nextListing() { w.later(6 * time.Minute) }

// heads is how many digests were asked for since the last Reset.
func (w *world) heads() int { return w.reg.Count(http.MethodHead, "") }

// wrapped is a registry whose answers a test can spoil.
type wrapped struct {
	scan.Registry

	mu        sync.Mutex
	fail      error                                   // of List
	list      func(registry.Listing) registry.Listing // what List makes of an answer
	head      func(image.Ref) error                   // of Digest
	platforms error                                   // of Platforms
	holds     map[string]time.Time
	last      []registry.Listing // that List was given
}

func (r *wrapped) List(ctx context.Context, repo image.Repo, last registry.Listing) (registry.Listing, error) {
	r.mu.Lock()
	fail, list := r.fail, r.list
	r.last = append(r.last, last)
	r.mu.Unlock()
	if fail != nil {
		return registry.Listing{}, fail
	}
	l, err := r.Registry.List(ctx, repo, last)
	if err == nil && list != nil {
		l = list(l)
	}
	return l, err
}

func (r *wrapped) Digest(ctx context.Context, ref image.Ref) (image.Digest, error) {
	r.mu.Lock()
	head := r.head
	r.mu.Unlock()
	if head != nil {
		if err := head(ref); err != nil {
			return "", err
		}
	}
	return r.Registry.Digest(ctx, ref)
}

func (r *wrapped) Platforms(ctx context.Context, repo image.Repo, d image.Digest) ([]image.Platform, error) {
	r.mu.Lock()
	err := r.platforms
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return r.Registry.Platforms(ctx, repo, d)
}

func (r *wrapped) Hold(host string, until time.Time) {
	r.mu.Lock()
	if r.holds == nil {
		r.holds = map[string]time.Time{}
	}
	r.holds[host] = until
	r.mu.Unlock()
	r.Registry.Hold(host, until)
}

// locked makes a buffer safe for a logger of many goroutines.
type locked struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// pushIndex stores an image for the given platforms and returns its digest.
func (w *world) pushIndex(repo, tag string, names ...string) string {
	w.t.Helper()
	type descriptor struct {
		MediaType string            `json:"mediaType"`
		Size      int               `json:"size"`
		Digest    string            `json:"digest"`
		Platform  map[string]string `json:"platform"`
	}
	const manifest, index = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
	var children []descriptor
	for _, n := range names {
		os, arch, _ := strings.Cut(n, "/")
		child := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"annotations":{"of":%q}}`, manifest, repo+tag+n)
		digest := w.put(repo, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(child))), manifest, child)
		children = append(children, descriptor{manifest, len(child), digest, map[string]string{"os": os, "architecture": arch}})
	}
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": index, "manifests": children})
	if err != nil {
		w.t.Fatal(err)
	}
	digest := w.put(repo, tag, index, string(body))
	w.reg.Reset()
	return digest
}

func (w *world) put(repo, name, mediaType, body string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, "http://"+w.reg.Host()+"/v2/"+repo+"/manifests/"+name, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	if w.tokens != nil {
		req.Header.Set("Authorization", "Bearer "+w.token(repo))
	}
	resp, err := w.pushes.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	if resp.StatusCode != http.StatusCreated {
		w.t.Fatalf("put %s: %s", name, resp.Status)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(body)))
}

// token is one that the registry gives out for a repository.
func (w *world) token(repo string) string {
	w.t.Helper()
	if w.tokens[repo] == "" {
		resp, err := w.pushes.Get("http://" + w.reg.Host() + "/token?scope=repository:" + repo + ":pull")
		if err != nil {
			w.t.Fatal(err)
		}
		defer resp.Body.Close()
		var got struct{ Token string }
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
			w.t.Fatal(err)
		}
		w.tokens[repo] = got.Token
	}
	return w.tokens[repo]
}

// rejected is why a tag was not chosen.
func rejected(r scan.Result, tag string) string {
	i := slices.IndexFunc(r.Rejected, func(x policy.Rejected) bool { return x.Tag == tag })
	if i < 0 {
		return ""
	}
	return r.Rejected[i].Reason
}

// selects fails unless the result is to write tag.
func selects(t testing.TB, r scan.Result, tag string) {
	t.Helper()
	if r.Problem != "" || !r.Wanted || string(r.Selected) != tag || string(r.Ref.Tag) != tag {
		t.Errorf("selected %s (wanted %t, ref %s), want %s; reason %q, problem %q", r.Selected, r.Wanted, r.Ref, tag, r.Reason, r.Problem)
	}
}

// stays fails unless the result moves nothing, without a problem.
func stays(t testing.TB, r scan.Result, tag string) {
	t.Helper()
	if r.Problem != "" || r.Wanted || r.Changed || string(r.Selected) != tag {
		t.Errorf("selected %s (wanted %t), want %s to stay; reason %q, problem %q", r.Selected, r.Wanted, tag, r.Reason, r.Problem)
	}
}

// stuck fails unless the result moves nothing for a problem with all the words.
func stuck(t testing.TB, r scan.Result, words ...string) {
	t.Helper()
	if r.Wanted || r.Changed || r.Problem == "" {
		t.Errorf("selected %s (wanted %t), want a problem; got %q", r.Selected, r.Wanted, r.Problem)
	}
	has(t, r.Problem, words...)
}

func has(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}
