package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"towpath.dev/towpath/internal/pr"
)

const (
	maxTitle = 250   // GitHub: 256, in bytes of its column
	maxText  = 65000 // GitHub: 65,536, likewise
)

// Ensure makes the open pull request of a branch say what r says, and makes it where there is none; a
// closed one is never opened again. Nothing is written when all is so. The branch must be at r.Head, else
// pr.ErrHeadMoved.
func (f *Forge) Ensure(ctx context.Context, r pr.Request) (pr.Pull, error) {
	r.Title, r.Body = fitTitle(r.Title), fitText("", r.Body)
	p, err := f.ensure(ctx, r)
	if err != nil {
		return pr.Pull{}, fmt.Errorf("open pull request %s: %w", r.Branch, err)
	}
	return p, nil
}

func (f *Forge) ensure(ctx context.Context, r pr.Request) (pr.Pull, error) {
	if r.Branch == "" || r.Base == "" || r.Branch == r.Base {
		return pr.Pull{}, errors.New("it needs two different branches")
	}
	p, known := f.openOf(r)
	if p == nil && !known {
		var err error
		if p, err = f.findOpen(ctx, r); err != nil {
			return pr.Pull{}, err
		}
	}
	if p == nil {
		created, err := f.create(ctx, r)
		if !alreadyOpen(err) {
			return created, err
		}
		// Somebody was first, or the answer to our own was lost.
		if p, err = f.findOpen(ctx, r); err != nil {
			return pr.Pull{}, err
		}
		if p == nil { // the owner has another name since Open
			if p, err = f.searchOpen(ctx, r); err != nil {
				return pr.Pull{}, err
			}
		}
		if p == nil {
			return pr.Pull{}, errors.New("GitHub says there is one already, and lists none")
		}
	}
	return f.edit(ctx, *p, r)
}

// openOf is the open pull request that is known; known says whether there can be no other.
func (f *Forge) openOf(r pr.Request) (p *pr.Pull, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.known {
		if q := k.pull; q.Open && !q.Fork && q.Branch == r.Branch && q.Base == r.Base {
			q = copyOf(q)
			return &q, true
		}
	}
	v := f.bases[r.Base]
	return nil, v != nil && v.complete
}

// findOpen asks for it.
func (f *Forge) findOpen(ctx context.Context, r pr.Request) (*pr.Pull, error) {
	q := url.Values{"state": {"open"}, "base": {r.Base}, "head": {f.owner + ":" + r.Branch}}
	var all []pullJSON
	if _, err := f.do(ctx, http.MethodGet, f.repoPath("pulls")+"?"+q.Encode(), nil, &all); err != nil {
		return nil, err
	}
	return f.among(all, r), nil
}

// searchOpen looks through all that are open.
func (f *Forge) searchOpen(ctx context.Context, r pr.Request) (*pr.Pull, error) {
	q := url.Values{"state": {"open"}, "base": {r.Base}}
	all, err := everyPage[pullJSON](ctx, f, f.repoPath("pulls")+"?"+q.Encode())
	return f.among(all, r), err
}

// among is the open one of them that is meant; nil for none.
func (f *Forge) among(all []pullJSON, r pr.Request) *pr.Pull {
	f.takeAll(all)
	for _, j := range all {
		if p := j.value(); p.Open && !p.Fork && p.Branch == r.Branch && p.Base == r.Base {
			return &p
		}
	}
	return nil
}

func alreadyOpen(err error) bool {
	var e *apiError
	return errors.As(err, &e) && e.status == http.StatusUnprocessableEntity && e.says("already exists")
}

