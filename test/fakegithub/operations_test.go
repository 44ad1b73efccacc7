package fakegithub

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// asker sends requests of one person as they stand and wants a status.
type asker struct {
	t     *testing.T
	st    *stage
	token string
	http  *http.Client
}

func (st *stage) as(t *testing.T, login string) *asker {
	t.Helper()
	return &asker{t, st, st.User(login), &http.Client{Transport: st.contract.Transport(nil)}}
}

// do asks for a path below the repository, or an absolute one, and returns the JSON value.
func (a *asker) do(want int, method, path string, body any) any {
	a.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = strings.TrimSuffix("/repos/acme/config/"+path, "/")
	}
	text := ""
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		text = string(data)
	}
	status, _, got := get(a.t, a.http, a.token, method, strings.TrimSuffix(a.st.URL, "/")+path, text)
	if status != want {
		a.t.Errorf("%s %s: %d %s, want %d", method, path, status, got, want)
	}
	var v any
	if got != "" {
		if err := json.Unmarshal([]byte(got), &v); err != nil {
			a.t.Fatalf("%s %s: %v in %s", method, path, err, got)
		}
	}
	return v
}

func (a *asker) id(v any) int {
	a.t.Helper()
	id, _ := at(v, "id").(float64)
	return int(id)
}

// at is what is below a value, by names of fields and indexes.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(obj)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func wantAt(t *testing.T, v any, want any, path ...any) {
	t.Helper()
	if got := at(v, path...); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v is %v, want %v", path, got, want)
	}
}

// TestEveryOperationAnswersByTheContract asks for each operation at least once; that what comes is right
// is what the contract says, and it is asked whether it saw all.
func TestEveryOperationAnswersByTheContract(t *testing.T) {
	st := newStage(t, Options{Unknown: -1})
	key, app := st.app(t, map[string]string{"contents": "write", "pull_requests": "write", "statuses": "write", "checks": "read"})
	st.repo.Collaborator("boss", "admin")
	st.Team(owner, "sre", "ann", "bot")
	st.repo.Change(func(r *Repo) {
		r.Settings.AutoMerge = true
		r.Protections["main"] = &Protection{
			Reviews: &ReviewRule{Approvals: 1, CodeOwners: true, Bypass: []string{"boss", app.bot.login}},
			Checks:  []Check{{Context: "towpath/gates"}, {Context: "build", App: app.ID}}, Push: []string{"bot", app.bot.login},
		}
		r.Rulesets = []*Ruleset{{
			Name: "all", Branches: []string{"~ALL"}, Deletion: false, NoForcePush: true, Copilot: true, Linear: true,
			Checks: []Check{{Context: "ci", App: app.ID}}, Bypass: []BypassActor{{Type: "Integration", ID: app.ID}},
			PullRequest: &ReviewRule{Reviewers: []RequiredReviewers{{Patterns: []string{"apps/**"}, Minimum: 1, Team: "acme/sre"}}},
			Queue:       &QueueRule{Method: "SQUASH"},
		}, {Name: "later", Evaluate: true, Branches: []string{"main"}, Deletion: true, Update: true}}
	})
	st.commit(t, "main", map[string][]byte{".github/CODEOWNERS": []byte("* @ann\n"), "apps/api.yaml": []byte("image: api:1\n")})
	head := st.commit(t, "towpath/dev/web", map[string][]byte{"apps/web.yaml": []byte("image: web:1.1.0\n"), "apps/api.yaml": nil})
	st.repo.CheckRun(app, head, "build", "success")
	st.repo.CheckRun(nil, head, "lint", "")

	bot, ann, boss := st.as(t, "bot"), st.as(t, "ann"), st.as(t, "boss")
	st.pullOperations(t, bot, ann, head)
	st.settingsOperations(t, bot, boss)
	st.refOperations(bot, head)
	st.deploymentOperations(t, bot)
	st.accountOperations(t, ann, app, st.jwt(t, key, app))

	seen := st.contract.Seen()
	for _, name := range st.contract.Operations() {
		if seen[name] == 0 {
			t.Errorf("nobody asked for %s", name)
		}
	}
}

