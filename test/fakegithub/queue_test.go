package fakegithub

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// graphql does a mutation and returns data or the first error's message.
func (a *asker) graphql(name, input, fields string, variables obj) (any, string) {
	a.t.Helper()
	query := fmt.Sprintf("mutation($in: %s!) { %s(input: $in) { %s } }", input, name, fields)
	v := a.do(200, "POST", "/graphql", obj{"query": query, "variables": obj{"in": variables}})
	message, _ := at(v, "errors", 0, "message").(string)
	return at(v, "data", name), message
}

func (a *asker) enqueue(number int) (any, string) {
	a.t.Helper()
	id := at(a.do(200, "GET", fmt.Sprintf("pulls/%d", number), nil), "node_id")
	return a.graphql("enqueuePullRequest", "EnqueuePullRequestInput", "mergeQueueEntry { id position state headCommit { oid } pullRequest { number isInMergeQueue } }", obj{"pullRequestId": id})
}

func newQueueStage(t *testing.T) (*stage, *asker) {
	t.Helper()
	st := newStage(t, Options{Unknown: -1})
	st.repo.Change(func(r *Repo) {
		r.Rulesets = []*Ruleset{{Name: "main", Branches: []string{"main"}, Checks: []Check{{Context: "towpath/gates"}}, Queue: &QueueRule{Method: "SQUASH"}}}
	})
	bot := st.as(t, "bot")
	return st, bot
}

func TestTheMergeQueueWantsItsOwnChecks(t *testing.T) {
	st, bot := newQueueStage(t)
	green := func(sha any) {
		bot.do(201, "POST", fmt.Sprintf("statuses/%v", sha), obj{"state": "success", "context": "towpath/gates"})
	}
	for i, file := range []string{"a", "b"} {
		st.commit(t, file, map[string][]byte{file: []byte(file)})
		bot.do(201, "POST", "pulls", obj{"title": file, "head": file, "base": "main"})
		if _, no := bot.enqueue(i + 1); !strings.Contains(no, `Required status check "towpath/gates" is expected.`) {
			t.Errorf("without its own check it is queued: %q", no)
		}
		green(st.repo.head(file))
	}
	base := st.repo.head("main")
	first, no := bot.enqueue(1)
	second, no2 := bot.enqueue(2)
	if no != "" || no2 != "" {
		t.Fatal(no, no2)
	}
	wantAt(t, second, 2, "mergeQueueEntry", "position")
	wantAt(t, first, true, "mergeQueueEntry", "pullRequest", "isInMergeQueue")
	refs, err := st.repo.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/gh-readonly-queue")
	if err != nil || !strings.Contains(refs, fmt.Sprintf("refs/heads/gh-readonly-queue/main/pr-1-%s %v", base, at(first, "mergeQueueEntry", "headCommit", "oid"))) {
		t.Errorf("the queue's branches are %q, %v", refs, err)
	}

	green(at(second, "mergeQueueEntry", "headCommit", "oid"))
	wantAt(t, bot.do(200, "GET", "pulls/2", nil), false, "merged") // its turn comes after the first
	if st.repo.head("main") != base {
		t.Error("main moved before the first was checked")
	}
	green(at(first, "mergeQueueEntry", "headCommit", "oid"))
	for number := 1; number <= 2; number++ {
		wantAt(t, bot.do(200, "GET", fmt.Sprintf("pulls/%d", number), nil), true, "merged")
	}
	if files, err := st.repo.git("ls-tree", "--name-only", "main"); err != nil || files != "a\napps\nb" {
		t.Errorf("main has %q, %v", files, err)
	}
	if refs, err := st.repo.git("for-each-ref", "refs/heads/gh-readonly-queue"); err != nil || refs != "" {
		t.Errorf("left of the queue: %q, %v", refs, err)
	}
}

func TestTheMergeQueueDropsWhatFails(t *testing.T) {
	st, bot := newQueueStage(t)
	st.propose(t, "bump", "image: web:1.1.0\n")
	bot.do(201, "POST", "statuses/"+st.repo.head("bump"), obj{"state": "success", "context": "towpath/gates"})
	entry, no := bot.enqueue(1)
	if no != "" {
		t.Fatal(no)
	}
	bot.do(201, "POST", fmt.Sprintf("statuses/%v", at(entry, "mergeQueueEntry", "headCommit", "oid")), obj{"state": "failure", "context": "towpath/gates"})
	query := `{ repository(owner: "acme", name: "config") { mergeQueue(branch: "main") { entries(first: 5) { totalCount nodes { id } } } pullRequest(number: 1) { state isInMergeQueue mergeQueueEntry { id } } } }`
	v := at(bot.do(200, "POST", "/graphql", obj{"query": query}), "data", "repository")
	wantAt(t, v, 0, "mergeQueue", "entries", "totalCount")
	wantAt(t, v, "OPEN", "pullRequest", "state")
	wantAt(t, v, false, "pullRequest", "isInMergeQueue")
}

