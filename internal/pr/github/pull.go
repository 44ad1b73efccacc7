package github

import (
	"strconv"
	"strings"
	"time"

	"towpath.dev/towpath/internal/pr"
)

// pullJSON is a pull request in REST: what lists have, and what only one alone has.
type pullJSON struct {
	Number      int        `json:"number"`
	Node        string     `json:"node_id"`
	State       string     `json:"state"`
	Title       string     `json:"title"`
	Body        string     `json:"body"`
	URL         string     `json:"html_url"`
	Draft       bool       `json:"draft"`
	User        userJSON   `json:"user"`
	Created     time.Time  `json:"created_at"`
	Updated     time.Time  `json:"updated_at"`
	Closed      time.Time  `json:"closed_at"`
	MergedAt    *time.Time `json:"merged_at"`
	MergeCommit string     `json:"merge_commit_sha"`
	Labels      []struct {
		Name string `json:"name"`
	} `json:"labels"`
	Head sideJSON `json:"head"`
	Base sideJSON `json:"base"`

	// Of one alone:
	Mergeable      *bool    `json:"mergeable"`
	MergeableState string   `json:"mergeable_state"`
	MergedBy       userJSON `json:"merged_by"`
}

type userJSON struct {
	Login string `json:"login"`
}

type sideJSON struct {
	Ref  string `json:"ref"`
	SHA  string `json:"sha"`
	Repo struct {
		FullName string `json:"full_name"`
	} `json:"repo"` // null where the fork is gone
}

// nobody is how GitHub calls whoever has no account any more.
const nobody = "ghost"

func (u userJSON) login() string {
	if u.Login == "" {
		return nobody
	}
	return u.Login
}

// value is the pull request without what only details tell.
func (j pullJSON) value() pr.Pull {
	p := pr.Pull{
		Number: j.Number, Branch: j.Head.Ref, Base: j.Base.Ref, Head: j.Head.SHA, Title: j.Title, Body: j.Body,
		Author: j.User.login(), Open: j.State == "open", Merged: j.MergedAt != nil, Created: j.Created, Closed: j.Closed,
		URL: j.URL, Draft: j.Draft, Updated: j.Updated,
		// A fork that is gone has no repository here, and its branch is none of ours either.
		Fork: !strings.EqualFold(j.Head.Repo.FullName, j.Base.Repo.FullName),
	}
	p.Ref = "refs/heads/" + p.Branch
	if p.Fork {
		p.Ref = pullRef(p.Number)
	}
	if p.Merged { // before that it is the commit of a trial
		p.MergeCommit = j.MergeCommit
	}
	if p.Merged && j.MergedBy.Login != "" {
		p.ClosedBy = j.MergedBy.Login
	}
	p.Labels = j.labels()
	return p
}

func (j pullJSON) labels() []string {
	var all []string
	for _, l := range j.Labels {
		all = append(all, l.Name)
	}
	return all
}

// ours reports whether a branch of the repository is one that Towpath makes.
func (f *Forge) ours(p pr.Pull) bool {
	return !p.Fork && strings.HasPrefix(p.Branch, f.cfg.Prefix)
}

func pullRef(number int) string { return "refs/pull/" + strconv.Itoa(number) + "/head" }
