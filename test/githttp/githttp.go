// Package githttp serves the bare repositories below a folder over smart HTTP
// with the real `git http-backend`, for tests and demonstrations. It needs the
// git program and must not be used as a public server.
package githttp

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"testing"
)

// maxRequest limits one request, which is held in memory when it is chunked.
const maxRequest = 1 << 30

// Options say who may read and push; the zero value lets everybody do both.
type Options struct {
	// Username and Password are wanted by basic authentication when one is set.
	Username, Password string
	// ReadOnly refuses pushes with 403, as a forge does for a read-only token.
	ReadOnly bool
}

// Handler serves every repository below root at its relative path:
// root/team/config.git is http://host/team/config.git.
func Handler(root string, o Options) (http.Handler, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("serve git over http: %w", err)
	}
	root, err = filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("serve git over http: %w", err)
	}
	backend := &cgi.Handler{
		Path: git,
		Args: []string{"http-backend"},
		Env: []string{
			"GIT_PROJECT_ROOT=" + root,
			"GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_COUNT=3",
			"GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=true",
			// No background work after a push: it would outlive a test's folder.
			"GIT_CONFIG_KEY_1=receive.autogc", "GIT_CONFIG_VALUE_1=false",
			"GIT_CONFIG_KEY_2=safe.directory", "GIT_CONFIG_VALUE_2=*",
		},
		Stderr: io.Discard, // git tells the client what it says here
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.allows(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "credentials needed", http.StatusUnauthorized)
			return
		}
		if o.ReadOnly && (filepath.Base(r.URL.Path) == "git-receive-pack" || r.URL.Query().Get("service") == "git-receive-pack") {
			http.Error(w, "read only", http.StatusForbidden)
			return
		}
		if r.ContentLength < 0 {
			// CGI knows no chunked requests, which git sends for large packs.
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
			if err != nil {
				http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
				return
			}
			r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		}
		backend.ServeHTTP(w, r)
	}), nil
}

func (o Options) allows(r *http.Request) bool {
	if o.Username == "" && o.Password == "" {
		return true
	}
	user, pass, ok := r.BasicAuth()
	return ok && subtle.ConstantTimeCompare([]byte(user), []byte(o.Username)) == 1 &&
		subtle.ConstantTimeCompare([]byte(pass), []byte(o.Password)) == 1
}

// Serve runs Handler on a loopback port until the test ends and returns the URL
// of root, without a slash at its end.
func Serve(t testing.TB, root string, o Options) string {
	t.Helper()
	h, err := Handler(root, o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
