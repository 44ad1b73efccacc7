package registry_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
)

// oneKind fails the test unless err is one line of exactly one kind, without
// control characters and not endless.
func oneKind(t *testing.T, err error) {
	t.Helper()
	n := 0
	for _, kind := range []error{registry.ErrUnauthorized, registry.ErrNotFound, registry.ErrUnavailable, registry.ErrBadAnswer} {
		if errors.Is(err, kind) {
			n++
		}
	}
	if n != 1 || len(err.Error()) > 1000 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) || !utf8.ValidString(err.Error()) {
		t.Errorf("%d kinds, %q", n, err)
	}
}

func FuzzListOverTheWire(f *testing.F) {
	for _, s := range []struct{ body, link, etag string }{
		{`{"name":"web","tags":["1.0.0","v1\n evil"]}`, ``, `"x"`},
		{`{"tags":["a"]}`, `</v2/web/tags/list?last=a>; rel="next"`, `W/"y"`},
		{`{"tags":["a"],"next":"/v2/web/tags/list?last=a"}`, `<>;rel=prev`, ``},
		{`{"tags":null}`, `<//169.254.169.254/>`, "\x00"},
		{`<html>`, `<?last=1>,<?last=2>;rel="next"`, ``},
		{`{"tags":["` + strings.Repeat("\\u00e4", 300) + `"]}`, `<http:opaque>`, `"`},
	} {
		f.Add([]byte(s.body), s.link, s.etag)
	}
	web, err := image.ParseRepo("registry.example/web")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, link, etag string) {
		n := 0
		c := registry.New(registry.Config{MaxPages: 5, MaxBody: 1 << 20, Timeout: 10 * time.Second, Hosts: []registry.Host{{Host: "registry.example", RequestsPerSecond: 1e6}},
			Transport: headed(func(req *http.Request) (int, string, http.Header) {
				n++
				if req.URL.Scheme != "https" || req.URL.Host != "registry.example" {
					t.Errorf("asked %s", req.URL)
				}
				if req.URL.Path == "/v2/" {
					return 200, "", nil
				}
				if tag := req.Header.Get("If-None-Match"); tag != "" && tag == etag {
					return 304, "", nil
				}
				return 200, string(body), http.Header{"Link": {link}, "Etag": {etag}}
			})})
		first, err := c.List(context.Background(), web, registry.Listing{})
		if n > 6 {
			t.Errorf("%d requests", n)
		}
		if err != nil {
			oneKind(t, err)
			return
		}
		for _, tag := range first.Tags {
			if len(tag) > 260 || !utf8.ValidString(tag) {
				t.Errorf("tag of %d bytes: %q", len(tag), tag)
			}
		}
		again, err := c.List(context.Background(), web, first)
		if err != nil || strings.Join(again.Tags, "\n") != strings.Join(first.Tags, "\n") {
			t.Errorf("the same registry listed %q and then %q (%v)", first.Tags, again.Tags, err)
		}
	})
}

func FuzzWWWAuthenticate(f *testing.F) {
	for _, s := range []struct{ challenge, token, retry string }{
		{`Bearer realm="https://auth.example/token",service="r",scope="repository:web:pull"`, `{"token":"abc","expires_in":300}`, "30"},
		{`Bearer realm="http://169.254.169.254/latest"`, `{"access_token":"abc"}`, "soon"},
		{`Basic realm="x"`, ``, ""}, {`Negotiate, Basic realm="x"`, `{}`, "1"}, {`Bearer`, `[]`, "0"}, {`Bearer realm=https://a,service=`, `{"token":1}`, "-1"},
		{`bearer REALM="https://auth.example/\"token"`, `{"token":"a b"}`, "999999999999999999999"}, {`,,,=`, `null`, ""}, {`Bearer realm="`, `"`, ""},
	} {
		f.Add(s.challenge, s.token, s.retry)
	}
	web, err := image.ParseRepo("registry.example/web")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, challenge, token, retry string) {
		n := 0
		c := registry.New(registry.Config{Timeout: 10 * time.Second, Hosts: []registry.Host{{Host: "registry.example", RequestsPerSecond: 1e6}},
			Transport: headed(func(req *http.Request) (int, string, http.Header) {
				n++
				if req.URL.Scheme != "https" {
					t.Errorf("asked %s", req.URL)
				}
				if strings.HasPrefix(req.URL.Path, "/v2/") && req.URL.Host == "registry.example" {
					if req.Header.Get("Authorization") != "" {
						return 429, "", http.Header{"Retry-After": {retry}}
					}
					return 401, "", http.Header{"Www-Authenticate": {challenge}}
				}
				return 200, token, nil
			})})
		if _, err := c.List(context.Background(), web, registry.Listing{}); err == nil {
			t.Error("a list came out of nothing")
		} else {
			oneKind(t, err)
		}
		if n > 10 {
			t.Errorf("%d requests", n)
		}
	})
}
