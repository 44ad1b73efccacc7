package registry_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/test/distribution"
	"towpath.dev/towpath/test/faults"
)

// recoverWithin bounds how long a client may leave a host alone that is well
// again: after one failure it rests a second or so.
const recoverWithin = 30 * time.Second

// again asks until there is no error.
func again(t *testing.T, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(recoverWithin)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("all is well since %s: %v", recoverWithin, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// behind is a real registry with tokens over TLS that has two images, and what
// stands before it.
type behind struct {
	r     *distribution.Registry
	p     *faults.Proxy
	tags  []string     // of team/web; team/api has 1.0.0
	index image.Digest // of an index, under all tags
	one   image.Digest // of an image of one platform
}

func newBehind(t *testing.T) behind {
	t.Helper()
	r := distribution.Start(t, distribution.Options{TLS: true, TokenAuth: true})
	b := behind{r: r, tags: versions(3)}
	b.index = pushed(t)(r.PushIndex(t.Context(), "team/web", []string{"linux/amd64", "linux/arm64"}, b.tags...))
	b.one = pushed(t)(r.PushFor(t.Context(), "team/api", "linux/arm64", "1.0.0"))
	return b
}

// proxied puts a proxy of its own before the registry.
func (b behind) proxied(t *testing.T) behind {
	t.Helper()
	b.p = before(t, b.r)
	return b
}

// client is a new one: what one test's host did is no other's affair.
func (b behind) client(t *testing.T, c registry.Config) *registry.Client {
	t.Helper()
	c.Hosts = realHosts(b.r, b.p.Host())
	c.DockerConfig = dockerConfig(t, "", b.p.Host(), distribution.User, distribution.Password)
	return client(t, c)
}

func TestEachFaultBeforeARealRegistryEndsInItsSentinelAndPasses(t *testing.T) {
	b := newBehind(t)
	const list = "/v2/team/web/tags/list"
	metadata := func(*http.Request) string { return "http://169.254.169.254/latest" }
	for _, tc := range []struct {
		name     string
		fault    faults.Fault
		kind     error // nil: it does no harm
		mentions string
		requests int           // for the list, at most
		timeout  time.Duration // of the client; 0: its own
	}{
		{"latency", faults.Latency(50 * time.Millisecond), nil, "", 1, 0},
		// The transport itself tries once more on a connection that was used before.
		{"a reset", faults.Reset(), registry.ErrUnavailable, "the connection broke", 2, 0},
		{"a reset within the body", faults.ResetAfter(10), registry.ErrUnavailable, "", 1, 0},
		{"a body that ends early", faults.Truncate(10), registry.ErrUnavailable, "cut short", 1, 0},
		{"a body that lacks its last byte", faults.Truncate(-1), registry.ErrUnavailable, "cut short", 1, 0},
		{"a body that was cut before the proxy", faults.TruncateQuietly(20), registry.ErrUnavailable, "cut short", 1, 0},
		{"no body at all", faults.TruncateQuietly(0), registry.ErrUnavailable, "cut short", 1, 0},
		{"a length that is too large", faults.WrongLength(7), registry.ErrUnavailable, "cut short", 1, 0},
		{"a length that is too small", faults.WrongLength(-7), registry.ErrUnavailable, "cut short", 1, 0},
		{"401", faults.Status(401), registry.ErrUnauthorized, "401 Unauthorized", 2, 0},
		{"403", faults.Status(403), registry.ErrUnauthorized, "403 Forbidden", 1, 0},
		{"404", faults.Status(404), registry.ErrNotFound, "404 Not Found", 1, 0},
		{"408", faults.Status(408), registry.ErrUnavailable, "408 Request Timeout", 1, 0},
		{"429", faults.Status(429), registry.ErrUnavailable, "429 Too Many Requests", 1, 0},
		{"429 with Retry-After", faults.Status(429, "Retry-After", "1"), registry.ErrUnavailable, "asked to be left alone until", 1, 0},
		{"500", faults.Status(500), registry.ErrUnavailable, "500 Internal Server Error", 1, 0},
		{"502", faults.Status(502), registry.ErrUnavailable, "502 Bad Gateway", 1, 0},
		{"503", faults.Status(503), registry.ErrUnavailable, "503 Service Unavailable", 1, 0},
		{"504", faults.Status(504), registry.ErrUnavailable, "504 Gateway Timeout", 1, 0},
		{"204", faults.Status(204), registry.ErrBadAnswer, "204", 1, 0},
		{"a page for people", faults.HTML(), registry.ErrBadAnswer, "login page", 1, 0},
		{"numbers for tags", faults.Body(`{"tags":[1,2]}`), registry.ErrBadAnswer, "not a list of tags", 1, 0},
		{"two lists", faults.Body(`{"tags":["9.0.0"]}{"tags":["9.1.0"]}`), registry.ErrBadAnswer, "", 1, 0},
		{"pages without an end", faults.EndlessPages(), registry.ErrBadAnswer, "more than 5 pages", 5, 0},
		{"a page that leads to itself", faults.LoopingLink(), registry.ErrBadAnswer, "circle", 1, 0},
		{"a page on another host", faults.Link(metadata), registry.ErrBadAnswer, "another host", 1, 0},
		{"a redirect to where clouds keep credentials", faults.Status(307, "Location", "https://169.254.169.254/latest"), registry.ErrUnavailable, "link-local", 1, 0},
		{"a redirect to plain http", faults.Status(307, "Location", "http://registry.invalid/"), registry.ErrBadAnswer, "https", 1, 0},
		{"a tag of 200 MiB", faults.BigTag(200 << 20), registry.ErrBadAnswer, "longer than", 1, 0},
		{"a gzip bomb", faults.GzipBomb(200 << 20), registry.ErrBadAnswer, "", 1, 0},
		{"silence", faults.Hang(), registry.ErrUnavailable, "no whole answer within 1s", 1, time.Second},
		{"one byte after the other", faults.SlowLoris(time.Millisecond), registry.ErrUnavailable, "no whole answer within 1s", 1, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := b.proxied(t)
			c := b.client(t, registry.Config{MaxPages: 5, Timeout: tc.timeout})
			ask := func() error {
				got, err := c.List(t.Context(), repo(t, b.p.Host()+"/team/web"), registry.Listing{})
				if err == nil && !slices.Equal(got.Tags, b.tags) {
					t.Errorf("tags %q, want %q", got.Tags, b.tags)
				}
				if err != nil && (got.Tags != nil || got.Pages != nil) {
					t.Errorf("%d tags came with the error", len(got.Tags))
				}
				return err
			}
			again(t, ask) // so that the session and its connection are old ones
			b.p.Set(faults.Rule{Path: list, Fault: tc.fault})
			defer b.p.Set()
			b.p.Reset()
			err := ask()
			if tc.kind == nil && err != nil {
				t.Error(err)
			}
			if tc.kind != nil {
				mention(t, err, tc.kind, "list tags of "+b.p.Host()+"/team/web: ", tc.mentions)
			}
			if n := b.p.Count("", list); n > tc.requests {
				t.Errorf("%d requests for the list, want at most %d", n, tc.requests)
			}
			b.p.Set()
			again(t, ask)
		})
	}
}

func TestEachFaultOfManifestsBeforeARealRegistryEndsInItsSentinel(t *testing.T) {
	b := newBehind(t)
	digest := func(t *testing.T, c *registry.Client, host string) error {
		got, err := c.Digest(t.Context(), ref(t, host+"/team/web:"+b.tags[0]))
		if err == nil && got != b.index {
			t.Errorf("digest %s, want %s", got, b.index)
		}
		return err
	}
	platforms := func(t *testing.T, c *registry.Client, host string) error {
		got, err := c.Platforms(t.Context(), repo(t, host+"/team/web"), b.index)
		if err == nil && len(got) != 2 {
			t.Errorf("platforms %v", got)
		}
		return err
	}
	config := func(t *testing.T, c *registry.Client, host string) error {
		got, err := c.Platforms(t.Context(), repo(t, host+"/team/api"), b.one)
		if err == nil && (len(got) != 1 || got[0].String() != "linux/arm64") {
			t.Errorf("platforms %v", got)
		}
		return err
	}
	const manifests, blobs = "/v2/team/web/manifests/*", "/v2/team/api/blobs/*"
	without := func(status int, header http.Header, body string) (int, string) {
		header.Del("Docker-Content-Digest")
		return status, body
	}
	other := func(status int, header http.Header, _ string) (int, string) {
		header.Set("Docker-Content-Digest", someDigest)
		return status, `{"schemaVersion":2,"manifests":[]}`
	}
	for _, tc := range []struct {
		name  string
		ask   func(t *testing.T, c *registry.Client, host string) error
		rule  faults.Rule
		kind  error // nil: it does no harm
		tries int   // requests with that path, at most
	}{
		{"a tag: no digest in the answer to HEAD", digest, faults.Rule{Method: "HEAD", Path: manifests, Fault: faults.Twist(without)}, nil, 2},
		{"a tag: HEAD not allowed", digest, faults.Rule{Method: "HEAD", Path: manifests, Fault: faults.Status(405)}, nil, 2},
		{"a tag: a reset", digest, faults.Rule{Path: manifests, Fault: faults.Reset()}, registry.ErrUnavailable, 2},
		{"a tag: 403", digest, faults.Rule{Path: manifests, Fault: faults.Status(403)}, registry.ErrUnauthorized, 1},
		{"a tag: 404", digest, faults.Rule{Path: manifests, Fault: faults.Status(404)}, registry.ErrNotFound, 1},
		{"a tag: 429", digest, faults.Rule{Path: manifests, Fault: faults.Status(429)}, registry.ErrUnavailable, 1},
		{"a tag: 503", digest, faults.Rule{Path: manifests, Fault: faults.Status(503)}, registry.ErrUnavailable, 1},
		{"a tag: a page for people", digest, faults.Rule{Path: manifests, Fault: faults.HTML()}, registry.ErrBadAnswer, 2},
		{"an index: another one than asked for", platforms, faults.Rule{Path: manifests, Fault: faults.Twist(other)}, registry.ErrBadAnswer, 1},
		{"an index: a page for people", platforms, faults.Rule{Path: manifests, Fault: faults.HTML()}, registry.ErrBadAnswer, 1},
		{"an index: cut short", platforms, faults.Rule{Path: manifests, Fault: faults.Truncate(50)}, registry.ErrUnavailable, 1},
		{"an index: 200 MiB", platforms, faults.Rule{Path: manifests, Fault: faults.BigTag(200 << 20)}, registry.ErrBadAnswer, 1},
		{"a config: another one than named", config, faults.Rule{Path: blobs, Fault: faults.Body(`{"os":"linux","architecture":"amd64"}`)}, registry.ErrBadAnswer, 1},
		{"a config: gone", config, faults.Rule{Path: blobs, Fault: faults.Status(404)}, registry.ErrNotFound, 1},
		{"a config: a reset within the body", config, faults.Rule{Path: blobs, Fault: faults.ResetAfter(10)}, registry.ErrUnavailable, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := b.proxied(t)
			c := b.client(t, registry.Config{})
			again(t, func() error { return tc.ask(t, c, b.p.Host()) })
			b.p.Set(tc.rule)
			defer b.p.Set()
			b.p.Reset()
			err := tc.ask(t, c, b.p.Host())
			if tc.kind == nil && err != nil {
				t.Error(err)
			}
			if tc.kind != nil {
				mention(t, err, tc.kind, b.p.Host())
			}
			if n := b.p.Count("", tc.rule.Path); n > tc.tries {
				t.Errorf("%d requests, want at most %d: %+v", n, tc.tries, b.p.Requests())
			}
			b.p.Set()
			again(t, func() error { return tc.ask(t, c, b.p.Host()) })
		})
	}
}

