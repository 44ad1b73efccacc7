package github

import (
	"context"
	"net/url"

	"towpath.dev/towpath/internal/pr"
)

// App is a GitHub App's credentials.
type App struct {
	ID           string // App ID or client ID
	KeyFile      string // private key, PEM
	Installation int64  // 0: the repository's
}

// bind says which repository the tokens are for; called once by Open before anything else.
func (a *App) bind(_ Config, _ *url.URL) error { return nil }

// Token is an installation's access token.
func (a *App) Token(context.Context) (string, error) { return "", pr.ErrUnsupported }

// refused says that GitHub refused a token, which is minted anew.
func (a *App) refused(_ string) {}

// user is our login as an App: slug[bot].
func (a *App) user(context.Context, *Forge) (string, error) { return "", pr.ErrUnsupported }
