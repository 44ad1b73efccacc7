package scan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// maxAgain is how many candidates that lacked a platform before are resolved
// again per listing: a vendor may have added it. The others are taken as they
// were, so that the walk gets past them.
const maxAgain = MaxLooked / 2

// maxNotes bounds Result.Notes: candidates beyond it are in Rejected only.
const maxNotes = 20

var (
	errAsk   = errors.New("a registry would have to be asked")
	errSpent = errors.New("enough candidates were looked at")
)

// chooser chooses for the wants of one image.
type chooser struct {
	s      *Scanner
	g      *job
	online bool
	sights []Sight
	seen   map[image.Digest]bool // in sights
	gone   map[image.Tag]bool    // current tags that are not listed
}

func newChooser(s *Scanner, g *job, online bool) *chooser {
	if online { // the record's maps are not ours to write to
		g.mem.Facts, g.mem.Looked = maps.Clone(g.mem.Facts), maps.Clone(g.mem.Looked)
		if g.mem.Facts == nil {
			g.mem.Facts = map[image.Tag]fact{}
		}
		if g.mem.Looked == nil {
			g.mem.Looked = map[string]int{}
		}
	}
	return &chooser{s: s, g: g, online: online, seen: map[image.Digest]bool{}, gone: map[image.Tag]bool{}}
}

// missed remembers which current tags are not listed, and says in the log what
// is new of that.
func (c *chooser) missed() {
	if c.g.mem.believed() != "" {
		return
	}
	before := c.g.mem.Gone
	c.g.mem.Gone = nil
	for tag := range c.gone {
		since, known := before[tag]
		if !known {
			since = c.g.mem.At
			c.s.c.Logger.Warn("current tag not listed", "image", c.g.repo.String(), "tag", string(tag))
		}
		if c.g.mem.Gone == nil {
			c.g.mem.Gone = map[image.Tag]time.Time{}
		}
		c.g.mem.Gone[tag] = since
	}
	for tag := range before {
		if !c.gone[tag] {
			c.s.c.Logger.Info("current tag no longer missed", "image", c.g.repo.String(), "tag", string(tag))
		}
	}
}

// blank is a result that moves nothing.
func blank(w Want) Result {
	res := Result{Env: w.Env, App: w.App, Repository: w.Policy.Image.Canonical()}
	res.Policy, res.Current, res.Selected = w.Policy.Name, w.Current.Tag, w.Current.Tag
	res.Rejected = []policy.Rejected{}
	return res
}

// choose is the result for one want. The only error is errAsk.
func (c *chooser) choose(ctx context.Context, w Want) (Result, error) {
	res := blank(w)
	if res.Problem = c.g.mem.believed(); res.Problem != "" {
		res.Next = c.g.mem.Again
		return res, nil
	}
	if w.Policy.DigestTag == "" && w.Current.Tag == "" && w.Current.Digest != "" {
		res.Problem = "only the digest is marked, so nobody knows which version it is; mark the tag, too"
		return res, nil
	}
	res.Choice = policy.Select(w.Policy, c.g.mem.Good.Tags, w.Current.Tag)
	if c.s.c.Terse {
		res.Rejected = []policy.Rejected{}
	}
	gone := w.Current.Tag != "" && !slices.Contains(c.g.mem.Good.Tags, string(w.Current.Tag))
	if gone {
		res.Notes = append(res.Notes, fmt.Sprintf("the current tag %s is not in the registry any more", w.Current.Tag))
		c.gone[w.Current.Tag] = true
	}
	if w.Policy.DigestTag == "" {
		if done, err := c.walk(ctx, w, &res); done || err != nil {
			return res, err
		}
	}
	err := c.pinned(ctx, w, &res, gone)
	return res, err
}

