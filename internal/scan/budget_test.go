package scan_test

import (
	"fmt"
	"testing"

	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/test/ociregistry"
)

// TestTheWireBudget: one listing per repository and tick, one ping per host, one
// token per repository; no body twice; nothing after a restart.
func TestTheWireBudget(t *testing.T) {
	const repos, tags, policies = 50, 100, 3
	w := newWorldAt(t, ociregistry.Config{ETags: true, Tokens: true}, nil)
	var wants []scan.Want
	for i := range repos {
		repo := fmt.Sprintf("team/app%02d", i)
		w.tagAll(repo, tags)
		for j := range policies {
			wants = append(wants, w.want(repo, fmt.Sprintf("1.%d.0", tags-1), func(x *scan.Want) { x.App = fmt.Sprint(j) }))
		}
	}
	type budget struct{ lists, tokens, pings, heads, all, bytes int }
	spend := func(name string, most budget) {
		t.Helper()
		w.reg.Reset()
		for _, r := range w.scan(wants...).Results {
			stays(t, r, fmt.Sprintf("1.%d.0", tags-1))
			if len(r.Rejected) != tags-1 {
				t.Fatalf("%s: %d tags are rejected", name, len(r.Rejected))
			}
		}
		var got budget
		for i := range repos {
			got.lists += w.reg.Listings(fmt.Sprintf("team/app%02d", i))
		}
		got.tokens, got.pings, got.heads, got.all, got.bytes = w.reg.Tokens(), w.reg.Pings(), w.heads(), len(w.reg.Requests()), w.reg.ListBytes()
		if got.lists != most.lists || got.tokens > most.tokens || got.pings > most.pings || got.heads > most.heads || got.all > most.all || got.bytes > most.bytes {
			t.Errorf("%s: %+v, want at most %+v", name, got, most)
		}
	}
	spend("the first tick", budget{lists: repos, tokens: repos, pings: 1, all: 2*repos + 1, bytes: repos * tags * 20})
	spend("a tick that nothing is due at", budget{})
	w.nextListing()
	spend("the second listing", budget{lists: repos, all: repos})
	w.start()
	spend("after a restart", budget{})
	w.nextListing()
	spend("the first listing after a restart", budget{lists: repos, all: repos})
	w.tagAll("team/app07", tags+1)
	w.nextListing()
	w.reg.Reset()
	rep := w.scan(wants...)
	for i, r := range rep.Results {
		if i/policies == 7 {
			selects(t, r, fmt.Sprintf("1.%d.0", tags))
		} else {
			stays(t, r, fmt.Sprintf("1.%d.0", tags-1))
		}
	}
	if b := w.reg.ListBytes(); w.heads() != 1 || b == 0 || b > 2*tags*20 {
		t.Errorf("one image has news: %d digests, %d bytes of lists", w.heads(), b)
	}
}

// tagAll names one small image by n tags.
func (w *world) tagAll(repo string, n int) {
	w.t.Helper()
	for i := range n {
		w.put(repo, fmt.Sprintf("1.%d.0", i), "application/vnd.oci.image.manifest.v1+json", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`)
	}
}
