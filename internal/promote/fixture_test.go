package promote

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const shopPolicies = `apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: web}
spec:
  image: registry.example/shop/web
  select: {semver: {range: "1.x"}}
---
apiVersion: towpath.dev/v1
kind: Pipeline
metadata: {name: shop}
spec:
  branch: main
  environments:
  - {name: dev, path: envs/dev, update: {policies: ["*"]}, merge: push}
  - {name: staging, path: envs/staging, from: [dev], merge: auto, gates: {healthy: {stableFor: 1m}, soak: {for: 10m}}}
  - {name: prod, path: envs/prod, from: [staging], merge: approval, gates: {approvals: {required: 2, from: ["user:alice", "user:bob"]}, soak: {for: 1h}}}
`

func deployment(tag string) string {
	return fmt.Sprintf("kind: Deployment\nspec:\n  image: registry.example/shop/web:%s # towpath: web\n", tag)
}

// shop is a situation in which each environment holds the given tag of web.
func shop(t *testing.T, dev, staging, prod string) Situation {
	t.Helper()
	fsys := fstest.MapFS{"policies/shop.yaml": {Data: []byte(shopPolicies)}}
	for env, tag := range map[string]string{"dev": dev, "staging": staging, "prod": prod} {
		fsys["envs/"+env+"/web/deployment.yaml"] = &fstest.MapFile{Data: []byte(deployment(tag))}
	}
	cfg, err := LoadConfig(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range cfg.Problems {
		t.Fatal(p)
	}
	s := Situation{Now: t0, Branch: "main", Commit: "1111111111111111111111111111111111111111", Policies: cfg.Policies, Pipelines: cfg.Pipelines,
		Envs: map[string]EnvState{}, Branches: map[string]BranchHead{},
		Config: Rules{User: "towpath", Silence: 15 * time.Minute, Authenticated: true}}
	for _, e := range cfg.Pipelines[0].Environments {
		v := parseEnv(fsys, e, nil)
		if v.problem != "" {
			t.Fatal(v.problem)
		}
		s.Envs[e.Name] = EnvState{Env: e, Apps: v.apps}
	}
	return s
}

// chosen adds what the registry offers for dev.
func (s Situation) chosen(tag string) Situation {
	pol := s.Policies[0]
	s.Choices = []scan.Result{{Env: "dev", App: "web", Wanted: true, Ref: image.Ref{Repo: pol.Image, Tag: image.Tag(tag)},
		Choice: policy.Choice{Policy: "web", Selected: image.Tag(tag), Changed: true, Reason: "highest in 1.x"}}}
	return s
}

// green adds a report that env runs what Git holds, healthy since the given age.
func (s Situation) green(env string, age time.Duration) Situation {
	return s.reported(env, env, state.Healthy, age)
}

func (s Situation) reported(env, cluster string, phase state.Phase, age time.Duration) Situation {
	app, _ := s.Envs[env].App("web")
	r := state.Report{Env: env, Cluster: cluster, At: s.Now, Apps: []state.AppReport{{App: "web", Content: app.Content, Phase: phase, Since: s.Now.Add(-age)}}}
	if phase == state.Degraded {
		r.Apps[0].Failing = []state.Failing{{Object: "apps/Deployment web/web", Reason: "0 of 2 pods are ready"}}
	}
	s.Reports = append(slices.Clone(s.Reports), r)
	return s
}

// proposed executes the proposals of a plan by hand: branches and pull requests
// as a forge would answer them.
func (s Situation) proposed(t *testing.T) Situation {
	t.Helper()
	s.Branches = maps.Clone(s.Branches)
	for i, p := range Decide(s).Propose {
		h := BranchHead{Commit: fmt.Sprintf("%040d", i+2), Parent: s.Commit, OnBase: true, Content: p.Content, Files: map[string]string{}, Before: map[string]string{}}
		for _, f := range p.Files {
			h.Paths = append(h.Paths, f.Path)
			h.Files[f.Path] = gitrepo.BlobHash(f.Data)
			h.Before[f.Path] = s.hashOf(p.Move, f.Path)
		}
		branch := BranchOf(p.Env.Name, p.App)
		s.Branches[branch] = h
		s.Pulls = append([]pr.Pull{{Number: i + 1, Branch: branch, Base: s.Branch, Head: h.Commit, Open: true, Author: "towpath", Title: Title(p.Move), Body: Body(p, s)}}, s.Pulls...)
	}
	return s
}

// with changes an app that is there.
func (s Situation) with(env string, edit func(*AppState)) Situation {
	e := s.Envs[env]
	e.Apps = slices.Clone(e.Apps)
	edit(&e.Apps[0])
	e.Apps[0].Content = patch.Content(env, e.Apps[0].Name, e.Apps[0].Values)
	s.Envs[env] = e
	return s
}

func (s Situation) pull(edit func(*pr.Pull)) Situation {
	s.Pulls = slices.Clone(s.Pulls)
	edit(&s.Pulls[0])
	return s
}

func approve(p *pr.Pull, users ...string) {
	for _, u := range users {
		p.Reviews = append(p.Reviews, pr.Review{User: u, State: pr.Approved, Commit: p.Head, At: t0, Authenticated: true, CanWrite: true})
	}
}
