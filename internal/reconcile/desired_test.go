package reconcile

import (
	"testing"
	"testing/fstest"

	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/patch"
)

func TestAFileTooLargeForMarkersHidesNoOtherFile(t *testing.T) {
	marked := &fstest.MapFile{Data: []byte("image: ghcr.io/example/web:1.0.0 # towpath: web\n")}
	alone := manifest.AppDir{Name: "web", Files: []string{"web/deployment.yaml"}}
	want, err := contentOf(fstest.MapFS{"web/deployment.yaml": marked}, "dev", alone)
	if err != nil {
		t.Fatal(err)
	}
	if none := patch.Content("dev", "web", nil); want == none {
		t.Fatal("the marker is not read")
	}
	beside := manifest.AppDir{Name: "web", Files: []string{"web/crds.yaml", "web/deployment.yaml"}}
	got, err := contentOf(fstest.MapFS{
		"web/deployment.yaml": marked,
		"web/crds.yaml":       {Data: make([]byte, patch.MaxFileSize+1)},
	}, "dev", beside)
	if err != nil || got != want {
		t.Errorf("content %s, %v; want %s", got, err, want)
	}
}
