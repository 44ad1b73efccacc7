package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"

	"towpath.dev/towpath/internal/image"
)

const maxSecretFile = 64 << 10 // bytes of a file with a user name, a password or a token

// watched is a file that is read at each use. When it became unreadable
// (half-written, being replaced) what it last said stays in use; one that never
// was readable is an error.
type watched[T any] struct {
	path  string
	max   int64
	parse func(raw []byte) (T, error) // its errors never quote the file

	mu   sync.Mutex
	raw  *string // what good was parsed from
	good *T
}

func (w *watched[T]) load() (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	raw, err := readFile(w.path, w.max)
	if err == nil && (w.good == nil || string(raw) != *w.raw) {
		var v T
		if v, err = w.parse(raw); err == nil {
			s := string(raw)
			w.raw, w.good = &s, &v
		}
	}
	if w.good == nil {
		var zero T
		return zero, fmt.Errorf("%s: %w", w.path, err)
	}
	return *w.good, nil
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			return nil, p.Err // the path is named by the caller
		}
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	var p *os.PathError
	switch {
	case errors.As(err, &p):
		return nil, p.Err
	case err == nil && int64(len(raw)) > most:
		return nil, fmt.Errorf("larger than %d bytes", most)
	}
	return raw, err
}

// newSecret is a file that holds one secret; newlines at its end do not count.
func newSecret(path string) *watched[string] {
	return &watched[string]{path: path, max: maxSecretFile, parse: func(raw []byte) (string, error) {
		s := strings.TrimRight(string(raw), "\r\n")
		if s == "" {
			return "", errors.New("it is empty")
		}
		return s, nil
	}}
}

// unreadable is the error about a file that an Auth names.
func unreadable(err error) error {
	return &noLogin{"the registry's auth cannot be read: " + oneLine(err), "point it at a readable file"}
}

// tokenFile is Auth.TokenFile.
type tokenFile struct{ token *watched[string] }

func newTokenFile(path string) tokenFile { return tokenFile{newSecret(path)} }

func (f tokenFile) find(_ context.Context, repo image.Repo) (login, error) {
	token, err := f.token.load()
	if err != nil {
		return login{}, unreadable(err)
	}
	return login{auth: &authn.AuthConfig{Username: tokenUser(repo.Host()), Password: token}, from: "in " + f.token.path}, nil
}

// tokenUser is the user name that a registry wants beside a token. Most take
// any, as long as there is one.
func tokenUser(host string) string {
	switch {
	case providerOf(host) == "ecr":
		return "AWS"
	case providerOf(host) == "google":
		return "oauth2accesstoken"
	case providerOf(host) == "azure":
		return azureUser
	case host == "quay.io":
		return "$oauthtoken"
	}
	return "token"
}

// passwordFiles are Auth.UsernameFile and PasswordFile.
type passwordFiles struct{ user, password *watched[string] }

func newPasswordFiles(user, password string) passwordFiles {
	return passwordFiles{newSecret(user), newSecret(password)}
}

func (f passwordFiles) find(context.Context, image.Repo) (login, error) {
	user, err := f.user.load()
	if err != nil {
		return login{}, unreadable(err)
	}
	password, err := f.password.load()
	if err != nil {
		return login{}, unreadable(err)
	}
	return login{auth: &authn.AuthConfig{Username: user, Password: password}, from: "in " + f.password.path}, nil
}
