package hook

import (
	"fmt"
	"strings"

	"towpath.dev/towpath/internal/image"
)

// maxReason is the most bytes of one line of Event.Dropped.
const maxReason = 200

// pushes gathers what an event tells. The zero value is ready.
type pushes struct {
	event Event
	seen  map[push]bool
	more  int // images or lines that found no place
}

// push is the key under which two spellings of one image are one.
type push struct {
	repo   string // canonical
	tag    image.Tag
	digest image.Digest
}

// add takes one pushed image, whose repository begins with its registry's host. A
// tag or a digest that is none is left out and the other kept; without either, or
// without a good repository, nothing is taken.
func (p *pushes) add(repo, tag, digest string) {
	r, err := image.ParseRepo(repo)
	if err != nil {
		p.drop("%v", err)
		return
	}
	host, _, _ := strings.Cut(repo, "/")
	if r.Host() != strings.ToLower(host) && host != dockerHubHost {
		p.drop("image %q: no registry is named", repo) // and without one it would be Docker Hub's
		return
	}
	ref := image.Ref{Repo: r}
	if digest == "" && strings.HasPrefix(tag, "sha256:") {
		tag, digest = "", tag // how Harbor and JFrog write what has no tag
	}
	if tag != "" && tag != digest {
		if ref.Tag, err = image.ParseTag(tag); err != nil {
			p.drop("%s: %v", r, err)
		}
	}
	if digest != "" {
		if ref.Digest, err = image.ParseDigest(digest); err != nil {
			p.drop("%s: %v", r, err)
		}
	}
	if ref.Tag == "" && ref.Digest == "" {
		p.drop("%s: neither a tag nor a digest is named", r)
		return
	}
	p.take(ref)
}

func (p *pushes) take(ref image.Ref) {
	key := push{ref.Repo.Canonical(), ref.Tag, ref.Digest}
	if p.seen[key] {
		return
	}
	if len(p.event.Images) == MaxImages {
		p.more++
		return
	}
	if p.seen == nil {
		p.seen = map[push]bool{}
	}
	p.seen[key] = true
	p.event.Images = append(p.event.Images, ref)
}

// left says what a list held and was not looked at.
func (p *pushes) left(what string, wrong int, more bool) {
	if wrong > 0 {
		p.drop("%d %s are not of this provider's form", wrong, what)
	}
	if more {
		p.drop("%s behind the first %d are left to the schedule", what, MaxImages)
	}
}

func (p *pushes) drop(format string, args ...any) {
	if len(p.event.Dropped) == MaxDropped-1 {
		p.more++ // the last line is kept for what end says
		return
	}
	p.event.Dropped = append(p.event.Dropped, line(fmt.Sprintf(format, args...)))
}

// end returns what was gathered.
func (p *pushes) end() Event {
	if p.more > 0 {
		p.event.Dropped = append(p.event.Dropped, fmt.Sprintf("and %d more", p.more))
	}
	return p.event
}

// splitName parts host/path:tag and host/path@digest; the digest is told elsewhere.
func splitName(name string) (repo, tag string) {
	repo, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(repo, ':'); i > strings.LastIndexByte(repo, '/') {
		return repo[:i], repo[i+1:]
	}
	return repo, ""
}

// first is a unless that is empty.
func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// line makes of what may quote an event one line that is not endless.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}