// pinned looks at the digest of an unchanged tag where the policy cares: a
// followed tag, a first pin, a refresh.
func (c *chooser) pinned(ctx context.Context, w Want, res *Result, gone bool) error {
	p, cur := w.Policy, w.Current
	tag := res.Selected
	switch {
	case p.DigestTag != "" && !slices.Contains(c.g.mem.Good.Tags, string(p.DigestTag)): // says the reason
		return nil
	case p.DigestTag == "" && (p.Pin != policy.PinDigest || tag == "" || gone || cur.Digest != "" && !p.RefreshDigest):
		return nil
	}
	ref := image.Ref{Repo: p.Image, Tag: tag}
	d, err := c.resolve(ctx, tag, "")
	skip := ""
	if err == nil && (d != cur.Digest || res.Changed) {
		skip, err = c.gate(ctx, w, res, tag, d)
	}
	switch {
	case errors.Is(err, errAsk):
		return err
	case err != nil:
		c.unresolved(w, res, ref, err)
		return nil
	case skip != "":
		res.Notes = append(res.Notes, fmt.Sprintf("%s now stands for %s, which was passed over: %s", tag, short(d), skip))
		res.Reason = fmt.Sprintf("tag %s now stands for %s, which is not taken yet; passed over: %s", tag, short(d), skip)
		res.Changed, res.Selected = false, cur.Tag
		return nil
	}
	ref.Digest = d
	c.take(w, res, ref)
	if res.Wanted && !res.Changed {
		res.Reason = fmt.Sprintf("tag %s now stands for %s", tag, short(d))
	}
	return nil
}

// take makes ref the choice.
func (c *chooser) take(w Want, res *Result, ref image.Ref) {
	if w.Policy.Pin != policy.PinDigest && w.Policy.DigestTag == "" {
		ref.Digest = ""
	}
	res.Ref = ref
	res.Wanted = res.Changed || ref.Digest != w.Current.Digest
}

// unresolved is the result when a tag is listed and cannot be read: nothing
// moves, and nothing older is taken in its stead.
func (c *chooser) unresolved(w Want, res *Result, ref image.Ref, err error) {
	res.Problem = fmt.Sprintf("%s is listed but cannot be resolved: %v", ref, err)
	res.Changed, res.Selected, res.Ref, res.Wanted = false, w.Current.Tag, image.Ref{}, false
}

// resolve is the digest of a tag, asked at most once per listing. A counted one
// is refused with errSpent when what it counts for has used up its share; "": it
// is not counted.
func (c *chooser) resolve(ctx context.Context, tag image.Tag, counted string) (image.Digest, error) {
	f := c.g.mem.Facts[tag]
	if f.Fresh {
		if f.Err != "" {
			return "", errors.New(f.Err)
		}
		return f.Digest, nil
	}
	if counted != "" && c.g.mem.Looked[counted] >= MaxLooked {
		return "", errSpent
	}
	if !c.online {
		return "", errAsk
	}
	if counted != "" {
		c.g.mem.Looked[counted]++
	}
	d, err := c.s.c.Registry.Digest(ctx, image.Ref{Repo: c.g.repo, Tag: tag})
	return d, c.learn(ctx, tag, d, err)
}

// learn keeps what a question about a tag brought, until the next listing.
func (c *chooser) learn(ctx context.Context, tag image.Tag, d image.Digest, err error) error {
	if err != nil && ctx.Err() != nil { // closed: this says nothing of the registry
		return err
	}
	f := fact{Digest: d, Fresh: true}
	if err != nil {
		f.Err, f.Kind, f.Since = text(err), kindOf(err), c.g.now
		old := c.g.mem.Facts[tag]
		if !old.Since.IsZero() {
			f.Since = old.Since
		}
		if again := c.g.now.Add(patience(f.Kind)); c.g.mem.Again.IsZero() || again.Before(c.g.mem.Again) {
			c.g.mem.Again = again // however long the schedule is
		}
		err = errors.New(f.Err) // as it reads when it is remembered
		if old.Kind != f.Kind {
			c.s.c.Logger.Warn("image not resolved", "image", c.g.repo.String(), "tag", string(tag), "error", f.Err)
		}
	}
	if _, known := c.g.mem.Facts[tag]; known || len(c.g.mem.Facts) < 2*maxFacts {
		c.g.mem.Facts[tag] = f
	}
	return err
}

