package promote

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/gitrepo"
)

func TestWhatWeWroteLastIsReadFromTrailers(t *testing.T) {
	log := []gitrepo.Commit{
		{Hash: "4", Message: "by hand\n\nTowpath-Environment of no use\n"},
		{Hash: "3", Message: "prod: web (#2)\n\nTowpath-Environment: prod\nTowpath-App: web\nTowpath-Policy: web\nTowpath-From: staging@1\nTowpath-Content: sha256:c3\nTowpath-Approved-By: alice\n"},
		{Hash: "2", Message: "update 2 apps\r\n\r\nTowpath-Environment: dev\r\nTowpath-App: web\r\nTowpath-Content: sha256:a2\r\nTowpath-Environment: dev\r\nTowpath-App: api\r\nTowpath-Content: sha256:b2\r\n"},
		{Hash: "1", Message: "dev: web\n\nTowpath-Environment: dev\nTowpath-App: web\nTowpath-Content: sha256:a1\n"},
	}
	want := map[string]Written{"prod/web": {"3", "sha256:c3"}, "dev/web": {"2", "sha256:a2"}, "dev/api": {"2", "sha256:b2"}}
	if d := cmp.Diff(want, lastWritten(log)); d != "" {
		t.Error(d)
	}
}
