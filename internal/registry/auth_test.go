package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/internal/image"
)

// rotating is a registry with one user, whose password may change. With bearer
// it hands out tokens for the password.
type rotating struct {
	*httptest.Server
	bearer bool

	mu       sync.Mutex
	password string
	counts   map[string]int // ping, token, list
}

func startRotating(t *testing.T, bearer bool, password string) *rotating {
	t.Helper()
	s := &rotating{bearer: bearer, password: password, counts: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *rotating) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, password, _ := r.BasicAuth()
	good := user == "bot" && password == s.password
	challenge := `Basic realm="x"`
	if s.bearer {
		good = r.Header.Get("Authorization") == "Bearer t-"+s.password
		challenge = fmt.Sprintf(`Bearer realm="%s/token",service="x"`, s.URL)
	}
	switch {
	case r.URL.Path == "/token":
		s.counts["token"]++
		if user != "bot" || password != s.password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"token":"t-%s","expires_in":3600}`, s.password)
	case r.URL.Path == "/v2/":
		s.counts["ping"]++
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		s.counts["list"]++
		if !good {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"name":"web","tags":["1.0.0"]}`)
	}
}

// rotate changes the password and forgets the counts.
func (s *rotating) rotate(password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.password = password
	clear(s.counts)
}

func (s *rotating) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[what]
}

func (s *rotating) host() string { return strings.TrimPrefix(s.URL, "http://") }

// helper puts docker-credential-NAME into PATH, a script that is called with
// "get" and the server on its standard input. It returns the file that a line is
// appended to for each run.
func helper(t *testing.T, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	runs := filepath.Join(dir, "runs")
	body := "#!/bin/sh\nread server\necho \"$1 $server\" >> " + runs + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(body), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return runs
}

