package migrate

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// signatures is Flux's default exclusion. Towpath never chooses such tags.
const signatures = `^.*\.sig$`

// leastEvery is the shortest interval of a policy's schedule.
const leastEvery = time.Second

// policy turns one ImagePolicy into a draft; nil: it is only part of one.
func (m *flux) policy(o *object) *draft {
	spec := o.field("spec")
	ref := spec.get("imageRepositoryRef")
	repository, namespace := ref.get("name"), ref.get("namespace").text()
	if o.name == "" || !repository.ok() && !spec.get("policy").ok() {
		m.note(o, o.line(), "incomplete (a patch of kustomize?); it is not carried over: build the kustomization, and migrate what it prints")
		return nil
	}
	d := &draft{origin: o, namespace: o.namespace, scope: m.scopeOf(o.path), from: []string{o.String() + " in " + o.path}}
	d.Name = subdomain(o.name)
	if d.Name != o.name {
		d.todo("", m.note(o, o.line(), fmt.Sprintf("metadata.name: %q is no name here, %s is; change the markers that name it", short(o.name), d.Name)))
	}
	m.selector(d, spec.get("policy"))
	m.filter(d, spec.get("filterTags"))
	if namespace == "" {
		namespace = o.namespace
	}
	if r := m.find(m.repositories, repository.text(), namespace, o); r != nil {
		m.used[r] = true
		m.repository(d, r)
	} else {
		m.unable(d, ref.line(), "image", fmt.Sprintf("imageRepositoryRef: there is no ImageRepository %s in these files; write its image", short(strings.TrimPrefix(namespace+"/"+repository.text(), "/"))))
	}
	m.digests(d, spec)
	m.suspended(d, spec.get("suspend"), "a policy cannot be suspended, so no environment takes it; to let it go on, name it in update.policies of an environment")
	m.mistaken(d, o)
	return d
}

// suspended holds a draft that is suspended, and one of which nobody can tell.
func (m *flux) suspended(d *draft, v value, text string) {
	on, sure := v.boolean()
	switch {
	case on:
		text = "suspend: " + text
	case !sure:
		text = v.notBoolean() + ", and is taken for true: " + text
	default:
		return
	}
	d.held = true
	d.todo(headOfFile, m.note(v.o, v.line(), text))
}

// mistaken makes a comment of a draft that is read from an object with a value of
// another type than belongs in its place.
func (c *collector) mistaken(d *draft, from *object) {
	for _, text := range c.mistakes(from) {
		d.unable = true
		d.todo(headOfFile, text)
	}
}

// unable notes why a draft cannot work as it is.
func (c *collector) unable(d *draft, line int, key, text string) {
	d.unable = true
	d.todo(key, c.note(d.origin, line, text+". Until then the policy is a comment"))
}

func (m *flux) selector(d *draft, v value) {
	semver, alphabetical, numerical := v.get("semver"), v.get("alphabetical"), v.get("numerical")
	count := 0
	for _, s := range []value{semver, alphabetical, numerical} {
		if s.ok() {
			count++
		}
	}
	if count != 1 {
		d.Semver = &policy.Semver{Range: anyVersion}
		m.unable(d, v.line(), "select", fmt.Sprintf("policy: %d selectors, and exactly one can be; choose one", count))
		return
	}
	switch {
	case semver.ok():
		d.Semver = &policy.Semver{Range: semver.get("range").text()}
	case alphabetical.ok():
		d.Alphabetical = &policy.Alphabetical{Order: m.order(d, alphabetical.get("order"))}
	default:
		d.Numerical = &policy.Numerical{Order: m.order(d, numerical.get("order"))}
	}
}

// order reads the direction in which Flux sorts before it takes the last.
func (m *flux) order(d *draft, v value) policy.Order {
	switch v.text() {
	case "desc":
		return policy.OrderOldest
	case "", "asc":
	default:
		m.unable(d, v.line(), "select", fmt.Sprintf("%s: %q is neither asc nor desc; write newest or oldest", strings.TrimPrefix(v.path, "spec."), short(v.text())))
	}
	return policy.OrderNewest
}

func (m *flux) filter(d *draft, v value) {
	pattern, extract := v.get("pattern"), v.get("extract")
	switch {
	case pattern.text() == "" && extract.text() != "":
		m.unable(d, extract.line(), "", "filterTags.extract: there is no pattern to extract from; write filter.pattern")
	case pattern.text() != "":
		d.Filter = &policy.Filter{Pattern: pattern.text(), Extract: extract.text()}
	}
}

func (m *flux) digests(d *draft, spec value) {
	v, interval := spec.get("digestReflectionPolicy"), spec.get("interval")
	switch v.text() {
	case "", "Never":
	case "IfNotPresent":
		d.Pin = policy.PinDigest
	case "Always":
		d.Pin, d.RefreshDigest = policy.PinDigest, true
		// One schedule does for tags and digest: the more frequent of the two.
		if own, ok := every(interval.text()); ok {
			if have, ok := strings.CutPrefix(d.Schedule, "@every "); ok {
				if listed, ok := every(have); ok && own < listed {
					d.Schedule, _ = scheduleOf(interval.text())
				}
			}
		}
	default:
		d.todo("pin", m.note(d.origin, v.line(), fmt.Sprintf("digestReflectionPolicy: %q is unknown; write pin: digest if digests are wanted", short(v.text()))))
	}
}

