package github

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"towpath.dev/towpath/internal/pr"
)

// Rules are what GitHub asks of changes to a branch: settings of the repository, rulesets and classic
// protection together. All of it is decoded here, from JSON as it comes, because go-github fails on kinds
// of rules that it does not know. What cannot be read, or has no word in pr.Rules, is in Unknown.
func (f *Forge) Rules(ctx context.Context, branch string) (pr.Rules, error) {
	g := &gathering{f: f, branch: branch, apps: map[int64]string{}, rules: pr.Rules{Branch: branch, Push: true}}
	if err := g.gather(ctx); err != nil {
		return pr.Rules{}, fmt.Errorf("read GitHub's rules for %s of %s/%s: %w", branch, f.owner, f.name, err)
	}
	return g.rules, nil
}

// gathering is the rules of a branch while they are read.
type gathering struct {
	f      *Forge
	branch string
	rules  pr.Rules
	repo   repository
	admin  bool

	methods []pr.Method      // that rulesets allow; nil: all
	apps    map[int64]string // slugs of Apps by ID, as far as known
	wanted  []wantedCheck
	hidden  bool // who may push cannot be read
	bars    int  // rules between us and a merge …
	passed  int  // … and those of them that we may bypass
}

type wantedCheck struct {
	context string
	app     int64 // 0: anybody
}

func (g *gathering) gather(ctx context.Context) error {
	var err error
	if g.repo, _, err = g.f.repository(ctx); err != nil {
		return err
	}
	g.admin = g.repo.Permissions["admin"]
	g.rules.Push = g.repo.Permissions["push"]
	if g.f.cfg.App != nil {
		granted, err := g.f.cfg.App.grant(ctx)
		if err != nil {
			return err
		}
		g.apps[granted.id] = granted.slug
		g.rules.Push = permission{"contents", "write", ""}.within(granted.installed)
	}
	if err := g.rulesets(ctx); err != nil {
		return err
	}
	if err := g.protection(ctx); err != nil {
		return err
	}
	g.settings()
	g.rules.Bypass = g.bars > 0 && g.bars == g.passed
	g.rules.PushUnknown = g.rules.Push && g.hidden
	g.rules.Push = g.rules.Push && !g.hidden
	if err := g.checks(ctx); err != nil {
		return err
	}
	slices.SortFunc(g.rules.Checks, func(a, b pr.RequiredCheck) int {
		return strings.Compare(a.Context+"\x00"+a.App, b.Context+"\x00"+b.App)
	})
	g.rules.Checks = slices.Compact(g.rules.Checks)
	slices.Sort(g.rules.Unknown)
	g.rules.Unknown = slices.Compact(g.rules.Unknown)
	return nil
}

func (g *gathering) unknown(format string, args ...any) {
	g.rules.Unknown = append(g.rules.Unknown, fmt.Sprintf(format, args...))
}

// settings are those of the repository, less what rules forbid.
func (g *gathering) settings() {
	if g.repo.AllowSquash == nil && g.repo.AllowMerge == nil && g.repo.AllowRebase == nil {
		g.unknown("which merge methods the repository allows: only who may write to it sees that")
	}
	for _, m := range []struct {
		method  pr.Method
		allowed *bool
	}{{pr.Squash, g.repo.AllowSquash}, {pr.Merge, g.repo.AllowMerge}, {pr.Rebase, g.repo.AllowRebase}} {
		switch {
		case m.allowed == nil || !*m.allowed:
		case g.methods != nil && !slices.Contains(g.methods, m.method):
		case m.method == pr.Merge && g.rules.Linear:
		default:
			g.rules.Methods = append(g.rules.Methods, m.method)
		}
	}
	g.rules.AutoMerge = g.repo.AllowAutoMerge != nil && *g.repo.AllowAutoMerge
}

// branchRule is one active rule, of whichever ruleset.
type branchRule struct {
	Type       string          `json:"type"`
	Parameters json.RawMessage `json:"parameters"`
	Ruleset    int64           `json:"ruleset_id"`
	Source     string          `json:"ruleset_source"`
}

func (f *Forge) branchRules(ctx context.Context, branch string) ([]branchRule, error) {
	return everyPage[branchRule](ctx, f, f.repoPath("rules/branches/%s", branch))
}

