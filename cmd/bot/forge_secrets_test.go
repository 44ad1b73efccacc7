package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"towpath.dev/towpath/test/ociregistry"
)

// TestNoSecretIsShownAnywhere carries a version through a whole pipeline at a
// forge, and then through servers that fail at each of the first calls with the
// credentials in their answer, and looks for every secret in everything that was
// printed, logged, sent as text or kept.
func TestNoSecretIsShownAnywhere(t *testing.T) {
	for _, world := range []func(*testing.T) *forgeWorld{carelessGitHub, giteaWorld} {
		w := world(t)
		t.Run(w.kind, func(t *testing.T) { newLeaks(t, w).story() })
	}
}

// leaks looks for secrets.
type leaks struct {
	t       *testing.T
	w       *forgeWorld
	binary  string
	reg     *ociregistry.Server
	docker  string // --docker-config
	cache   string
	secrets map[string]string // what it is → every form of it
	sinks   map[string]string // where → text
}

func newLeaks(t *testing.T, w *forgeWorld) *leaks {
	t.Helper()
	l := &leaks{t: t, w: w, binary: towpathBinary(t), cache: filepath.Join(t.TempDir(), "cache"), secrets: map[string]string{}, sinks: map[string]string{}}
	const registryPassword = "registry-canary-5e1f"
	reg, err := ociregistry.Start(ociregistry.Config{User: "puller", Password: registryPassword})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	if err := reg.PushAll("shop/web", "1.0.0", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	l.reg = reg
	l.docker = filepath.Join(t.TempDir(), "docker.json")
	auth := base64.StdEncoding.EncodeToString([]byte("puller:" + registryPassword))
	if err := os.WriteFile(l.docker, fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, reg.Host(), auth), 0o600); err != nil {
		t.Fatal(err)
	}
	l.plant("registry password", "puller", registryPassword)
	l.plant("token of the bot", botUser, w.token)
	l.plant("token of alice", "alice", w.alice)
	return l
}

// plant remembers the forms in which a secret could be seen.
func (l *leaks) plant(what, user, secret string) {
	l.secrets[what] = secret
	l.secrets[what+", escaped"] = url.QueryEscape(secret)
	for _, name := range []string{user, "git", "x-access-token"} {
		l.secrets[what+", in basic authentication as "+name] = base64.StdEncoding.EncodeToString([]byte(name + ":" + secret))
	}
}

// run runs a command and keeps what it printed.
func (l *leaks) run(args ...string) {
	l.t.Helper()
	out, _ := exec.Command(l.binary, append(args, "--cache", l.cache)...).CombinedOutput() // many are to fail
	l.sinks[fmt.Sprintf("output %d of towpath %s", len(l.sinks), args[0])] = string(out)
}

func (l *leaks) story() {
	t := l.t
	name, clone := l.w.repo(t, shopFiles(l.reg.Host(), "1.x"))
	bot, alice := l.w.args(t, name, l.w.token), l.w.args(t, name, l.w.alice)
	registry := []string{"--insecure-registry", l.reg.Host(), "--docker-config", l.docker}
	run := append(append([]string{"run", "--once", "--forge-pace", "1ms"}, registry...), bot...)
	l.w.watch.mu.Lock()
	l.w.watch.keep = true
	l.w.watch.mu.Unlock()
	l.run(run...)
	l.run(append(run, "--log-format", "json")...)
	for _, c := range [][]string{{"status"}, {"status", "-o", "json"}, {"pulls"}, {"pulls", "prod/web", "-o", "json"}} {
		l.run(append(c, bot...)...)
	}
	for _, c := range [][]string{{"plan"}, {"why", "web"}, {"doctor", "-o", "json"}} {
		l.run(append(append(c, registry...), bot...)...)
	}
	l.run(append([]string{"hold", "prod/web", "--reason", "lunch"}, alice...)...)
	l.run(run...)
	l.run(append([]string{"release", "prod/web"}, alice...)...)
	l.run(append([]string{"approve", "prod/web"}, alice...)...)
	l.run(run...)
	l.run(append([]string{"pulls", "--all"}, bot...)...)
	if out := l.last(); !strings.Contains(out, "merged") {
		t.Fatalf("the story does not end in a merge:\n%s", l.all("output"))
	}
	l.failing(name, clone, run)
	l.w.watch.mu.Lock()
	l.sinks["requests"] = strings.Join(l.w.watch.all, "\n")
	l.w.watch.mu.Unlock()
	l.objects(clone)
	l.files()
	for where, text := range l.sinks {
		for what, secret := range l.secrets {
			if i := strings.Index(text, secret); i >= 0 {
				end := min(len(text), i+len(secret)+contextBytes)
				t.Errorf("the %s is in %s: %q", what, where, strings.ReplaceAll(text[max(0, i-contextBytes):end], secret, "SECRET"))
			}
		}
	}
	if len(l.sinks) < 20 {
		t.Errorf("only %d places were looked at", len(l.sinks))
	}
}

