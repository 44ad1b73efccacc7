package github_test

import (
	"context"
	"net/http"
	"testing"

	"towpath.dev/towpath/internal/pr/github"
	"towpath.dev/towpath/test/forges"
)

func TestAProxysPasswordIsNotSaidBack(t *testing.T) {
	forges.ProxyKeepsItsPassword(t, func(root string, through *http.Transport) error {
		_, err := github.Open(t.Context(), github.Config{URL: root, Repo: "team/config", Transport: through,
			Token: func(context.Context) (string, error) { return "forge-canary", nil }})
		return err
	})
}
