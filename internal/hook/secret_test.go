package hook_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/hook"
)

// sampleOf is one push of every provider.
func sampleOf(t testing.TB, p hook.Provider) []byte {
	name, ok := map[hook.Provider]string{hook.GHCR: "package", hook.JFrog: "pushed"}[p]
	if !ok {
		name = "push"
	}
	return sample(t, string(p)+"/"+name)
}

// header and query say where a test puts a proof.
func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func query(raw string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery = raw }
}

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func both(a, b func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) { a(r); b(r) }
}

func TestASenderProvesTheSecretInItsProvidersWay(t *testing.T) {
	escaped := "token=" + url.QueryEscape(secret)
	signature := func(p hook.Provider, key string) string { return sign(key, sampleOf(t, p)) }
	for _, tc := range []struct {
		provider hook.Provider
		name     string
		proof    func(*http.Request)
		good     bool
	}{
		{hook.DockerHub, "token in the query", query(escaped), true},
		{hook.DockerHub, "token beside others", query("a=b&" + escaped + "&c"), true},
		{hook.DockerHub, "token not escaped", query("token=" + secret), true},
		{hook.DockerHub, "another token", query("token=wrong"), false},
		{hook.DockerHub, "the token and more", query(escaped + "r"), false},
		{hook.DockerHub, "the start of the token", query(escaped[:len(escaped)-1]), false},
		{hook.DockerHub, "an empty token", query("token="), false},
		{hook.DockerHub, "no token", query(""), false},
		{hook.DockerHub, "two tokens", query(escaped + "&" + escaped), false},
		{hook.DockerHub, "another parameter", query("x" + escaped), false},
		{hook.DockerHub, "an escape that is none", query("token=%zz"), false},
		{hook.DockerHub, "a header, which Docker Hub cannot send", header("Authorization", secret), false},
		{hook.Quay, "token in the query", query(escaped), true},
		{hook.Quay, "another token", query("token=wrong"), false},

		{hook.GHCR, "signature", header("X-Hub-Signature-256", "sha256="+signature(hook.GHCR, secret)), true},
		{hook.GHCR, "signature in upper case", header("X-Hub-Signature-256", "sha256="+strings.ToUpper(signature(hook.GHCR, secret))), true},
		{hook.GHCR, "another secret's signature", header("X-Hub-Signature-256", "sha256="+signature(hook.GHCR, "wrong")), false},
		{hook.GHCR, "the empty secret's signature", header("X-Hub-Signature-256", "sha256="+signature(hook.GHCR, "")), false},
		{hook.GHCR, "the signature of another body", header("X-Hub-Signature-256", "sha256="+sign(secret, []byte("{}"))), false},
		{hook.GHCR, "signature without its prefix", header("X-Hub-Signature-256", signature(hook.GHCR, secret)), false},
		{hook.GHCR, "signature in the old header", header("X-Hub-Signature", "sha1=6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b"), false},
		{hook.GHCR, "a signature too short", header("X-Hub-Signature-256", "sha256="+signature(hook.GHCR, secret)[:62]), false},
		{hook.GHCR, "a signature that is no hex", header("X-Hub-Signature-256", "sha256="+strings.Repeat("x", 64)), false},
		{hook.GHCR, "two signatures", both(header("X-Hub-Signature-256", "sha256="+signature(hook.GHCR, secret)), header("X-Hub-Signature-256", "sha256="+signature(hook.GHCR, secret))), false},
		{hook.GHCR, "the secret in the query", query(escaped), false},

		{hook.Harbor, "the value as typed", header("Authorization", secret), true},
		{hook.Harbor, "bearer", header("Authorization", "Bearer "+secret), true},
		{hook.Harbor, "bearer in lower case", header("Authorization", "bearer  "+secret), true},
		{hook.Harbor, "password", basic("harbor", secret), true},
		{hook.Harbor, "user", basic(secret, "harbor"), false},
		{hook.Harbor, "another value", header("Authorization", "wrong"), false},
		{hook.Harbor, "an empty bearer", header("Authorization", "Bearer "), false},
		{hook.Harbor, "an empty password", basic("harbor", ""), false},
		{hook.Harbor, "two values", both(header("Authorization", secret), header("Authorization", secret)), false},
		{hook.Harbor, "the query", query(escaped), false},
		{hook.Distribution, "bearer", header("Authorization", "Bearer "+secret), true},
		{hook.Distribution, "another bearer", header("Authorization", "Bearer wrong"), false},

		{hook.ACR, "a custom header", header("Authorization", secret), true},
		{hook.ACR, "the query, for Event Grid", query(escaped), true},
		{hook.ACR, "a good one beside a bad one", both(header("Authorization", "wrong"), query(escaped)), true},
		{hook.ACR, "two bad ones", both(header("Authorization", "wrong"), query("token=wrong")), false},
		{hook.ACR, "nothing", query(""), false},

		{hook.ECR, "an API key", header("X-Api-Key", secret), true},
		{hook.ECR, "an API key named Authorization", header("Authorization", secret), true},
		{hook.ECR, "password", basic("eventbridge", secret), true},
		{hook.ECR, "another API key", header("X-Api-Key", "wrong"), false},
		{hook.ECR, "the query", query(escaped), false},

		{hook.JFrog, "the secret", header("X-JFrog-Event-Auth", secret), true},
		{hook.JFrog, "the body signed with it", header("X-JFrog-Event-Auth", signature(hook.JFrog, secret)), true},
		{hook.JFrog, "another secret", header("X-JFrog-Event-Auth", "wrong"), false},
		{hook.JFrog, "the body signed with another", header("X-JFrog-Event-Auth", signature(hook.JFrog, "wrong")), false},
		{hook.JFrog, "nothing", query(escaped), false},
	} {
		t.Run(string(tc.provider)+" "+tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(sampleOf(t, tc.provider)))
			tc.proof(r)
			e, err := hook.ReadEvent(nil, r, tc.provider, []byte(secret))
			if tc.good && (err != nil || len(e.Images) == 0) {
				t.Errorf("%v, %v", e, err)
			}
			if !tc.good && (!errors.Is(err, hook.ErrUnauthorized) || len(e.Images)+len(e.Dropped)+len(e.Answer) != 0) {
				t.Errorf("%v, %v", e, err)
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), escaped)) {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

func TestWithoutASecretEverybodyIsRefused(t *testing.T) {
	for _, p := range hook.Providers() {
		for _, none := range [][]byte{nil, {}} {
			e, err := hook.ReadEvent(nil, request(p, "", sampleOf(t, p)), p, none)
			if !errors.Is(err, hook.ErrUnauthorized) || e.Images != nil {
				t.Errorf("%s: %v, %v", p, e, err)
			}
		}
	}
}

func TestNothingIsReadForWhoeverBringsNoProof(t *testing.T) {
	for _, p := range hook.Providers() {
		r := httptest.NewRequest(http.MethodPost, "/?token=wrong", noBody{t})
		r.Header.Set("Authorization", "Bearer wrong")
		r.Header.Set("X-Api-Key", "wrong")
		r.Header.Set("X-JFrog-Event-Auth", "wrong")
		r.Header.Set("X-Hub-Signature-256", "sha256=wrong")
		if _, err := hook.Read(nil, r, p, []byte(secret)); !errors.Is(err, hook.ErrUnauthorized) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestErrorsHaveTheirStatusAndQuoteNothing(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":[`, n/2) + strings.Repeat(`]}`, n/2) }
	for _, tc := range []struct {
		name     string
		provider hook.Provider
		method   string
		body     io.Reader
		want     error
		status   int
	}{
		{"another provider", "gitlab", "POST", noBody{t}, hook.ErrProvider, 404},
		{"no provider", "", "POST", noBody{t}, hook.ErrProvider, 404},
		{"GET", hook.Harbor, "GET", noBody{t}, hook.ErrMethod, 405},
		{"PUT", hook.Harbor, "PUT", noBody{t}, hook.ErrMethod, 405},
		{"OPTIONS", hook.ACR, "OPTIONS", noBody{t}, hook.ErrMethod, 405},
		{"one byte too many", hook.Harbor, "POST", strings.NewReader(strings.Repeat(" ", hook.MaxBody+1)), hook.ErrTooLarge, 413},
		{"one byte too many of unknown length", hook.Harbor, "POST", io.LimitReader(spaces{}, hook.MaxBody+1), hook.ErrTooLarge, 413},
		{"an endless body", hook.Harbor, "POST", spaces{}, hook.ErrTooLarge, 413},
		{"as many bytes as may be", hook.Harbor, "POST", strings.NewReader("{}" + strings.Repeat(" ", hook.MaxBody-2)), nil, 200},
		{"a body that breaks off", hook.Harbor, "POST", io.MultiReader(strings.NewReader("{"), broken{}), hook.ErrPayload, 400},
		{"no body", hook.Harbor, "POST", nil, hook.ErrPayload, 400},
		{"blanks", hook.Harbor, "POST", strings.NewReader(" \n"), hook.ErrPayload, 400},
		{"no JSON", hook.Harbor, "POST", strings.NewReader("hunter2"), hook.ErrPayload, 400},
		{"half of it", hook.Harbor, "POST", strings.NewReader(`{"type":"hunter2`), hook.ErrPayload, 400},
		{"two values", hook.Harbor, "POST", strings.NewReader(`{}{"hunter2":1}`), hook.ErrPayload, 400},
		{"another form", hook.Harbor, "POST", strings.NewReader(`["hunter2"]`), hook.ErrPayload, 400},
		{"another type", hook.Harbor, "POST", strings.NewReader(`{"type":{"hunter2":1}}`), hook.ErrPayload, 400},
		{"a form", hook.Harbor, "POST", strings.NewReader(`payload={}`), hook.ErrPayload, 400},
		{"gzip", hook.Harbor, "POST", strings.NewReader("\x1f\x8b\x08hunter2"), hook.ErrPayload, 400},
		{"as deep as may be", hook.Harbor, "POST", strings.NewReader(deep(hook.MaxDepth)), nil, 200},
		{"too deep", hook.Harbor, "POST", strings.NewReader(deep(hook.MaxDepth + 2)), hook.ErrPayload, 400},
		{"brackets in a text", hook.Harbor, "POST", strings.NewReader(`{"a":"\"` + strings.Repeat("[", 500) + `"}`), nil, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/?token=hunter2", tc.body)
			if tc.body == nil {
				r.Body = nil
			}
			r.Header.Set("Authorization", "Bearer "+secret)
			e, err := hook.ReadEvent(nil, r, tc.provider, []byte(secret))
			if !errors.Is(err, tc.want) || hook.StatusCode(err) != tc.status || len(e.Images) != 0 {
				t.Fatalf("%v, error %v, status %d, want %d", e, err, hook.StatusCode(err), tc.status)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), secret)) {
				t.Errorf("the error quotes the request: %v", err)
			}
		})
	}
	if got := hook.StatusCode(io.EOF); got != http.StatusInternalServerError {
		t.Errorf("an error that is none of ours: %d", got)
	}
	if got := hook.StatusCode(fmt.Errorf("x: %w", hook.ErrUnauthorized)); got != http.StatusUnauthorized {
		t.Errorf("no proof: %d", got)
	}
}