func (f *Forge) create(ctx context.Context, r pr.Request) (pr.Pull, error) {
	var j pullJSON
	in := map[string]any{"title": r.Title, "head": r.Branch, "base": r.Base, "body": r.Body}
	if _, err := f.do(ctx, http.MethodPost, f.repoPath("pulls"), in, &j); err != nil {
		return pr.Pull{}, err
	}
	f.mu.Lock()
	k := f.takeLocked(j)
	k.created = true
	f.mu.Unlock()
	if r.Head != "" && j.Head.SHA != r.Head {
		// Somebody pushed to it after us. It costs a request less than to look before each time.
		if err := f.setState(ctx, j.Number, "closed"); err != nil {
			return pr.Pull{}, err
		}
		return pr.Pull{}, movedTo(j.Head.SHA, r.Head)
	}
	return f.label(ctx, j.value(), r.Labels)
}

func movedTo(is, want string) error {
	return fmt.Errorf("%w: it is at %s, not at %s", pr.ErrHeadMoved, shortHash(is), shortHash(want))
}

// edit writes what differs.
func (f *Forge) edit(ctx context.Context, p pr.Pull, r pr.Request) (pr.Pull, error) {
	if r.Head != "" && p.Head != r.Head { // what is known may be older than the push
		at, err := f.branchHead(ctx, r.Branch)
		if err != nil {
			return pr.Pull{}, err
		}
		if at != r.Head {
			return pr.Pull{}, movedTo(at, r.Head)
		}
	}
	in := map[string]any{}
	if p.Title != r.Title {
		in["title"] = r.Title
	}
	if unixText(p.Body) != unixText(r.Body) {
		in["body"] = r.Body
	}
	if len(in) > 0 {
		var j pullJSON
		if err := f.write(ctx, p.Number, http.MethodPatch, f.repoPath("pulls/%d", p.Number), in, &j); err != nil {
			return pr.Pull{}, err
		}
		f.take(j)
		if p = j.value(); !p.Open { // closed since we looked: the next Ensure makes another
			return pr.Pull{}, fmt.Errorf("%w: it was closed meanwhile", pr.ErrNotFound)
		}
	}
	if r.Head != "" {
		p.Head = r.Head // GitHub takes a moment to see a push
	}
	return f.label(ctx, p, r.Labels)
}

// branchHead is where a branch is; "" when it is not there.
func (f *Forge) branchHead(ctx context.Context, branch string) (string, error) {
	var ref struct {
		Object struct {
			SHA string `json:"sha"`
		} `json:"object"`
	}
	_, err := f.do(ctx, http.MethodGet, f.repoPath("git/ref/heads/")+escapeRef(branch), nil, &ref)
	if errors.Is(err, pr.ErrNotFound) {
		return "", nil
	}
	return ref.Object.SHA, err
}

// escapeRef escapes a branch for a path; its slashes stay.
func escapeRef(branch string) string { return strings.ReplaceAll(url.PathEscape(branch), "%2F", "/") }

// label adds the labels that p has not.
func (f *Forge) label(ctx context.Context, p pr.Pull, labels []string) (pr.Pull, error) {
	var missing []string
	for _, l := range labels {
		if !hasLabel(p.Labels, l) && !hasLabel(missing, l) {
			missing = append(missing, l)
		}
	}
	if len(missing) == 0 {
		return p, nil
	}
	all, err := f.addLabels(ctx, p.Number, missing)
	p.Labels = all
	return p, err
}

// hasLabel compares as GitHub does: without case.
func hasLabel(all []string, l string) bool {
	for _, have := range all {
		if strings.EqualFold(have, l) {
			return true
		}
	}
	return false
}

func fitTitle(s string) string {
	s = oneLine(s, len(s)+1)
	for n := maxTitle; ; n-- {
		if t := pr.CutText(s, n); len(t) <= maxTitle {
			return t
		}
	}
}

// fitText cuts a body or comment to what GitHub takes, with its key.
func fitText(key, body string) string {
	room := maxText - len(pr.WithKey(key, ""))
	for n := utf8.RuneCountInString(body); len(body) > room; {
		n = min(n-1, n*room/len(body))
		body = pr.CutBody(body, max(n, 1))
		n = utf8.RuneCountInString(body)
	}
	return body
}

// unixText is a text as GitHub may have kept it, for comparing.
func unixText(s string) string {
	return strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n\t ")
}