// gate says why the policy does not take a digest now; "": it does.
func (c *chooser) gate(ctx context.Context, w Want, res *Result, tag image.Tag, d image.Digest) (string, error) {
	if w.Policy.MinAge > 0 {
		first, known := c.first(d)
		if !known {
			first = c.sight(tag, d)
		}
		if skip := c.young(w.Policy, first, res); skip != "" {
			return skip, nil
		}
	}
	if len(w.Policy.Platforms) == 0 {
		return "", nil
	}
	have, err := c.platforms(ctx, tag, d)
	if err != nil {
		return "", err
	}
	return lacks(w.Policy.Platforms, have), nil
}

// first is when a digest was seen first. A time that has not come yet is not
// known: a clock was wrong, and the age starts now.
func (c *chooser) first(d image.Digest) (time.Time, bool) {
	t, ok := c.g.first(c.g.key, d)
	if !ok || t.Sub(c.g.now) > clockSlack {
		return time.Time{}, false
	}
	return t, true
}

// clockSlack is how far two clocks may differ.
const clockSlack = time.Minute

func (c *chooser) sight(tag image.Tag, d image.Digest) time.Time {
	if !c.seen[d] {
		c.seen[d] = true
		longest := time.Duration(0)
		for _, w := range c.g.wants {
			longest = max(longest, w.Policy.MinAge)
		}
		c.sights = append(c.sights, Sight{Repo: c.g.key, Digest: d, Tag: tag, First: c.g.now, Until: c.g.now.Add(longest)})
	}
	return c.g.now
}

// young says why a digest is too young; "": it is old enough.
func (c *chooser) young(p policy.Policy, first time.Time, res *Result) string {
	at := first.Add(p.MinAge)
	if !c.g.now.Before(at) {
		return ""
	}
	if res.Next.IsZero() || at.Before(res.Next) {
		res.Next = at
	}
	return fmt.Sprintf("first seen at %s, younger than %s; old enough at %s", stamp(first), duration(p.MinAge), stamp(at))
}

// platforms is what a digest was built for. That never changes, so it is asked
// once.
func (c *chooser) platforms(ctx context.Context, tag image.Tag, d image.Digest) ([]image.Platform, error) {
	if have, ok := c.s.platformsOf(d); ok {
		return have, nil
	}
	if !c.online {
		return nil, errAsk
	}
	have, err := c.s.c.Registry.Platforms(ctx, c.g.repo, d)
	if err != nil {
		return nil, c.learn(ctx, tag, d, err)
	}
	c.s.builtFor(d, have)
	return have, nil
}

// remembered says which platforms a digest is known to lack.
func (c *chooser) remembered(p policy.Policy, d image.Digest) string {
	if len(p.Platforms) == 0 {
		return ""
	}
	have, ok := c.s.platformsOf(d)
	if !ok {
		return ""
	}
	return lacks(p.Platforms, have)
}

// lacks says which wanted platforms an image was not built for; "": none.
func lacks(want, have []image.Platform) string {
	var missing []string
	for _, p := range want {
		if !slices.ContainsFunc(have, func(h image.Platform) bool { return h.Meets(p) }) {
			missing = append(missing, p.String())
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return "not built for " + strings.Join(missing, ", ")
}

func orNone(t image.Tag) string {
	if t == "" {
		return "none"
	}
	return string(t)
}

// duration is d without zero units: 24h, 1h30m.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// short abbreviates a digest for people: sha256:0123456789ab.
func short(d image.Digest) string {
	const n = len("sha256:") + 12
	if len(d) > n {
		return string(d[:n])
	}
	return string(d)
}