func TestARealRegistryIsLeftAloneUntilItSaid(t *testing.T) {
	b := newBehind(t).proxied(t)
	c := b.client(t, registry.Config{})
	list := func() error {
		_, err := c.List(t.Context(), repo(t, b.p.Host()+"/team/web"), registry.Listing{})
		return err
	}
	b.p.Set(faults.Rule{Path: "/v2/team/web/*", Times: 1, Fault: faults.Status(429, "Retry-After", "2")})
	asked := time.Now()
	err := list()
	mention(t, err, registry.ErrUnavailable, "429")
	until := registry.RetryAt(err)
	// Headers say whole seconds.
	if until.Before(asked.Add(time.Second)) || until.After(time.Now().Add(2*time.Second)) {
		t.Errorf("to be asked again at %s, asked at %s", until, asked)
	}
	b.p.Reset()
	_, err = c.Digest(t.Context(), ref(t, b.p.Host()+"/team/api:1.0.0"))
	mention(t, err, registry.ErrUnavailable)
	if err == nil || !registry.RetryAt(err).Equal(until) || b.p.Count("", "") != 0 {
		t.Errorf("another image meanwhile: %d requests, %v", b.p.Count("", ""), err)
	}
	again(t, list)
	if now := time.Now(); now.Before(until) {
		t.Errorf("asked again at %s, which is before %s", now, until)
	}

	// What a bot before the restart was told holds for this one.
	fresh := b.client(t, registry.Config{})
	fresh.Hold(b.p.Host(), time.Now().Add(time.Hour))
	b.p.Reset()
	if _, err := fresh.List(t.Context(), repo(t, b.p.Host()+"/team/web"), registry.Listing{}); registry.RetryAt(err).IsZero() || b.p.Count("", "") != 0 {
		t.Errorf("held: %d requests, %v", b.p.Count("", ""), err)
	}
}

func TestARealRegistryThatGoesAwayAndComesBack(t *testing.T) {
	b := newBehind(t).proxied(t)
	c := b.client(t, registry.Config{})
	list := func() error {
		_, err := c.List(t.Context(), repo(t, b.p.Host()+"/team/web"), registry.Listing{})
		return err
	}
	again(t, list)
	c.Close() // no connection that was open before
	b.p.Drop(true)
	mention(t, list(), registry.ErrUnavailable, b.p.Host())
	b.p.Drop(false)
	again(t, list)
	if b.p.Dropped() == 0 {
		t.Error("no connection was dropped")
	}
}
