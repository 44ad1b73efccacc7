package registry_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
)

const canary = "s3cret-canary"

// raw is a server that answers each request with bytes, whatever they are. HOST
// in them is its own host.
func raw(t *testing.T, answer func(r *http.Request) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(conn))
			if err == nil {
				_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
				_, _ = io.WriteString(conn, strings.ReplaceAll(answer(r), "HOST", host))
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return host
}

func body(status, headers, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, headers, len(body), body)
}

// TestNothingOfARegistrysOwnTextIsShown has each answer carry a text that would
// be found in an error, a log line or a pull request.
func TestNothingOfARegistrysOwnTextIsShown(t *testing.T) {
	ok := body("200 OK", "", "")
	for name, tc := range map[string]struct {
		ping, rest string
		kind       error
	}{
		"no HTTP at all":                     {ok, canary + "\r\n\r\n", registry.ErrBadAnswer},
		"a strange version":                  {ok, "HTTP/" + canary + " 200 OK\r\n\r\n", registry.ErrBadAnswer},
		"a strange status":                   {ok, "HTTP/1.1 2" + canary + "\r\n\r\n", registry.ErrBadAnswer},
		"a status text":                      {ok, body("500 "+canary, "", canary), registry.ErrUnavailable},
		"a broken header":                    {ok, "HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n", registry.ErrBadAnswer},
		"endless headers":                    {ok, "HTTP/1.1 200 OK\r\nX: " + strings.Repeat(canary, 50_000) + "\r\n\r\n", registry.ErrBadAnswer},
		"headers without end":                {ok, "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+canary+"\r\n", 50_000), registry.ErrBadAnswer},
		"a strange length":                   {ok, "HTTP/1.1 200 OK\r\nContent-Length: " + canary + "\r\n\r\n", registry.ErrBadAnswer},
		"two lengths":                        {ok, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + canary, registry.ErrUnavailable},
		"a strange encoding":                 {ok, "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + canary + "\r\n\r\n", registry.ErrUnavailable},
		"a broken chunk":                     {ok, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + canary + "\r\n", registry.ErrUnavailable},
		"gzip that is none":                  {ok, body("200 OK", "Content-Encoding: gzip\r\n", canary), registry.ErrBadAnswer},
		"an error in JSON":                   {ok, body("404 Not Found", "", `{"errors":[{"code":"`+canary+`","message":"`+canary+`","detail":"`+canary+`"}]}`), registry.ErrNotFound},
		"a body that is no JSON":             {ok, body("200 OK", "", canary), registry.ErrBadAnswer},
		"a body of another shape":            {ok, body("200 OK", "", `{"tags":{"`+canary+`":1}}`), registry.ErrBadAnswer},
		"a link":                             {ok, body("200 OK", "Link: <http://"+canary+".example/>; rel=next\r\n", `{"tags":[]}`), registry.ErrBadAnswer},
		"a link that is none":                {ok, body("200 OK", "Link: <"+canary+"\r\n", `{"tags":[]}`), registry.ErrBadAnswer},
		"a redirect to a path":               {ok, body("302 Found", "Location: ://"+canary+"\r\n", ""), registry.ErrUnavailable},
		"a redirect to a scheme":             {ok, body("302 Found", "Location: gopher:"+canary+"\r\n", ""), registry.ErrUnavailable},
		"a redirect with a password":         {ok, body("302 Found", "Location: http://x:"+canary+"@HOST/\r\n", ""), registry.ErrBadAnswer},
		"a ping that fails":                  {body("500 "+canary, "", canary), ok, registry.ErrUnavailable},
		"a ping of another kind":             {body("302 Found", "Location: "+canary+":x\r\n", canary), ok, registry.ErrUnavailable},
		"a login without a realm":            {challenge(`Bearer service="` + canary + `"`), ok, registry.ErrBadAnswer},
		"a realm that is none":               {challenge(`Bearer realm="` + canary + `"`), ok, registry.ErrBadAnswer},
		"a realm of another scheme":          {challenge(`Bearer realm="ftp://HOST/` + canary + `"`), ok, registry.ErrUnavailable},
		"a realm with a password":            {challenge(`Bearer realm="http://u:` + canary + `@HOST/"`), ok, registry.ErrBadAnswer},
		"a realm in plain http":              {challenge(`Bearer realm="http://other.example/` + canary + `"`), ok, registry.ErrUnavailable},
		"a realm that redirects in a circle": {challenge(`Bearer realm="http://HOST/v2/"`), ok, registry.ErrUnauthorized},
		"a token server's body":              {challenge(`Bearer realm="http://HOST/token"`), body("200 OK", "", `{"`+canary+`":1}`), registry.ErrBadAnswer},
		"a token server's text":              {challenge(`Bearer realm="http://HOST/token"`), body("200 OK", "", canary), registry.ErrBadAnswer},
		"a token server's status":            {challenge(`Bearer realm="http://HOST/token"`), body("403 "+canary, "", canary), registry.ErrUnauthorized},
		"a token with a newline":             {challenge(`Bearer realm="http://HOST/token"`), body("200 OK", "", `{"token":"x\n`+canary+`"}`), registry.ErrBadAnswer},
		"a token of another type":            {challenge(`Bearer realm="http://HOST/token"`), body("200 OK", "", `{"token":["`+canary+`"]}`), registry.ErrBadAnswer},
		"a huge token":                       {challenge(`Bearer realm="http://HOST/token"`), body("200 OK", "", `{"token":"`+strings.Repeat(canary, 20_000)+`"}`), registry.ErrBadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			host := raw(t, func(r *http.Request) string {
				if r.URL.Path == "/v2/" {
					return tc.ping
				}
				return tc.rest
			})
			c := client(t, registry.Config{InsecureHosts: []string{host}, Timeout: 20 * time.Second})
			l, err := c.List(t.Context(), repo(t, host+"/web"), registry.Listing{})
			if l.Tags != nil || l.Pages != nil {
				t.Errorf("something came with the error: %+v", l)
			}
			mention(t, err, tc.kind, "list tags of "+host+"/web: ")
			if strings.Contains(err.Error(), canary) || len(err.Error()) > 700 {
				t.Errorf("%d bytes, with the registry's own text: %.1000v", len(err.Error()), err)
			}
		})
	}
}

func challenge(value string) string {
	return body("401 Unauthorized", "WWW-Authenticate: "+value+"\r\n", "")
}

func TestManifestsThatAreNotWhatWasAskedFor(t *testing.T) {
	odd := func(w http.ResponseWriter, digest string) {
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("Content-Type", "text/"+canary)
	}
	for name, tc := range map[string]struct {
		answer   http.HandlerFunc
		mentions string
	}{
		"a digest of another kind":  {func(w http.ResponseWriter, _ *http.Request) { odd(w, "sha512:"+strings.Repeat("0", 128)) }, "no sha256 digest"},
		"no digest at all":          {func(w http.ResponseWriter, _ *http.Request) { odd(w, canary) }, "no sha256 digest"},
		"a manifest without an end": {func(w http.ResponseWriter, r *http.Request) { fill(w, r) }, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := faulty(t, tc.answer)
			c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
			_, err := c.Digest(t.Context(), ref(t, hostOf(srv)+"/web:1"))
			mention(t, err, registry.ErrBadAnswer, "resolve ", tc.mentions)
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the registry's own text: %v", err)
			}
			_, err = c.Platforms(t.Context(), repo(t, hostOf(srv)+"/web"), image.Digest(someDigest))
			if strings.Contains(name, "end") {
				mention(t, err, registry.ErrBadAnswer, "longer than")
			}
		})
	}
}

func TestATrickleIsGivenUpAfterTheTimeout(t *testing.T) {
	srv, _ := faulty(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"tags":[`)
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, `"1.0.0",`)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}, Timeout: 200 * time.Millisecond})
	_, err := c.List(t.Context(), repo(t, hostOf(srv)+"/web"), registry.Listing{})
	mention(t, err, registry.ErrUnavailable, "no whole answer within 200ms")
	if errors.Is(err, registry.ErrBadAnswer) {
		t.Errorf("two kinds at once: %v", err)
	}
}
