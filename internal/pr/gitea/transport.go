package gitea

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/secret"
)

const (
	requestTimeout = 30 * time.Second
	maxBody        = 16 << 20 // bytes of one request or answer
	maxSaid        = 300      // bytes of the server's text in an error
	// limitPause is how long a server is left alone that asks for it without saying how long, and
	// maxPause the longest that it may ask for.
	limitPause = time.Minute
	maxPause   = time.Hour
)

// Figures counts what was asked of a server.
type Figures struct {
	Requests  int // sent
	Mutations int // of them such as may change something
	Limited   int // times the server asked to be left alone
	Again     int // tries that were made again because the server asked for it
}

// transport sends requests within bounds and reads each answer whole. A refusal is an error,
// *answerError or *pr.LimitError, so that the vendor's client cannot lose its reason. While the server
// asks to be left alone nothing is sent.
type transport struct {
	base *http.Transport
	now  func() time.Time

	secrets secret.Known // what was sent: cut out of what the server says of a failure

	mu    sync.Mutex
	limit *pr.LimitError
	count Figures
}

func newTransport(base *http.Transport, now func() time.Time) *transport {
	if base == nil {
		base = &http.Transport{Proxy: http.ProxyFromEnvironment}
		if d, ok := http.DefaultTransport.(*http.Transport); ok {
			base = d.Clone()
		}
	}
	return &transport{base: base, now: now}
}

func (t *transport) figures() Figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// answerError is a refusal of the server.
type answerError struct {
	Status int
	Said   string // one line, bounded
}

func (e *answerError) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("the server answered %d: %s", e.Status, e.Said)
}

type queryKey struct{}

// withQuery adds parameters to the requests of a context that the vendor's client has no words for.
func withQuery(ctx context.Context, q url.Values) context.Context {
	return context.WithValue(ctx, queryKey{}, q)
}

// RoundTrip is http.RoundTripper's.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if req.ContentLength > maxBody {
		return nil, fmt.Errorf("a request of %d bytes, want at most %d", req.ContentLength, maxBody)
	}
	if err := t.begin(req.Method); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), requestTimeout)
	defer cancel()
	out := req.Clone(ctx)
	out.Header.Set("Accept", "application/json")
	if extra, ok := ctx.Value(queryKey{}).(url.Values); ok {
		q := out.URL.Query()
		for k, v := range extra {
			q[k] = v
		}
		out.URL.RawQuery = q.Encode()
	}
	resp, err := t.base.RoundTrip(out)
	if err != nil {
		return nil, timedOut(req.Context(), ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", timedOut(req.Context(), ctx, err))
	case len(body) > maxBody:
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxBody)
	}
	_, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	t.secrets.Add(token)
	if t.base.Proxy != nil {
		proxy, _ := t.base.Proxy(out) // without an answer nothing was sent
		t.secrets.AddProxy(proxy)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		body = []byte(t.secrets.Cut(string(body)))
		resp.Header.Set("Location", t.secrets.Cut(resp.Header.Get("Location")))
	}
	if err := t.judge(resp, body); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}

// begin counts a request, or refuses it while the server wants none.
func (t *transport) begin(method string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.limit != nil {
		if t.now().Before(t.limit.Until) {
			return t.limit
		}
		t.limit = nil
	}
	t.count.Requests++
	if method != http.MethodGet && method != http.MethodHead {
		t.count.Mutations++
	}
	return nil
}

func (t *transport) again() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count.Again++
}

// timedOut says so when a request took longer than it may, rather than that a context ended.
func timedOut(caller, request context.Context, err error) error {
	if caller.Err() == nil && errors.Is(request.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", requestTimeout)
	}
	return err
}

// judge turns what is no good answer into an error.
func (t *transport) judge(resp *http.Response, body []byte) error {
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		return t.limited(resp, body)
	case code >= 300 && code < 400:
		return &answerError{code, "a redirect to " + shownURL(clean(resp.Header.Get("Location"))) + ", which is not followed; give the forge's URL and the repository's name as they are now"}
	case code >= 400:
		return &answerError{code, said(body)}
	}
	if len(body) > 0 && strings.Contains(resp.Header.Get("Content-Type"), "html") {
		return &answerError{resp.StatusCode, "a page, not an answer of the interface; is the URL the root of a Gitea or Forgejo?"}
	}
	if len(bytes.TrimSpace(body)) > 0 && !json.Valid(body) { // the vendor's client lets some of it pass
		return errors.New("the answer is no JSON, or was cut short")
	}
	return nil
}

func (t *transport) limited(resp *http.Response, body []byte) error {
	now := t.now()
	until := now.Add(limitPause)
	switch after := strings.TrimSpace(resp.Header.Get("Retry-After")); {
	case after == "":
	default:
		if seconds, err := strconv.Atoi(after); err == nil {
			until = now.Add(min(time.Duration(max(seconds, 1))*time.Second, maxPause))
		} else if at, err := http.ParseTime(after); err == nil {
			// The date is the server's: its own clock says how long that is.
			from := now
			if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
				from = date
			}
			until = now.Add(min(max(at.Sub(from), time.Second), maxPause))
		}
	}
	what := said(body)
	if what == "" {
		what = fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count.Limited++
	t.limit = &pr.LimitError{Until: until, What: what}
	return t.limit
}

// said is what a refusal says, as one line.
func said(body []byte) string {
	var m struct {
		Message string   `json:"message"`
		Errors  []string `json:"errors"`
	}
	text := string(body)
	if err := json.Unmarshal(body, &m); err == nil {
		text = m.Message
		if len(m.Errors) > 0 {
			text += ": " + strings.Join(m.Errors, ", ")
		}
	} else if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		text = "" // a page of a proxy
	}
	return clean(text)
}

// clean makes one line of at most maxSaid bytes of a foreign text.
func clean(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), 4*maxSaid)], "")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(s) > maxSaid {
		s = strings.ToValidUTF8(s[:maxSaid-len("…")], "") + "…"
	}
	return s
}
