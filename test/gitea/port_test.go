package gitea

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"towpath.dev/towpath/test/build"
)

func TestAPortTakenByAnotherGiteaIsNotUsed(t *testing.T) {
	built, err := Build(t.Context(), build.Config{Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status": "pass", "description": "Gitea in /elsewhere"}`))
	}))
	t.Cleanup(other.Close)
	u, err := url.Parse(other.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(built)
	if err := s.prepare(filepath.Join(t.TempDir(), "new")); err != nil {
		t.Fatal(err)
	}
	if err := s.startAt(t.Context(), built, port); !errors.Is(err, errPortTaken) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
