package migrate

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// settings is what may be said of an image, of an application or of all.
type settings struct {
	strategy, allow, ignore, platforms, pull value
}

// or fills in what is not said.
func (s settings) or(t settings) settings {
	for _, p := range []struct{ mine, theirs *value }{
		{&s.strategy, &t.strategy}, {&s.allow, &t.allow}, {&s.ignore, &t.ignore}, {&s.platforms, &t.platforms}, {&s.pull, &t.pull},
	} {
		if !p.mine.ok() {
			*p.mine = *p.theirs
		}
	}
	return s
}

// list reads a list, or a text with commas, as annotations have it.
func list(v value) []string {
	if v.ok() && v.n.Kind == yaml.SequenceNode {
		return v.texts()
	}
	var out []string
	for s := range strings.SplitSeq(v.text(), ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// aliasOf is what may stand before the = of an image; a constraint like nginx:>=1.0
// has one too.
var aliasOf = regexp.MustCompile(`^\s*([A-Za-z0-9._-]+)\s*=(.*)$`)

// entry is one image of a list: alias=image:constraint.
type entry struct {
	alias, image, constraint string
	v                        value // where it stands
}

func newEntry(text string, v value) entry {
	e := entry{v: v}
	if m := aliasOf.FindStringSubmatch(text); m != nil {
		e.alias, text = m[1], m[2]
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "@")
	e.image = text
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, '/') {
		e.image, e.constraint = text[:i], strings.TrimSpace(text[i+1:])
	}
	return e
}

// draftOf turns one image into a draft.
func (m *argo) draftOf(o *object, e entry, s settings) *draft {
	d := &draft{origin: o, from: []string{o.String() + " in " + o.path}}
	name := e.alias
	if name == "" {
		name = path.Base(e.image)
	}
	d.Name = subdomain(name)
	repo, err := image.ParseRepo(e.image)
	if err != nil {
		m.unable(d, e.v.line(), "image", err.Error())
	}
	d.Image = repo
	m.tags(d, s)
	m.strategy(d, e, s)
	m.platforms(d, s.platforms)
	m.pull(d, s.pull)
	return d
}

// tags reads which tags count at all.
func (m *argo) tags(d *draft, s settings) {
	switch text := strings.TrimSpace(s.allow.text()); {
	case text == "" || text == "any":
	case strings.HasPrefix(text, "regexp:"):
		d.Filter = &policy.Filter{Pattern: strings.TrimSpace(strings.TrimPrefix(text, "regexp:"))}
	default:
		m.unable(d, s.allow.line(), "filter", fmt.Sprintf("allow-tags: %q is neither any nor regexp:…; write filter.pattern", short(text)))
	}
	for _, glob := range list(s.ignore) {
		text, ok := excluded(glob)
		if !ok {
			m.unable(d, s.ignore.line(), "exclude", fmt.Sprintf("ignore-tags: %q is no pattern; write what to exclude", short(glob)))
			continue
		}
		d.Exclude = append(d.Exclude, policy.Exclude{Text: text})
	}
}

// excluded is a pattern of shells as a tag or an expression.
func excluded(glob string) (string, bool) {
	if _, err := path.Match(glob, "x"); err != nil {
		return "", false
	}
	if image.ValidTag(glob) {
		return glob, true
	}
	var b strings.Builder
	inClass := false
	for i := 0; i < len(glob); i++ {
		c := glob[i]
		switch {
		case c == '\\' && i+1 < len(glob):
			i++
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		case inClass:
			inClass = c != ']'
			b.WriteByte(c)
		case c == '[':
			inClass = true
			b.WriteByte(c)
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteByte('.')
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	re := "^" + b.String() + "$"
	_, err := regexp.Compile(re)
	return "/" + re + "/", err == nil
}

// strategy reads how the wanted tag is found.
func (m *argo) strategy(d *draft, e entry, s settings) {
	strategy := s.strategy
	if !strategy.ok() {
		strategy.o, strategy.n = e.v.o, e.v.n
	}
	switch name := strings.TrimSpace(s.strategy.text()); name {
	case "", "semver":
		d.Semver = &policy.Semver{Range: orElse(e.constraint, anyVersion)}
	case "digest":
		m.follow(d, e, s)
	case "name", "alphabetical":
		d.Alphabetical = &policy.Alphabetical{Order: policy.OrderNewest}
		if e.constraint != "" {
			d.todo("select", m.note(d.origin, e.v.line(), fmt.Sprintf("%s: the constraint %s means nothing to the strategy %s, there neither; drop it", short(e.image), short(e.constraint), name)))
		}
	case "latest", "newest-build":
		d.Semver = &policy.Semver{Range: orElse(e.constraint, anyVersion)}
		m.unable(d, strategy.line(), "select", "update-strategy: "+name+" takes the tag whose image says it was built last, and Towpath never trusts that date, nor asks for it tag by tag; "+
			"if the tags hold a version, date or number, write semver, calver or numerical (with filter.extract for a part of the tag), if one tag moves, digest")
	default:
		d.Semver = &policy.Semver{Range: orElse(e.constraint, anyVersion)}
		m.unable(d, strategy.line(), "select", fmt.Sprintf("update-strategy: %q is unknown; choose a selector", short(name)))
	}
}

// follow reads the strategy digest: one tag, which must be named.
func (m *argo) follow(d *draft, e entry, s settings) {
	tag, err := image.ParseTag(e.constraint)
	if err != nil {
		d.DigestTag = "latest"
		m.unable(d, e.v.line(), "select", fmt.Sprintf("%s: the strategy digest needs the tag to follow behind the image, and %q is none; write it", short(e.image), short(e.constraint)))
		return
	}
	d.DigestTag, d.Pin = tag, policy.PinDigest
	if d.Filter != nil || len(d.Exclude) > 0 {
		v := s.allow
		if !v.ok() {
			v = s.ignore
		}
		d.todo("select", m.note(d.origin, v.line(), "allow-tags, ignore-tags: select.digest follows one tag, so they mean nothing; drop them"))
		d.Filter, d.Exclude = nil, nil
	}
}

func (m *argo) platforms(d *draft, v value) {
	for _, s := range list(v) {
		p, err := image.ParsePlatform(s)
		if err != nil {
			d.todo("platforms", m.note(d.origin, v.line(), "platforms: "+err.Error()+"; write it into platforms"))
			continue
		}
		d.Platforms = append(d.Platforms, p)
	}
	if len(d.Platforms) > 1 {
		d.todo("platforms", m.note(d.origin, v.line(), "platforms: for Image Updater one of them is enough, here the image must have all; drop those that it need not have"))
	}
}

// pull notes how a registry is reached: that is said to the bot, not in a policy.
func (m *argo) pull(d *draft, v value) {
	text := strings.TrimSpace(v.text())
	if text == "" {
		return
	}
	kind, rest, _ := strings.Cut(text, ":")
	how := "see docs/guides/registries.md for the ways to log in"
	switch kind {
	case "pullsecret":
		how = "give the bot --pull-secret " + short(path.Base(rest))
	case "secret":
		how = "mount the Secret and name its files as auth: {usernameFile, passwordFile} in the file for --registries"
	case "env":
		how = "write user name and password into files, and name them as auth: {usernameFile, passwordFile} in the file for --registries"
	case "ext":
		how = "make the script a docker credential helper, and name it in the file for --docker-config"
	}
	d.todo("image", m.note(d.origin, v.line(), "pull-secret: credentials are not part of a policy; "+how))
}
