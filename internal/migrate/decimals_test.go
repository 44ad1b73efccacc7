package migrate

import (
	"strings"
	"testing"
)

func TestNumbersWithDecimalsAreSaid(t *testing.T) {
	for filter, want := range map[string]bool{
		`pattern: '^(\d+\.\d+)$', extract: '$1'`:            true,
		`pattern: '^v(?P<n>[0-9.]+)$', extract: '${n}'`:     true,
		`pattern: '^b(\d+)-(\d+)$', extract: '$1.$2'`:       true,
		`pattern: '^\d+(\.\d+)?$'`:                          true,
		`pattern: '^1\.0\.(\d+)$', extract: '$1'`:           false,
		`pattern: '^main-[a-f0-9]+-(\d+)$', extract: '$1'`:  false,
		`pattern: '^build-(.*)$', extract: '$1'`:            false,
		`pattern: '^([\w.]+)-(?P<n>\d+)$', extract: '$n'`:   false,
		`pattern: '^(?P<a>\d+\.)(?P<b>\d+)$', extract: $b`:  false,
		`pattern: '^(\d+', extract: '$1'`:                   false,
		`pattern: '^r(\d+\.\d+)-(\d+)$', extract: '$2-$1'`:  true,
		`pattern: '^(?P<a>\d+)(?P<b>\.\d+)$', extract: $ab`: false,
	} {
		e := example{yaml: strings.Replace(typed("", ", filterTags: {"+filter+"}", ""), "semver: {range: 1.x}", "numerical: {order: asc}", 1),
			want: map[string][]string{"notes": {"!has decimals"}, "policies/web.yaml": {"!has decimals"}}}
		if want {
			e.want = map[string][]string{"notes": {"ImagePolicy/web: policy.numerical: what filterTags takes out of a tag"}, "policies/web.yaml": {"  # TODO: policy.numerical", "\n  select:"}}
		}
		e.run(t, filter, Flux)
	}
	for value, want := range map[string]bool{
		"image: a/b:1.5": true, `image: "a/b:1.5"`: true, "newTag: '1.5'": true, "image: r.e:5000/b:2.5@sha256:" + strings.Repeat("a", 64): true, "tag: 1e3.5": false,
		"image: a/b:15": false, "image: a/b": false, "image: a/b:1.5.0": false, "image: a/b:v1.5": false, "image: r.e:5000/b": false, "image: ''": false, "": false, "x: 1.5 # 1.6": true,
	} {
		e := example{files: map[string]string{"envs/dev/x.yaml": "a: b\n" + value + " # {\"$imagepolicy\": \"apps:web\"}\n"},
			yaml: strings.Replace(typed("", "", ""), "semver: {range: 1.x}", "numerical: {}", 1), want: map[string][]string{"notes": {"!decimals"}}}
		if want {
			e.want["notes"] = []string{"at envs/dev/x.yaml:2 has decimals"}
		}
		e.run(t, value, Flux)
	}
	example{files: map[string]string{"envs/dev/x.yaml": "image: a/b:v1.5 # {\"$imagepolicy\": \"apps:web\"}\n"},
		yaml: strings.Replace(typed("", ", filterTags: {pattern: '^v(.*)$', extract: '$1'}", ""), "semver: {range: 1.x}", "numerical: {}", 1),
		want: map[string][]string{"notes": {"the tag v1.5 at envs/dev/x.yaml:1 has decimals"}}}.run(t, "a filter is applied", Flux)
	example{files: map[string]string{"envs/dev/x.yaml": "image: a/b:1.5 # {\"$imagepolicy\": \"apps:web\"}\n"}, yaml: typed("", "", ""),
		want: map[string][]string{"notes": {"!decimals"}}}.run(t, "versions are none", Flux)
}
