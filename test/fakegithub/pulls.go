package fakegithub

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pull is a pull request.
type pull struct {
	number, id       int
	title, body      string
	author           *user
	head, base       string // branches
	fork             string // owner of the fork that head is a branch of; "": this repository
	headSHA, baseSHA string
	draft            bool
	created, updated time.Time
	closed           time.Time // zero: open
	merged           bool
	mergedBy         *user
	mergeSHA         string  // before the merge: of the trial
	closings         []*user // who closed it each time; nil: nobody's request did
	labels           []*label
	reviews          []*review
	comments         []*comment
	requested        []*user
	requestedTeams   []*Team
	auto             *autoMerge
	pushes           int   // to the head since it was opened
	pusher           *user // of the last push through REST or GraphQL

	computed  bool // whether mergeable is known
	mergeable bool
	reads     int // since head or base changed
}

type autoMerge struct {
	by                     *user
	method, title, message string
	at                     time.Time
}

func (p *pull) close(now time.Time, by *user) {
	p.closed, p.updated, p.auto = now, now, nil
	p.mergedBy = by
	p.closings = append(p.closings, by)
}

func (p *pull) mergedAt() time.Time {
	if !p.merged {
		return time.Time{}
	}
	return p.closed
}

func (p *pull) open() bool { return p.closed.IsZero() }

func escape(s string) string { return url.PathEscape(s) }

// pull finds the pull request that the path names.
func (c *call) pull(param string) (*pull, error) {
	n, err := c.number(param)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.repo.pulls, func(p *pull) bool { return p.number == n })
	if i < 0 {
		return nil, notFound()
	}
	return c.repo.pulls[i], nil
}

func listPulls(c *call) (*answer, error) {
	state := c.query.Get("state")
	var found []*pull
	for _, p := range c.repo.pulls {
		switch {
		case state == "" || state == "open":
			if !p.open() {
				continue
			}
		case state == "closed" && p.open():
			continue
		}
		if head := c.query.Get("head"); head != "" && !strings.EqualFold(head, c.repo.headOwner(p)+":"+p.head) {
			continue
		}
		if base := c.query.Get("base"); base != "" && base != p.base {
			continue
		}
		found = append(found, p)
	}
	updated := c.query.Get("sort") == "updated"
	slices.SortStableFunc(found, func(a, b *pull) int {
		if updated && !a.updated.Equal(b.updated) {
			return a.updated.Compare(b.updated)
		}
		return a.number - b.number
	})
	// Newest first is the default only of sort=created.
	direction := c.query.Get("direction")
	if direction == "desc" || direction == "" && (c.query.Get("sort") == "" || c.query.Get("sort") == "created") {
		slices.Reverse(found)
	}
	var all []any
	for _, p := range found {
		all = append(all, c.repo.viewPull(p))
	}
	return c.list(all)
}

func getPull(c *call) (*answer, error) {
	p, err := c.pull("pull_number")
	if err != nil {
		return nil, err
	}
	v, err := c.repo.viewPullFull(p)
	if err != nil {
		return nil, err
	}
	return ok(v)
}

// maxTitle is how long a title may be, in bytes of GitHub's column.
const maxTitle = 256

// maxText is how long bodies and comments may be.
const maxText = 65536

