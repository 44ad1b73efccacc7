package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	gittransport "github.com/go-git/go-git/v5/plumbing/transport"
)

// serverError is an error of a conversation with what the server said about it.
type serverError struct {
	text string
	err  error
}

func (e serverError) Error() string {
	if e.text == "" {
		return e.err.Error()
	}
	return e.text
}

func (e serverError) Unwrap() error { return e.err }

// Words by which servers say that there is no such repository, or that one may
// not see or change it. They come over stderr or an ERR line, in English.
var (
	notFoundWords = []string{
		"does not appear to be a git repository", "repository not found", "repository does not exist",
		"not a git repository", "no such repository", "could not be found", "no such file or directory",
	}
	unauthorizedWords = []string{
		"permission denied", "access denied", "authentication failed", "permission to ", "read only", "not allowed to push",
	}
)

func containsAny(s string, words []string) bool {
	s = strings.ToLower(s)
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// remoteError names operation and repository and maps what went wrong to the
// package's errors. ctx decides whether the cause was its end. What the server
// said back of our credentials is cut out.
func (r *Repo) remoteError(ctx context.Context, op string, err error) error {
	return r.sent.Clean(r.mapError(ctx, op, err))
}

func (r *Repo) mapError(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", op, r.remote.shown, context.Cause(ctx))
	}
	for _, known := range []error{ErrNotFound, ErrUnauthorized, ErrHostKey, ErrStale, ErrRejected} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s %s: %w", op, r.remote.shown, err)
		}
	}
	var said serverError
	text := ""
	if errors.As(err, &said) {
		text = said.text
	}
	switch {
	case errors.Is(err, gittransport.ErrAuthenticationRequired), errors.Is(err, gittransport.ErrAuthorizationFailed):
		return fmt.Errorf("%s %s: %w; check the user name and password files and what the token may do",
			op, r.remote.shown, ErrUnauthorized)
	case errors.Is(err, gittransport.ErrRepositoryNotFound):
		return fmt.Errorf("%s %s: %w; check the URL, and that the credentials may see it", op, r.remote.shown, ErrNotFound)
	case containsAny(text, unauthorizedWords):
		return fmt.Errorf("%s %s: %w: %s", op, r.remote.shown, ErrUnauthorized, text)
	case strings.Contains(text, "dubious ownership"):
		return fmt.Errorf("%s %s: git refuses a repository owned by another user; "+
			"run `git config --global --add safe.directory %s`", op, r.remote.shown, r.remote.path)
	case containsAny(text, notFoundWords):
		return fmt.Errorf("%s %s: %w: %s", op, r.remote.shown, ErrNotFound, text)
	}
	return fmt.Errorf("%s %s: %w", op, r.remote.shown, err)
}