func TestAutoMergeWaitsForWhatIsMissing(t *testing.T) {
	st := newStage(t, Options{Unknown: -1})
	bot := st.as(t, "bot")
	st.propose(t, "bump", "image: web:1.1.0\n")
	head := st.repo.head("bump")
	id := at(bot.do(200, "GET", "pulls/1", nil), "node_id")
	enable := func(variables obj) string {
		t.Helper()
		variables["pullRequestId"] = id
		_, no := bot.graphql("enablePullRequestAutoMerge", "EnablePullRequestAutoMergeInput", "pullRequest { autoMergeRequest { mergeMethod enabledBy { login } } }", variables)
		return no
	}
	if no := enable(obj{}); no != "Auto merge is not allowed for this repository" {
		t.Error(no)
	}
	st.repo.Change(func(r *Repo) { r.Settings.AutoMerge = true })
	if no := enable(obj{}); !strings.Contains(no, "is in clean status") {
		t.Error(no)
	}
	st.repo.Change(func(r *Repo) { r.Protections["main"] = &Protection{Checks: []Check{{Context: "towpath/gates"}}} })
	if no := enable(obj{"expectedHeadOid": strings.Repeat("1", 40)}); !strings.Contains(no, "Head branch was modified") {
		t.Error(no)
	}
	if no := enable(obj{"expectedHeadOid": head, "mergeMethod": "SQUASH", "commitHeadline": "web 1.1.0"}); no != "" {
		t.Fatal(no)
	}
	v := bot.do(200, "GET", "pulls/1", nil)
	wantAt(t, v, "squash", "auto_merge", "merge_method")
	wantAt(t, v, false, "merged")
	if _, no := bot.graphql("disablePullRequestAutoMerge", "DisablePullRequestAutoMergeInput", "clientMutationId", obj{"pullRequestId": id}); no != "" {
		t.Error(no)
	}
	wantAt(t, bot.do(200, "GET", "pulls/1", nil), nil, "auto_merge")
	if no := enable(obj{"mergeMethod": "SQUASH", "commitHeadline": "web 1.1.0"}); no != "" {
		t.Fatal(no)
	}
	bot.do(201, "POST", "statuses/"+head, obj{"state": "success", "context": "towpath/gates"})
	wantAt(t, bot.do(200, "GET", "pulls/1", nil), true, "merged")
	if subject, err := st.repo.git("log", "-1", "--format=%s", "main"); err != nil || subject != "web 1.1.0" {
		t.Errorf("subject %q, %v", subject, err)
	}
}

func TestACommitThroughGraphQLWantsTheHeadItWasMadeFor(t *testing.T) {
	st := newStage(t, Options{Unknown: -1})
	bot := st.as(t, "bot")
	head := st.commit(t, "bump", map[string][]byte{"old.yaml": []byte("x\n")})
	commit := func(expected string) (any, string) {
		return bot.graphql("createCommitOnBranch", "CreateCommitOnBranchInput", "commit { oid message signature { isValid } } ref { name }", obj{
			"branch": obj{"repositoryNameWithOwner": "acme/config", "branchName": "bump"}, "expectedHeadOid": expected,
			"message": obj{"headline": "web 1.1.0", "body": "Trailer: x"},
			"fileChanges": obj{
				"additions": []obj{{"path": "apps/web.yaml", "contents": base64.StdEncoding.EncodeToString([]byte("image: web:1.1.0\n"))}},
				"deletions": []obj{{"path": "old.yaml"}},
			},
		})
	}
	if _, no := commit(strings.Repeat("1", 40)); !strings.Contains(no, "Expected branch to point to") {
		t.Error(no)
	}
	if st.repo.head("bump") != head {
		t.Error("the branch moved")
	}
	v, no := commit(head)
	if no != "" {
		t.Fatal(no)
	}
	wantAt(t, v, st.repo.head("bump"), "commit", "oid")
	wantAt(t, v, true, "commit", "signature", "isValid")
	if files, err := st.repo.git("ls-tree", "-r", "--name-only", "bump"); err != nil || files != "apps/web.yaml" {
		t.Errorf("bump has %q, %v", files, err)
	}
	wantAt(t, bot.do(200, "GET", "commits/bump", nil), true, "commit", "verification", "verified")
	if _, no := commit(head); !strings.Contains(no, "Expected branch to point to") {
		t.Errorf("the same again: %q", no)
	}
}
