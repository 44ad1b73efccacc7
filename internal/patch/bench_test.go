package patch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/image"
)

// corpus makes n files of 2 KB, each with one marker when marked. They are what
// repositories hold: lists of settings, probes, quotes, comments, commands in
// flow style, a config map with a text, values of a chart.
func corpus(n int, marked bool) []File {
	marker := ""
	if marked {
		marker = " # towpath: web"
	}
	forms := []string{deployment, configured, chart, crd}
	files := make([]File, n)
	for i := range files {
		text := strings.ReplaceAll(forms[i%len(forms)], "WEB", "ghcr.io/example/web:1.0.0"+marker)
		text = strings.ReplaceAll(text, "NAME", fmt.Sprintf("web-%d", i))
		for j := 0; len(text) < 2000; j++ {
			text += fmt.Sprintf("# setting %d\nsetting%d:\n  - name: SETTING_%d\n    value: \"some value %d\"\n    enabled: true\n", j, j, j, j)
		}
		files[i] = File{Path: fmt.Sprintf("apps/%d/deployment.yaml", i), Data: []byte(text)}
	}
	return files
}

const (
	deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  labels: {app: NAME, tier: frontend}
  annotations:
    example.com/description: 'it''s the web'
spec:
  replicas: 3
  template:
    spec:
      containers:
      - name: web
        image: WEB
        command: ["/bin/web", "--listen", ":8080"]
        args:
        - --config=/etc/web/config.yaml
        - --verbose
        ports:
        - containerPort: 8080   # plain HTTP
        readinessProbe:
          httpGet:
            path: /ready
            port: 8080
        resources:
          limits: {cpu: 500m, memory: 128Mi}
        volumeMounts:
        - name: config
          mountPath: /etc/web
      volumes:
      - name: cache
        emptyDir: {}
`
	configured = `---
apiVersion: v1
kind: ConfigMap
metadata:
  name: NAME
data:
  config.yaml: |
    # the listener
    listen: ":8080"

    upstreams:
      - http://api:8080
  entrypoint.sh: |-
    #!/bin/sh
    set -eu
    exec "$@"
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: NAME
spec:
  schedule: "*/5 * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: job
              image: WEB
`
	chart = `# Values of the chart.
global:
  labels: {}
web:
  image: WEB
  replicas: 2
  ingress:
    enabled: true
    hosts:
      - host: "web.example.com"
        paths: ["/"]
  nodeSelector: {}
  tolerations: []
  probe:
    initialDelaySeconds: 5
`
	crd = `apiVersion: example.com/v1
kind: Web
metadata:
  name: NAME
spec:
  image: WEB
  description: a text that is folded
    over two lines, as generators write it
  schema:
    properties:
      size:
        description: 'The size. More info:
          https://example.com/docs/size'
        type: integer
`
)

// policies returns n sets, the first of which is that of the corpus.
func policies(b *testing.B, n int, tag string) []Set {
	sets := []Set{{Policy: "web", Ref: ref(b, "ghcr.io/example/web:"+tag)}}
	for i := 1; i < n; i++ {
		sets = append(sets, Set{Policy: fmt.Sprintf("other-%d", i), Ref: image.Ref{Tag: "1"}})
	}
	return sets
}

func benchmark(b *testing.B, files []File, sets []Set, edits, current int) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if r := Apply(files, sets); len(r.Edits) != edits || len(r.UpToDate) != current {
			b.Fatalf("%d edits and %d up to date, want %d and %d", len(r.Edits), len(r.UpToDate), edits, current)
		}
	}
}

func BenchmarkApply10000Unmarked(b *testing.B) {
	benchmark(b, corpus(10_000, false), policies(b, 1, "2.0.0"), 0, 0)
}

func BenchmarkApply1000Unchanged(b *testing.B) {
	benchmark(b, corpus(1000, true), policies(b, 1, "1.0.0"), 0, 1000)
}

func BenchmarkApply1000Changed(b *testing.B) {
	benchmark(b, corpus(1000, true), policies(b, 1, "2.0.0"), 1000, 0)
}

// BenchmarkApplyOneBigFile is a file of 4 MB with many documents and one marker
// in the middle.
func BenchmarkApplyOneBigFile(b *testing.B) {
	var text strings.Builder
	files := slices.Concat(corpus(900, false), corpus(1, true), corpus(900, false))
	for _, f := range files {
		text.WriteString("---\n" + strings.TrimPrefix(string(f.Data), "---\n"))
	}
	file := []File{{Path: "all.yaml", Data: []byte(text.String())}}
	b.Logf("%d bytes", text.Len())
	b.Run("unchanged", func(b *testing.B) { benchmark(b, file, policies(b, 1, "1.0.0"), 0, 1) })
	b.Run("changed", func(b *testing.B) { benchmark(b, file, policies(b, 1, "2.0.0"), 1, 0) })
}

// BenchmarkApplyPolicies shows that the cost does not grow with the policies: 10
// markers among 1,000 files.
func BenchmarkApplyPolicies(b *testing.B) {
	files := slices.Concat(corpus(10, true), corpus(990, false))
	for _, n := range []int{10, 100, 1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmark(b, files, policies(b, n, "2.0.0"), 10, 0) })
	}
}

// BenchmarkApplyMarked shows that the cost grows as the marked files do.
func BenchmarkApplyMarked(b *testing.B) {
	for _, n := range []int{100, 1000, 5000} {
		files := corpus(n, true)
		b.Run(fmt.Sprintf("unchanged/%d", n), func(b *testing.B) { benchmark(b, files, policies(b, 1, "1.0.0"), 0, n) })
		b.Run(fmt.Sprintf("changed/%d", n), func(b *testing.B) { benchmark(b, files, policies(b, 1, "2.0.0"), n, 0) })
	}
}
