package promote

import (
	"maps"
	"testing"
	"testing/fstest"
)

func TestAFolderDiffersFromWhatWasReadByWhatCountsOnly(t *testing.T) {
	base := func() fstest.MapFS {
		fsys := fstest.MapFS{"policies/shop.yaml": {Data: []byte(shopPolicies)}}
		for _, env := range []string{"dev", "staging", "prod"} {
			fsys["envs/"+env+"/web/deployment.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: v1\nmetadata: {name: x}\n" + deployment("1.0.0"))}
		}
		return fsys
	}
	read := base()
	cfg, err := LoadConfig(read)
	if err != nil {
		t.Fatal(err)
	}
	s := Situation{Branch: "main", Policies: cfg.Policies, Pipelines: cfg.Pipelines, Problems: cfg.Problems, Envs: map[string]EnvState{}}
	for _, pl := range cfg.Pipelines {
		for _, env := range pl.Environments {
			v := parseEnv(read, env, nil)
			s.Envs[env.Name] = EnvState{Env: env, Apps: v.apps, Problem: v.problem}
		}
	}
	tests := []struct {
		name  string
		files map[string]string // written over what was read
		want  bool
	}{
		{"the same files", nil, false},
		{"a file that is neither policy nor marked", map[string]string{"README.md": "x", "envs/dev/web/other.yaml": "a: b\n"}, false},
		{"another marked value", map[string]string{"envs/dev/web/deployment.yaml": "apiVersion: v1\nmetadata: {name: x}\n" + deployment("1.1.0")}, true},
		{"a new app with a marker", map[string]string{"envs/dev/new/deployment.yaml": "apiVersion: v1\nmetadata: {name: x}\n" + deployment("1.0.0")}, true},
		{"a new policy", map[string]string{"policies/new.yaml": "apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: new}\nspec: {image: r.example/new, select: {semver: {range: 1.x}}}\n"}, true},
		{"a new pipeline", map[string]string{"policies/new.yaml": "apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: new}\nspec: {branch: main, environments: [{name: lab, path: envs/lab, update: {policies: [\"*\"]}, merge: push}]}\n"}, true},
		{"a broken policy", map[string]string{"policies/new.yaml": "apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: new}\nspec: {imgae: r.example/new}\n"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fsys := maps.Clone(base())
			for p, data := range tt.files {
				fsys[p] = &fstest.MapFile{Data: []byte(data)}
			}
			if got := s.Differs(fsys); got != tt.want {
				t.Errorf("Differs = %v, want %v", got, tt.want)
			}
		})
	}
}
