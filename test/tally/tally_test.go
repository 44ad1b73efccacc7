package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the answers seen into testdata")

// The events under testdata were recorded from go test on small packages.
func TestRunSaysWhatFailedAndCounts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range ar.Files {
				files[f.Name] = string(f.Data)
			}
			var out bytes.Buffer
			code := run(strings.NewReader(files["events"]), &out, nil)
			got := out.String() + "exit " + string(rune('0'+code)) + "\n"
			if *update {
				ar.Files = []txtar.File{{Name: "events", Data: []byte(files["events"])}, {Name: "want", Data: []byte(got)}}
				if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(files["want"], got); diff != "" {
				t.Errorf("answer differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunningNamesThePackagesThatHaveNotEnded(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var out bytes.Buffer
	r := newReport(&out)
	r.running(start)
	r.add(event{Action: "start", Package: "towpath.dev/towpath/internal/kube", Time: start})
	r.running(start.Add(90 * time.Second))
	if code := r.close(); code != 1 {
		t.Errorf("exit code %d for a package that did not end, want 1", code)
	}
	want := "...   building\n" +
		"...   still running: internal/kube (1m30s)\n" +
		"FAIL  towpath.dev/towpath/internal/kube  did not end\n" +
		"0 passed, 1 failed, 0 skipped\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output differs (-want +got):\n%s", diff)
	}
}
