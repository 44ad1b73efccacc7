package promote

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// registryParallel bounds how many registries are asked at once; a slow one
// must not delay the others.
const registryParallel = 16

// listing is the last answer of a registry, kept between ticks as a cache.
type listing struct {
	Listing
	asked   time.Time
	said    string                     // the error that was logged
	digests map[image.Tag]image.Digest // resolved since asked
}

// want is one policy at one app of an entry environment.
type want struct {
	env policy.Environment
	app AppState
	pol policy.Policy
}

// choose asks the registries that are due, one listing per image however many
// policies use it, and selects for every app of every entry environment.
func (b *Bot) choose(ctx context.Context, s *Situation, cfg policy.Config) {
	wants := wanted(*s, cfg)
	b.forget(wants)
	b.list(ctx, s.Now, wants)
	for _, w := range wants {
		l := b.lists[w.pol.Image.Canonical()]
		s.Listings[w.pol.Image.Canonical()] = l.Listing
		s.Choices = append(s.Choices, b.chooseOne(ctx, w, l))
	}
}

// forget drops listings of images that nothing asks for any more.
func (b *Bot) forget(wants []want) {
	for key := range b.lists {
		if !slices.ContainsFunc(wants, func(w want) bool { return w.pol.Image.Canonical() == key }) {
			delete(b.lists, key)
		}
	}
}

func wanted(s Situation, cfg policy.Config) []want {
	var out []want
	for _, pl := range s.Pipelines {
		for _, env := range pl.Environments {
			if env.Update == nil {
				continue
			}
			for _, app := range s.Envs[env.Name].Apps {
				for name := range app.Values {
					pol, ok := cfg.Policy(name)
					if ok && env.Update.Has(name) {
						out = append(out, want{env, app, pol})
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b want) int {
		return cmp.Or(cmp.Compare(a.env.Name, b.env.Name), cmp.Compare(a.app.Name, b.app.Name), cmp.Compare(a.pol.Name, b.pol.Name))
	})
	return out
}

// list fills b.lists for every image of wants that is due.
func (b *Bot) list(ctx context.Context, now time.Time, wants []want) {
	if b.cfg.Registry == nil {
		return
	}
	due := map[string]image.Repo{}
	for _, w := range wants {
		key := w.pol.Image.Canonical()
		if b.cfg.Due(w.pol.Schedule, b.lists[key].asked, now) {
			due[key] = w.pol.Image
		}
	}
	var mu sync.Mutex // guards b.lists
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(registryParallel)
	for key, repo := range due {
		g.Go(func() error {
			tags, err := b.cfg.Registry.Tags(ctx, repo)
			mu.Lock()
			defer mu.Unlock()
			l := b.lists[key]
			l.Repo, l.asked, l.Err, l.digests = repo, now, err, map[image.Tag]image.Digest{}
			if err == nil {
				l.Tags, l.At, l.said = tags, now, ""
			} else if said := fmt.Sprint(err); said != l.said {
				b.cfg.Logger.Warn("registry not listed", "image", repo.String(), "error", err)
				l.said = said
			}
			b.lists[key] = l
			return nil // one registry never stops another
		})
	}
	_ = g.Wait() // no function returns an error
}

func (b *Bot) chooseOne(ctx context.Context, w want, l listing) Choice {
	cur := w.app.Values[w.pol.Name]
	c := Choice{Env: w.env.Name, App: w.app.Name, Repository: w.pol.Image.Canonical()}
	c.Policy, c.Current, c.Selected = w.pol.Name, cur.Tag, cur.Tag
	switch {
	case b.cfg.Registry == nil:
		c.Problem = "no registry was asked"
		return c
	case l.Err != nil:
		c.Problem = fmt.Sprintf("nothing is chosen: %v", l.Err)
		return c
	case l.At.IsZero():
		c.Problem = "the registry has not been asked yet"
		return c
	}
	if w.pol.DigestTag == "" && cur.Tag == "" && cur.Digest != "" {
		c.Problem = "only the digest is marked, so nobody knows which version it is; mark the tag, too"
		return c
	}
	c.Choice = policy.Select(w.pol, l.Tags, cur.Tag)
	pinned := w.pol.Pin == policy.PinDigest || w.pol.DigestTag != ""
	if !c.Changed && (!pinned || c.Selected == "") {
		return c
	}
	c.Ref = image.Ref{Repo: w.pol.Image, Tag: c.Selected}
	if !c.Changed && w.pol.DigestTag == "" && cur.Digest != "" {
		return c // pinned already; re-resolved only when the tag changes
	}
	digest, err := b.digest(ctx, c.Ref, l)
	if err != nil {
		c.Problem = fmt.Sprintf("%s is listed but cannot be resolved: %v", c.Ref, err)
		c.Changed, c.Selected, c.Ref = false, cur.Tag, image.Ref{}
		return c
	}
	if pinned {
		c.Ref.Digest = digest
	}
	c.Wanted = c.Changed || c.Ref.Digest != cur.Digest
	if c.Wanted && !c.Changed {
		c.Reason = fmt.Sprintf("tag %s now stands for %s", c.Selected, short(string(digest)))
	}
	return c
}

// digest resolves a choice once per listing: it proves that the tag can be
// pulled before it is written anywhere.
func (b *Bot) digest(ctx context.Context, ref image.Ref, l listing) (image.Digest, error) {
	if d, ok := l.digests[ref.Tag]; ok {
		return d, nil
	}
	d, err := b.cfg.Registry.Digest(ctx, ref)
	if err != nil {
		return "", err
	}
	l.digests[ref.Tag] = d
	return d, nil
}

// short abbreviates a digest for people: sha256:0123456789ab.
func short(digest string) string {
	const n = len("sha256:") + 12
	if len(digest) > n {
		return digest[:n]
	}
	return digest
}
