package fakegithub

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

type status struct {
	id                               int
	sha, context, state, description string
	target                           string
	creator                          *user
	app                              int
	at                               time.Time
}

type checkRun struct {
	id                            int
	sha, name, status, conclusion string
	app                           *App
	at                            time.Time
}

// Limits of a status.
const (
	maxDescription = 140
	maxStatuses    = 1000 // of a commit and context
)

func createStatus(c *call) (*answer, error) {
	var in struct {
		State, Description, Context string
		TargetURL                   string `json:"target_url"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Context == "" {
		in.Context = "default"
	}
	sha := c.repo.resolve(c.params["sha"])
	count := 0
	for _, st := range c.repo.statuses {
		if st.sha == sha && strings.EqualFold(st.context, in.Context) {
			count++
		}
	}
	switch {
	case sha == "":
		return nil, &problem{status: http.StatusUnprocessableEntity, message: "No commit found for SHA: " + c.params["sha"]}
	case !slices.Contains([]string{"error", "failure", "pending", "success"}, in.State):
		return nil, invalid("Status", "state", "custom", "state is not included in the list")
	case utf8.RuneCountInString(in.Description) > maxDescription:
		return nil, invalid("Status", "description", "custom", "description is too long (maximum is 140 characters)")
	case count >= maxStatuses:
		return nil, invalid("Status", "", "custom", "This SHA and context has reached the maximum number of statuses.")
	}
	st := &status{
		id: c.s.next(), sha: sha, context: in.Context, state: in.State, description: in.Description, target: in.TargetURL,
		creator: c.who.user, at: c.s.now(),
	}
	if c.who.app != nil {
		st.app = c.who.app.ID
	}
	c.repo.statuses = append(c.repo.statuses, st)
	if err := c.repo.statusesChanged(); err != nil {
		return nil, err
	}
	v := c.repo.viewStatus(st)
	v["creator"] = c.s.viewUser(st.creator)
	return respond(http.StatusCreated, v), nil
}

func (r *Repo) viewStatus(st *status) obj {
	return obj{
		"url": r.url("statuses/%s", st.sha), "avatar_url": r.s.Web + "/avatars/u/" + strconv.Itoa(st.creator.id),
		"id": st.id, "node_id": nodeID("SC", st.id), "state": st.state, "description": text(st.description),
		"target_url": text(st.target), "context": st.context, "created_at": date(st.at), "updated_at": date(st.at),
	}
}

// commit finds the commit of {ref}.
func (c *call) commit() (string, error) {
	sha := c.repo.resolve(c.params["ref"])
	if sha == "" {
		return "", &problem{status: http.StatusUnprocessableEntity, message: "No commit found for SHA: " + c.params["ref"]}
	}
	return sha, nil
}

func listStatuses(c *call) (*answer, error) {
	sha, err := c.commit()
	if err != nil {
		return nil, err
	}
	var all []any
	for _, st := range slices.Backward(c.repo.statuses) { // the newest first
		if st.sha == sha {
			v := c.repo.viewStatus(st)
			v["creator"] = c.s.viewUser(st.creator)
			all = append(all, v)
		}
	}
	return c.list(all)
}

// standing are the last statuses of each context.
func (r *Repo) standing(sha string) []*status {
	var last []*status
	for _, st := range slices.Backward(r.statuses) {
		if st.sha == sha && !slices.ContainsFunc(last, func(o *status) bool { return strings.EqualFold(o.context, st.context) }) {
			last = append(last, st)
		}
	}
	slices.Reverse(last)
	return last
}

func combinedStatus(c *call) (*answer, error) {
	sha, err := c.commit()
	if err != nil {
		return nil, err
	}
	state, all := "success", []any{}
	standing := c.repo.standing(sha)
	if len(standing) == 0 {
		state = "pending"
	}
	for _, st := range standing {
		all = append(all, c.repo.viewStatus(st))
		switch {
		case st.state == "failure" || st.state == "error":
			state = "failure"
		case st.state == "pending" && state != "failure":
			state = "pending"
		}
	}
	cut, header := c.page(all)
	a := respond(http.StatusOK, obj{
		"state": state, "statuses": cut, "sha": sha, "total_count": len(all), "repository": c.repo.viewMinimal(),
		"commit_url": c.repo.url("commits/%s", sha), "url": c.repo.url("commits/%s/status", sha),
	})
	for k, v := range header {
		a.header[k] = v
	}
	return a, nil
}

// CheckRun records what an App's check says of a commit; an empty conclusion is one in progress.
func (r *Repo) CheckRun(app *App, sha, name, conclusion string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	state := "completed"
	if conclusion == "" {
		state = "in_progress"
	}
	r.checks = append(r.checks, &checkRun{id: r.s.next(), sha: sha, name: name, status: state, conclusion: conclusion, app: app, at: r.s.now()})
}

// standingChecks are the last check runs of each name and App.
func (r *Repo) standingChecks(sha string) []*checkRun {
	var last []*checkRun
	for _, ch := range slices.Backward(r.checks) {
		if ch.sha == sha && !slices.ContainsFunc(last, func(o *checkRun) bool { return o.name == ch.name && o.app == ch.app }) {
			last = append(last, ch)
		}
	}
	return last
}

func listCheckRuns(c *call) (*answer, error) {
	sha, err := c.commit()
	if err != nil {
		return nil, err
	}
	all := []any{}
	for _, ch := range c.repo.standingChecks(sha) {
		if name := c.query.Get("check_name"); name != "" && name != ch.name {
			continue
		}
		all = append(all, c.repo.viewCheckRun(ch))
	}
	cut, header := c.page(all)
	a := respond(http.StatusOK, obj{"total_count": len(all), "check_runs": cut})
	for k, v := range header {
		a.header[k] = v
	}
	return a, nil
}

func (r *Repo) viewCheckRun(ch *checkRun) obj {
	url := r.url("check-runs/%d", ch.id)
	v := obj{
		"id": ch.id, "head_sha": ch.sha, "node_id": nodeID("CR", ch.id), "external_id": "", "url": url,
		"html_url": r.web("runs/%d", ch.id), "details_url": r.web("runs/%d", ch.id), "status": ch.status, "conclusion": text(ch.conclusion),
		"started_at": date(ch.at), "completed_at": nil, "name": ch.name, "check_suite": obj{"id": ch.id}, "pull_requests": []any{},
		"output": obj{"title": nil, "summary": nil, "text": nil, "annotations_count": 0, "annotations_url": url + "/annotations"},
		"app":    nil,
	}
	if ch.app != nil {
		v["app"] = r.s.viewApp(ch.app)
	}
	if ch.conclusion != "" {
		v["completed_at"] = date(ch.at)
	}
	return v
}

// checkState is what is known of a required check: success, pending, failure, or "" for nothing.
func (r *Repo) checkState(sha string, need Check) string {
	state := ""
	for _, st := range r.standing(sha) {
		if strings.EqualFold(st.context, need.Context) && (need.App == 0 || need.App == st.app) {
			state = st.state
		}
	}
	for _, ch := range r.standingChecks(sha) {
		if ch.name != need.Context || need.App != 0 && (ch.app == nil || ch.app.ID != need.App) {
			continue
		}
		state = ch.state()
	}
	return state
}

// state is a check run's in the words of statuses.
func (ch *checkRun) state() string {
	switch ch.conclusion {
	case "success", "neutral", "skipped":
		return "success"
	case "":
		return "pending"
	}
	return "failure"
}

// allGreen tells whether nothing said of a commit is pending or bad.
func (r *Repo) allGreen(sha string) bool {
	return !slices.ContainsFunc(r.standing(sha), func(st *status) bool { return st.state != "success" }) &&
		!slices.ContainsFunc(r.standingChecks(sha), func(ch *checkRun) bool { return ch.state() != "success" })
}
