package migrate

import (
	"os"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// ofFlux and ofUpdater are the policy that comes of a Flux policy's selector, and of an
// entry of image-list with further annotations.
func ofFlux(t *testing.T, selector string) policy.Policy {
	t.Helper()
	return onlyPolicy(t, Flux([]patch.File{{Path: "a.yaml", Data: []byte(fluxRepository("image: acme/web, interval: 1m") + fluxPolicy("web", selector))}}, ""))
}

func ofUpdater(t *testing.T, entry string, annotations ...string) policy.Policy {
	t.Helper()
	annotations = append(annotations, "image-list: '"+entry+"'", "write-back-method: git")
	return onlyPolicy(t, ImageUpdater([]patch.File{{Path: "a.yaml", Data: []byte(application("a", "envs/dev", annotations...))}}, ""))
}

func onlyPolicy(t *testing.T, r Result) policy.Policy {
	t.Helper()
	config := loads(t, nil, r)
	if len(config.Policies) != 1 {
		t.Fatalf("there are %d policies: %s", len(config.Policies), notesOf(r))
	}
	return config.Policies[0]
}

// TestTheGuidesTellWhatIsChosenOtherwise reads the examples of the guides.
func TestTheGuidesTellWhatIsChosenOtherwise(t *testing.T) {
	for guide, of := range map[string]func(string) policy.Policy{
		"migrate-from-flux.md":                 func(s string) policy.Policy { return ofFlux(t, "policy: {"+s+"}") },
		"migrate-from-argocd-image-updater.md": func(s string) policy.Policy { return ofUpdater(t, s) },
	} {
		data, err := os.ReadFile("../../docs/guides/" + guide)
		if err != nil {
			t.Fatal(err)
		}
		_, table, ok := strings.Cut(string(data), "\n### What is chosen\n")
		table, _, ok2 := strings.Cut(table, "\n## ")
		if !ok || !ok2 {
			t.Fatalf("%s has no examples", guide)
		}
		examples := 0
		for row := range strings.Lines(table) {
			cells := strings.Split(row, " | ")
			if !strings.HasPrefix(row, "| `") || len(cells) != 6 || !strings.Contains(cells[1], "`") {
				continue
			}
			for i := range cells {
				cells[i] = strings.Trim(cells[i], "|` \n")
			}
			examples++
			spec, current, theirs, ours := cells[0], cells[1], cells[3], cells[4]
			tags := strings.Fields(cells[2])
			if !strings.Contains(row, current+" left the registry") {
				tags = append(tags, current)
			}
			if c := policy.Select(of(spec), tags, image.Tag(current)); string(c.Selected) != ours || ours == theirs {
				t.Errorf("%s: %s\nchooses %s: %s", guide, strings.TrimSpace(row), c.Selected, c.Reason)
			}
		}
		if examples < 14 {
			t.Errorf("%s: only %d examples", guide, examples)
		}
	}
}

// TestTheSameIsChosen: five lists for each kind of policy, of which Flux and Image
// Updater choose what Towpath does.
func TestTheSameIsChosen(t *testing.T) {
	const commits = `filterTags: {pattern: '^main-[a-f0-9]+-(?P<n>\d+)$', extract: '$n'}, `
	for selector, lists := range map[string]map[string]string{ // current and tags: the chosen one
		"policy: {semver: {range: '*'}}": {
			"1.0.0 0a1b2c3 deadbeef 1234567 1.0.1": "1.0.1", "2024.01.05 2024.02.10 2024.10.01 2023.12.31": "2024.10.01", "2024.1.5 2024.2.10 2024.10.1": "2024.10.1",
			"1.02.0 1.03.0 1.10.0": "1.10.0", "latest 1.0.0": "1.0.0",
		},
		"policy: {semver: {range: 1.x}}": {
			"1.4.5 1.4.6 1.5.0 2.0.0": "1.5.0", "1.1.0 1.2.0-rc.1 1.2.0-rc1 1.2.0rc1": "1.1.0", "1.5.0 1.4.0 1.5.1 1.6.0": "1.6.0", "v1.0.0 v1.1.0": "v1.1.0", "1.2.3 2.0.0": "1.2.3",
		},
		"policy: {semver: {range: '>=1.0.0-0'}}": {
			"1.1.0 1.2.0-rc.1 1.2.0-rc1 1.2.0rc1": "1.2.0-rc1", "1.0.0-rc.1 1.0.0": "1.0.0", "1.0.0-rc.1 1.0.0-beta.2 1.0.0-rc.2": "1.0.0-rc.2", "1.0.0 0.9.0 1.0.1": "1.0.1", "1.4.5 2.0.0-beta.1": "2.0.0-beta.1",
		},
		`filterTags: {pattern: '^(\d+\.\d+\.\d+)-alpine$', extract: '$1'}, policy: {semver: {range: '*'}}`: {
			"3.7.0-alpine 3.7.0 3.7.0b1 3.7-alpine 3.8.0-alpine 3.8.0b1-alpine 3.8.2": "3.8.0-alpine", "1.0.0-alpine 1.1.0": "1.0.0-alpine", "1.0.0-alpine 1.0.1-alpine 1.0.2-slim": "1.0.1-alpine",
			"1.9.0-alpine 1.10.0-alpine": "1.10.0-alpine", "1.0.0-alpine 1.0.0-alpine3.19": "1.0.0-alpine",
		},
		"policy: {alphabetical: {order: asc}}": {
			"2024.1.5 2024.2.10 2024.10.1": "2024.2.10", "2024-01-05 2024-02-10 2023-12-31": "2024-02-10", "V0.5.0 V0.6.0 0.7.0": "V0.6.0", "v2.2.0 v2.3.0-rc.0.18.g1abb7b5dd-ppc64le": "v2.3.0-rc.0.18.g1abb7b5dd-ppc64le", "1.0.0 1.0.1 latest": "latest",
		},
		"policy: {alphabetical: {order: desc}}": {
			"c b a": "a", "2024-01-05 2024-02-10 2023-12-31": "2023-12-31", "1.0.0 0a1b2c3": "0a1b2c3", "9 10": "10", "A a": "A",
		},
		"policy: {numerical: {order: asc}}":  {"1 2 10 9": "10", "20240101 20240601 20231231": "20240601", "007 08 9": "9", "5": "5", "1 0": "1"},
		"policy: {numerical: {order: desc}}": {"9 10 2 1": "1", "20240101 20240601 20231231": "20231231", "5": "5", "0 1": "0", "007 08": "007"},
		commits + "policy: {numerical: {order: asc}}": {
			"main-abc1234-100 main-bcd2345-101 main-aaaaaaa-99 dev-abc-200": "main-bcd2345-101", "main-abc1234-9 main-fff2345-10": "main-fff2345-10", "main-a-1 latest v1.0.0": "main-a-1",
			"main-a-1 main-b-02": "main-b-02", "main-a-1 main-g-7 main-b-3": "main-b-3",
		},
	} {
		same(t, selector, ofFlux(t, selector), lists)
	}
	for _, test := range []struct {
		entry, annotations string
		lists              map[string]string
	}{
		{"web=acme/web", "update-strategy: semver", map[string]string{
			"1.4.5 1.4.6 1.5.0 2.0.0": "2.0.0", "2024.01.05 2024.02.10 2024.10.01 2023.12.31": "2024.10.01", "18.04 18.10 20.04 22.04": "22.04", "1.1.0 1.2.0-rc.1 1.2.0-rc1 1.2.0rc1": "1.1.0", "latest 1.0.0": "1.0.0",
		}},
		{"web=acme/web:~1.4", "update-strategy: semver", map[string]string{
			"1.4.5 1.4.6 1.5.0 2.0.0": "1.4.6", "1.4.0 1.4.10 1.4.9": "1.4.10", "v1.4.0 v1.4.1": "v1.4.1", "1.4.0 1.4.1-rc.1": "1.4.0", "1.4.0 1.5.0": "1.4.0",
		}},
		{"web=acme/web", "update-strategy: alphabetical", map[string]string{
			"2024.1.5 2024.2.10 2024.10.1": "2024.2.10", "19.0.0 22.0.0 2025.1.0": "22.0.0", "1.25.7.5604 1.25.8.5663 1.26.0.5715": "1.26.0.5715", "someenv-1.15 someenv-1.15.2 someenv-1.16": "someenv-1.16", "1.0.0 0a1b2c3 deadbeef 1.0.1": "deadbeef",
		}},
		{"web=acme/web", "allow-tags: 'regexp:^v'", map[string]string{
			"v1.0.0 1.1.0 v1.0.5": "v1.0.5", "v1.0.0 1.1.0 v1.1.0": "v1.1.0", "v2.2.0 v2.3.0-rc.0.18.g1abb7b5dd-ppc64le": "v2.2.0", "v1.0.0 2.0.0": "v1.0.0", "v1.0.0 v1.10.0 v1.9.0": "v1.10.0",
		}},
		{"web=acme/web", "ignore-tags: '*-rc*, 2.*, latest'", map[string]string{
			"1.0.0 2.0.0 1.1.0": "1.1.0", "1.0.0 1.2.0-rc1": "1.0.0", "1.0.0 latest": "1.0.0", "1.0.0 1.2.0 12.0.0": "12.0.0", "1.0.0 2.1.0": "1.0.0",
		}},
		{"web=acme/web:stable", "update-strategy: digest", map[string]string{
			"stable latest 1.0.0": "stable", "latest stable": "stable", "1.0.0 stable": "stable", "stable": "stable", "stable stable-alpine": "stable",
		}},
	} {
		same(t, test.annotations, ofUpdater(t, test.entry, test.annotations), test.lists)
	}
}

func same(t *testing.T, name string, p policy.Policy, lists map[string]string) {
	t.Helper()
	if len(lists) < 5 {
		t.Errorf("%s: only %d lists", name, len(lists))
	}
	for text, want := range lists {
		tags := strings.Fields(text)
		if c := policy.Select(p, tags, image.Tag(tags[0])); string(c.Selected) != want {
			t.Errorf("%s: of %s comes %s: %s", name, text, c.Selected, c.Reason)
		}
	}
}
