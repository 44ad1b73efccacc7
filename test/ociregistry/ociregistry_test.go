package ociregistry_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

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
