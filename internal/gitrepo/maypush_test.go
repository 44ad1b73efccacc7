package gitrepo

import (
	"errors"
	"net/http/httptest"
	"testing"

	"towpath.dev/towpath/test/githttp"
)

func TestWhetherAPushWouldBeTaken(t *testing.T) {
	for name, c := range map[string]struct {
		options githttp.Options
		want    error
	}{
		"by a server that takes pushes":      {},
		"by a server that lets us only read": {options: githttp.Options{ReadOnly: true}, want: ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := bare(t, root, "config.git")
			put(t, dir, "main", "", map[string]string{"a": "0\n"})
			h, err := githttp.Handler(root, c.options)
			check(t, err)
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			r := open(t, Config{URL: server.URL + "/config.git", Dir: t.TempDir()})
			before := must(r.Head("main"))(t)
			if err := r.MayPush(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			check(t, r.Fetch(t.Context()))
			if after := must(r.Head("main"))(t); after != before || r.Counts().Pushes != 0 {
				t.Error("asking pushed something")
			}
		})
	}
}
