package fakegithub

import (
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

type deployment struct {
	id                                       int
	ref, sha, task, environment, description string
	payload                                  any
	transient, production                    bool
	creator                                  *user
	at                                       time.Time
	statuses                                 []*deploymentStatus
}

type deploymentStatus struct {
	id                                                   int
	state, description, environment, target, url, logURL string
	creator                                              *user
	at                                                   time.Time
}

func (r *Repo) viewDeployment(d *deployment) obj {
	url := r.url("deployments/%d", d.id)
	updated := d.at
	if n := len(d.statuses); n > 0 {
		updated = d.statuses[n-1].at
	}
	return obj{
		"url": url, "id": d.id, "node_id": nodeID("DE", d.id), "sha": d.sha, "ref": d.ref, "task": d.task, "payload": d.payload,
		"original_environment": d.environment, "environment": d.environment, "description": text(d.description), "creator": r.s.viewUser(d.creator),
		"created_at": date(d.at), "updated_at": date(updated), "statuses_url": url + "/statuses", "repository_url": r.url(""),
		"transient_environment": d.transient, "production_environment": d.production,
	}
}

func listDeployments(c *call) (*answer, error) {
	var all []any
	for _, d := range slices.Backward(c.repo.deployments) {
		q := c.query
		fits := func(name, value string) bool { return q.Get(name) == "" || q.Get(name) == value }
		if fits("sha", d.sha) && fits("ref", d.ref) && fits("environment", d.environment) && fits("task", d.task) {
			all = append(all, c.repo.viewDeployment(d))
		}
	}
	return c.list(all)
}

// createDeployment merges the default branch into the ref and asks for all checks unless told not to, as
// GitHub does, which is where its 409 come from.
func createDeployment(c *call) (*answer, error) {
	in := struct {
		Ref, Task, Environment, Description string
		Payload                             any
		AutoMerge                           *bool     `json:"auto_merge"`
		RequiredContexts                    *[]string `json:"required_contexts"`
		Transient                           bool      `json:"transient_environment"`
		Production                          *bool     `json:"production_environment"`
	}{Task: "deploy", Environment: "production", Payload: obj{}}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	sha := c.repo.resolve(in.Ref)
	if sha == "" {
		return nil, fail(http.StatusUnprocessableEntity, "No ref found for: %s", in.Ref)
	}
	if in.AutoMerge == nil || *in.AutoMerge {
		if main := c.repo.head(c.repo.Default); main != "" {
			upToDate, err := c.repo.contains(sha, main)
			if err != nil {
				return nil, err
			}
			if !upToDate {
				return nil, fail(http.StatusConflict, "Conflict merging %s into %s.", c.repo.Default, in.Ref)
			}
		}
	}
	if in.RequiredContexts == nil && !c.repo.allGreen(sha) {
		return nil, fail(http.StatusConflict, "Conflict: Commit status checks failed for %s.", in.Ref)
	}
	if in.RequiredContexts != nil {
		for _, context := range *in.RequiredContexts {
			if c.repo.checkState(sha, Check{Context: context}) != "success" {
				return nil, fail(http.StatusConflict, "Conflict: Commit status checks failed for %s.", in.Ref)
			}
		}
	}
	d := &deployment{
		id: c.s.next(), ref: in.Ref, sha: sha, task: in.Task, environment: in.Environment, description: in.Description, payload: in.Payload,
		transient: in.Transient, production: in.Environment == "production", creator: c.who.user, at: c.s.now(),
	}
	if in.Production != nil {
		d.production = *in.Production
	}
	c.repo.deployments = append(c.repo.deployments, d)
	a := respond(http.StatusCreated, c.repo.viewDeployment(d))
	a.header.Set("Location", c.repo.url("deployments/%d", d.id))
	return a, nil
}

func (c *call) deployment() (*deployment, error) {
	id, err := c.number("deployment_id")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.repo.deployments, func(d *deployment) bool { return d.id == id })
	if i < 0 {
		return nil, notFound()
	}
	return c.repo.deployments[i], nil
}

func (r *Repo) viewDeploymentStatus(d *deployment, st *deploymentStatus) obj {
	url := r.url("deployments/%d", d.id)
	return obj{
		"url": url + "/statuses/" + nodeID("DES", st.id), "id": st.id, "node_id": nodeID("DES", st.id), "state": st.state,
		"creator": r.s.viewUser(st.creator), "description": st.description, "environment": st.environment, "target_url": st.target,
		"log_url": st.logURL, "environment_url": st.url, "created_at": date(st.at), "updated_at": date(st.at),
		"deployment_url": url, "repository_url": r.url(""),
	}
}

func listDeploymentStatuses(c *call) (*answer, error) {
	d, err := c.deployment()
	if err != nil {
		return nil, err
	}
	var all []any
	for _, st := range slices.Backward(d.statuses) {
		all = append(all, c.repo.viewDeploymentStatus(d, st))
	}
	return c.list(all)
}

func createDeploymentStatus(c *call) (*answer, error) {
	in := struct {
		State, Description, Environment string
		TargetURL                       string `json:"target_url"`
		LogURL                          string `json:"log_url"`
		EnvironmentURL                  string `json:"environment_url"`
		AutoInactive                    *bool  `json:"auto_inactive"`
	}{}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	d, err := c.deployment()
	if err != nil {
		return nil, err
	}
	states := []string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
	if !slices.Contains(states, in.State) {
		return nil, invalid("DeploymentStatus", "state", "invalid", "State is not included in the list")
	}
	if utf8.RuneCountInString(in.Description) > maxDescription {
		return nil, invalid("DeploymentStatus", "description", "custom", "description is too long (maximum is 140 characters)")
	}
	if in.Environment == "" {
		in.Environment = d.environment
	}
	st := &deploymentStatus{
		id: c.s.next(), state: in.State, description: in.Description, environment: in.Environment, creator: c.who.user, at: c.s.now(),
		target: in.TargetURL, url: in.EnvironmentURL, logURL: in.LogURL,
	}
	d.statuses = append(d.statuses, st)
	if in.State == "success" && (in.AutoInactive == nil || *in.AutoInactive) {
		c.repo.deactivate(d, c.who.user)
	}
	a := respond(http.StatusCreated, c.repo.viewDeploymentStatus(d, st))
	a.header.Set("Location", c.repo.url("deployments/%d/statuses", d.id))
	return a, nil
}

// deactivate ends what the new deployment replaces.
func (r *Repo) deactivate(now *deployment, by *user) {
	for _, d := range r.deployments {
		if d == now || d.environment != now.environment || d.transient || d.production {
			continue // GitHub leaves production and transient environments alone
		}
		if n := len(d.statuses); n > 0 && d.statuses[n-1].state == "success" {
			old := *d.statuses[n-1]
			old.id, old.state, old.creator, old.at = r.s.next(), "inactive", by, r.s.now()
			d.statuses = append(d.statuses, &old)
		}
	}
}
