package fakegithub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// breaches keeps what a contract reports.
type breaches struct {
	mu  sync.Mutex
	all []Breach
}

func (b *breaches) report(found Breach) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, found)
}

func (b *breaches) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for _, one := range b.all {
		lines = append(lines, one.String())
	}
	b.all = nil
	return strings.Join(lines, "\n")
}

// keep is a contract that keeps its breaches.
func (c *Contract) keep() (*breaches, *Contract) {
	b := &breaches{}
	return b, c.Reporting(b.report)
}

// spoil changes the JSON of answers.
func spoil(change func(v any)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			var v any
			if json.Unmarshal(rec.Body.Bytes(), &v) == nil {
				change(v)
				data, _ := json.Marshal(v) // was JSON a line above
				rec.Body = bytes.NewBuffer(data)
			}
			_, _ = w.Write(rec.Body.Bytes())
		})
	}
}

func TestContractFailsWhenAnAnswerIsNotGitHubs(t *testing.T) {
	of := func(v any, path ...string) obj {
		for _, p := range path {
			v = v.(obj)[p]
		}
		return v.(obj)
	}
	tests := []struct {
		name   string
		change func(v any)
		want   string // "" for nothing
	}{
		{"nothing is changed", func(any) {}, ""},
		{"a required field is missing", func(v any) { delete(of(v), "mergeable_state") }, `response of GET /repos/{owner}/{repo}/pulls/{pull_number}: body /mergeable_state: property "mergeable_state" is missing`},
		{"a required field deep below is missing", func(v any) { delete(of(v, "head", "repo"), "full_name") }, `body /head/repo/full_name: property "full_name" is missing`},
		{"a field has another type", func(v any) { of(v)["number"] = "1" }, `body /number: value must be an integer`},
		{"a field is null that must not be", func(v any) { of(v)["title"] = nil }, `body /title: Value is not nullable`},
		{"a field that may be null is", func(v any) { of(v)["mergeable"] = nil }, ""},
		{"a value is none of the known", func(v any) { of(v)["state"] = "merged" }, `body /state: value is not one of the allowed values`},
		{"a field is made up", func(v any) { of(v)["is_mergeable"] = true }, `body /is_mergeable: no such property is described`},
		{"a field deep below is made up", func(v any) { of(v, "base", "user")["mail"] = "a@b.c" }, `body /base/user/mail: no such property is described`},
		{"a date is no date", func(v any) { of(v)["created_at"] = "yesterday" }, `body /created_at`},
		{"a URL is none", func(v any) { of(v)["html_url"] = "/acme/config/pull/1" }, `body /html_url`},
	}
	st := newStage(t, Options{Unknown: -1})
	st.propose(t, "bump", "image: web:1.1.0\n")
	token := st.User("ann")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, c := st.contract.keep()
			server := httptest.NewServer(c.Handler(spoil(tt.change)(st.Server)))
			defer server.Close()
			get(t, http.DefaultClient, token, http.MethodGet, server.URL+"/repos/acme/config/pulls/1", "")
			checkBreach(t, found.text(), tt.want)

			// The same seen from the client's side.
			server = httptest.NewServer(spoil(tt.change)(st.Server))
			defer server.Close()
			get(t, &http.Client{Transport: c.Transport(nil)}, token, http.MethodGet, server.URL+"/repos/acme/config/pulls/1", "")
			checkBreach(t, found.text(), tt.want)
		})
	}
}

func checkBreach(t *testing.T, got, want string) {
	t.Helper()
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("breaches:\n%s\nwant %q", got, want)
	}
}

func TestContractFailsWhenARequestIsNotGitHubs(t *testing.T) {
	const graphql = `{"query":"mutation($i: EnablePullRequestAutoMergeInput!) { enablePullRequestAutoMerge(input: $i) { pullRequest { number } } }","variables":{"i":%s}}`
	tests := []struct{ name, method, path, body, want string }{
		{"all is well", "GET", "/repos/acme/config/pulls?state=all&per_page=100", "", ""},
		{"an operation that is not known", "GET", "/repos/acme/config/actions/runs", "", "request of GET /repos/acme/config/actions/runs: path: not one of the operations"},
		{"a parameter that is not known", "GET", "/repos/acme/config/pulls?status=all", "", "query status: no such parameter"},
		{"a parameter with a value that is not known", "GET", "/repos/acme/config/pulls?state=merged", "", "query state: value is not one of the allowed values"},
		{"a number that is none", "GET", "/repos/acme/config/pulls/one", "", "path pull_number:"},
		{"a branch with slashes", "GET", "/repos/acme/config/commits/towpath/dev/web/status", "", ""},
		{"a body that is missing", "POST", "/repos/acme/config/pulls", "", "body: is missing"},
		{"a field that is missing", "POST", "/repos/acme/config/pulls", `{"title":"t","head":"h"}`, `body /base: property "base" is missing`},
		{"a field that is not known", "POST", "/repos/acme/config/pulls", `{"title":"t","head":"h","base":"main","labels":["a"]}`, "body /labels: no such property is described"},
		{"a body where none is", "GET", "/repos/acme/config/pulls", `{}`, "body: the operation takes none"},
		{"a value that is not known", "PUT", "/repos/acme/config/pulls/1/merge", `{"merge_method":"fast-forward"}`, "body /merge_method: value is not one of the allowed values"},
		{"a mutation as it should be", "POST", "/graphql", fmt.Sprintf(graphql, `{"pullRequestId":"PR_1","mergeMethod":"SQUASH"}`), ""},
		{"a mutation without what it needs", "POST", "/graphql", fmt.Sprintf(graphql, `{"mergeMethod":"SQUASH"}`), "variables: input: variable.i.pullRequestId must be defined"},
		{"a mutation with a field that is not known", "POST", "/graphql", fmt.Sprintf(graphql, `{"pullRequestId":"PR_1","sha":"1"}`), `variables: input: variable.i.sha unknown field`},
		{"a query for a field that is not known", "POST", "/graphql", `{"query":"{ viewer { mail } }"}`, `Cannot query field "mail" on type "User"`},
	}
	st := newStage(t, Options{Unknown: -1})
	st.propose(t, "towpath/dev/web", "image: web:1.1.0\n")
	token := st.User("ann")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, c := st.contract.keep()
			server := httptest.NewServer(c.Handler(st.Server))
			defer server.Close()
			get(t, http.DefaultClient, token, tt.method, server.URL+tt.path, tt.body)
			checkBreach(t, found.text(), tt.want)
		})
	}
}

// get asks and returns status and body.
func get(t *testing.T, client *http.Client, token, method, url, body string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

// judged is a test that is only told of its failures.
type judged struct {
	testing.TB
	failures breaches
}

func (j *judged) Errorf(format string, args ...any) {
	j.failures.report(Breach{Reason: fmt.Sprintf(format, args...)})
}

func TestATestFailsWhenTheContractIsBroken(t *testing.T) {
	st := newStage(t, Options{Unknown: -1})
	st.propose(t, "bump", "image: web:1.1.0\n")
	j := &judged{TB: t}
	server := httptest.NewServer(st.contract.Checking(j).Handler(spoil(func(v any) {
		if m, ok := v.(obj); ok {
			delete(m, "merge_commit_sha")
		}
	})(st.Server)))
	defer server.Close()
	get(t, http.DefaultClient, st.User("ann"), http.MethodGet, server.URL+"/repos/acme/config/pulls/1", "")
	checkBreach(t, j.failures.text(), `GitHub's contract is broken: response of GET /repos/{owner}/{repo}/pulls/{pull_number}: body /merge_commit_sha: property "merge_commit_sha" is missing`)
}