// failing runs the bot against servers that repeat the credentials in their
// errors, and with credentials that are wrong or in the wrong place.
func (l *leaks) failing(name, clone string, run []string) {
	t := l.t
	_ = l.reg.PushAll("shop/web", "1.2.0")
	for i := 1; i <= echoes; i++ {
		for _, status := range []int{400, 401, 403, 422, 500} {
			l.w.watch.spoil(i, status)
			l.run(run...)
		}
	}
	l.w.watch.spoil(0, 0)
	wrong := "wrong-canary-77aa"
	l.plant("wrong token", botUser, wrong)
	args := l.w.args(t, name, wrong)
	l.run(append([]string{"run", "--once"}, args...)...)
	l.run(append([]string{"doctor"}, args...)...)
	u, err := url.Parse(clone)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(botUser, "url-canary-31cd")
	l.plant("password in the URL", botUser, "url-canary-31cd")
	for _, c := range []string{"run", "status", "doctor"} {
		a := []string{c, "--repo", u.String(), "--forge", l.w.kind, "--forge-url", l.w.root, "--forge-token-file", args[len(args)-1]}
		out, _ := exec.Command(l.binary, append(a, "--cache", l.cache, "--once")...).CombinedOutput()
		l.sinks["output with a password in the URL: "+c] = string(out)
	}
}

// contextBytes of the text around a secret are shown.
const contextBytes = 100

// echoes is how many calls of a run are spoilt, each once.
const echoes = 12

func (l *leaks) last() string {
	return l.sinks[l.lastName()]
}

func (l *leaks) lastName() string {
	prefix := fmt.Sprintf("output %d of", len(l.sinks)-1)
	for name := range l.sinks {
		if strings.HasPrefix(name, prefix) {
			return name
		}
	}
	return ""
}

func (l *leaks) all(prefix string) string {
	var b strings.Builder
	for name, text := range l.sinks {
		if strings.HasPrefix(name, prefix) {
			fmt.Fprintf(&b, "%s\n%s\n", name, text)
		}
	}
	return b.String()
}

// objects reads everything that Git holds, at the forge and in the cache: files,
// messages, state, records.
func (l *leaks) objects(clone string) {
	t := l.t
	u, err := url.Parse(clone)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("git", l.w.token)
	mirror := filepath.Join(t.TempDir(), "mirror.git")
	if out, err := exec.Command("git", "clone", "-q", "--mirror", u.String(), mirror).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	caches, err := filepath.Glob(filepath.Join(l.cache, "git", "*", "clone-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(caches, mirror) {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		out, err := exec.Command("git", "-C", dir, "cat-file", "--batch-all-objects", "--batch").Output()
		if err != nil {
			t.Fatalf("read the objects of %s: %v", dir, err)
		}
		l.sinks["objects of "+filepath.Base(dir)] = string(out)
	}
}

// files reads the cache folder as it is.
func (l *leaks) files() {
	err := filepath.WalkDir(l.cache, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(p)
		l.sinks["file "+strings.TrimPrefix(p, l.cache)] = string(data)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// echo is an answer that repeats what it was shown, as a careless server or proxy
// does.
func echo(header map[string][]string) []byte {
	said := strings.Join(header["Authorization"], " ")
	if _, basic, ok := strings.Cut(said, "Basic "); ok {
		if plain, err := base64.StdEncoding.DecodeString(basic); err == nil {
			said += " " + string(plain)
			if _, password, ok := strings.Cut(string(plain), ":"); ok {
				said += " " + password
			}
		}
	}
	body, _ := json.Marshal(map[string]any{"message": "cannot accept " + said, "errors": []any{map[string]string{"message": said}}}) // strings always encode
	return body
}
