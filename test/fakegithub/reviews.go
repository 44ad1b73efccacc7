package fakegithub

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

type review struct {
	id     int
	user   *user
	state  string // APPROVED, CHANGES_REQUESTED, COMMENTED, DISMISSED, PENDING
	body   string
	commit string
	at     time.Time
}

func (r *Repo) viewReview(p *pull, v *review) obj {
	html := r.web("pull/%d", p.number) + "#pullrequestreview-" + nodeID("PRR", v.id)
	view := obj{
		"id": v.id, "node_id": nodeID("PRR", v.id), "user": r.s.viewUser(v.user), "body": v.body, "state": v.state,
		"html_url": html, "pull_request_url": r.url("pulls/%d", p.number), "commit_id": text(v.commit),
		"_links":             obj{"html": obj{"href": html}, "pull_request": obj{"href": r.url("pulls/%d", p.number)}},
		"author_association": r.association(v.user),
	}
	if v.state != "PENDING" {
		view["submitted_at"] = date(v.at)
	}
	return view
}

func listReviews(c *call) (*answer, error) {
	p, err := c.pull("pull_number")
	if err != nil {
		return nil, err
	}
	var all []any
	for _, v := range p.reviews {
		if v.state != "PENDING" || v.user == c.who.user {
			all = append(all, c.repo.viewReview(p, v))
		}
	}
	return c.list(all)
}

func createReview(c *call) (*answer, error) {
	var in struct {
		CommitID string `json:"commit_id"`
		Body     string `json:"body"`
		Event    string `json:"event"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	p, err := c.pull("pull_number")
	if err != nil {
		return nil, err
	}
	state, known := map[string]string{
		"": "PENDING", "APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED",
	}[in.Event]
	switch {
	case !known:
		return nil, invalidText("Variable $event of type PullRequestReviewEvent was provided invalid value")
	case p.author == c.who.user && in.Event == "APPROVE":
		return nil, invalidText("Can not approve your own pull request")
	case p.author == c.who.user && in.Event == "REQUEST_CHANGES":
		return nil, invalidText("Can not request changes on your own pull request")
	case in.Body == "" && (in.Event == "COMMENT" || in.Event == "REQUEST_CHANGES"):
		return nil, invalidText("Review body can't be blank")
	case !p.open() && in.Event != "COMMENT":
		return nil, invalidText("Can not review a closed pull request")
	}
	if in.CommitID == "" {
		in.CommitID = p.headSHA
	}
	v := &review{id: c.s.next(), user: c.who.user, state: state, body: in.Body, commit: in.CommitID, at: c.s.now()}
	p.reviews = append(p.reviews, v)
	p.updated = v.at
	p.requested = slices.DeleteFunc(p.requested, func(u *user) bool { return u == v.user })
	if err := c.repo.autoMerge(p); err != nil {
		return nil, err
	}
	return ok(c.repo.viewReview(p, v))
}

func dismissReview(c *call) (*answer, error) {
	var in struct{ Message, Event string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	p, err := c.pull("pull_number")
	if err != nil {
		return nil, err
	}
	id, err := c.number("review_id")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(p.reviews, func(v *review) bool { return v.id == id })
	if i < 0 {
		return nil, notFound()
	}
	v := p.reviews[i]
	if v.state != "APPROVED" && v.state != "CHANGES_REQUESTED" {
		return nil, invalidText("Can not dismiss a " + strings.ToLower(v.state) + " pull request review")
	}
	v.state = "DISMISSED"
	return ok(c.repo.viewReview(p, v))
}

// dismissStale takes back the approvals of a pull request whose head moved, if a rule says so.
func (r *Repo) dismissStale(p *pull) {
	if !r.needs(p.base, nil).dismissStale {
		return
	}
	for _, v := range p.reviews {
		if v.state == "APPROVED" {
			v.state = "DISMISSED"
		}
	}
}

func (r *Repo) viewRequested(p *pull) obj {
	v := r.viewPull(p)
	return obj{"users": v["requested_reviewers"], "teams": v["requested_teams"]}
}

func listRequested(c *call) (*answer, error) {
	p, err := c.pull("pull_number")
	if err != nil {
		return nil, err
	}
	return ok(c.repo.viewRequested(p))
}

type reviewersInput struct {
	Reviewers     []string `json:"reviewers"`
	TeamReviewers []string `json:"team_reviewers"`
}

func requestReviewers(c *call) (*answer, error) {
	var in reviewersInput
	if err := c.read(&in); err != nil {
		return nil, err
	}
	p, err := c.pull("pull_number")
	if err != nil {
		return nil, err
	}
	for _, login := range in.Reviewers {
		u := c.s.users[strings.ToLower(login)]
		switch {
		case u == nil || c.repo.collaborators[strings.ToLower(login)] == roleNone && u.login != c.repo.Owner:
			return nil, fail(http.StatusUnprocessableEntity, "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the %s repository.", c.repo.fullName())
		case u == p.author:
			return nil, fail(http.StatusUnprocessableEntity, "Review cannot be requested from pull request author.")
		case !slices.Contains(p.requested, u):
			p.requested = append(p.requested, u)
		}
	}
	for _, slug := range in.TeamReviewers {
		team := c.s.teams[strings.ToLower(c.repo.Owner+"/"+slug)]
		if team == nil {
			return nil, fail(http.StatusUnprocessableEntity, "Could not resolve to a node with the global id of '%s'.", slug)
		}
		if !slices.Contains(p.requestedTeams, team) {
			p.requestedTeams = append(p.requestedTeams, team)
		}
	}
	return respond(http.StatusCreated, c.repo.viewPull(p)), nil
}

func removeReviewers(c *call) (*answer, error) {
	var in reviewersInput
	if err := c.read(&in); err != nil {
		return nil, err
	}
	p, err := c.pull("pull_number")
	if err != nil {
		return nil, err
	}
	has := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
	}
	p.requested = slices.DeleteFunc(p.requested, func(u *user) bool { return has(in.Reviewers, u.login) })
	p.requestedTeams = slices.DeleteFunc(p.requestedTeams, func(t *Team) bool { return has(in.TeamReviewers, t.Slug) })
	return ok(c.repo.viewPull(p))
}
