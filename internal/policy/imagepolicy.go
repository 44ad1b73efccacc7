package policy

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"towpath.dev/towpath/internal/image"
)

// The limits of lists: excludes are run over every tag, platforms are looked for
// in every candidate.
const (
	maxExcludes  = 100
	maxPlatforms = 20
)

// imagePolicy reads the spec of an ImagePolicy.
func (d *document) imagePolicy(spec *yaml.Node, p *Policy) {
	p.Schedule, p.Lane, p.Pin = DefaultSchedule, LaneStrict, PinTag
	var idle []*yaml.Node // values that mean nothing with a digest selector
	var pin, refresh *yaml.Node
	d.mapping(spec, "spec",
		field{"image", "one like image: ghcr.io/owner/name", func(n *yaml.Node) { d.image(n, p) }},
		field{"schedule", "", func(n *yaml.Node) { d.schedule(n, p) }},
		field{"select", `one like select: {semver: {range: "1.x"}}`, func(n *yaml.Node) { d.selector(n, p) }},
		field{"filter", "", func(n *yaml.Node) { idle = append(idle, n); d.filter(n, p) }},
		field{"exclude", "", func(n *yaml.Node) { idle = append(idle, n); d.exclude(n, p) }},
		field{"lane", "", func(n *yaml.Node) {
			idle = append(idle, n)
			s, _ := d.choice(n, "lane", string(LaneStrict), string(LaneAny))
			p.Lane = Lane(s)
		}},
		field{"platforms", "", func(n *yaml.Node) { d.platforms(n, p) }},
		field{"minAge", "", func(n *yaml.Node) { p.MinAge, _ = d.duration(n, "minAge") }},
		field{"pin", "", func(n *yaml.Node) {
			pin = n
			s, _ := d.choice(n, "pin", string(PinTag), string(PinDigest))
			p.Pin = Pin(s)
		}},
		field{"refreshDigest", "", func(n *yaml.Node) {
			refresh = n
			p.RefreshDigest, _ = d.boolean(n, "refreshDigest")
		}},
		field{"allowDowngrade", "", func(n *yaml.Node) {
			idle = append(idle, n)
			p.AllowDowngrade, _ = d.boolean(n, "allowDowngrade")
		}},
		field{"verify", "", nil},
	)
	if p.DigestTag != "" {
		d.followed(p, idle, pin, refresh)
	} else if refresh != nil && p.Pin == PinTag {
		d.fail(refresh, "refreshDigest has no effect, because pin: tag writes no digest", "add pin: digest or remove the key")
	}
}

// followed refuses what means nothing with a digest selector.
func (d *document) followed(p *Policy, idle []*yaml.Node, pin, refresh *yaml.Node) {
	for _, n := range idle {
		d.fail(n, "select.digest follows one tag, so this has no effect", "remove the key, or use another selector")
	}
	if refresh != nil {
		d.fail(refresh, "select.digest writes every new digest of its tag, so refreshDigest has no effect", "remove the key")
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
			d.misshapen(item, fmt.Sprintf("exclude: more than %d entries", maxExcludes), "join them in one expression")
		}
		p.Exclude = append(p.Exclude, e)
	})
}

func (d *document) platforms(n *yaml.Node, p *Policy) {
	names, places := d.names(n, "platforms", "platforms: [linux/amd64, linux/arm64]")
	for i, s := range names {
		platform, err := image.ParsePlatform(s)
		if err != nil {
			d.failAt(places[i], err.Error(), platformHint(s))
			continue
		}
		if i == maxPlatforms {
			d.misshapen(n, fmt.Sprintf("platforms: more than %d entries", maxPlatforms), "name those that the image runs on")
		}
		p.Platforms = append(p.Platforms, platform)
	}
}

// platformHint guesses what was meant: amd64 and Linux/ARM64 are common.
func platformHint(s string) string {
	const hint = "write one like linux/amd64 or linux/arm/v7"
	if !strings.Contains(s, "/") && (strings.EqualFold(s, "linux") || strings.EqualFold(s, "windows")) {
		return hint + ": the system alone is none"
	}
	for _, meant := range []string{strings.ToLower(s), "linux/" + strings.ToLower(s)} {
		if _, err := image.ParsePlatform(meant); err == nil {
			return fmt.Sprintf("did you mean %q?", meant)
		}
	}
	return hint
}
