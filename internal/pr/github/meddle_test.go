package github

import (
	"net/http"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"towpath.dev/towpath/internal/pr"
)

func diff(want, got pr.Pull) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

// meddler does something after every request.
type meddler struct{ do func() }

func (m *meddler) around(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if m.do != nil {
			m.do()
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