// every reads an interval; false: it is none that a schedule can have.
func every(s string) (time.Duration, bool) {
	v, err := time.ParseDuration(s)
	return v, err == nil && v >= leastEvery
}

// scheduleOf is the schedule for an interval; false: there is none.
func scheduleOf(interval string) (string, bool) {
	v, ok := every(interval)
	if usual, _ := every(strings.TrimPrefix(policy.DefaultSchedule, "@every ")); v == usual {
		return policy.DefaultSchedule, ok
	}
	return "@every " + interval, ok
}

// repository brings in what an ImageRepository says.
func (m *flux) repository(d *draft, r *object) {
	spec := r.field("spec")
	img := spec.get("image")
	repo, err := image.ParseRepo(img.text())
	if err != nil {
		m.unable(d, img.line(), "image", "image: "+err.Error())
	}
	d.Image = repo
	d.from = append(d.from, r.String()+" in "+r.path)
	interval := spec.get("interval")
	switch schedule, ok := scheduleOf(interval.text()); {
	case ok:
		d.Schedule = schedule
	case interval.ok():
		d.todo("schedule", m.note(r, interval.line(), fmt.Sprintf("interval: %q is no interval of a second or more; write a schedule, or %s holds", short(interval.text()), policy.DefaultSchedule)))
	}
	spec.skip("timeout") // one question has 60 seconds at most
	m.exclusions(d, spec.get("exclusionList"))
	m.suspended(d, spec.get("suspend"), "an image cannot be suspended, so no environment takes its policies; to let them go on, name them in update.policies of an environment")
	m.access(d, spec)
	m.mistaken(d, r)
}

func (m *flux) exclusions(d *draft, v value) {
	items := v.items()
	for _, item := range items {
		if item.text() == signatures {
			continue
		}
		if _, err := regexp.Compile(item.text()); err != nil || item.text() == "" {
			m.unable(d, item.line(), "exclude", fmt.Sprintf("exclusionList: %q is no expression; correct it", short(item.text())))
			continue
		}
		d.Exclude = append(d.Exclude, policy.Exclude{Text: "/" + item.text() + "/"})
	}
}

// access notes how a registry is reached: that is said to the bot, not in a policy.
func (m *flux) access(d *draft, spec value) {
	host := "the registry"
	if d.Image != (image.Repo{}) {
		host = d.Image.Host()
	}
	to := func(v value, text string) {
		d.todo("image", m.note(v.o, v.line(), strings.TrimPrefix(v.path, "spec.")+": "+text))
	}
	if v := spec.get("secretRef"); v.ok() {
		name := short(v.get("name").text())
		to(v, fmt.Sprintf("credentials are not part of a policy; give the bot --pull-secret %s, or the file with --docker-config", name))
	}
	if v := spec.get("serviceAccountName"); v.ok() {
		to(v, fmt.Sprintf("credentials are not part of a policy; give the bot --pull-secret-service-account %s (for a cloud's workload identity let the bot run as that account, with --cloud-credentials)", short(v.text())))
	}
	if v := spec.get("certSecretRef"); v.ok() {
		v.get("name")
		to(v, fmt.Sprintf("certificates are not part of a policy; write caFile, certFile and keyFile of %s into the file for --registries", host))
	}
	if v := spec.get("proxySecretRef"); v.ok() {
		v.get("name")
		to(v, fmt.Sprintf("a proxy is not part of a policy; write proxy of %s into the file for --registries, or set HTTPS_PROXY", host))
	}
	if on, sure := spec.get("insecure").boolean(); !sure {
		d.todo("image", m.note(spec.o, spec.get("insecure").line(), spec.get("insecure").notBoolean()+"; the registry is asked by https"))
	} else if v := spec.get("insecure"); on {
		to(v, fmt.Sprintf("plain http is not part of a policy; give the bot --insecure-registry %s, or write plainHTTP into the file for --registries", host))
	}
	if v := spec.get("accessFrom"); v.ok() {
		spec.skip("accessFrom")
		to(v, "there is no such guard: whoever may write policies/ may use every image the bot can list; protect the folder with code owners")
	}
	provider := spec.get("provider")
	ours := map[string]string{"aws": "ecr", "azure": "azure", "gcp": "google"}[provider.text()]
	switch {
	case ours != "":
		to(provider, fmt.Sprintf("logins are not part of a policy; give the bot --cloud-credentials, or write auth: {provider: %s} of %s into the file for --registries", ours, host))
	case provider.ok() && provider.text() != "generic":
		to(provider, fmt.Sprintf("%q is unknown; see docs/guides/registries.md for the ways to log in", short(provider.text())))
	}
}