// rulesets reads the active rules and, of each ruleset, whether we may bypass it.
func (g *gathering) rulesets(ctx context.Context) error {
	rules, err := g.f.branchRules(ctx, g.branch)
	if err != nil {
		return err
	}
	bypass := map[int64]string{}
	for _, rule := range rules {
		how, seen := bypass[rule.Ruleset]
		if !seen {
			if how, err = g.mayBypass(ctx, rule); err != nil {
				return err
			}
			bypass[rule.Ruleset] = how
		}
		g.rules.Protected = true
		bar, err := g.take(ctx, rule)
		if err != nil {
			return err
		}
		if bar.merge {
			g.bars++
			if how == "always" || how == "pull_requests_only" || how == "exempt" {
				g.passed++
			}
		}
		if bar.push && how != "always" && how != "exempt" {
			g.rules.Push = false
		}
	}
	return nil
}

// mayBypass asks whether we may bypass a ruleset: always, pull_requests_only, exempt, never; "" when GitHub
// does not say.
func (g *gathering) mayBypass(ctx context.Context, rule branchRule) (string, error) {
	var set struct {
		Bypass string `json:"current_user_can_bypass"`
	}
	_, err := g.f.do(ctx, http.MethodGet, g.f.repoPath("rulesets/%d", rule.Ruleset), nil, &set)
	switch status(err) {
	case http.StatusNotFound, http.StatusForbidden:
		set.Bypass = ""
	default:
		if err != nil {
			return "", err
		}
	}
	if set.Bypass == "" {
		g.unknown("whether we may bypass the ruleset %d of %s: GitHub does not tell us", rule.Ruleset, rule.Source)
	}
	return set.Bypass, nil
}

// bar is what a rule stands in the way of.
type bar struct{ merge, push bool }

// take reads one rule.
func (g *gathering) take(ctx context.Context, rule branchRule) (bar, error) {
	switch rule.Type {
	case "pull_request":
		return bar{true, true}, g.pullRequestRule(ctx, rule)
	case "required_status_checks":
		return bar{true, true}, g.checksRule(rule)
	case "merge_queue":
		g.rules.Queue = true
		return bar{false, true}, nil
	case "required_linear_history":
		g.rules.Linear = true
		return bar{}, nil
	case "required_signatures":
		g.rules.Signed = true
		return bar{}, nil
	case "update":
		g.unknown("the rule update: only who may bypass it changes the branch at all")
		return bar{true, true}, nil
	case "required_deployments":
		var p struct {
			Environments []string `json:"required_deployment_environments"`
		}
		if err := parameters(rule, &p); err != nil {
			return bar{}, err
		}
		g.unknown("the rule required_deployments: GitHub merges only after a deployment to %s", strings.Join(p.Environments, ", "))
		return bar{true, true}, nil
	case "workflows", "code_scanning", "code_quality":
		g.unknown("the rule %s: GitHub merges only after its runs, which Towpath does not read", rule.Type)
		return bar{true, true}, nil
	case "creation", "deletion", "non_fast_forward", "copilot_code_review",
		"file_path_restriction", "max_file_path_length", "file_extension_restriction", "max_file_size":
		return bar{}, nil // nothing to merges of ours
	}
	g.unknown("the rule %s of the ruleset %d: this version does not know what it asks for", oneLine(rule.Type, maxServerText), rule.Ruleset)
	return bar{true, true}, nil
}

func parameters(rule branchRule, into any) error {
	if len(rule.Parameters) == 0 {
		return nil
	}
	if err := json.Unmarshal(rule.Parameters, into); err != nil {
		return fmt.Errorf("the parameters of the rule %s: %w", oneLine(rule.Type, maxServerText), err)
	}
	return nil
}

func (g *gathering) pullRequestRule(ctx context.Context, rule branchRule) error {
	var p struct {
		Methods      []pr.Method `json:"allowed_merge_methods"`
		DismissStale bool        `json:"dismiss_stale_reviews_on_push"`
		CodeOwners   bool        `json:"require_code_owner_review"`
		LastPush     bool        `json:"require_last_push_approval"`
		Approvals    int         `json:"required_approving_review_count"`
		Threads      bool        `json:"required_review_thread_resolution"`
		Reviewers    []struct {
			Patterns []string `json:"file_patterns"`
			Minimum  int      `json:"minimum_approvals"`
			Reviewer struct {
				ID   int64  `json:"id"`
				Type string `json:"type"`
			} `json:"reviewer"`
		} `json:"required_reviewers"`
	}
	if err := parameters(rule, &p); err != nil {
		return err
	}
	g.reviews(p.Approvals, p.DismissStale, p.CodeOwners, p.LastPush)
	if len(p.Methods) > 0 {
		g.methods = both(g.methods, p.Methods)
	}
	if p.Threads {
		g.conversations()
	}
	for _, r := range p.Reviewers {
		who, err := g.reviewer(ctx, r.Reviewer.Type, r.Reviewer.ID)
		if err != nil {
			return err
		}
		g.rules.Reviewers = append(g.rules.Reviewers, pr.RequiredReviewers{Paths: r.Patterns, Reviewers: who, Approvals: r.Minimum})
	}
	return nil
}

