package github

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	defaultFloor = 500              // requests of the hour that are left to others
	shareOfFloor = 10               // at most one of so many
	firstRest    = time.Minute      // where GitHub does not say how long
	longestRest  = 15 * time.Minute // it grows to
	longestWait  = 2 * time.Hour    // whatever GitHub says
)

// limits are what GitHub said of its limits, by credential.
type limits struct {
	cfg Config
	mu  sync.Mutex
	of  map[string]*limit
	who string // the last credential
}

type limit struct {
	until            time.Time // nothing is sent before
	what             string
	rest             time.Duration // the next one where GitHub does not say how long
	limit, remaining int
	reset            time.Time
}

func newLimits(c Config) *limits { return &limits{cfg: c, of: map[string]*limit{}} }

// credential names a token without telling it. An App's tokens change each hour, its limits do not.
func credential(token string, app bool) string {
	if app {
		return "app"
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

func (l *limits) get(who string) *limit {
	if l.of[who] == nil {
		if len(l.of) > 16 { // tokens that were changed; what is forgotten here, GitHub says again
			clear(l.of)
		}
		l.of[who] = &limit{rest: firstRest}
	}
	l.who = who
	return l.of[who]
}

// asked is the limit that forbids to send anything now, or nil.
func (l *limits) asked(who string) *pr.LimitError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own := l.get(who); l.cfg.Now().Before(own.until) {
		return &pr.LimitError{Until: own.until, What: own.what}
	}
	return nil
}

// told takes up what an answer says of limits; the error when it is that one was reached.
func (l *limits) told(who string, r *http.Request, resp *http.Response) *pr.LimitError {
	l.mu.Lock()
	defer l.mu.Unlock()
	own, now := l.get(who), l.cfg.Now()
	number := func(name string) (int, bool) {
		n, err := strconv.Atoi(resp.Header.Get(name))
		return n, err == nil
	}
	remaining, known := number("X-RateLimit-Remaining")
	total, _ := number("X-RateLimit-Limit")
	reset := now.Add(time.Hour)
	if at, ok := number("X-RateLimit-Reset"); ok {
		reset = now.Add(time.Unix(int64(at), 0).Sub(serverTime(resp, now))) // GitHub's clock need not be ours
	}
	if words := refused(resp); words != "" {
		wait, said := retryAfter(resp, now)
		switch {
		case said:
		case known && remaining == 0:
			wait = reset.Sub(now)
		default:
			wait = own.rest
			own.rest = min(2*own.rest, longestRest)
		}
		return l.stop(own, now, max(time.Second, min(wait, longestWait)), words)
	}
	if resp.StatusCode < http.StatusMultipleChoices {
		own.rest = firstRest
	}
	if !known || total == 0 {
		return nil
	}
	if isGraphQL(r) && own.limit > 0 && own.remaining < remaining && now.Before(own.reset) {
		return nil // it has a budget of its own; the lesser one counts
	}
	own.limit, own.remaining, own.reset = total, remaining, reset
	if floor := l.floor(total); remaining < floor && !now.Before(own.until) {
		// This answer is good; the next request is not sent.
		_ = l.stop(own, now, max(time.Second, min(reset.Sub(now), longestWait)),
			fmt.Sprintf("%d of %d requests of this hour are left, and %d are kept for others", remaining, total, floor))
	}
	return nil
}

func (l *limits) stop(own *limit, now time.Time, wait time.Duration, words string) *pr.LimitError {
	own.until, own.what = now.Add(wait), words
	l.cfg.Logger.Warn("GitHub is left alone", "until", own.until.UTC().Format(time.RFC3339), "why", words)
	return &pr.LimitError{Until: own.until, What: words}
}

func (l *limits) floor(total int) int {
	switch {
	case l.cfg.Floor < 0:
		return 0
	case l.cfg.Floor > 0:
		return l.cfg.Floor
	}
	return min(defaultFloor, total/shareOfFloor)
}

func (l *limits) tell(f *Figures) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own := l.of[l.who]; own != nil {
		f.Limit, f.Remaining, f.Reset = own.limit, own.remaining, own.reset
	}
}

// refused is GitHub's words when an answer says that a limit was reached, else "".
func refused(resp *http.Response) string {
	later := resp.Header.Get("Retry-After") != ""
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
	case http.StatusForbidden:
		if !later && resp.Header.Get("X-RateLimit-Remaining") != "0" && !limitWords(messageOf(resp)) {
			return ""
		}
	case http.StatusServiceUnavailable:
		if !later {
			return ""
		}
	default:
		return ""
	}
	if words := oneLine(messageOf(resp), maxServerText); words != "" {
		return words
	}
	return strings.ToLower(http.StatusText(resp.StatusCode))
}

func limitWords(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "rate limit") || strings.Contains(s, "abuse detection")
}

func messageOf(resp *http.Response) string {
	var body struct {
		Message string `json:"message"`
		Docs    string `json:"documentation_url"`
	}
	if json.Unmarshal(bodyOf(resp), &body) != nil {
		return ""
	}
	return body.Message
}

// retryAfter is how long an answer asks to wait: seconds or a date.
func retryAfter(resp *http.Response, now time.Time) (time.Duration, bool) {
	text := resp.Header.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(n, 0), int(longestWait/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return at.Sub(serverTime(resp, now)), true
	}
	return 0, false
}

// serverTime is when GitHub answered, by its own clock, in whole seconds.
func serverTime(resp *http.Response, otherwise time.Time) time.Time {
	return dateOf(resp.Header, otherwise)
}

func dateOf(h http.Header, otherwise time.Time) time.Time {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		return at
	}
	return otherwise
}

func isGraphQL(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/graphql") }

// graphqlLimit is the limit that the errors of a GraphQL answer tell of, which is 200 then; or nil.
func (t *transport) graphqlLimit(kinds, messages []string) *pr.LimitError {
	if !slices.Contains(kinds, "RATE_LIMITED") && !slices.ContainsFunc(messages, limitWords) {
		return nil
	}
	l := t.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	own, now := l.get(l.who), l.cfg.Now()
	wait := own.rest
	own.rest = min(2*own.rest, longestRest)
	if own.remaining == 0 && own.reset.After(now) {
		wait = own.reset.Sub(now)
	}
	t.counted(func(f *Figures) { f.Limited++ })
	return l.stop(own, now, wait, oneLine(strings.Join(messages, "; "), maxServerText))
}
