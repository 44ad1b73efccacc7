// Package secret cuts credentials out of texts: a careless server or proxy may
// say back what it was shown, and such words end in errors, logs and pull
// requests. Floor 0. It keeps what it was given in memory only and must not read
// any.
package secret

import (
	"encoding/base64"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	maxSecrets     = 256   // texts that are cut out, newest ones
	minSecretBytes = 4     // shorter ones would only garble texts
	cutMark        = "***" // stands where a secret was
)

// Known are the credentials that were sent lately, in every spelling in which a
// server may say them back. The zero value knows none. It may be used from many
// goroutines.
type Known struct {
	mu    sync.Mutex
	texts []string // oldest first
}

// Add remembers a secret.
func (s *Known) Add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		for _, text := range spellings(v) {
			if i := slices.Index(s.texts, text); i >= 0 {
				s.texts = slices.Delete(s.texts, i, i+1)
			}
			s.texts = append(s.texts, text)
		}
	}
	if n := len(s.texts) - maxSecrets; n > 0 {
		s.texts = slices.Delete(s.texts, 0, n)
	}
}

// AddLogin remembers a password, and what basic authentication makes of it.
func (s *Known) AddLogin(user, password string) {
	if len(password) < minSecretBytes {
		return
	}
	s.Add(password, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// spellings are the forms of a secret in plain text, URLs, JSON, Go's quoting,
// HTML and base64; none of one that is too short.
func spellings(v string) []string {
	if len(v) < minSecretBytes {
		return nil
	}
	quoted := strconv.Quote(v)
	all := []string{
		v, strings.Join(strings.Fields(v), " "), url.QueryEscape(v), url.PathEscape(v), url.UserPassword("", v).String()[1:],
		quoted[1 : len(quoted)-1], html.EscapeString(v),
		base64.StdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)),
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(t string) bool { return len(t) < minSecretBytes })
}

// Cut replaces every known secret in a text, long ones first: one may be part
// of another.
func (s *Known) Cut(text string) string {
	s.mu.Lock()
	texts := slices.Clone(s.texts)
	s.mu.Unlock()
	slices.SortFunc(texts, func(a, b string) int { return len(b) - len(a) })
	for _, t := range texts {
		text = strings.ReplaceAll(text, t, cutMark)
	}
	return text
}

// Clean returns err with a text that holds no known secret; errors.Is and
// errors.As see through.
func (s *Known) Clean(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if cut := s.Cut(text); cut != text {
		return cleanError{cut, err}
	}
	return err
}

type cleanError struct {
	text string
	err  error
}

func (e cleanError) Error() string { return e.text }
func (e cleanError) Unwrap() error { return e.err }
