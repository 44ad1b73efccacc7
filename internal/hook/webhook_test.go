package hook_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/hook"
)

// recorded is a request as Gitea sent it, signed with the secret of these tests.
func recorded(t testing.TB, file string) (*http.Request, []byte) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		t.Fatal(file, err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(file, err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r, body
}

func recordings(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/forges/gitea/*.http")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return files
}

// gitea says what each recorded delivery is. Where an event was caused by a
// request, Gitea writes the host that the request was sent to into clone_url and
// html_url, and the one of its configuration into ssh_url.
var gitea = map[string]string{
	"push":                          "push git.example/shop/config branch main",
	"push-tag":                      "ignored (a push of a ref that is no branch)",
	"push-test":                     "push 127.0.0.1/shop/config git.example/shop/config branch main",
	"create-branch":                 "push git.example/shop/config branch towpath/prod/web",
	"create-tag":                    "ignored (what came or went is no branch)",
	"delete-branch":                 "push git.example/shop/config branch towpath/prod/web",
	"pull_request-opened":           "pull-request 127.0.0.1/shop/config git.example/shop/config #1",
	"pull_request-labeled":          "pull-request 127.0.0.1/shop/config git.example/shop/config #1",
	"pull_request-review-requested": "pull-request 127.0.0.1/shop/config git.example/shop/config #1",
	"pull_request-synchronized":     "pull-request git.example/shop/config #1",
	"pull_request-merged":           "pull-request 127.0.0.1/shop/config git.example/shop/config #1",
	"issue_comment-on-pull-request": "pull-request 127.0.0.1/shop/config git.example/shop/config #1",
	"pull_request_approved":         "review 127.0.0.1/shop/config git.example/shop/config #1",
	"pull_request_rejected":         "review 127.0.0.1/shop/config git.example/shop/config #1",
	"pull_request_comment":          "review 127.0.0.1/shop/config git.example/shop/config #1",
	"status":                        "check 127.0.0.1/shop/config git.example/shop/config commit ",
	"issues-opened":                 "ignored (the event issues changes nothing that is looked at)",
	"issue_comment-on-issue":        "ignored (a comment on an issue)",
	"release":                       "ignored (the event release changes nothing that is looked at)",
}

// TestWhatAGiteaSentIsRead verifies the signatures that a real Gitea made, each
// under the names of its headers that Gitea uses and under those of Forgejo.
func TestWhatAGiteaSentIsRead(t *testing.T) {
	files := recordings(t)
	if len(files) != len(gitea) {
		t.Errorf("%d files, %d expectations", len(files), len(gitea))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".http")
		for _, forgejo := range []bool{false, true} {
			r, _ := recorded(t, file)
			if forgejo {
				for _, part := range []string{"Event", "Delivery", "Signature"} {
					r.Header.Set("X-Forgejo-"+part, r.Header.Get("X-Gitea-"+part))
					r.Header.Del("X-Gitea-" + part)
				}
			}
			poke, err := receiver(hook.Gitea).Read(nil, r)
			got := written(poke)
			if name == "status" {
				got = strings.TrimSuffix(got, poke.Commit) // whose form usable has looked at
			}
			if err != nil || got != gitea[name] {
				t.Errorf("%s, Forgejo %t: %s, %v, want %s", name, forgejo, got, err, gitea[name])
				continue
			}
			usable(t, poke)
		}
	}
}

func TestWhatAGiteaSentIsRefusedWhenAByteIsAnother(t *testing.T) {
	for _, file := range recordings(t) {
		r, body := recorded(t, file)
		changed := bytes.Replace(body, []byte("shop"), []byte("sh0p"), 1)
		if bytes.Equal(changed, body) {
			t.Fatal(file)
		}
		r.Body = io.NopCloser(bytes.NewReader(changed))
		if poke, err := receiver(hook.Gitea).Read(nil, r); hook.StatusCode(err) != http.StatusUnauthorized {
			t.Errorf("%s: %+v, %v", file, poke, err)
		}
	}
}

// TestFormsThatNoSampleHas are of GitHub's documentation, and of senders that are
// careless.
func TestFormsThatNoSampleHas(t *testing.T) {
	const repo = `"repository":{"clone_url":"https://git.example/shop/config.git"}`
	const at = "git.example/shop/config "
	for _, tc := range []struct{ name, event, body, want string }{
		{"a branch that came", "create", `{"ref":"towpath/prod","ref_type":"branch",` + repo + `}`, "push " + at + "branch towpath/prod"},
		{"a branch that went", "delete", `{"ref":"towpath/prod","ref_type":"branch",` + repo + `}`, "push " + at + "branch towpath/prod"},
		{"a repository that came", "create", `{"ref":null,"ref_type":"repository",` + repo + `}`, "ignored (what came or went is no branch)"},
		{"a comment on a pull request", "issue_comment", `{"action":"created","issue":{"number":7,"pull_request":{"url":"x"}},` + repo + `}`, "pull-request " + at + "#7"},
		{"a comment on an issue", "issue_comment", `{"action":"created","issue":{"number":7,"pull_request":null},` + repo + `}`, "ignored (a comment on an issue)"},
		{"a merge queue that ends", "merge_group", `{"action":"destroyed","merge_group":{"head_sha":"` + headSHA + `","base_ref":"refs/heads/main"},` + repo + `}`,
			"check " + at + "branch main commit " + headSHA},
		{"SHA-256", "status", `{"sha":"` + strings.Repeat("ab", 32) + `",` + repo + `}`, "check " + at + "commit " + strings.Repeat("ab", 32)},
		{"a branch that is deleted by a push", "push", `{"ref":"refs/heads/old","deleted":true,"head_commit":null,` + repo + `}`, "push " + at + "branch old"},
		{"a ping of an organization", "ping", `{"zen":"x","hook_id":1}`, "ping"},
		{"a package", "registry_package", `no JSON is looked for`, "ignored (events of packages are read as those of the registry ghcr)"},
		{"an event of tomorrow", "merge_train", `no JSON is looked for`, "ignored (the event merge_train changes nothing that is looked at)"},
		{"a name that is none", "Push\x1b[31m", `{}`, "ignored (the event's name is none)"},
	} {
		poke, err := receiver(hook.GitHub).Read(nil, webhook(hook.GitHub, tc.event, "1", []byte(tc.body)))
		if got := written(poke); err != nil || got != tc.want {
			t.Errorf("%s: %s, %v, want %s", tc.name, got, err, tc.want)
		}
	}
}

// TestTheForgesShareOneForm reads Gitea's push as one of GitHub and of anything.
func TestTheForgesShareOneForm(t *testing.T) {
	_, body := recorded(t, "testdata/forges/gitea/push.http")
	for _, f := range hook.Forges() {
		poke, err := receiver(f).Read(nil, webhook(f, "push", "1", body))
		if err != nil || !cmp.Equal(poke, pushed) {
			t.Errorf("%s: %+v, %v", f, poke, err)
		}
	}
}