func createPull(c *call) (*answer, error) {
	var in struct {
		Title, Head, Base, Body string
		Draft                   bool
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	r := c.repo
	owner, head, qualified := strings.Cut(in.Head, ":")
	if !qualified {
		owner, head = r.Owner, in.Head
	}
	headSHA, baseSHA := r.head(head), r.head(in.Base)
	switch {
	case in.Title == "":
		return nil, invalid("PullRequest", "title", "missing_field", "")
	case len(in.Title) > maxTitle:
		return nil, invalid("PullRequest", "title", "custom", fmt.Sprintf("title is too long (maximum is %d characters)", maxTitle))
	case len(in.Body) > maxText:
		return nil, invalid("PullRequest", "body", "custom", fmt.Sprintf("body is too long (maximum is %d characters)", maxText))
	case !strings.EqualFold(owner, r.Owner) || headSHA == "":
		return nil, invalid("PullRequest", "head", "invalid", "")
	case baseSHA == "":
		return nil, invalid("PullRequest", "base", "invalid", "")
	}
	for _, p := range r.pulls {
		if p.open() && p.fork == "" && p.head == head && p.base == in.Base {
			return nil, invalid("PullRequest", "", "custom", fmt.Sprintf("A pull request already exists for %s:%s.", r.Owner, head))
		}
	}
	if nothing, err := r.contains(baseSHA, headSHA); err != nil || nothing {
		if err != nil {
			return nil, err
		}
		return nil, invalid("PullRequest", "", "custom", fmt.Sprintf("No commits between %s and %s", in.Base, head))
	}
	r.lastNumber++
	now := r.s.now()
	p := &pull{
		number: r.lastNumber, id: r.s.next(), title: in.Title, body: in.Body, author: c.who.user, head: head, base: in.Base,
		headSHA: headSHA, baseSHA: baseSHA, draft: in.Draft, created: now, updated: now,
	}
	r.pulls = append(r.pulls, p)
	if err := r.setRef(fmt.Sprintf("refs/pull/%d/head", p.number), headSHA, ""); err != nil {
		return nil, err
	}
	v, err := r.viewPullFull(p)
	if err != nil {
		return nil, err
	}
	a := respond(http.StatusCreated, v)
	a.header.Set("Location", r.url("pulls/%d", p.number))
	return a, nil
}

func updatePull(c *call) (*answer, error) {
	var in struct{ Title, Body, State, Base *string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	p, err := c.pull("pull_number")
	if err != nil {
		return nil, err
	}
	if c.repo.role(c.who.user.login) < roleTriage && p.author != c.who.user && c.who.app == nil {
		return nil, fail(http.StatusForbidden, "Must have write access to Repository.")
	}
	if err := c.repo.reopenOrClose(p, in.State, c.who.user); err != nil {
		return nil, err
	}
	if in.Title != nil {
		if *in.Title == "" || len(*in.Title) > maxTitle {
			return nil, invalid("PullRequest", "title", "custom", "title is empty or too long")
		}
		p.title = *in.Title
	}
	if in.Body != nil {
		if len(*in.Body) > maxText {
			return nil, invalid("PullRequest", "body", "custom", fmt.Sprintf("body is too long (maximum is %d characters)", maxText))
		}
		p.body = *in.Body
	}
	if in.Base != nil && *in.Base != p.base {
		sha := c.repo.head(*in.Base)
		if sha == "" {
			return nil, invalid("PullRequest", "base", "invalid", "")
		}
		p.base, p.baseSHA, p.computed, p.reads = *in.Base, sha, false, 0
	}
	p.updated = c.s.now()
	v, err := c.repo.viewPullFull(p)
	if err != nil {
		return nil, err
	}
	return ok(v)
}

// reopenOrClose sets the state of a pull request.
func (r *Repo) reopenOrClose(p *pull, state *string, by *user) error {
	switch {
	case state == nil:
		return nil
	case *state == "closed" && p.open():
		r.leaveQueue(p)
		p.close(r.s.now(), nil)
		p.closings[len(p.closings)-1] = by
		return nil
	case *state == "open" && !p.open():
		head, base := r.headOf(p), r.head(p.base)
		if p.merged || head == "" || base == "" {
			return invalid("PullRequest", "state", "invalid", "state cannot be changed. The pull request cannot be reopened.")
		}
		for _, other := range r.pulls {
			if other.open() && other.fork == p.fork && other.head == p.head && other.base == p.base {
				return invalid("PullRequest", "state", "invalid", fmt.Sprintf("state cannot be changed. There is already an open pull request from %s.", p.head))
			}
		}
		p.closed = time.Time{}
		p.computed, p.reads = false, 0
		return r.syncPull(p, head, base)
	}
	return nil
}

// file is one of a pull request's changes.
type file struct {
	path, old, status, sha string
	additions, deletions   int
}

type stat struct {
	commits, additions, deletions int
	files                         []file
}

// diffStat counts what a pull request changes since it left its base.
func (r *Repo) diffStat(p *pull) (stat, error) {
	var s stat
	base := p.baseSHA
	if p.merged {
		base, _ = r.git("rev-parse", "--verify", "--quiet", fmt.Sprintf("refs/pull/%d/base", p.number))
		if base == "" {
			base = p.baseSHA
		}
	}
	count, err := r.gitOf("rev-list", "--count", base+".."+p.headSHA)
	if err != nil {
		return s, err
	}
	s.commits, _ = strconv.Atoi(count) // git counts
	names, err := r.gitOf("diff-tree", "-r", "-M", "--raw", "--no-abbrev", "--merge-base", base, p.headSHA)
	if err != nil {
		return s, err
	}
	numbers, err := r.gitOf("diff-tree", "-r", "-M", "--numstat", "-z", "--merge-base", base, p.headSHA)
	if err != nil {
		return s, err
	}
	counts := numstat(numbers)
	for line := range strings.Lines(names) {
		columns, paths, ok := strings.Cut(strings.TrimSpace(line), "\t")
		fields := strings.Fields(columns)
		if !ok || len(fields) < 5 {
			continue
		}
		f := file{path: paths, sha: fields[3], status: "modified"}
		switch fields[4][0] {
		case 'A':
			f.status = "added"
		case 'D':
			f.status, f.sha = "removed", fields[2]
		case 'R':
			f.status = "renamed"
			f.old, f.path, _ = strings.Cut(paths, "\t")
		}
		n := counts[f.path]
		f.additions, f.deletions = n[0], n[1]
		s.additions += n[0]
		s.deletions += n[1]
		s.files = append(s.files, f)
	}
	return s, nil
}

// numstat reads `git diff --numstat -z`: path → added and removed lines.
func numstat(out string) map[string][2]int {
	counts := map[string][2]int{}
	parts := strings.Split(out, "\x00")
	for i := 0; i < len(parts); i++ {
		fields := strings.SplitN(parts[i], "\t", 3)
		if len(fields) < 3 {
			continue
		}
		added, _ := strconv.Atoi(fields[0]) // "-" for binary files: none
		removed, _ := strconv.Atoi(fields[1])
		path := fields[2]
		if path == "" && i+2 < len(parts) { // a rename: old and new follow
			path = parts[i+2]
			i += 2
		}
		counts[path] = [2]int{added, removed}
	}
	return counts
}

func listFiles(c *call) (*answer, error) {
	p, err := c.pull("pull_number")
	if err != nil {
		return nil, err
	}
	s, err := c.repo.diffStat(p)
	if err != nil {
		return nil, err
	}
	var all []any
	for _, f := range s.files {
		at := "/" + p.headSHA + "/" + f.path
		v := obj{
			"sha": f.sha, "filename": f.path, "status": f.status, "additions": f.additions, "deletions": f.deletions,
			"changes": f.additions + f.deletions, "blob_url": c.repo.web("blob") + at, "raw_url": c.repo.web("raw") + at,
			"contents_url": c.repo.url("contents/%s?ref=%s", f.path, p.headSHA),
		}
		if f.old != "" {
			v["previous_filename"] = f.old
		}
		all = append(all, v)
	}
	return c.list(all)
}
