package bigrepo

import (
	"cmp"
	"fmt"
	"strings"
)

// Config is a config repository in the words of Towpath: the environments dev,
// staging and prod, which hold half of all files, apps of ten files of which one
// has a marker, policies and a pipeline.
type Config struct {
	Files   int    // but for those in policies/
	Commits int    // of main
	Host    string // registry of the images; "" = registry.example
	Group   int    // apps that follow one policy, and so get a version at once; 0 = 20
}

// Version is the tag that every marker holds.
const Version = "1.0.0"

// Envs are the names of the environments, in the order that versions travel.
func Envs() []string { return []string{"dev", "staging", "prod"} }

// appFiles are the files of an app. The marker is in Marked.
func appFiles() []string {
	return []string{"kustomization.yaml", Marked, "service.yaml", "config.yaml", "ingress.yaml",
		"autoscaler.yaml", "disruption.yaml", "account.yaml", "network.yaml", "README.md"}
}

// Marked is the name of the only file of an app that holds a marker.
const Marked = "deployment.yaml"

// Shape is what Make makes.
func (c Config) Shape() Shape {
	c.Host, c.Group = cmp.Or(c.Host, "registry.example"), cmp.Or(c.Group, 20)
	also := map[string]string{"policies/pipeline.yaml": pipeline}
	for p := range c.Policies() {
		also[fmt.Sprintf("policies/%s.yaml", policyName(p))] = fmt.Sprintf("apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: %s}\n"+
			"spec:\n  image: %s/%s\n  schedule: \"@every 1h\"\n  select:\n    semver: {range: \"1.x\"}\n", policyName(p), c.Host, c.Image(p))
	}
	return Shape{Files: c.Files, Commits: c.Commits, Text: c.text, Name: c.name, Also: also}
}

// Apps is how many apps every environment has.
func (c Config) Apps() int { return max(1, c.Files/2/filesPerApp/len(Envs())) }

// Policies is how many policies there are, and images.
func (c Config) Policies() int {
	group := cmp.Or(c.Group, 20)
	return (c.Apps() + group - 1) / group
}

// App is the name of an app, the same in every environment.
func (c Config) App(n int) string { return fmt.Sprintf("app-%04d", n) }

// Image is the repository, on Host, of the image of a policy.
func (c Config) Image(policy int) string { return "big/" + policyName(policy) }

func policyName(n int) string { return fmt.Sprintf("image-%03d", n) }

// place is which file of which app a number is; ok is false outside the
// environments.
func (c Config) place(file int) (env string, app int, name string, ok bool) {
	perEnv := c.Apps() * filesPerApp
	if file >= perEnv*len(Envs()) {
		return "", 0, "", false
	}
	return Envs()[file/perEnv], file % perEnv / filesPerApp, appFiles()[file%filesPerApp], true
}

func (c Config) name(file int) string {
	if env, app, name, ok := c.place(file); ok {
		return fmt.Sprintf("envs/%s/%s/%s", env, c.App(app), name)
	}
	dir := [...]string{"docs", "src", "charts", "terraform"}[file%4]
	return fmt.Sprintf("%s/part-%02d/section-%02d/file-%05d.yaml", dir, file/4%50, file/200%50, file)
}

func (c Config) text(file, n int) string {
	_, app, name, ok := c.place(file)
	switch {
	case !ok:
		return fmt.Sprintf("# Change %d of a file that no environment holds.\nname: file-%05d\n%s", n, file, lines("text%02d: line %d\n", 12+file%20))
	case name == "kustomization.yaml":
		return fmt.Sprintf("# change %d\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - %s\n", n, strings.Join(appFiles()[1:filesPerApp-1], "\n  - "))
	case name == "README.md":
		return fmt.Sprintf("# %s\n\nChange %d.\n\n%s", c.App(app), n, lines("Words %02d in line %d.\n", 10))
	case name == Marked:
		return c.deployment(app, n)
	}
	return fmt.Sprintf("apiVersion: example.com/v1\nkind: Example\nmetadata:\n  name: %s-%s\n  annotations: {change: \"%d\"}\nspec:\n%s",
		c.App(app), strings.TrimSuffix(name, ".yaml"), n, lines("  key%02d: a value of some length, %d\n", 20))
}

func (c Config) deployment(app, n int) string {
	policy := app / cmp.Or(c.Group, 20)
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
  annotations: {change: "%[2]d"}
spec:
  replicas: 1
  selector:
    matchLabels: {app: %[1]s}
  template:
    metadata:
      labels: {app: %[1]s}
    spec:
      containers:
        - name: main
          image: %[3]s/%[4]s:%[5]s # towpath: %[6]s
          ports:
            - containerPort: 8080
          env:
%[7]s`, c.App(app), n, c.Host, c.Image(policy), Version, policyName(policy), lines("            - {name: KEY_%02d, value: \"%d\"}\n", 10))
}

// lines is n lines that differ from each other.
func lines(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i, i)
	}
	return b.String()
}

const pipeline = `apiVersion: towpath.dev/v1
kind: Pipeline
metadata: {name: big}
spec:
  branch: main
  environments:
    - name: dev
      path: envs/dev
      update: {policies: ["*"]}
      merge: push
    - name: staging
      path: envs/staging
      from: [dev]
      merge: approval
      gates:
        approvals: {required: 1}
        healthy: {stableFor: 1m}
    - name: prod
      path: envs/prod
      from: [staging]
      merge: approval
      gates:
        approvals: {required: 1}
        healthy: {stableFor: 1m}
`
