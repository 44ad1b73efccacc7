package policy

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The limits of one pipeline.
const (
	maxEnvironments = 100
	maxNames        = 1000 // entries of policies and from
	maxRequired     = 100  // people a gate may ask for
)

// parsedEnvironment is an Environment with the places that later checks talk about.
type parsedEnvironment struct {
	Environment
	at, namePlace, pathPlace place
	fromPlaces, updatePlaces []place
}

// pipeline reads the spec of a Pipeline.
func (d *document) pipeline(spec *yaml.Node, p *Pipeline) []parsedEnvironment {
	var envs []parsedEnvironment
	d.mapping(spec, "spec",
		field{"branch", "one like branch: main", func(n *yaml.Node) { p.Branch = d.branch(n) }},
		field{"promote", "", func(n *yaml.Node) { d.promote(n) }},
		field{"messages", "", func(n *yaml.Node) { p.Messages = d.messages(n) }},
		field{"environments", "a list of them, each with name, path, merge and either update or from", func(n *yaml.Node) {
			ok := d.sequence(n, "environments", "environments: [{name: dev, path: envs/dev, …}]", func(i int, item *yaml.Node) {
				switch {
				case i == maxEnvironments:
					d.misshapen(item, fmt.Sprintf("environments: more than %d", maxEnvironments), "make several pipelines")
				case i < maxEnvironments:
					envs = append(envs, d.environment(item))
				}
			})
			if ok && len(n.Content) == 0 {
				d.misshapen(n, "environments: the list is empty", "add one with name, path, merge and update")
			}
		}},
		field{"freeze", "", nil},
	)
	for i := range envs {
		envs[i].Messages = p.Messages
	}
	return envs
}

func (d *document) branch(n *yaml.Node) string {
	s, ok := d.text(n, "branch")
	if !ok {
		return ""
	}
	if reason, hint := checkBranch(s); reason != "" {
		d.fail(n, reason, hint)
	}
	return s
}

// promote accepts the one way of promoting that there is.
func (d *document) promote(n *yaml.Node) {
	d.mapping(n, "promote",
		field{"what", "what: images", func(n *yaml.Node) {
			if s, ok := d.text(n, "what"); ok && s == "directory" {
				d.misshapen(n, "not supported by this version: promote.what: directory", "write images")
			} else if ok {
				d.choice(n, "what", "images")
			}
		}},
		field{"exclude", "", nil}, field{"keep", "", nil},
	)
}

func (d *document) environment(n *yaml.Node) parsedEnvironment {
	e := parsedEnvironment{at: d.place(n)}
	e.Source, e.OnNewVersion = d.source(n), Supersede
	var gates, approvals *yaml.Node
	what := strings.TrimSpace("environment " + peek(n, "name"))
	ok := d.mapping(n, what,
		field{"name", "one like name: dev", func(n *yaml.Node) { d.environmentName(n, &e) }},
		field{"path", "one like path: envs/dev", func(n *yaml.Node) { d.environmentPath(n, &e) }},
		field{"update", "", func(n *yaml.Node) { d.update(n, &e) }},
		field{"from", "", func(n *yaml.Node) { d.from(n, &e) }},
		field{"merge", "merge: push, auto or approval", func(n *yaml.Node) {
			s, _ := d.choice(n, "merge", string(MergePush), string(MergeAuto), string(MergeApproval))
			e.Merge = Merge(s)
		}},
		field{"onNewVersion", "", func(n *yaml.Node) {
			if s, ok := d.choice(n, "onNewVersion", Supersede, Wait); ok {
				e.OnNewVersion = s
			}
		}},
		field{"gates", "", func(n *yaml.Node) { gates = n; approvals = d.gates(n, &e.Gates) }},
		field{"rollback", "", nil},
	)
	if !ok {
		return e
	}
	d.checkEntry(n, gates, &e)
	if e.Merge == MergePush && approvals != nil {
		d.fail(approvals, "merge: push makes no pull request that could be approved", "write merge: approval or remove approvals")
	}
	if e.Merge == MergeApproval && e.Gates.Approvals == nil {
		e.Gates.Approvals = &Approvals{Required: 1, PreventSelfReview: true}
	}
	return e
}

// checkEntry holds an environment to one of the two ways new versions come in.
func (d *document) checkEntry(n, gates *yaml.Node, e *parsedEnvironment) {
	const hint = "write update where new tags enter the pipeline, and from everywhere else"
	switch {
	case hasKey(n, "update") && hasKey(n, "from"):
		d.misshapen(n, fmt.Sprintf("environment %s has both update and from", e.Name), hint)
	case !hasKey(n, "update") && !hasKey(n, "from"):
		d.misshapen(n, fmt.Sprintf("environment %s has neither update nor from", e.Name), hint)
	case hasKey(n, "update") && (e.Gates.Healthy != nil || e.Gates.Soak != nil):
		d.fail(gates, "the gates healthy and soak look at the environment before, and there is none where new tags enter", "move them to the next environment")
	}
}

func hasKey(n *yaml.Node, key string) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

