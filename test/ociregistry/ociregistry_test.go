package ociregistry_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"towpath.dev/towpath/test/ociregistry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, url, user, password string) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(all)
}

func TestPushedTagsAreListedInPagesAndCounted(t *testing.T) {
	s, err := ociregistry.Start(ociregistry.Config{User: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.PushAll("team/web", "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete("team/web", "b"); err != nil {
		t.Fatal(err)
	}
	if n := s.Count("", ""); n != 0 {
		t.Errorf("pushes were counted: %d", n)
	}
	url := "http://" + s.Host() + "/v2/team/web/tags/list?n=1"
	if status, _, _ := get(t, url, "u", "wrong"); status != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", status)
	}
	_, header, body := get(t, url, "u", "p")
	var list struct{ Tags []string }
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Tags) != 1 || list.Tags[0] != "a" {
		t.Errorf("first page %s, %v", body, err)
	}
	if link := header.Get("Link"); link != `</v2/team/web/tags/list?last=a&n=1>; rel="next"` {
		t.Errorf("link %q", link)
	}
	_, header, body = get(t, url+"&last=a", "u", "p")
	if !strings.Contains(body, `["c"]`) || header.Get("Link") != "" {
		t.Errorf("last page %s, link %q", body, header.Get("Link"))
	}
	got := s.Requests()
	if len(got) != 3 || s.Listings("team/web") != 3 || got[0].Status != 401 || !got[2].Authorized || got[2].Query != "n=1&last=a" {
		t.Errorf("requests %+v", got)
	}
	if s.Reset(); len(s.Requests()) != 0 {
		t.Error("Reset kept requests")
	}
}

func TestAPushReplacesWhatATagNames(t *testing.T) {
	s, err := ociregistry.Start(ociregistry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, err := s.Push("web", "main")
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Push("web", "main")
	if err != nil {
		t.Fatal(err)
	}
	_, header, _ := get(t, "http://"+s.Host()+"/v2/web/manifests/main", "", "")
	if got := header.Get("Docker-Content-Digest"); first == second || got != second {
		t.Errorf("pushed %s, then %s; the tag names %s", first, second, got)
	}
}

// send asks as given, and returns the answer without its body.
// answer is what a test needs of a response.
type answer struct {
	StatusCode int
	Header     http.Header
}

func send(t *testing.T, url string, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return answer{resp.StatusCode, resp.Header}
}

func TestAListThatDidNotChangeHasNoBody(t *testing.T) {
	s, err := ociregistry.Start(ociregistry.Config{ETags: true, PageSize: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.PushAll("web", "a", "b"); err != nil {
		t.Fatal(err)
	}
	url := "http://" + s.Host() + "/v2/web/tags/list"
	first := send(t, url, http.Header{})
	if first.StatusCode != http.StatusOK || first.Header.Get("ETag") == "" || s.ListBytes() == 0 {
		t.Fatalf("%d, %v, %d bytes", first.StatusCode, first.Header, s.ListBytes())
	}
	s.Reset()
	with := http.Header{"If-None-Match": {first.Header.Get("ETag")}}
	if again := send(t, url, with); again.StatusCode != http.StatusNotModified || s.ListBytes() != 0 {
		t.Errorf("%d, %d bytes", again.StatusCode, s.ListBytes())
	}
	if err := s.PushAll("web", "c"); err != nil { // the page is the same, but no longer the last
		t.Fatal(err)
	}
	if after := send(t, url, with); after.StatusCode != http.StatusOK || after.Header.Get("Link") == "" {
		t.Errorf("%d, %v", after.StatusCode, after.Header)
	}
}

func TestATokenIsForOneRepositoryAndEnds(t *testing.T) {
	s, err := ociregistry.Start(ociregistry.Config{User: "u", Password: "p", Tokens: true, TokenLife: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.PushAll("web", "a"); err != nil {
		t.Fatal(err)
	}
	base := "http://" + s.Host()
	ping := send(t, base+"/v2/", http.Header{})
	if c := ping.Header.Get("WWW-Authenticate"); ping.StatusCode != http.StatusUnauthorized || c != `Bearer realm="`+base+`/token",service="`+s.Host()+`"` {
		t.Errorf("%d, challenge %q", ping.StatusCode, c)
	}
	list := base + "/v2/web/tags/list"
	if c := send(t, list, http.Header{}).Header.Get("WWW-Authenticate"); !strings.Contains(c, `scope="repository:web:pull"`) {
		t.Errorf("challenge %q", c)
	}
	token := func(scope, password string) string {
		_, _, body := get(t, base+"/token?scope="+scope, "u", password)
		var answer struct {
			Token   string
			Expires int `json:"expires_in"`
		}
		if password == "p" && (json.Unmarshal([]byte(body), &answer) != nil || answer.Expires != 1) {
			t.Errorf("token %s", body)
		}
		return answer.Token
	}
	if token("repository:web:pull", "wrong") != "" {
		t.Error("a token for a wrong password")
	}
	status := func(token string) int {
		return send(t, list, http.Header{"Authorization": {"Bearer " + token}}).StatusCode
	}
	other, right := token("repository:api:pull", "p"), token("repository:web:pull", "p")
	if status(right) != 200 || status(other) != 401 || status("x") != 401 {
		t.Errorf("with the token %d, with another's %d, with none %d", status(right), status(other), status("x"))
	}
	for status(right) == 200 {
		time.Sleep(10 * time.Millisecond)
	}
	if s.Tokens() != 3 || s.Pings() != 1 {
		t.Errorf("%d tokens and %d pings were counted", s.Tokens(), s.Pings())
	}
}

func TestFailuresOnDemand(t *testing.T) {
	s, err := ociregistry.Start(ociregistry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	base := "http://" + s.Host()
	s.Fail(&ociregistry.Failure{Status: 429, RetryAfter: "7", Path: "/v2/web/"})
	if r := send(t, base+"/v2/web/tags/list", http.Header{}); r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") != "7" {
		t.Errorf("%d, %v", r.StatusCode, r.Header)
	}
	if r := send(t, base+"/v2/", http.Header{}); r.StatusCode != http.StatusOK {
		t.Errorf("another path: %d", r.StatusCode)
	}
	s.Fail(nil)
	if r := send(t, base+"/v2/web/tags/list", http.Header{}); r.StatusCode != http.StatusNotFound {
		t.Errorf("healed: %d", r.StatusCode)
	}
}
