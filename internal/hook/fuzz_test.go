package hook_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/hook"
	"towpath.dev/towpath/internal/image"
)

// FuzzRead: whatever is sent, nothing panics; without the secret there is never
// an image; with it the result is bounded, valid, about whole names, and the same
// when the event comes again.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	number := func(p hook.Provider) byte {
		for i, q := range hook.Providers() {
			if p == q {
				return byte(i)
			}
		}
		return 0
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(number(hook.Provider(filepath.Base(filepath.Dir(file)))), body, "wrong")
	}
	for _, tc := range cases {
		f.Add(number(tc.provider), []byte(tc.body), "correct horse battery stable")
	}
	f.Fuzz(func(t *testing.T, n byte, body []byte, guess string) {
		p := hook.Providers()[int(n)%len(hook.Providers())]
		if !holdsSecret(guess) {
			stranger(t, p, body, guess)
		}
		e, err := hook.ReadEvent(nil, request(p, secret, body), p, []byte(secret))
		if err != nil {
			if len(e.Images)+len(e.Dropped)+len(e.Answer) != 0 {
				t.Fatalf("%+v beside %v", e, err)
			}
			if !errors.Is(err, hook.ErrPayload) && !errors.Is(err, hook.ErrTooLarge) {
				t.Fatalf("a proved sender got %v", err)
			}
			return
		}
		valid(t, p, e)
		again, err := hook.ReadEvent(nil, request(p, secret, body), p, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(canonical(e), canonical(again)); diff != "" {
			t.Fatalf("another answer to the same event: %s", diff)
		}
	})
}

// holdsSecret is true of guesses that prove something: escaped for a URL, or with
// the zeros behind it that HMAC adds to a key anyway.
func holdsSecret(guess string) bool {
	plain, err := url.QueryUnescape(guess)
	return strings.Contains(guess, secret) || err == nil && strings.Contains(plain, secret)
}

// stranger sends the guess in every place at once.
func stranger(t *testing.T, p hook.Provider, body []byte, guess string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.URL.RawQuery = "token=" + guess
	r.Header["Authorization"] = []string{guess}
	r.Header["X-Api-Key"] = []string{guess}
	r.Header["X-Jfrog-Event-Auth"] = []string{guess}
	r.Header["X-Hub-Signature-256"] = []string{guess}
	if len(guess)%2 == 0 {
		r.Header["X-Hub-Signature-256"] = []string{"sha256=" + sign(guess, body)}
		r.Header["X-Jfrog-Event-Auth"] = []string{sign(guess, body)}
	}
	e, err := hook.ReadEvent(nil, r, p, []byte(secret))
	if !errors.Is(err, hook.ErrUnauthorized) && !errors.Is(err, hook.ErrTooLarge) {
		t.Fatalf("%s: guess %q got %+v, %v", p, guess, e, err)
	}
	if len(e.Images)+len(e.Dropped)+len(e.Answer) != 0 {
		t.Fatalf("%s: guess %q got %+v", p, guess, e)
	}
}

func valid(t *testing.T, p hook.Provider, e hook.Event) {
	t.Helper()
	if len(e.Images) > hook.MaxImages || len(e.Dropped) > hook.MaxDropped {
		t.Fatalf("%d images, %d reasons", len(e.Images), len(e.Dropped))
	}
	if e.Answer != nil && p != hook.ACR {
		t.Fatalf("%s answers %s", p, e.Answer)
	}
	seen := map[string]bool{}
	for i, key := range canonical(e) {
		ref := e.Images[i]
		parsed, err := image.ParseRef(ref.String())
		if err != nil || parsed != ref {
			t.Fatalf("%#v is written %s, which is %#v (%v)", ref, ref, parsed, err)
		}
		if seen[key] {
			t.Fatalf("%s is there twice", key)
		}
		seen[key] = true
		if hub := ref.Repo.Host() == "index.docker.io"; hub != strings.HasPrefix(strings.TrimPrefix(ref.Repo.String(), "index."), "docker.io/") {
			t.Fatalf("%s became %s", ref, ref.Repo.Canonical())
		}
		if p == hook.DockerHub && ref.Repo.Host() != "index.docker.io" {
			t.Fatalf("Docker Hub speaks of %s", ref)
		}
	}
	for _, line := range e.Dropped {
		if line == "" || len(line) > 300 || strings.ContainsAny(line, "\n\r\x00\x1b") {
			t.Fatalf("reason %q", line)
		}
	}
}
