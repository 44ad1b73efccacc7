package registry

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func FuzzLinkHeader(f *testing.F) {
	for _, s := range []string{
		`</v2/x/tags/list?last=1>; rel="next"`, `<http://other/v2/x/tags/list>`, `<//other/x>`, `<?n=1>`, `<`, `<>`, `x`,
		`<https://ghcr.io:443/x>`, `<http:/x>`, `<javascript:alert(1)>`, `<\\evil\x>`, `<https://ghcr.io@other/x>`,
	} {
		f.Add(s)
	}
	here, err := url.Parse("https://ghcr.io/v2/x/tags/list?n=1000")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, link string) {
		target, err := nextLink(http.Header{"Link": {link}})
		if err != nil || target == "" {
			return
		}
		if !strings.Contains(link, target) {
			t.Fatalf("%q is not in %q", target, link)
		}
		next, err := continues(here, target)
		if err != nil {
			return
		}
		u, err := url.Parse(next)
		if err != nil || u.Scheme != "https" || u.Host != "ghcr.io" || u.User != nil || len(next) > maxPageURL {
			t.Errorf("%q was let through as %q (%v)", link, next, err)
		}
	})
}
