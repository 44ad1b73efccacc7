package ociregistry

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const tokenPath = "/token"

// tokens asks for a bearer token and gives it out, as the distribution
// specification says.
type tokens struct {
	c Config

	mu   sync.Mutex
	good map[string]token
}

// token is what a bearer token allows.
type token struct {
	scopes []string
	until  time.Time // zero: for ever
}

func newTokens(c Config) *tokens { return &tokens{c: c, good: map[string]token{}} }

func (t *tokens) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == tokenPath {
			t.give(w, r)
			return
		}
		scope := scopeOf(r.URL.Path)
		if !t.allows(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), scope) {
			challenge := fmt.Sprintf(`Bearer realm="http://%s%s",service="%s"`, r.Host, tokenPath, r.Host)
			if scope != "" {
				challenge += fmt.Sprintf(`,scope="%s"`, scope)
			}
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// scopeOf is the scope that reading a path takes; "" for none of a repository.
func scopeOf(path string) string {
	for _, part := range []string{"/tags/", "/manifests/", "/blobs/"} {
		if repo, _, ok := strings.Cut(strings.TrimPrefix(path, "/v2/"), part); ok {
			return "repository:" + repo + ":pull"
		}
	}
	return ""
}

func (t *tokens) allows(value, scope string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	tok, ok := t.good[value]
	if !ok || !tok.until.IsZero() && !time.Now().Before(tok.until) {
		return false
	}
	for _, s := range tok.scopes {
		if s == scope {
			return true
		}
	}
	return scope == ""
}

func (t *tokens) give(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if t.c.User != "" && subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(t.c.User+":"+t.c.Password)) != 1 {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	value := rand.Text()
	answer := map[string]any{"token": value}
	tok := token{scopes: r.URL.Query()["scope"]}
	if t.c.TokenLife > 0 {
		tok.until = time.Now().Add(t.c.TokenLife)
		answer["expires_in"] = int(t.c.TokenLife / time.Second)
	}
	t.mu.Lock()
	t.good[value] = tok
	t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}