// lines of a file; none when there is no file.
func lines(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(strings.TrimSpace(string(raw)), " ", "_"))
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, content)
	return path
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func TestWhichCredentialsAreUsed(t *testing.T) {
	noIdentity(t)
	t.Setenv("GITHUB_TOKEN", "x")
	helper(t, "known", `echo '{"Username":"helper","Secret":"x"}'`)
	helper(t, "unknown", `echo "credentials not found in native keychain"; exit 1`)
	auths := `"auths":{"ghcr.io":{"auth":"` + basic("auths", "x") + `"}}`
	secret := func(context.Context) ([][]byte, error) {
		return [][]byte{[]byte(`{"auths":{"ghcr.io":{"username":"first","password":"x"}}}`), []byte(`{"ghcr.io":{"username":"second","password":"x"},"ghcr.io/shop":{"username":"nearer","password":"x"}}`)}, nil
	}
	own := func(a Auth) []Host { return []Host{{Host: "ghcr.io", Auth: &a}} }
	for name, c := range map[string]struct {
		config Config
		image  string
		want   string
		from   string
	}{
		"nothing is anonymous":      {Config{}, "ghcr.io/web", "", ""},
		"the auths of the config":   {Config{DockerConfig: file(t, "{"+auths+`,"credHelpers":{"ghcr.io":"known"},"credsStore":"known"}`), PullSecrets: secret, CloudCredentials: true}, "ghcr.io/web", "auths", "in /"},
		"its helper of the host":    {Config{DockerConfig: file(t, `{"auths":{"ghcr.io":{}},"credHelpers":{"ghcr.io":"known"},"credsStore":"unknown"}`), PullSecrets: secret}, "ghcr.io/web", "helper", `from the credential helper "known"`},
		"its helper of all hosts":   {Config{DockerConfig: file(t, `{"credsStore":"known"}`), PullSecrets: secret}, "ghcr.io/web", "helper", `from the credential helper "known"`},
		"pull secrets in order":     {Config{DockerConfig: file(t, `{"credsStore":"unknown"}`), PullSecrets: secret, CloudCredentials: true}, "ghcr.io/web", "first", "in the pull secrets"},
		"the nearest pull secret":   {Config{PullSecrets: secret}, "ghcr.io/shop/web", "nearer", "in the pull secrets"},
		"the cloud comes last":      {Config{DockerConfig: file(t, `{}`), PullSecrets: func(context.Context) ([][]byte, error) { return nil, nil }, CloudCredentials: true}, "ghcr.io/web", "unset", "of provider github"},
		"a host's own password":     {Config{Hosts: own(Auth{UsernameFile: file(t, "own\r\n"), PasswordFile: file(t, "x\n")}), DockerConfig: file(t, "{"+auths+"}")}, "ghcr.io/web", "own", "in /"},
		"a host's own token":        {Config{Hosts: own(Auth{TokenFile: file(t, "x\n")}), DockerConfig: file(t, "{"+auths+"}")}, "ghcr.io/web", "token", "in /"},
		"a host's own config":       {Config{Hosts: own(Auth{DockerConfigFile: file(t, "{"+auths+"}")}), PullSecrets: secret}, "ghcr.io/web", "auths", "in /"},
		"its own config says none":  {Config{Hosts: own(Auth{DockerConfigFile: file(t, "{}")}), PullSecrets: secret, CloudCredentials: true}, "ghcr.io/web", "", ""},
		"a host's own provider":     {Config{Hosts: own(Auth{Provider: "github"}), DockerConfig: file(t, "{"+auths+"}")}, "ghcr.io/web", "unset", "of provider github"},
		"a host asked as stranger":  {Config{Hosts: own(Auth{Provider: "none"}), DockerConfig: file(t, "{"+auths+"}"), PullSecrets: secret, CloudCredentials: true}, "ghcr.io/web", "", ""},
		"what is said of one host":  {Config{Hosts: own(Auth{Provider: "none"}), DockerConfig: file(t, `{"auths":{"quay.io":{"auth":"`+basic("auths", "x")+`"}}}`)}, "quay.io/web", "auths", "in /"},
		"a host without an Auth":    {Config{Hosts: []Host{{Host: "ghcr.io"}}, PullSecrets: secret}, "ghcr.io/web", "first", "in the pull secrets"},
		"Docker Hub by its name":    {Config{Hosts: []Host{{Host: "docker.io", Auth: &Auth{TokenFile: file(t, "x")}}}}, "alpine", "token", "in /"},
		"no cloud of another host":  {Config{CloudCredentials: true}, "quay.io/web", "", ""},
		"quay's user of tokens":     {Config{Hosts: []Host{{Host: "quay.io", Auth: &Auth{TokenFile: file(t, "x")}}}}, "quay.io/x/web", "$oauthtoken", "in /"},
		"Google's user of tokens":   {Config{Hosts: []Host{{Host: "eu.gcr.io", Auth: &Auth{TokenFile: file(t, "x")}}}}, "eu.gcr.io/x/web", "oauth2accesstoken", "in /"},
		"Azure's user of tokens":    {Config{Hosts: []Host{{Host: "x.azurecr.io", Auth: &Auth{TokenFile: file(t, "x")}}}}, "x.azurecr.io/web", azureUser, "in /"},
		"the older shape of a file": {Config{DockerConfig: file(t, `{"https://ghcr.io":{"username":"older","password":"x"}}`)}, "ghcr.io/web", "older", "in /"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := newKeychains(c.config).resolve(t.Context(), repoOf(t, c.image))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if r.auth != nil {
				got = r.auth.Username
			}
			if got != c.want || !strings.HasPrefix(r.from, c.from) {
				t.Errorf("user %q %s, want %q %s (%q)", got, r.from, c.want, c.from, r.why)
			}
		})
	}
}

func TestNamedCredentialsThatCannotBeHad(t *testing.T) {
	noIdentity(t)
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"config missing":   {Config{DockerConfig: missing}, "docker config cannot be read: " + missing + ": no such file or directory"},
		"config no JSON":   {Config{DockerConfig: file(t, "canary")}, "not the JSON of a docker config"},
		"config too large": {Config{DockerConfig: file(t, strings.Repeat(" ", maxDockerConfig+1))}, "larger than"},
		"config a folder":  {Config{DockerConfig: t.TempDir()}, "is a directory"},
		"entry broken":     {Config{DockerConfig: file(t, `{"auths":{"ghcr.io":{"auth":"canary"}}}`)}, `the entry "ghcr.io" is broken`},
		"a bad token":      {Config{DockerConfig: file(t, `{"auths":{"ghcr.io":{"registrytoken":"canary\r\nX: y"}}}`)}, `the entry "ghcr.io" is broken`},
		"token missing":    {Config{Hosts: []Host{{Host: "ghcr.io", Auth: &Auth{TokenFile: missing}}}}, "the registry's auth cannot be read: " + missing},
		"token empty":      {Config{Hosts: []Host{{Host: "ghcr.io", Auth: &Auth{TokenFile: file(t, "\n")}}}}, "it is empty"},
		"token too large":  {Config{Hosts: []Host{{Host: "ghcr.io", Auth: &Auth{TokenFile: file(t, strings.Repeat("canary", 20_000))}}}}, "larger than"},
		"no user":          {Config{Hosts: []Host{{Host: "ghcr.io", Auth: &Auth{PasswordFile: file(t, "canary")}}}}, "cannot be read"},
		"no password":      {Config{Hosts: []Host{{Host: "ghcr.io", Auth: &Auth{UsernameFile: file(t, "canary"), PasswordFile: missing}}}}, missing},
		"provider unknown": {Config{Hosts: []Host{{Host: "ghcr.io", Auth: &Auth{Provider: "heroku"}}}}, `no provider "heroku"`},
		"provider without": {Config{Hosts: []Host{{Host: "ghcr.io", Auth: &Auth{Provider: "github"}}}}, "GITHUB_TOKEN is not set"},
		"ecr elsewhere":    {Config{Hosts: []Host{{Host: "ghcr.io", Auth: &Auth{Provider: "ecr"}}}}, "no registry of ECR"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := New(c.config)
			_, err := cl.List(t.Context(), repoOf(t, "ghcr.io/web"), Listing{})
			if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q", err, c.want)
			}
			if !strings.HasPrefix(err.Error(), "list tags of ghcr.io/web: ") || !strings.Contains(err.Error(), "; ") {
				t.Errorf("%q has no operation or no hint", err)
			}
		})
	}
}

