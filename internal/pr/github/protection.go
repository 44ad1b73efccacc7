package github

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/pr"
)

// branchState is what everybody who reads the repository sees of a branch's protection.
type branchState struct {
	Protected  bool `json:"protected"`
	Protection struct {
		Enabled *bool `json:"enabled"` // classic protection
		Checks  struct {
			Contexts []string    `json:"contexts"`
			Checks   []appsCheck `json:"checks"`
		} `json:"required_status_checks"`
	} `json:"protection"`
}

type appsCheck struct {
	Context string `json:"context"`
	App     *int64 `json:"app_id"`
}

// wantedChecks are the required checks, with or without the Apps they must be of.
func wantedChecks(contexts []string, checks []appsCheck) []wantedCheck {
	var all []wantedCheck
	for _, c := range checks {
		w := wantedCheck{context: c.Context}
		if c.App != nil {
			w.app = max(0, *c.App) // -1: anybody
		}
		all = append(all, w)
	}
	for _, name := range contexts {
		if !slices.ContainsFunc(all, func(w wantedCheck) bool { return w.context == name }) {
			all = append(all, wantedCheck{context: name})
		}
	}
	return all
}

func (f *Forge) branchState(ctx context.Context, branch string) (branchState, error) {
	var b branchState
	_, err := f.do(ctx, http.MethodGet, f.repoPath("branches/%s", branch), nil, &b)
	return b, err
}

type enabled struct {
	Enabled bool `json:"enabled"`
}

// actors are users, teams and Apps that something is allowed to.
type actors struct {
	Users []struct {
		Login string `json:"login"`
	} `json:"users"`
	Teams []struct {
		Slug string `json:"slug"`
	} `json:"teams"`
	Apps []struct {
		Slug string `json:"slug"`
	} `json:"apps"`
}

// classic is the protection of a branch as it was before there were rulesets.
type classic struct {
	Admins  enabled `json:"enforce_admins"`
	Linear  enabled `json:"required_linear_history"`
	Signed  enabled `json:"required_signatures"`
	Talk    enabled `json:"required_conversation_resolution"`
	Lock    enabled `json:"lock_branch"`
	Reviews *struct {
		DismissStale bool    `json:"dismiss_stale_reviews"`
		CodeOwners   bool    `json:"require_code_owner_reviews"`
		LastPush     bool    `json:"require_last_push_approval"`
		Approvals    int     `json:"required_approving_review_count"`
		Bypass       *actors `json:"bypass_pull_request_allowances"`
	} `json:"required_pull_request_reviews"`
	Checks *struct {
		Strict   bool        `json:"strict"`
		Contexts []string    `json:"contexts"`
		Checks   []appsCheck `json:"checks"`
	} `json:"required_status_checks"`
	Restrictions *actors `json:"restrictions"`
}

// protection reads classic protection. All of it is shown only to those who may read the settings; its
// required checks to everybody.
func (g *gathering) protection(ctx context.Context) error {
	state, err := g.f.branchState(ctx, g.branch)
	if err != nil {
		return err
	}
	g.rules.Protected = g.rules.Protected || state.Protected
	if !state.Protected || state.Protection.Enabled != nil && !*state.Protection.Enabled {
		return nil
	}
	var p classic
	_, err = g.f.do(ctx, http.MethodGet, g.f.repoPath("branches/%s/protection", g.branch), nil, &p)
	var refused *apiError
	switch {
	case err == nil:
		return g.takeClassic(ctx, p)
	case !errors.As(err, &refused) || refused.status != http.StatusNotFound && refused.status != http.StatusForbidden:
		return err
	case refused.says("branch not protected"):
		return nil
	}
	checks := wantedChecks(state.Protection.Checks.Contexts, state.Protection.Checks.Checks)
	g.wanted = append(g.wanted, checks...)
	need := "only an administrator of the repository sees it"
	if g.f.cfg.App != nil {
		need = "give the App Administration: read"
	}
	g.unknown("the classic protection of %s but for its required checks (approvals, who may push): %s", g.branch, need)
	g.bars++ // which we do not know a way past
	g.hidden = true
	if len(checks) > 0 { // nothing that is pushed has them
		g.rules.Push = false
	}
	return nil
}

