package fakegithub

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type label struct {
	id                       int
	name, color, description string
}

type comment struct {
	id               int
	user             *user
	body             string
	created, updated time.Time
}

// Limits of labels, as GitHub has them.
const (
	maxLabel       = 50
	maxLabelsAPull = 100
)

func (r *Repo) label(name string) *label {
	i := slices.IndexFunc(r.labels, func(l *label) bool { return strings.EqualFold(l.name, name) })
	if i < 0 {
		return nil
	}
	return r.labels[i]
}

func (r *Repo) addLabel(name, color, description string) (*label, error) {
	if len(name) > maxLabel || name == "" {
		return nil, invalid("Label", "name", "custom", "name is too long (maximum is 50 characters)")
	}
	l := &label{id: r.s.next(), name: name, color: color, description: description}
	r.labels = append(r.labels, l)
	return l, nil
}

func listRepoLabels(c *call) (*answer, error) {
	var all []any
	for _, l := range c.repo.labels {
		all = append(all, c.repo.viewLabel(l))
	}
	return c.list(all)
}

func createLabel(c *call) (*answer, error) {
	var in struct{ Name, Color, Description string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if c.repo.label(in.Name) != nil {
		return nil, invalid("Label", "name", "already_exists", "")
	}
	if in.Color == "" {
		in.Color = "ededed"
	}
	l, err := c.repo.addLabel(in.Name, strings.TrimPrefix(in.Color, "#"), in.Description)
	if err != nil {
		return nil, err
	}
	return respond(http.StatusCreated, c.repo.viewLabel(l)), nil
}

func listLabels(c *call) (*answer, error) {
	p, err := c.pull("issue_number")
	if err != nil {
		return nil, err
	}
	return c.list(c.repo.viewLabels(p))
}

func (r *Repo) viewLabels(p *pull) []any {
	all := []any{}
	for _, l := range p.labels {
		all = append(all, r.viewLabel(l))
	}
	return all
}

// addLabels adds labels to a pull request, and to the repository where they are new.
func addLabels(c *call) (*answer, error) {
	var in struct{ Labels []labelName }
	var list []labelName
	if c.read(&list) == nil { // the form without {"labels": …}, which GitHub takes, too
		in.Labels = list
	} else if err := c.read(&in); err != nil {
		return nil, err
	}
	p, err := c.pull("issue_number")
	if err != nil {
		return nil, err
	}
	for _, name := range in.Labels {
		l := c.repo.label(string(name))
		if l == nil {
			if l, err = c.repo.addLabel(string(name), "ededed", ""); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(p.labels, l) {
			p.labels = append(p.labels, l)
		}
	}
	if len(p.labels) > maxLabelsAPull {
		return nil, invalid("Issue", "labels", "custom", "Cannot have more than 100 labels")
	}
	p.updated = c.s.now()
	return ok(c.repo.viewLabels(p))
}

// labelName is "name" or {"name": "name"}.
type labelName string

// UnmarshalJSON implements json.Unmarshaler.
func (n *labelName) UnmarshalJSON(data []byte) error {
	v, err := decode(data)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		*n = labelName(v)
	case map[string]any:
		name, _ := v["name"].(string)
		*n = labelName(name)
	}
	return nil
}

func removeLabel(c *call) (*answer, error) {
	p, err := c.pull("issue_number")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(p.labels, func(l *label) bool { return strings.EqualFold(l.name, c.params["name"]) })
	if i < 0 {
		return nil, fail(http.StatusNotFound, "Label does not exist")
	}
	p.labels = slices.Delete(p.labels, i, i+1)
	p.updated = c.s.now()
	return ok(c.repo.viewLabels(p))
}

func (r *Repo) viewComment(p *pull, m *comment) obj {
	return obj{
		"id": m.id, "node_id": nodeID("IC", m.id), "url": r.url("issues/comments/%d", m.id),
		"html_url": r.web("pull/%d", p.number) + "#issuecomment-" + strconv.Itoa(m.id), "issue_url": r.url("issues/%d", p.number),
		"user": r.s.viewUser(m.user), "body": m.body, "created_at": date(m.created), "updated_at": date(m.updated),
		"author_association": r.association(m.user),
	}
}

func listComments(c *call) (*answer, error) {
	p, err := c.pull("issue_number")
	if err != nil {
		return nil, err
	}
	since := c.query.Get("since")
	var all []any
	for _, m := range p.comments {
		if since == "" || m.updated.UTC().Format(time.RFC3339) >= since {
			all = append(all, c.repo.viewComment(p, m))
		}
	}
	return c.list(all)
}

// commentBody reads {"body"}.
func (c *call) commentBody() (string, error) {
	var in struct{ Body string }
	if err := c.read(&in); err != nil {
		return "", err
	}
	switch {
	case strings.TrimSpace(in.Body) == "":
		return "", invalid("IssueComment", "body", "custom", "Body cannot be blank")
	case len(in.Body) > maxText:
		return "", invalid("IssueComment", "body", "custom", "Body is too long (maximum is 65536 characters)")
	}
	return in.Body, nil
}

func createComment(c *call) (*answer, error) {
	body, err := c.commentBody()
	if err != nil {
		return nil, err
	}
	p, err := c.pull("issue_number")
	if err != nil {
		return nil, err
	}
	now := c.s.now()
	m := &comment{id: c.s.next(), user: c.who.user, body: body, created: now, updated: now}
	p.comments, p.updated = append(p.comments, m), now
	a := respond(http.StatusCreated, c.repo.viewComment(p, m))
	a.header.Set("Location", c.repo.url("issues/comments/%d", m.id))
	return a, nil
}

// comment finds the comment that the path names, and its index in the pull request.
func (c *call) comment() (*pull, int, error) {
	id, err := c.number("comment_id")
	if err != nil {
		return nil, 0, err
	}
	for _, p := range c.repo.pulls {
		for i, m := range p.comments {
			if m.id != id {
				continue
			}
			if m.user != c.who.user && c.repo.role(c.who.user.login) < roleWrite {
				return nil, 0, fail(http.StatusForbidden, "Must have admin rights to Repository.")
			}
			return p, i, nil
		}
	}
	return nil, 0, notFound()
}

func updateComment(c *call) (*answer, error) {
	body, err := c.commentBody()
	if err != nil {
		return nil, err
	}
	p, i, err := c.comment()
	if err != nil {
		return nil, err
	}
	m := p.comments[i]
	m.body, m.updated = body, c.s.now()
	return ok(c.repo.viewComment(p, m))
}

func deleteComment(c *call) (*answer, error) {
	p, i, err := c.comment()
	if err != nil {
		return nil, err
	}
	p.comments = slices.Delete(p.comments, i, i+1)
	return respond(http.StatusNoContent, nil), nil
}
