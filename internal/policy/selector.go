package policy

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"towpath.dev/towpath/internal/image"
)

// selector reads select: exactly one of the selectors.
func (d *document) selector(n *yaml.Node, p *Policy) {
	fields := []field{
		{"semver", "", func(n *yaml.Node) { d.semver(n, p) }},
		{"calver", "", func(n *yaml.Node) { d.calver(n, p) }},
		{"numerical", "", func(n *yaml.Node) { p.Numerical = &Numerical{d.order(n, "select.numerical")} }},
		{"alphabetical", "", func(n *yaml.Node) { p.Alphabetical = &Alphabetical{d.order(n, "select.alphabetical")} }},
		{"digest", "", func(n *yaml.Node) { d.digest(n, p) }},
	}
	names := keysOf(fields)
	known := "the selectors are " + list(names)
	if n.Kind != yaml.MappingNode {
		d.misshapen(n, "select: want a mapping, got "+describe(n), known)
		return
	}
	if d.merges(n) {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if slices.Contains(names, key.Value) {
			continue
		}
		hint := known
		if near, ok := Nearest(key.Value, names); ok {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		d.misshapen(key, fmt.Sprintf("unknown selector %q", key.Value), hint)
		return
	}
	switch {
	case len(n.Content) == 0:
		d.misshapen(n, "select: no selector", known)
		return
	case len(n.Content) > 2:
		d.misshapen(n.Content[2], "select: exactly one selector is possible", "remove one")
	}
	d.mapping(n, "select", fields...)
}

func (d *document) semver(n *yaml.Node, p *Policy) {
	p.Semver = &Semver{}
	d.mapping(n, "select.semver",
		field{"range", `one like range: "1.x"`, func(n *yaml.Node) {
			s, ok := d.text(n, "range")
			if !ok {
				return
			}
			if _, bad := compileRange(s); bad != nil {
				d.fail(n, bad.reason, bad.hint)
			}
			p.Semver.Range = s
		}},
		field{"prereleases", "", func(n *yaml.Node) { p.Semver.Prereleases, _ = d.boolean(n, "prereleases") }},
	)
}

func (d *document) calver(n *yaml.Node, p *Policy) {
	p.Calver = &Calver{}
	d.mapping(n, "select.calver",
		field{"layout", "one like layout: YYYY.0M.0D", func(n *yaml.Node) {
			s, ok := d.text(n, "layout")
			if !ok {
				return
			}
			if reason, hint := CheckLayout(s); reason != "" {
				d.fail(n, reason, hint)
			}
			p.Calver.Layout = s
		}},
	)
}

// order reads a selector that has nothing but an order.
func (d *document) order(n *yaml.Node, what string) Order {
	order := OrderNewest
	d.mapping(n, what,
		field{"order", "", func(n *yaml.Node) {
			// Flux names the direction in which it sorts before it takes the last.
			for flux, ours := range map[string]Order{"asc": OrderNewest, "desc": OrderOldest} {
				if n.Kind == yaml.ScalarNode && n.Value == flux {
					d.misshapen(n, fmt.Sprintf("order: unknown value %q", flux), fmt.Sprintf("write %s, which is what Flux means by %s", ours, flux))
					return
				}
			}
			if s, ok := d.choice(n, "order", string(OrderNewest), string(OrderOldest)); ok {
				order = Order(s)
			}
		}},
	)
	return order
}

func (d *document) digest(n *yaml.Node, p *Policy) {
	d.mapping(n, "select.digest",
		field{"tag", "one like tag: main", func(n *yaml.Node) {
			s, ok := d.text(n, "tag")
			if !ok {
				return
			}
			tag, err := image.ParseTag(s)
			if err != nil {
				d.fail(n, err.Error(), "write one tag, like main")
			}
			p.DigestTag = tag
		}},
	)
}
