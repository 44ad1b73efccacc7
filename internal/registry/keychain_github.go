package registry

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/authn/github"
	"github.com/google/go-containerregistry/pkg/name"
)

// githubLogin logs in at ghcr.io with $GITHUB_TOKEN, as a workflow of GitHub has
// it. A TokenFile is better: it can be renewed while the process runs.
func githubLogin(_ context.Context, host string) (*authn.AuthConfig, time.Time, error) {
	if host != githubHost {
		return nil, time.Time{}, errors.New("it is not " + githubHost)
	}
	where, err := name.NewRegistry(host)
	if err != nil {
		return nil, time.Time{}, err
	}
	found, err := github.Keychain.Resolve(where)
	if err != nil || found == authn.Anonymous {
		return nil, time.Time{}, errors.New("GITHUB_TOKEN is not set")
	}
	auth, err := found.Authorization()
	if err != nil {
		return nil, time.Time{}, errors.New("GITHUB_TOKEN cannot be used")
	}
	return auth, time.Time{}, nil
}
