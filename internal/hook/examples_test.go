package hook_test

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/hook"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example is one event of @octokit/webhooks-examples with its payloads.
type example struct {
	Name     string            `json:"name"`
	Examples []json.RawMessage `json:"examples"`
}

// examplesOf are those of one version of GitHub.
func examplesOf(t testing.TB, file string) []example {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	if err := json.NewDecoder(text).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func exampleFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/forges/github/*.json.gz")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return files
}

// TestEveryExampleOfGitHubsWebhooksIsAPokeOrIgnored reads each payload as GitHub
// sends it. The golden file has what became of each event, once.
func TestEveryExampleOfGitHubsWebhooksIsAPokeOrIgnored(t *testing.T) {
	const examples, golden = 726, "testdata/forges/github/pokes.txt"
	read, results := 0, map[string]bool{}
	for _, file := range exampleFiles(t) {
		in := receiver(hook.GitHub)
		for _, e := range examplesOf(t, file) {
			for i, body := range e.Examples {
				poke, err := in.Read(nil, webhook(hook.GitHub, e.Name, fmt.Sprint(e.Name, i), body))
				if err != nil {
					t.Errorf("%s, %s %d: %v", filepath.Base(file), e.Name, i, err)
				}
				results[e.Name+action(t, body)+": "+written(poke)] = true
				read++
			}
		}
	}
	if read != examples {
		t.Errorf("%d examples, want %d", read, examples)
	}
	got := strings.Join(slices.Sorted(maps.Keys(results)), "\n") + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, -update writes it anew):\n%s", golden, diff)
	}
}

func action(t *testing.T, body []byte) string {
	var e struct {
		Action string `json:"action"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatal(err)
	}
	if e.Action == "" {
		return ""
	}
	return " " + e.Action
}

// written is a poke in one line.
func written(p hook.Poke) string {
	parts := append([]string{string(p.Kind)}, p.Repos...)
	if p.Branch != "" {
		parts = append(parts, "branch "+p.Branch)
	}
	if p.Number != 0 {
		parts = append(parts, fmt.Sprintf("#%d", p.Number))
	}
	if p.Commit != "" {
		parts = append(parts, "commit "+p.Commit)
	}
	if p.Reason != "" {
		parts = append(parts, "("+p.Reason+")")
	}
	return strings.Join(parts, " ")
}