func (st *stage) pullOperations(t *testing.T, bot, ann *asker, head string) {
	v := bot.do(201, "POST", "pulls", obj{"title": "web 1.1.0", "head": "towpath/dev/web", "base": "main", "body": "Why."})
	wantAt(t, v, head, "head", "sha")
	wantAt(t, bot.do(200, "GET", "pulls?state=open&head=acme:towpath/dev/web&base=main&sort=updated&direction=asc", nil), 1, 0, "number")
	wantAt(t, bot.do(200, "GET", "pulls/1", nil), "blocked", "mergeable_state")
	wantAt(t, bot.do(200, "PATCH", "pulls/1", obj{"title": "web: 1.1.0", "body": "Because.", "state": "open"}), "web: 1.1.0", "title")
	files := bot.do(200, "GET", "pulls/1/files?per_page=100", nil)
	wantAt(t, files, "removed", 0, "status")
	wantAt(t, files, "modified", 1, "status")
	bot.do(405, "PUT", "pulls/1/merge", obj{"sha": head, "merge_method": "squash"})

	wantAt(t, bot.do(201, "POST", "pulls/1/requested_reviewers", obj{"reviewers": []string{"ann"}, "team_reviewers": []string{"sre"}}), "ann", "requested_reviewers", 0, "login")
	wantAt(t, bot.do(200, "GET", "pulls/1/requested_reviewers", nil), "sre", "teams", 0, "slug")
	bot.do(200, "DELETE", "pulls/1/requested_reviewers", obj{"reviewers": []string{"ann"}, "team_reviewers": []string{"sre"}})
	bot.do(422, "POST", "pulls/1/requested_reviewers", obj{"reviewers": []string{"bot"}})
	bot.do(422, "POST", "pulls/1/reviews", obj{"event": "APPROVE"})
	review := ann.do(200, "POST", "pulls/1/reviews", obj{"event": "APPROVE", "commit_id": head, "body": "Yes."})
	wantAt(t, bot.do(200, "GET", "pulls/1/reviews", nil), "APPROVED", 0, "state")
	wantAt(t, bot.do(200, "PUT", fmt.Sprintf("pulls/1/reviews/%d/dismissals", bot.id(review)), obj{"message": "Too soon."}), "DISMISSED", "state")

	bot.do(201, "POST", "statuses/"+head, obj{"state": "pending", "context": "towpath/gates", "description": "2 of 4", "target_url": "https://bot.example/1"})
	bot.do(201, "POST", "statuses/"+head, obj{"state": "failure", "context": "towpath/gates"})
	bot.do(422, "POST", "statuses/"+head, obj{"state": "success", "description": strings.Repeat("x", 141)})
	wantAt(t, bot.do(200, "GET", "commits/"+head+"/statuses", nil), "failure", 0, "state")
	wantAt(t, bot.do(200, "GET", "commits/towpath/dev/web/status", nil), "failure", "state")
	wantAt(t, bot.do(200, "GET", "commits/"+head+"/check-runs?check_name=build", nil), "success", "check_runs", 0, "conclusion")
	bot.do(422, "GET", "commits/"+strings.Repeat("1", 40)+"/status", nil)

	bot.do(201, "POST", "labels", obj{"name": "towpath/hold", "color": "d93f0b", "description": "Stop."})
	bot.do(422, "POST", "labels", obj{"name": "towpath/hold"})
	wantAt(t, bot.do(200, "GET", "labels", nil), "d93f0b", 0, "color")
	bot.do(200, "POST", "issues/1/labels", obj{"labels": []string{"towpath/hold", "new one"}})
	wantAt(t, bot.do(200, "GET", "issues/1/labels", nil), "new one", 1, "name")
	wantAt(t, bot.do(200, "GET", "pulls/1", nil), "towpath/hold", "labels", 0, "name")
	bot.do(200, "DELETE", "issues/1/labels/new%20one", nil)
	bot.do(200, "DELETE", "issues/1/labels/towpath%2Fhold", nil)
	bot.do(404, "DELETE", "issues/1/labels/towpath%2Fhold", nil)

	id := bot.id(bot.do(201, "POST", "issues/1/comments", obj{"body": "Hello."}))
	wantAt(t, bot.do(200, "GET", "issues/1/comments?since=2026-01-01T00:00:00Z", nil), "Hello.", 0, "body")
	wantAt(t, bot.do(200, "PATCH", fmt.Sprintf("issues/comments/%d", id), obj{"body": "Bye."}), "Bye.", "body")
	bot.do(204, "DELETE", fmt.Sprintf("issues/comments/%d", id), nil)
	bot.do(404, "DELETE", fmt.Sprintf("issues/comments/%d", id), nil)
}

func (st *stage) settingsOperations(t *testing.T, bot, boss *asker) {
	wantAt(t, bot.do(200, "GET", "", nil), true, "permissions", "push")
	wantAt(t, bot.do(200, "GET", "branches/main", nil), true, "protected")
	bot.do(404, "GET", "branches/main/protection", nil) // for admins only
	wantAt(t, boss.do(200, "GET", "branches/main/protection", nil), "towpath/gates", "required_status_checks", "contexts", 0)
	boss.do(404, "GET", "branches/towpath/dev/web/protection", nil)
	rules := bot.do(200, "GET", "rules/branches/main", nil)
	kinds := map[any]bool{}
	for i := range 7 {
		kinds[at(rules, i, "type")] = true
	}
	for _, want := range []string{"merge_queue", "copilot_code_review", "pull_request", "required_status_checks", "non_fast_forward", "required_linear_history"} {
		if !kinds[want] {
			t.Errorf("no rule %s in %v", want, kinds)
		}
	}
	id := bot.id(at(bot.do(200, "GET", "rulesets", nil), 0))
	wantAt(t, bot.do(200, "GET", fmt.Sprintf("rulesets/%d", id), nil), "never", "current_user_can_bypass")
	bot.do(404, "GET", "rulesets/999999", nil)
	owners := bot.do(200, "GET", "contents/.github/CODEOWNERS?ref=main", nil)
	text, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(fmt.Sprint(at(owners, "content")), "\n", ""))
	if err != nil || string(text) != "* @ann\n" {
		t.Errorf("CODEOWNERS is %q, %v", text, err)
	}
	wantAt(t, bot.do(200, "GET", "contents/apps", nil), "apps/api.yaml", 0, "path")
	bot.do(404, "GET", "contents/nothing", nil)
	wantAt(t, bot.do(200, "GET", "collaborators/ann/permission", nil), "write", "permission")
	wantAt(t, bot.do(200, "GET", "collaborators/boss/permission", nil), "admin", "role_name")
}