func TestSecretFilesAreReadAgain(t *testing.T) {
	token := file(t, "one\n")
	k := newKeychains(Config{Hosts: []Host{{Host: "ghcr.io", Auth: &Auth{TokenFile: token}}}})
	web := repoOf(t, "ghcr.io/web")
	versions := map[int]bool{}
	for _, step := range []struct{ content, want string }{{"one\n", "one"}, {"one", "one"}, {"two", "two"}, {"", "two"}, {"\n", "two"}, {"one", "one"}} {
		write(t, token, step.content)
		r, err := k.resolve(t.Context(), web)
		if err != nil || r.auth.Password != step.want {
			t.Errorf("after %q: %v, %v", step.content, r.auth, err)
		}
		versions[r.version] = true
	}
	if len(versions) != 3 {
		t.Errorf("versions %v, want three: one, two, and one again", versions)
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if r, err := k.resolve(t.Context(), web); err != nil || r.auth.Password != "one" {
		t.Errorf("while it is replaced: %v, %v", r.auth, err)
	}
}

func TestAHelpersAnswer(t *testing.T) {
	helper(t, "good", `echo '{"ServerURL":"x","Username":"u","Secret":"canary"}'; echo canary >&2`)
	helper(t, "token", `echo '{"Username":"<token>","Secret":"canary"}'`)
	helper(t, "none", `echo "credentials not found in native keychain"; exit 1`)
	helper(t, "broken", `echo canary; echo canary >&2; exit 3`)
	helper(t, "html", `echo '<html>canary'`)
	helper(t, "empty", `echo '{"Username":"canary"}'`)
	helper(t, "endless", `while :; do echo canarycanarycanarycanarycanarycanarycanarycanary; done`)
	outside := filepath.Join(t.TempDir(), "docker-credential-x")
	mark := filepath.Join(t.TempDir(), "mark")
	if err := os.WriteFile(outside, []byte("#!/bin/sh\ntouch "+mark+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"good": "u canary ", "token": "  canary", "none": "none",
		"broken": "docker-credential-broken failed (exit status 3)", "html": "answered something that is no credentials",
		"empty": "answered something that is no credentials", "endless": "answered more than 65536 bytes",
		"missing":                                "docker-credential-missing is not in PATH",
		"../" + strings.TrimPrefix(outside, "/"): "its name holds more than", "x/../good": "its name holds more than", "": "its name holds more than",
		"Good": "its name holds more than", "-good": "its name holds more than", "good\n": "its name holds more than", "good;id": "its name holds more than",
	} {
		auth, err := helperCall{name, "ghcr.io"}.run(t.Context())
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%q: %v, want %q", name, err, want)
			}
		case auth == nil:
			if want != "none" {
				t.Errorf("%q: knows none, want %q", name, want)
			}
		default:
			if got := auth.Username + " " + auth.Password + " " + auth.IdentityToken; got != want {
				t.Errorf("%q: %q, want %q", name, got, want)
			}
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program outside PATH was run")
	}
}

func TestAHelperThatHangsIsEnded(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	helper(t, "slow", "sleep 600 & echo $! > "+pid+".new; mv "+pid+".new "+pid+"; wait")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil { // as soon as it runs
			if _, err := os.Stat(pid); err == nil {
				cancel()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if _, err := (helperCall{"slow", "ghcr.io"}).run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	child := lines(t, pid)[0]
	for range 1000 { // it is gone, or nothing but an entry that nobody has collected
		state, err := exec.Command("ps", "-o", "stat=", "-p", child).Output()
		if err != nil || strings.HasPrefix(strings.TrimSpace(string(state)), "Z") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("what the helper started, process %s, still runs", child)
}

func TestAHelperIsRunOncePerRegistry(t *testing.T) {
	runs := helper(t, "count", `echo '{"Username":"u","Secret":"s"}'`)
	clock := time.Now()
	k := newKeychains(Config{DockerConfig: file(t, `{"credsStore":"count"}`)})
	k.now = func() time.Time { return clock }
	ask := func(images ...string) {
		t.Helper()
		var wg sync.WaitGroup
		for _, image := range images {
			repo := repoOf(t, image)
			wg.Go(func() {
				if r, err := k.resolve(t.Context(), repo); err != nil || r.auth == nil {
					t.Errorf("%s: %q, %v", image, r.why, err)
				}
			})
		}
		wg.Wait()
	}
	ask("ghcr.io/a", "ghcr.io/b", "ghcr.io/c/d")
	ask("alpine", "docker.io/team/web", "quay.io:8443/x/y")
	got := lines(t, runs)
	slices.Sort(got)
	want := []string{"get_ghcr.io", "get_https://index.docker.io/v1/", "get_quay.io:8443"}
	if !slices.Equal(got, want) {
		t.Errorf("runs %q, want %q", got, want)
	}
	clock = clock.Add(helperKeep - time.Second)
	ask("ghcr.io/a")
	if n := len(lines(t, runs)); n != 3 {
		t.Errorf("%d runs within %s", n, helperKeep)
	}
	clock = clock.Add(2 * time.Second)
	ask("ghcr.io/a", "ghcr.io/b")
	if n := len(lines(t, runs)); n != 4 {
		t.Errorf("%d runs after %s, want one more", n, helperKeep)
	}
}

func TestOneSecondTryWithFreshCredentials(t *testing.T) {
	for _, bearer := range []bool{false, true} {
		t.Run(map[bool]string{false: "basic", true: "bearer"}[bearer], func(t *testing.T) {
			s := startRotating(t, bearer, "one")
			secret := file(t, "one")
			runs := helper(t, "vault", `printf '{"Username":"bot","Secret":"%s"}' "$(cat `+secret+`)"`)
			c := New(Config{InsecureHosts: []string{s.host()}, DockerConfig: file(t, `{"credHelpers":{"`+s.host()+`":"vault"}}`)})
			defer c.Close()
			clock := time.Now()
			c.keys.now = func() time.Time { return clock }
			web := repoOf(t, s.host()+"/web")
			list := func() error { _, err := c.List(t.Context(), web, Listing{}); return err }
			if err := list(); err != nil {
				t.Fatal(err)
			}
			// Rotated everywhere: the helper is run once more, and the list comes.
			s.rotate("two")
			write(t, secret, "two")
			if err := list(); err != nil {
				t.Fatalf("after rotation: %v", err)
			}
			if n := len(lines(t, runs)); n != 2 {
				t.Errorf("%d runs of the helper, want 2", n)
			}
			if n := s.count("list"); n != 2 {
				t.Errorf("%d listings, want the refused and the second", n)
			}
			// Rotated at the registry alone: the helper is asked, says the same, and
			// there is no second try.
			clock = clock.Add(refusalPause)
			s.rotate("three")
			if err := list(); !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), `from the credential helper "vault"`) {
				t.Errorf("error %v", err)
			}
			if n := len(lines(t, runs)); n != 3 {
				t.Errorf("%d runs of the helper, want 3", n)
			}
			if n := s.count("list"); n != 1 {
				t.Errorf("%d listings, want 1", n)
			}
			// Nor is the helper asked for every refusal.
			for range 5 {
				if err := list(); !errors.Is(err, ErrUnauthorized) {
					t.Errorf("error %v", err)
				}
			}
			if n := len(lines(t, runs)); n != 3 {
				t.Errorf("%d runs of the helper within %s", n, refusalPause)
			}
		})
	}
}

func TestATokenServersRefusalIsOneToo(t *testing.T) {
	s := startRotating(t, true, "two")
	secret := file(t, "one")
	runs := helper(t, "vault", `printf '{"Username":"bot","Secret":"%s"}' "$(cat `+secret+`)"; echo two > `+secret)
	c := New(Config{InsecureHosts: []string{s.host()}, DockerConfig: file(t, `{"credsStore":"vault"}`)})
	defer c.Close()
	if _, err := c.List(t.Context(), repoOf(t, s.host()+"/web"), Listing{}); err != nil {
		t.Fatal(err)
	}
	if n := len(lines(t, runs)); n != 2 || s.count("token") != 2 || s.count("list") != 1 {
		t.Errorf("%d runs of the helper, %d tokens asked for, %d listings; want 2, 2, 1", n, s.count("token"), s.count("list"))
	}
}

func TestAThousandRefusedImagesAreOneLook(t *testing.T) {
	fetches := 0
	k := newKeychains(Config{PullSecrets: func(context.Context) ([][]byte, error) {
		fetches++
		return [][]byte{fmt.Appendf(nil, `{"auths":{"ghcr.io":{"username":"u%d","password":"x"}}}`, fetches)}, nil
	}})
	var repos []image.Repo
	versions := map[string]int{}
	for i := range 1000 {
		r := repoOf(t, fmt.Sprintf("ghcr.io/x/app%d", i))
		repos = append(repos, r)
		_, v, err := k.resolver(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		versions[r.Canonical()] = v
	}
	for _, r := range repos {
		if !k.refused(t.Context(), r, versions[r.Canonical()]) {
			t.Fatalf("%s: no second try", r)
		}
	}
	if fetches != 2 {
		t.Errorf("%d looks at the pull secrets, want 2", fetches)
	}
}

func TestPullSecretsThatAreMissingAreNamed(t *testing.T) {
	s := startRotating(t, false, "one")
	var answer [][]byte
	err := errors.New("get Secret shop/regcred: not found")
	fetches := 0
	c := New(Config{InsecureHosts: []string{s.host()}, PullSecrets: func(context.Context) ([][]byte, error) { fetches++; return answer, err }})
	defer c.Close()
	clock := time.Now()
	c.keys.now = func() time.Time { return clock }
	web := repoOf(t, s.host()+"/web")
	list := func() error { _, err := c.List(t.Context(), web, Listing{}); return err }
	if got := list(); !errors.Is(got, ErrUnauthorized) || !strings.Contains(got.Error(), err.Error()) {
		t.Errorf("all missing: %v", got)
	}
	if fetches != 1 {
		t.Errorf("%d fetches", fetches)
	}
	clock = clock.Add(pullPause)
	answer = [][]byte{[]byte(`{"auths":{"else.io":{"auth":"` + basic("bot", "canary") + `"}}}`), []byte("canary")}
	if got := list(); !errors.Is(got, ErrUnauthorized) || !strings.Contains(got.Error(), err.Error()) || !strings.Contains(got.Error(), "have no entry for "+s.host()) ||
		!strings.Contains(got.Error(), "the 2. is not the JSON") || strings.Contains(got.Error(), "canary") {
		t.Errorf("some missing: %v", got)
	}
	clock = clock.Add(refusalPause)
	answer, err = [][]byte{[]byte(`{"auths":{"` + s.host() + `":{"auth":"` + basic("bot", "one") + `"}}}`)}, nil
	s.rotate("one")
	if got := list(); got != nil {
		t.Errorf("there by now: %v", got)
	}
	if s.count("list") != 2 {
		t.Errorf("%d listings, want the refused and the second", s.count("list"))
	}
	// What was good stays while the API server is away.
	clock = clock.Add(pullKeep + time.Second)
	answer, err = nil, errors.New("the API server cannot be reached")
	if got := list(); got != nil {
		t.Errorf("while the API server is away: %v", got)
	}
}

func TestWhatIsFetchedOnceAtATime(t *testing.T) {
	t.Run("a caller that leaves is no failure of the source", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		c := newCached(cached[int]{limit: time.Hour, keep: time.Hour, pause: time.Hour, now: time.Now, fetch: func(ctx context.Context) (int, time.Time, error) {
			if n++; n == 1 {
				cancel()
				return 0, time.Time{}, ctx.Err()
			}
			return n, time.Time{}, nil
		}})
		if _, err := c.get(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("first: %v", err)
		}
		if v, err := c.get(t.Context()); v != 2 || err != nil {
			t.Errorf("second: %d, %v", v, err)
		}
	})
	t.Run("a source that hangs is left after its limit, and for its pause", func(t *testing.T) {
		n := 0
		c := newCached(cached[int]{limit: time.Millisecond, keep: time.Hour, pause: time.Hour, now: time.Now, fetch: func(ctx context.Context) (int, time.Time, error) {
			n++
			<-ctx.Done()
			return 0, time.Time{}, ctx.Err()
		}})
		for range 3 {
			if _, err := c.get(t.Context()); err == nil || err.Error() != "no answer within 1ms" {
				t.Errorf("error %v", err)
			}
		}
		if n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
	t.Run("a token that ends soon is used for half of its life", func(t *testing.T) {
		clock, n := time.Now(), 0
		c := newCached(cached[int]{limit: time.Hour, keep: time.Hour, pause: time.Hour, now: func() time.Time { return clock }, fetch: func(context.Context) (int, time.Time, error) {
			n++
			return n, clock.Add(time.Minute), nil
		}})
		for _, want := range []int{1, 1, 2, 2} {
			if v, err := c.get(t.Context()); v != want || err != nil {
				t.Errorf("%d, %v, want %d", v, err, want)
			}
			clock = clock.Add(20 * time.Second)
		}
	})
}

func TestNoSecretIsEverShown(t *testing.T) {
	noIdentity(t)
	const canary = "c4nary"
	helper(t, "loud", `echo `+canary+` >&2; printf '{"Username":"`+canary+`","Secret":"`+canary+`"}'`)
	helper(t, "failing", `echo `+canary+`; echo `+canary+` >&2; exit 1`)
	t.Setenv("GITHUB_TOKEN", canary)
	s := startRotating(t, false, "other")
	host := s.host()
	docker := func(entry string) string { return file(t, `{"auths":{"`+host+`":`+entry+`}}`) }
	own := func(a Auth) Config { return Config{Hosts: []Host{{Host: host, Auth: &a}}} }
	for name, c := range map[string]Config{
		"password of a config": {DockerConfig: docker(`{"auth":"` + basic(canary, canary) + `"}`)},
		"identity token":       {DockerConfig: docker(`{"identitytoken":"` + canary + `"}`)},
		"registry token":       {DockerConfig: docker(`{"registrytoken":"` + canary + `"}`)},
		"broken entry":         {DockerConfig: docker(`{"auth":"` + canary + `"}`)},
		"no config":            {DockerConfig: file(t, canary)},
		"helper":               {DockerConfig: file(t, `{"credsStore":"loud"}`)},
		"failing helper":       {DockerConfig: file(t, `{"credsStore":"failing"}`)},
		"password file":        own(Auth{UsernameFile: file(t, canary), PasswordFile: file(t, canary)}),
		"token file":           own(Auth{TokenFile: file(t, canary)}),
		"provider":             own(Auth{Provider: "github"}),
		"pull secrets": {PullSecrets: func(context.Context) ([][]byte, error) {
			return [][]byte{[]byte(`{"auths":{"` + host + `":{"auth":"` + basic(canary, canary) + `"}}}`)}, nil
		}},
		"broken pull secret": {PullSecrets: func(context.Context) ([][]byte, error) { return [][]byte{[]byte(canary)}, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			c.InsecureHosts = []string{host}
			cl := New(c)
			defer cl.Close()
			var said bytes.Buffer
			ref, err := image.ParseRef(host + "/web:1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			_, err = cl.List(t.Context(), ref.Repo, Listing{})
			fmt.Fprintln(&said, err)
			if !errors.Is(err, ErrUnauthorized) {
				t.Errorf("error %v", err)
			}
			_, err = cl.Digest(t.Context(), ref)
			fmt.Fprintln(&said, err)
			fmt.Fprintf(&said, "%v %+v %#v\n", cl, cl, cl)
			fmt.Fprintf(&said, "%v %+v %#v\n", cl.c, cl.c, cl.c)
			fmt.Fprintf(&said, "%v %+v %#v\n", cl.keys, cl.keys.last, cl.keys.hosts)
			for _, h := range []slog.Handler{slog.NewTextHandler(&said, nil), slog.NewJSONHandler(&said, nil)} {
				slog.New(h).Error("x", "client", cl, "config", fmt.Sprintf("%+v", c), "error", err)
			}
			for _, secret := range []string{canary, basic(canary, canary), basic(canary, "")} {
				if i := strings.Index(said.String(), secret); i >= 0 {
					t.Errorf("%q is shown: …%s…", secret, said.String()[max(0, i-100):min(said.Len(), i+100)])
				}
			}
		})
	}
}
