package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"towpath.dev/towpath/internal/pr"
)

const (
	// Servers look for conflicts in the background and see a push some moments late: what they refuse
	// for that is tried again for so long.
	patience = 10 * time.Second
	// branchPatience is how long a branch may take to be seen where it was pushed: not as long, because
	// most often it really is elsewhere.
	branchPatience = 3 * time.Second
	firstWait      = 50 * time.Millisecond
	lastWait       = 1500 * time.Millisecond
)

// plain is an error of a request in the words of package pr, without the vendor's around it.
func plain(err error) error {
	var a *answerError
	var l *pr.LimitError
	var u *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &l):
		return l
	case errors.As(err, &a):
		return mapped(a)
	case errors.As(err, &u):
		return u.Err
	}
	return err
}

// mapped adds the word of package pr that a status stands for.
func mapped(a *answerError) error {
	switch a.Status {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: %w", pr.ErrUnauthorized, a)
	case http.StatusForbidden, http.StatusLocked:
		return fmt.Errorf("%w: %w", pr.ErrForbidden, a)
	}
	return a
}

// ofPull is plain for a request about one pull request: that there is no such is pr.ErrNotFound.
func ofPull(err error) error {
	if status(err) == http.StatusNotFound {
		return fmt.Errorf("%w: %w", pr.ErrNotFound, plain(err))
	}
	return plain(err)
}

// status is the status of a refusal; 0: it is none.
func status(err error) int {
	var a *answerError
	if errors.As(err, &a) {
		return a.Status
	}
	return 0
}

// says reports whether a refusal's text has a phrase, in whatever case.
func says(err error, phrase string) bool {
	var a *answerError
	return errors.As(err, &a) && strings.Contains(strings.ToLower(a.Said), strings.ToLower(phrase))
}

// unsure reports whether a request may have taken effect although it failed.
func unsure(err error) bool {
	var l *pr.LimitError
	s := status(err)
	return err != nil && !errors.As(err, &l) && (s == 0 || s >= 500)
}

// again marks an error after which the same is tried once more.
type again struct{ error }

func (a again) Unwrap() error { return a.error }

// patiently repeats try while it returns again, with growing waits, for as long as limit.
func (f *Forge) patiently(ctx context.Context, limit time.Duration, try func() error) error {
	waits := &backoff.ExponentialBackOff{InitialInterval: firstWait, RandomizationFactor: 0.3, Multiplier: 1.7, MaxInterval: lastWait}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := try()
		var a again
		if err != nil && !errors.As(err, &a) {
			err = backoff.Permanent(err)
		} else if err != nil {
			f.transport.again()
		}
		return struct{}{}, err
	}, backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(limit))
	var a again
	if errors.As(err, &a) {
		return a.error
	}
	return err
}
