package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	maxStatusText   = 140 // characters of a description, of deployments too
	deployTask      = "deploy"
	maxDeployments  = 30  // of one environment and commit that are looked at
	maxReportsKnown = 500 // environments whose last report is remembered
)

// What GitHub's pages mark as production is told by the environment's name.
var (
	productionName = regexp.MustCompile(`(?i)(^|[-_./])(prod|production|prd|live)([-_./]|$)`)
	almostName     = regexp.MustCompile(`(?i)(^|[-_./])(no|non|not|pre)[-_./]`)
)

func production(env string) bool {
	return productionName.MatchString(env) && !almostName.MatchString(env)
}

type deployment struct {
	ID      int64  `json:"id"`
	Task    string `json:"task"`
	Creator *struct {
		Login string `json:"login"`
	} `json:"creator"`
}

type deploymentStatus struct {
	State       string    `json:"state"`
	Description string    `json:"description"`
	Created     time.Time `json:"created_at"`
}

// Report shows on GitHub's page of environments what one of them runs: a deployment of the commit and its
// status. What is shown already is not written again, also after a restart.
func (f *Forge) Report(ctx context.Context, r pr.Report) error {
	r.Description = pr.CutText(oneLine(r.Description, maxServerText), maxStatusText)
	f.reportsMu.Lock()
	defer f.reportsMu.Unlock()
	if f.reports[r.Env] == r {
		return nil
	}
	if err := f.report(ctx, r); err != nil {
		return fmt.Errorf("show %s at GitHub as deployed: %w", r.Env, err)
	}
	if f.reports == nil || len(f.reports) >= maxReportsKnown {
		f.reports = map[string]pr.Report{}
	}
	f.reports[r.Env] = r
	return nil
}

func (f *Forge) report(ctx context.Context, r pr.Report) error {
	state := map[pr.ReportState]string{pr.ReportProgress: "in_progress", pr.ReportHealthy: "success", pr.ReportFailing: "failure"}[r.State]
	if state == "" || r.Env == "" || r.Commit == "" {
		return fmt.Errorf("a report of %q that is %q", r.Env, r.State)
	}
	id, err := f.findDeployment(ctx, r)
	if err != nil {
		return err
	}
	if id != 0 {
		var last []deploymentStatus
		if _, err := f.do(ctx, http.MethodGet, f.repoPath("deployments/%d/statuses?per_page=1", id), nil, &last); err != nil {
			return err
		}
		switch {
		case len(last) > 0 && last[0].State == state && last[0].Description == r.Description:
			return nil
		case len(last) > 0 && last[0].State == "inactive":
			id = 0 // another one took its place; what comes back is deployed again
		}
	}
	if id == 0 {
		if id, err = f.deploy(ctx, r); err != nil {
			return err
		}
	}
	body := map[string]any{"state": state, "description": r.Description, "auto_inactive": true}
	_, err = f.do(ctx, http.MethodPost, f.repoPath("deployments/%d/statuses", id), body, nil)
	return err
}

// findDeployment returns the newest of ours for the environment and commit; 0: there is none.
func (f *Forge) findDeployment(ctx context.Context, r pr.Report) (int64, error) {
	query := url.Values{"environment": {r.Env}, "sha": {r.Commit}, "task": {deployTask}, "per_page": {fmt.Sprint(maxDeployments)}}
	var all []deployment
	if _, err := f.do(ctx, http.MethodGet, f.repoPath("deployments")+"?"+query.Encode(), nil, &all); err != nil {
		return 0, err
	}
	for _, d := range all { // newest first
		if d.Creator != nil && sameLogin(d.Creator.Login, f.user) {
			return d.ID, nil
		}
	}
	return 0, nil
}

// deploy makes a deployment that merges nothing and waits for no check: it tells what has happened. GitHub
// by itself would do both, and answer 409.
func (f *Forge) deploy(ctx context.Context, r pr.Report) (int64, error) {
	body := map[string]any{
		"ref": r.Commit, "task": deployTask, "environment": r.Env, "auto_merge": false, "required_contexts": []string{},
		"production_environment": production(r.Env), "transient_environment": false,
	}
	var made deployment
	a, err := f.do(ctx, http.MethodPost, f.repoPath("deployments"), body, &made)
	switch {
	case status(err) == http.StatusConflict:
		return 0, fmt.Errorf("GitHub takes no deployment of %s now: %w", shortHash(r.Commit), err)
	case err != nil:
		return 0, err
	case a.status != http.StatusCreated || made.ID == 0:
		return 0, errors.New("GitHub made no deployment") // 202: it merged something, which was not asked for
	}
	return made.ID, nil
}