func (g *gathering) conversations() {
	g.unknown("the rule that all conversations are resolved: Towpath does not look at them")
}

// both are the methods in both lists; nil is all.
func both(a, b []pr.Method) []pr.Method {
	if a == nil {
		return b
	}
	return slices.DeleteFunc(slices.Clone(a), func(m pr.Method) bool { return !slices.Contains(b, m) })
}

// reviews adds what one rule asks of reviews.
func (g *gathering) reviews(approvals int, dismissStale, owners, lastPush bool) {
	r := &g.rules
	r.Approvals = max(r.Approvals, approvals)
	r.DismissStale, r.CodeOwners, r.LastPush = r.DismissStale || dismissStale, r.CodeOwners || owners, r.LastPush || lastPush
}

// reviewer names a team by its ID.
func (g *gathering) reviewer(ctx context.Context, kind string, id int64) (string, error) {
	name := fmt.Sprintf("%s %d", strings.ToLower(oneLine(kind, maxServerText)), id)
	if kind != "Team" {
		return name, nil
	}
	teams, err := everyPage[struct {
		ID   int64  `json:"id"`
		Slug string `json:"slug"`
	}](ctx, g.f, "orgs/"+url.PathEscape(g.f.owner)+"/teams")
	switch status(err) {
	case http.StatusForbidden, http.StatusNotFound:
		g.unknown("which team is the one with the ID %d: give the App Members: read, or the token the scope read:org", id)
		return name, nil
	}
	if err != nil {
		return "", err
	}
	for _, t := range teams {
		if t.ID == id {
			return g.f.owner + "/" + t.Slug, nil
		}
	}
	g.unknown("which team is the one with the ID %d: none that we see", id)
	return name, nil
}

func (g *gathering) checksRule(rule branchRule) error {
	checks, strict, err := requiredChecks(rule)
	g.wanted = append(g.wanted, checks...)
	g.rules.UpToDate = g.rules.UpToDate || strict
	return err
}

func requiredChecks(rule branchRule) ([]wantedCheck, bool, error) {
	var p struct {
		Checks []struct {
			Context string `json:"context"`
			App     int64  `json:"integration_id"`
		} `json:"required_status_checks"`
		Strict bool `json:"strict_required_status_checks_policy"`
	}
	err := parameters(rule, &p)
	var all []wantedCheck
	for _, c := range p.Checks {
		all = append(all, wantedCheck{c.Context, max(0, c.App)})
	}
	return all, p.Strict, err
}

// actionsApp is GitHub Actions at github.com, the App of most checks.
const actionsApp = 15368

// checks names the Apps of required checks. GitHub tells an App's name only beside what it wrote, so the
// checks of the branch's head are asked for when a name is missing.
func (g *gathering) checks(ctx context.Context) error {
	missing := slices.ContainsFunc(g.wanted, func(c wantedCheck) bool { return c.app != 0 && g.apps[c.app] == "" })
	if missing && g.f.client.BaseURL.Host == "api.github.com" {
		g.apps[actionsApp] = "github-actions"
		missing = slices.ContainsFunc(g.wanted, func(c wantedCheck) bool { return c.app != 0 && g.apps[c.app] == "" })
	}
	if missing {
		if err := g.seenApps(ctx); err != nil {
			return err
		}
	}
	for _, c := range g.wanted {
		check := pr.RequiredCheck{Context: c.context}
		if c.app != 0 {
			if check.App = g.apps[c.app]; check.App == "" {
				check.App = "App " + strconv.FormatInt(c.app, 10)
				g.unknown("which App is the one with the ID %d, of which the check %s must be: it wrote no check on the head of %s", c.app, oneLine(c.context, maxServerText), g.branch)
			}
		}
		g.rules.Checks = append(g.rules.Checks, check)
	}
	return nil
}

func (g *gathering) seenApps(ctx context.Context) error {
	var runs struct {
		Runs []struct {
			App *struct {
				ID   int64  `json:"id"`
				Slug string `json:"slug"`
			} `json:"app"`
		} `json:"check_runs"`
	}
	_, err := g.f.do(ctx, http.MethodGet, g.f.repoPath("commits/%s/check-runs?per_page=%d", g.branch, perPage), nil, &runs)
	switch status(err) {
	case http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity:
		return nil // the names stay unknown
	}
	for _, r := range runs.Runs {
		if r.App != nil {
			g.apps[r.App.ID] = r.App.Slug
		}
	}
	return err
}