func (d *document) environmentName(n *yaml.Node, e *parsedEnvironment) {
	s, ok := d.text(n, "name")
	if !ok {
		return
	}
	if reason := checkLabel(s); reason != "" {
		d.fail(n, fmt.Sprintf("environment name %q %s", s, reason), nameHint)
		return
	}
	e.Name, e.namePlace = s, d.place(n)
}

func (d *document) environmentPath(n *yaml.Node, e *parsedEnvironment) {
	s, ok := d.text(n, "path")
	if !ok {
		return
	}
	clean, reason, hint := cleanPath(s)
	if reason != "" {
		d.fail(n, reason, hint)
		return
	}
	e.Path, e.pathPlace = clean, d.place(n)
}

func (d *document) update(n *yaml.Node, e *parsedEnvironment) {
	e.Update = &Update{}
	d.mapping(n, "update",
		field{"policies", `policies: ["*"]`, func(n *yaml.Node) {
			e.Update.Policies, e.updatePlaces = d.names(n, "policies", `policies: ["*"] or policies: [web, api]`)
			if len(e.Update.Policies) > 1 && slices.Contains(e.Update.Policies, AllPolicies) {
				d.fail(n, `policies: "*" already means all of them`, "remove the others")
			}
		}},
	)
}

func (d *document) from(n *yaml.Node, e *parsedEnvironment) {
	e.From, e.fromPlaces = d.names(n, "from", "from: [dev]")
	if len(e.From) > 1 {
		d.misshapen(n, fmt.Sprintf("from names %d environments, and only one is supported", len(e.From)), "keep the one just before")
	}
}

// names reads a list of different texts with at least one entry.
func (d *document) names(n *yaml.Node, what, example string) (names []string, places []place) {
	seen := map[string]bool{}
	ok := d.sequence(n, what, example, func(i int, item *yaml.Node) {
		if i >= maxNames {
			if i == maxNames {
				d.misshapen(item, fmt.Sprintf("%s: more than %d entries", what, maxNames), "shorten the list")
			}
			return
		}
		s, ok := d.text(item, what)
		switch {
		case !ok:
		case seen[s]:
			d.misshapen(item, fmt.Sprintf("%s: %q is listed twice", what, s), "remove one")
		default:
			seen[s] = true
			names, places = append(names, s), append(places, d.place(item))
		}
	})
	if ok && len(n.Content) == 0 {
		d.misshapen(n, what+": the list is empty", "write it like "+example)
	}
	return names, places
}

// gates reads the gates and returns the node of approvals, if there is one.
func (d *document) gates(n *yaml.Node, g *Gates) (approvals *yaml.Node) {
	fields := []field{
		{"approvals", "", func(n *yaml.Node) { approvals = n; d.approvals(n, g) }},
		{"healthy", "", func(n *yaml.Node) {
			g.Healthy = &Healthy{}
			d.mapping(n, "gates.healthy",
				field{"stableFor", "", func(n *yaml.Node) { g.Healthy.StableFor, _ = d.duration(n, "stableFor") }},
				field{"within", "", nil})
		}},
		{"soak", "", func(n *yaml.Node) {
			g.Soak = &Soak{}
			d.mapping(n, "gates.soak",
				field{"for", "one like for: 30m", func(n *yaml.Node) { g.Soak.For, _ = d.duration(n, "for") }},
				field{"clock", "", nil})
		}},
	}
	for _, later := range []string{"changesRequested", "checks", "upstream", "windows", "freeze", "hold", "minAge", "platforms",
		"verify", "change", "concurrency", "metric", "http", "expression"} {
		fields = append(fields, field{later, "", nil})
	}
	d.mapping(n, "gates", fields...)
	return approvals
}

func (d *document) approvals(n *yaml.Node, g *Gates) {
	a := &Approvals{Required: 1, PreventSelfReview: true}
	g.Approvals = a
	d.mapping(n, "gates.approvals",
		field{"required", "", func(n *yaml.Node) {
			if v, ok := d.integer(n, "required", 1, maxRequired); ok {
				a.Required = v
			}
		}},
		field{"from", "", func(n *yaml.Node) { d.approvers(n, a) }},
		field{"preventSelfReview", "", func(n *yaml.Node) { a.PreventSelfReview, _ = d.boolean(n, "preventSelfReview") }},
		field{"codeOwners", "", nil},
	)
	people := slices.IndexFunc(a.From, func(s string) bool { return !strings.HasPrefix(s, "user:") }) < 0
	if len(a.From) > 0 && people && a.Required > len(a.From) {
		d.fail(n, fmt.Sprintf("gates.approvals: required is %d, but from names only %d", a.Required, len(a.From)), "lower required or name more people")
	}
}

func (d *document) approvers(n *yaml.Node, a *Approvals) {
	names, places := d.names(n, "from", `from: ["team:sre", "user:alice"]`)
	for i, s := range names {
		kind, name, ok := strings.Cut(s, ":")
		if !ok || kind != "user" && kind != "team" || name == "" || name != strings.TrimSpace(name) {
			d.failAt(places[i], fmt.Sprintf("from: %q is no approver", s), `write "user:NAME" or "team:NAME"`)
		}
	}
	a.From = names
}
