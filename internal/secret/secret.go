// Package secret cuts credentials out of texts: a careless server or proxy may
// say back what it was shown, and such words end in errors, logs and pull
// requests. Floor 0. It keeps what it was given in memory only and must not read
// any.
package secret

import (
	"encoding/base64"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	maxSecrets      = 64      // texts that are cut out, newest ones
	minSecretBytes  = 4       // shorter ones would only garble texts
	maxLooseBytes   = 8 << 10 // longer secrets are looked for in the usual spellings only
	minLooseLetters = 6       // so are those with fewer letters and digits
	maxSpelled      = 12      // bytes that quoting, also twice over, makes of one
	cutMark         = "***"   // stands where a secret was
)

// Known are the credentials that were sent lately, in whatever spelling a server
// may say them back. The zero value knows none. It may be used from many
// goroutines.
type Known struct {
	mu    sync.Mutex
	texts []string // oldest first
}

// Add remembers a secret, also as base64.
func (s *Known) Add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		if len(v) < minSecretBytes {
			continue
		}
		for _, text := range []string{v, base64.StdEncoding.EncodeToString([]byte(v))} {
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
	if len(password) >= minSecretBytes {
		s.Add(user+":"+password, password)
	}
}

// AddProxy remembers the password in a proxy's URL; nil is no proxy.
func (s *Known) AddProxy(proxy *url.URL) {
	if proxy == nil {
		return
	}
	if password, ok := proxy.User.Password(); ok {
		s.AddLogin(proxy.User.Username(), password)
	}
}

// Cut replaces every known secret in a text, long ones first: one may be part
// of another.
func (s *Known) Cut(text string) string {
	s.mu.Lock()
	texts := slices.Clone(s.texts)
	s.mu.Unlock()
	slices.SortFunc(texts, func(a, b string) int { return len(b) - len(a) })
	for _, t := range texts {
		for _, way := range spellings(t) {
			text = strings.ReplaceAll(text, way, cutMark)
		}
		if way := looseSpelling(t, text); way != nil {
			text = way.ReplaceAllLiteralString(text, cutMark)
		}
	}
	return text
}

// spellings are the usual forms of a secret in plain text, URLs, quotes and HTML.
func spellings(v string) []string {
	quoted := strconv.Quote(v)
	all := []string{v, url.QueryEscape(v), url.PathEscape(v), quoted[1 : len(quoted)-1], html.EscapeString(v)}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(all)
}

// looseSpelling matches any spelling of a secret, also JSON inside a URL: what
// nothing quotes is as it is, and what is between may be anything that is not
// too long. nil is a secret that is not in text, or of which too little would be
// left to recognise it by.
func looseSpelling(v, text string) *regexp.Regexp {
	if len(v) > maxLooseBytes {
		return nil
	}
	var b strings.Builder
	letters, between := 0, 0
	for i := range len(v) {
		c := v[i]
		if !unquoted(c) {
			if letters > 0 {
				between++
			}
			continue
		}
		if between > 0 {
			fmt.Fprintf(&b, `(?s:.{1,%d}?)`, min(between*maxSpelled, 500))
			between = 0
		}
		letters++
		b.WriteString(regexp.QuoteMeta(string(rune(c))))
	}
	if letters < minLooseLetters || letters == len(v) || !strings.Contains(text, longestPart(v)) {
		return nil
	}
	re, err := regexp.Compile(b.String())
	if err != nil { // larger than the package allows
		return nil
	}
	return re
}

// unquoted are the bytes that URLs, JSON and HTML leave as they are.
func unquoted(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0
}

// longestPart is the longest part of a secret that nothing quotes.
func longestPart(v string) string {
	longest := ""
	for part := range strings.FieldsFuncSeq(v, func(r rune) bool { return r > 0x7f || !unquoted(byte(r)) }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return longest
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