// noBody fails the test when it is read.
type noBody struct{ t *testing.T }

func (b noBody) Read([]byte) (int, error) {
	b.t.Error("the body was read")
	return 0, io.EOF
}

type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestARealServerStaysUsable sends over a real connection what a stranger and
// what a registry would send, one after the other.
func TestARealServerStaysUsable(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := hook.ReadEvent(w, r, hook.Provider(strings.TrimPrefix(r.URL.Path, "/")), []byte(secret))
		w.WriteHeader(hook.StatusCode(err))
		fmt.Fprint(w, len(e.Images))
	}))
	defer server.Close()
	client := server.Client()
	// A refusal is read before the body is sent; a client that is still sending
	// may find the connection closed.
	client.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	for _, tc := range []struct {
		name   string
		proof  string
		body   io.Reader
		status int
		images string
	}{
		{"a push", secret, bytes.NewReader(sampleOf(t, hook.Harbor)), 200, "1"},
		{"a stranger with a long body", "wrong", io.LimitReader(spaces{}, 64<<20), 401, "0"},
		{"a body too long, in chunks", secret, io.LimitReader(spaces{}, hook.MaxBody+1), 413, "0"},
		{"a push after that", secret, bytes.NewReader(sampleOf(t, hook.Harbor)), 200, "1"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/harbor", tc.body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", tc.proof)
		r.Header.Set("Expect", "100-continue")
		answer, err := client.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != tc.status || string(text) != tc.images {
			t.Errorf("%s: %d %s (%v), want %d %s", tc.name, answer.StatusCode, text, err, tc.status, tc.images)
		}
	}
}
