package promote

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// held reads a history of one app: one commit a line, oldest first, "by: value".
// By is towpath or a person; the value "-" is no marker, and tag@d is a pinned
// one.
func held(lines string) []Held {
	var out []Held
	for i, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		by, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		h := Held{Commit: fmt.Sprintf("c%d", i+1), Ours: by == "towpath", Values: map[string]image.Ref{"side": {Tag: "9"}}}
		if value != "-" {
			h.Values["web"] = refOf(value)
		}
		out = append([]Held{h}, out...)
	}
	return out
}

func refOf(value string) image.Ref {
	tag, digest, _ := strings.Cut(value, "@")
	r := image.Ref{Tag: image.Tag(tag)}
	if digest != "" {
		r.Digest = image.Digest("sha256:" + strings.Repeat(digest, 64))
	}
	return r
}

func TestAPersonsRevert(t *testing.T) {
	repo, err := image.ParseRepo("registry.example/shop/web")
	if err != nil {
		t.Fatal(err)
	}
	semver := func(r string) policy.Policy {
		return policy.Policy{Name: "web", Image: repo, Semver: &policy.Semver{Range: r}}
	}
	down := semver("1.x")
	down.AllowDowngrade = true
	without := semver("1.x")
	without.Exclude = []policy.Exclude{{Text: "1.3.0"}}
	follow := policy.Policy{Name: "web", Image: repo, DigestTag: "main"}
	tests := []struct {
		name    string
		policy  policy.Policy
		history string // the last line is what Git holds
		next    string
		want    string // "FROM > TO by COMMIT"; "" when nothing holds
	}{
		{"nobody took anything back", semver("1.x"), "alice: 1.0.0\ntowpath: 1.1.0", "1.2.0", ""},
		{"what Towpath wrote last was taken back", semver("1.x"), "alice: 1.0.0\ntowpath: 1.1.0\nalice: 1.0.0", "1.1.0", "1.1.0 > 1.0.0 by c3"},
		{"something newer than it goes on", semver("1.x"), "alice: 1.0.0\ntowpath: 1.1.0\nalice: 1.0.0", "1.1.1", ""},
		{"what a person had put there counts alike", semver("1.x"), "alice: 1.3.0\nalice: 1.2.0", "1.3.0", "1.3.0 > 1.2.0 by c2"},
		{"something between the two waits, too", semver("1.x"), "alice: 1.3.0\nalice: 1.1.0", "1.2.0", "1.3.0 > 1.1.0 by c2"},
		{"a step up in between releases nothing", semver("1.x"), "towpath: 1.3.0\nalice: 1.1.0\nalice: 1.2.0", "1.3.0", "1.3.0 > 1.1.0 by c2"},
		{"an older revert holds when the newer one does not", semver("1.x"), "towpath: 1.3.0\nalice: 1.2.0\nalice: 1.1.0", "1.3.0", "1.3.0 > 1.2.0 by c2"},
		{"the newest of several is said", semver("1.x"), "towpath: 1.3.0\nalice: 1.2.0\nalice: 1.1.0", "1.2.0", "1.2.0 > 1.1.0 by c3"},
		{"the revert of a revert releases", semver("1.x"), "towpath: 1.3.0\nalice: 1.2.0\nbob: 1.3.0\ntowpath: 1.2.9", "1.3.0", ""},
		{"and so does a person who goes further", semver("1.x"), "towpath: 1.3.0\nalice: 1.2.0\nbob: 1.4.0\ntowpath: 1.2.0", "1.3.0", ""},
		{"a revert after a revert of a revert holds again", semver("1.x"), "towpath: 1.3.0\nalice: 1.2.0\nbob: 1.3.0\nalice: 1.2.0", "1.3.0", "1.3.0 > 1.2.0 by c4"},
		{"a person's step up is no revert", semver("1.x"), "towpath: 1.2.0\nalice: 1.3.0", "1.4.0", ""},
		{"Towpath's own step down is none", down, "towpath: 1.3.0\ntowpath: 1.2.0", "1.3.0", ""},
		{"a step down does not undo a person's step down", down, "towpath: 1.3.0\nalice: 1.2.0", "1.1.0", ""},
		{"a policy that was narrowed below what was taken back goes on", semver("~1.2"), "alice: 1.3.0\nalice: 1.2.0", "1.2.1", ""},
		{"a policy that excludes it goes on", without, "alice: 1.3.0\nalice: 1.1.0", "1.2.0", ""},
		{"deleted and added again is a revert", semver("1.x"), "towpath: 1.3.0\nalice: -\nalice: 1.2.0", "1.3.0", "1.3.0 > 1.2.0 by c3"},
		{"deleted and added again as it was is none", semver("1.x"), "towpath: 1.3.0\nalice: -\nalice: 1.3.0\ntowpath: 1.2.0", "1.3.0", ""},
		{"replaced by what is no version holds", semver("1.x"), "towpath: 1.3.0\nalice: hotfix", "1.3.0", "1.3.0 > hotfix by c2"},
		{"another spelling of it holds as it is", semver("1.x"), "towpath: v1.3.0\nalice: 1.3.0", "v1.3.0", "v1.3.0 > 1.3.0 by c2"},
		{"a version of another image says nothing", semver("1.x"), "alice: other.example/web:1.9.0\nalice: 1.2.0", "1.3.0", ""},
		{"exactly the digest that was taken back", follow, "towpath: main@a\ntowpath: main@b\nalice: main@a", "main@b", "main@b > main@a by c3"},
		{"another digest goes on", follow, "towpath: main@a\ntowpath: main@b\nalice: main@a", "main@c", ""},
		{"a digest that was put back", follow, "towpath: main@b\nalice: main@a\nbob: main@b\ntowpath: main@c", "main@b", ""},
		{"a digest that was taken out", follow, "towpath: main@b\nalice: main", "main@b", "main@b > main by c2"},
		{"the same tag anew: its digest tells", semver("1.x"), "towpath: 1.3.0@b\nalice: 1.3.0@a", "1.3.0@b", "1.3.0@b > 1.3.0@a by c2"},
		{"a refreshed digest is no revert of a version", semver("1.x"), "towpath: 1.3.0@a\nalice: 1.2.0@b", "1.2.0@c", ""},
		{"a pinned version that was taken back holds whatever its digest", semver("1.x"), "towpath: 1.3.0@a\nalice: 1.2.0@b", "1.3.0@c", "1.3.0@a > 1.2.0@b by c2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			past := held(strings.ReplaceAll(tt.history, "other.example/web:", "other/"))
			for _, h := range past { // a value of another image
				if v, ok := h.Values["web"]; ok {
					if tag, found := strings.CutPrefix(string(v.Tag), "other/"); found {
						other, err := image.ParseRepo("other.example/web")
						if err != nil {
							t.Fatal(err)
						}
						h.Values["web"] = image.Ref{Repo: other, Tag: image.Tag(tag)}
					}
				}
			}
			w := newWrite(tt.policy, past[0].Values["web"], refOf(tt.next))
			got := ""
			if r, ok := w.reverted(past); ok {
				got = fmt.Sprintf("%s > %s by %s", inShort(r.from), inShort(r.to), r.commit)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// inShort is the reverse of refOf.
func inShort(r image.Ref) string {
	if r.Digest == "" {
		return string(r.Tag)
	}
	return string(r.Tag) + "@" + string(r.Digest[len("sha256:")])
}

func TestARevertKeepsAnOpenPullRequestFromBeingMerged(t *testing.T) {
	const h = 3600e9
	s := shop(t, "1.1.0", "1.0.0", "1.0.0").green("dev", h).proposed(t)
	ref := func(tag string) map[string]image.Ref {
		return map[string]image.Ref{"web": {Repo: s.Policies[0].Image, Tag: image.Tag(tag)}}
	}
	s.Past = map[string][]Held{"staging/web": {{Commit: "abc", Values: ref("1.0.0")}, {Commit: "abb", Values: ref("1.1.0")}, {Commit: "aba", Values: ref("1.0.0")}}}
	const want = "wait #1; revert pending: 1.1.0 was in staging until commit abc took it back to 1.0.0; it waits for something newer than 1.1.0, or for a person to put it there"
	if got := sketch(Decide(s)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestOfTwoValuesOfAnAppOneRevertHoldsOneWhereTheyEnter has an app with a side
// car: what a person took back waits, the other goes on.
func TestOfTwoValuesOfAnAppOneRevertHoldsOneWhereTheyEnter(t *testing.T) {
	ref := func(repo, tag string) image.Ref {
		r, err := image.ParseRef("registry.example/shop/" + repo + ":" + tag)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	s := shop(t, "1.0.0", "1.0.0", "1.0.0")
	side := s.Policies[0]
	side.Name, side.Image = "side", ref("side", "1").Repo
	s.Policies = append(s.Policies, side)
	s = s.with("dev", func(a *AppState) {
		f := patch.File{Path: "envs/dev/web/side.yaml", Data: []byte("image: registry.example/shop/side:1.0.0 # towpath: side\n")}
		ms, _ := patch.Markers(f)
		a.Files, a.Markers = append(a.Files, f), append(a.Markers, ms...)
		a.Values = map[string]image.Ref{"web": ref("web", "1.0.0"), "side": ref("side", "1.0.0")}
	})
	s = s.chosen("1.1.0")
	c := s.Choices[0]
	c.Policy, c.Ref = "side", ref("side", "1.1.0")
	s.Choices = append(s.Choices, c)
	if got, want := sketch(Decide(s)), "push dev: web side 1.0.0 → 1.1.0, web 1.0.0 → 1.1.0"; got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	open := s
	held := func(web, side string) map[string]image.Ref {
		return map[string]image.Ref{"web": ref("web", web), "side": ref("side", side)}
	}
	s.Past = map[string][]Held{"dev/web": {{Commit: "c", Values: held("1.0.0", "1.0.0")}, {Commit: "b", Ours: true, Values: held("1.1.0", "1.0.0")}}}
	const hold = "hold dev/web: web 1.1.0 was in dev until commit c took it back to 1.0.0; it waits for something newer than 1.1.0, or for a person to put it there"
	if got, want := sketch(Decide(s)), "push dev: web side 1.0.0 → 1.1.0\n"+hold; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// The same by pull request: one that carries both is rebuilt without it.
	byPull := func(s Situation) Situation {
		dev := s.Envs["dev"]
		dev.Env.Merge = policy.MergeAuto
		s.Envs, s.Pipelines = maps.Clone(s.Envs), []policy.Pipeline{s.Pipelines[0]}
		s.Envs["dev"] = dev
		s.Pipelines[0].Environments = slices.Clone(s.Pipelines[0].Environments)
		s.Pipelines[0].Environments[0].Merge = policy.MergeAuto
		return s
	}
	open = byPull(open).proposed(t)
	s = byPull(s)
	s.Pulls, s.Branches = open.Pulls, open.Branches
	if got, want := sketch(Decide(s)), "propose #1 dev: web side 1.0.0 → 1.1.0 superseding side 1.1.0, web 1.1.0\n"+hold; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// With nothing left to carry it must not be merged.
	s.Choices = s.Choices[:1]
	if got := sketch(Decide(s)); !strings.HasPrefix(got, "wait #1; revert pending: web 1.1.0 was in dev until commit c") {
		t.Errorf("got\n%s", got)
	}
}