func (g *gathering) takeClassic(ctx context.Context, p classic) error {
	free := g.admin && !p.Admins.Enabled // administrators are held to nothing
	hold := func(passed bool) {
		g.bars++
		if passed || free {
			g.passed++
		} else {
			g.rules.Push = false
		}
	}
	g.rules.Linear = g.rules.Linear || p.Linear.Enabled
	g.rules.Signed = g.rules.Signed || p.Signed.Enabled
	if p.Talk.Enabled {
		g.conversations()
	}
	if p.Lock.Enabled {
		g.unknown("the lock of %s: nobody may change it", g.branch)
		hold(false)
	}
	if r := p.Reviews; r != nil {
		g.reviews(r.Approvals, r.DismissStale, r.CodeOwners, r.LastPush)
		us, err := g.holds(ctx, r.Bypass)
		if err != nil {
			return err
		}
		hold(us)
	}
	if c := p.Checks; c != nil {
		g.wanted = append(g.wanted, wantedChecks(c.Contexts, c.Checks)...)
		g.rules.UpToDate = g.rules.UpToDate || c.Strict
		hold(false)
	}
	if p.Restrictions == nil {
		return nil
	}
	us, err := g.holds(ctx, p.Restrictions)
	if err != nil {
		return err
	}
	if !us && !free {
		g.unknown("who may push to %s: not we, so that GitHub lets us merge nothing into it; add %s to those who may", g.branch, g.f.user)
	}
	hold(us)
	return nil
}

// holds reports whether we are among the actors; nil is nobody.
func (g *gathering) holds(ctx context.Context, a *actors) (bool, error) {
	if a == nil {
		return false, nil
	}
	for _, app := range a.Apps {
		if sameLogin(app.Slug+"[bot]", g.f.user) {
			return true, nil
		}
	}
	for _, u := range a.Users {
		if sameLogin(u.Login, g.f.user) {
			return true, nil
		}
	}
	if g.f.cfg.App != nil {
		return false, nil // an App is in no team
	}
	for _, t := range a.Teams {
		members, err := g.f.Members(ctx, t.Slug)
		if errors.Is(err, pr.ErrNotFound) || errors.Is(err, pr.ErrForbidden) {
			g.unknown("whether we are in the team %s, which %s makes an exception for: %s cannot read it", t.Slug, g.branch, g.f.user)
			continue
		}
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(members, func(m string) bool { return sameLogin(m, g.f.user) }) {
			return true, nil
		}
	}
	return false, nil
}

// requiredContexts are the checks that a branch's rules require, whoever must write them. Everybody who
// may read the repository sees them.
func (f *Forge) requiredContexts(ctx context.Context, branch string) (map[string]bool, error) {
	rules, err := f.branchRules(ctx, branch)
	if err != nil {
		return nil, err
	}
	state, err := f.branchState(ctx, branch)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, c := range wantedChecks(state.Protection.Checks.Contexts, state.Protection.Checks.Checks) {
		all[c.context] = true
	}
	for _, rule := range rules {
		if rule.Type != "required_status_checks" {
			continue
		}
		checks, _, err := requiredChecks(rule)
		if err != nil {
			return nil, err
		}
		for _, c := range checks {
			all[c.context] = true
		}
	}
	return all, nil
}

// CodeOwners reads the file that GitHub takes code owners from, on a branch or commit: its path and
// content; "" when there is none. pr.ParseCodeOwners reads it.
func (f *Forge) CodeOwners(ctx context.Context, ref string) (path string, data []byte, err error) {
	for _, path := range []string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"} {
		data, err := f.content(ctx, path, ref)
		switch {
		case status(err) == http.StatusNotFound:
			continue
		case err != nil:
			return "", nil, fmt.Errorf("read %s at %s: %w", path, ref, err)
		}
		return path, data, nil
	}
	return "", nil, nil
}

// content is a file through the interface, which gives none larger than a megabyte.
func (f *Forge) content(ctx context.Context, path, ref string) ([]byte, error) {
	var file struct {
		Type     string `json:"type"`
		Encoding string `json:"encoding"`
		Content  string `json:"content"`
		Size     int64  `json:"size"`
	}
	if _, err := f.do(ctx, http.MethodGet, f.repoPath("contents/")+path+"?ref="+url.QueryEscape(ref), nil, &file); err != nil {
		return nil, err
	}
	if file.Type != "file" || file.Encoding != "base64" {
		return nil, fmt.Errorf("it is no file that GitHub's interface gives (%s, %d bytes)", oneLine(file.Type, maxServerText), file.Size)
	}
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(file.Content, "\n", ""))
	if err != nil {
		return nil, errors.New("its content is no Base64")
	}
	return data, nil
}