func (st *stage) refOperations(bot *asker, head string) {
	bot.do(201, "POST", "git/refs", obj{"ref": "refs/heads/a/b", "sha": head})
	bot.do(422, "POST", "git/refs", obj{"ref": "refs/heads/a/b", "sha": head})
	wantAt(bot.t, bot.do(200, "GET", "git/ref/heads/a/b", nil), head, "object", "sha")
	wantAt(bot.t, bot.do(200, "GET", "git/matching-refs/heads/a", nil), "refs/heads/a/b", 0, "ref")
	bot.do(422, "PATCH", "git/refs/heads/a/b", obj{"sha": st.repo.head("main")})                // no fast forward
	bot.do(422, "PATCH", "git/refs/heads/a/b", obj{"sha": st.repo.head("main"), "force": true}) // and forbidden
	bot.do(204, "DELETE", "git/refs/heads/a/b", nil)
	bot.do(404, "GET", "git/ref/heads/a/b", nil)
	wantAt(bot.t, bot.do(200, "GET", "commits/main", nil), "Change main", "commit", "message")
}

func (st *stage) deploymentOperations(t *testing.T, bot *asker) {
	bot.do(409, "POST", "deployments", obj{"ref": "towpath/dev/web", "environment": "dev", "auto_merge": false}) // its checks failed
	id := bot.id(bot.do(201, "POST", "deployments", obj{"ref": "towpath/dev/web", "environment": "dev", "auto_merge": false, "required_contexts": []string{}, "payload": obj{"app": "web"}}))
	bot.do(201, "POST", fmt.Sprintf("deployments/%d/statuses", id), obj{"state": "success", "description": strings.Repeat("…", 140), "environment_url": "https://dev.example"})
	bot.do(422, "POST", fmt.Sprintf("deployments/%d/statuses", id), obj{"state": "success", "description": strings.Repeat("x", 141)})
	wantAt(t, bot.do(200, "GET", "deployments?environment=dev", nil), id, 0, "id")
	again := bot.id(bot.do(201, "POST", "deployments", obj{"ref": "main", "environment": "dev"}))
	bot.do(201, "POST", fmt.Sprintf("deployments/%d/statuses", again), obj{"state": "success"})
	wantAt(t, bot.do(200, "GET", fmt.Sprintf("deployments/%d/statuses", id), nil), "inactive", 0, "state")
	bot.do(409, "POST", "deployments", obj{"ref": "towpath/dev/web", "required_contexts": []string{"none"}, "auto_merge": false})
}

func (st *stage) accountOperations(t *testing.T, ann *asker, app *App, jwt string) {
	wantAt(t, ann.do(200, "GET", "/user", nil), "ann", "login")
	wantAt(t, ann.do(200, "GET", "/rate_limit", nil), 5000, "rate", "limit")
	wantAt(t, ann.do(200, "GET", "/orgs/acme/teams/sre/members", nil), "bot", 1, "login")
	wantAt(t, ann.do(200, "GET", "/orgs/acme/teams/sre/memberships/ann", nil), "active", "state")
	ann.do(404, "GET", "/orgs/acme/teams/sre/memberships/boss", nil)
	wantAt(t, ann.do(200, "GET", "/orgs/acme/teams", nil), "sre", 0, "slug")
	wantAt(t, ann.do(200, "POST", "/graphql", obj{"query": "{ viewer { login } }"}), "ann", "data", "viewer", "login")

	self := &asker{t, st, jwt, ann.http}
	wantAt(t, self.do(200, "GET", "/app", nil), "towpath", "slug")
	wantAt(t, self.do(200, "GET", "installation", nil), app.Installation, "id")
	wantAt(t, self.do(200, "GET", fmt.Sprintf("/app/installations/%d", app.Installation), nil), app.Installation, "id")
	self.do(404, "GET", "/app/installations/999999", nil)
	v := self.do(201, "POST", fmt.Sprintf("/app/installations/%d/access_tokens", app.Installation), obj{"repositories": []string{name}})
	inst := &asker{t, st, fmt.Sprint(at(v, "token")), ann.http}
	wantAt(t, inst.do(200, "GET", "/installation/repositories", nil), 1, "total_count")
	inst.do(403, "GET", "/user", nil)
}
