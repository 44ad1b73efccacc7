package policy

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"towpath.dev/towpath/internal/image"
)

// maxExcludes bounds a list that is run over every tag.
const maxExcludes = 100

// imagePolicy reads the spec of an ImagePolicy.
func (d *document) imagePolicy(spec *yaml.Node, p *Policy) {
	p.Schedule, p.Lane, p.Pin = DefaultSchedule, LaneStrict, PinTag
	var meaningless []*yaml.Node // values that mean nothing with a digest selector
	var pin *yaml.Node
	d.mapping(spec, "spec",
		field{"image", "one like image: ghcr.io/owner/name", func(n *yaml.Node) { d.image(n, p) }},
		field{"schedule", "", func(n *yaml.Node) { d.schedule(n, p) }},
		field{"select", `one like select: {semver: {range: "1.x"}}`, func(n *yaml.Node) { d.selector(n, p) }},
		field{"filter", "", func(n *yaml.Node) { meaningless = append(meaningless, n); d.filter(n, p) }},
		field{"exclude", "", func(n *yaml.Node) { meaningless = append(meaningless, n); d.exclude(n, p) }},
		field{"lane", "", func(n *yaml.Node) {
			meaningless = append(meaningless, n)
			s, _ := d.choice(n, "lane", string(LaneStrict), string(LaneAny))
			p.Lane = Lane(s)
		}},
		field{"pin", "", func(n *yaml.Node) {
			pin = n
			s, _ := d.choice(n, "pin", string(PinTag), string(PinDigest))
			p.Pin = Pin(s)
		}},
		field{"allowDowngrade", "", func(n *yaml.Node) {
			meaningless = append(meaningless, n)
			p.AllowDowngrade, _ = d.boolean(n, "allowDowngrade")
		}},
		field{"platforms", "", nil}, field{"minAge", "", nil}, field{"verify", "", nil},
	)
	if p.DigestTag == "" {
		return
	}
	for _, n := range meaningless {
		d.fail(n, "select.digest follows one tag, so this has no effect", "remove the key, or use select.semver")
	}
	if pin != nil && p.Pin == PinTag {
		d.fail(pin, "select.digest follows one tag by its digest, which pin: tag would not write", "write pin: digest or remove the key")
	}
	p.Pin = PinDigest
}

func (d *document) image(n *yaml.Node, p *Policy) {
	s, ok := d.text(n, "image")
	if !ok {
		return
	}
	repo, err := image.ParseRepo(s)
	if err != nil {
		d.fail(n, err.Error(), "")
		return
	}
	p.Image = repo
}

func (d *document) schedule(n *yaml.Node, p *Policy) {
	s, ok := d.text(n, "schedule")
	if !ok {
		return
	}
	if reason := checkSchedule(s); reason != "" {
		d.fail(n, reason, scheduleHint)
	}
	p.Schedule = s
}

func (d *document) selector(n *yaml.Node, p *Policy) {
	const known = "the selectors are semver and digest"
	if n.Kind != yaml.MappingNode {
		d.fail(n, "select: want a mapping, got "+describe(n), known)
		return
	}
	found := 0
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch key.Value {
		case "semver", "digest":
			if found++; found == 2 {
				d.fail(key, "select: exactly one selector is possible", "remove one")
			}
		default:
			hint := known
			if near, ok := nearest(key.Value, []string{"semver", "digest"}); ok {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			d.fail(key, fmt.Sprintf("unknown selector %q", key.Value), hint)
			return
		}
	}
	if found == 0 {
		d.fail(n, "select: no selector", known)
		return
	}
	d.mapping(n, "select",
		field{"semver", "", func(n *yaml.Node) { d.semver(n, p) }},
		field{"digest", "", func(n *yaml.Node) { d.digest(n, p) }},
	)
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

func (d *document) filter(n *yaml.Node, p *Policy) {
	p.Filter = &Filter{}
	var pattern, extract *yaml.Node
	d.mapping(n, "filter",
		field{"pattern", `one like pattern: '^(.+)-alpine$'`, func(n *yaml.Node) {
			if s, ok := d.text(n, "pattern"); ok {
				pattern, p.Filter.Pattern = n, s
			}
		}},
		field{"extract", "", func(n *yaml.Node) {
			if s, ok := d.text(n, "extract"); ok {
				extract, p.Filter.Extract = n, s
			}
		}},
	)
	if pattern == nil {
		return
	}
	re, bad := compilePattern(p.Filter.Pattern)
	if bad != nil {
		d.fail(pattern, bad.reason, bad.hint)
		return
	}
	if extract == nil {
		return
	}
	if bad := checkExtract(re, p.Filter.Extract); bad != nil {
		d.fail(extract, bad.reason, bad.hint)
	}
}

func (d *document) exclude(n *yaml.Node, p *Policy) {
	d.sequence(n, "exclude", `exclude: ["1.2.3", "/-debug$/"]`, func(i int, item *yaml.Node) {
		s, ok := d.text(item, "exclude")
		if !ok {
			return
		}
		e := Exclude{Text: s}
		if _, bad := e.compile(); bad != nil {
			d.fail(item, bad.reason, bad.hint)
		}
		if i == maxExcludes {
			d.fail(item, fmt.Sprintf("exclude: more than %d entries", maxExcludes), "join them in one expression")
		}
		p.Exclude = append(p.Exclude, e)
	})
}
