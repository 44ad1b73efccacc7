package hook_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/hook"
)

// The pushes of the tests, and where they say to look.
const (
	pushBody = `{"ref":"refs/heads/main","repository":{"clone_url":"https://git.example/shop/config.git"}}`
	headSHA  = "4a1c03f2b2ba0e7aa1b5c0be1a5b9e7b4f0d9c11"
)

var pushed = hook.Poke{Kind: hook.Push, Repos: []string{"git.example/shop/config"}, Branch: "main"}

// webhook is a request as f sends it, but for Forgejo's and Gitea's further names
// of the same headers.
func webhook(f hook.Forge, event, id string, body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/events/"+string(f), bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	switch f {
	case hook.GitHub:
		r.Header.Set("X-GitHub-Event", event)
		r.Header.Set("X-GitHub-Delivery", id)
		r.Header.Set("X-Hub-Signature-256", "sha256="+sign(secret, body))
	case hook.Gitea:
		r.Header.Set("X-Gitea-Event", event)
		r.Header.Set("X-Gitea-Delivery", id)
		r.Header.Set("X-Gitea-Signature", sign(secret, body))
	default:
		r.Header.Set("X-Towpath-Delivery", id)
		r.Header.Set("X-Hub-Signature-256", "sha256="+sign(secret, body))
	}
	return r
}

func receiver(f hook.Forge) hook.Receiver {
	return hook.Receiver{Forge: f, Secret: []byte(secret), Deliveries: &hook.Deliveries{}}
}

func set(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func del(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(name) }
}

func TestAForgeProvesTheSecretByItsSignature(t *testing.T) {
	good, other := sign(secret, []byte(pushBody)), sign("wrong", []byte(pushBody))
	for _, tc := range []struct {
		forge hook.Forge
		name  string
		proof func(*http.Request)
		good  bool
	}{
		{hook.GitHub, "signature", set("X-Hub-Signature-256", "sha256="+good), true},
		{hook.GitHub, "signature in upper case", set("X-Hub-Signature-256", "sha256="+strings.ToUpper(good)), true},
		{hook.GitHub, "another secret's signature", set("X-Hub-Signature-256", "sha256="+other), false},
		{hook.GitHub, "the empty secret's signature", set("X-Hub-Signature-256", "sha256="+sign("", []byte(pushBody))), false},
		{hook.GitHub, "the signature of another body", set("X-Hub-Signature-256", "sha256="+sign(secret, []byte("{}"))), false},
		{hook.GitHub, "the algorithm not named", set("X-Hub-Signature-256", good), false},
		{hook.GitHub, "no more than the algorithm", set("X-Hub-Signature-256", "sha256="), false},
		{hook.GitHub, "half of it", set("X-Hub-Signature-256", "sha256="+good[:32]), false},
		{hook.GitHub, "two signatures", set("X-Hub-Signature-256", "sha256="+good, "sha256="+good), false},
		{hook.GitHub, "two in one header", set("X-Hub-Signature-256", "sha256="+good+",sha256="+good), false},
		{hook.GitHub, "none", del("X-Hub-Signature-256"), false},
		{hook.GitHub, "the older SHA-1", both(del("X-Hub-Signature-256"), set("X-Hub-Signature", "sha1=6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b")), false},
		{hook.GitHub, "Gitea's", both(del("X-Hub-Signature-256"), set("X-Gitea-Signature", good)), false},
		{hook.GitHub, "the secret itself", set("X-Hub-Signature-256", secret), false},
		{hook.GitHub, "the secret elsewhere", both(del("X-Hub-Signature-256"), both(header("Authorization", "Bearer "+secret), query("token="+secret))), false},

		{hook.Gitea, "Gitea's", set("X-Gitea-Signature", good), true},
		{hook.Gitea, "Forgejo's", both(del("X-Gitea-Signature"), set("X-Forgejo-Signature", good)), true},
		{hook.Gitea, "the one like GitHub's", both(del("X-Gitea-Signature"), set("X-Hub-Signature-256", "sha256="+good)), true},
		{hook.Gitea, "all that Forgejo sends", both(set("X-Forgejo-Signature", good), set("X-Hub-Signature-256", "sha256="+good)), true},
		{hook.Gitea, "a bad one and a good one", both(set("X-Gitea-Signature", other), set("X-Hub-Signature-256", "sha256="+good)), false},
		{hook.Gitea, "Forgejo's bad and Gitea's good", set("X-Forgejo-Signature", other), false},
		{hook.Gitea, "one twice and a good one", both(set("X-Gitea-Signature", good, good), set("X-Hub-Signature-256", "sha256="+good)), false},
		{hook.Gitea, "an empty one, as without a secret", set("X-Gitea-Signature", ""), false},
		{hook.Gitea, "the algorithm named where it is not", set("X-Gitea-Signature", "sha256="+good), false},

		{hook.Git, "signature", set("X-Hub-Signature-256", "sha256="+good), true},
		{hook.Git, "another", set("X-Hub-Signature-256", "sha256="+other), false},
		{hook.Git, "none", del("X-Hub-Signature-256"), false},
	} {
		t.Run(string(tc.forge)+" "+tc.name, func(t *testing.T) {
			r := webhook(tc.forge, "push", "1", []byte(pushBody))
			tc.proof(r)
			got, err := receiver(tc.forge).Read(nil, r)
			if tc.good && (err != nil || !cmp.Equal(got, pushed)) {
				t.Errorf("%+v, %v", got, err)
			}
			if !tc.good && (!errors.Is(err, hook.ErrUnauthorized) || !cmp.Equal(got, hook.Poke{})) {
				t.Errorf("%+v, %v", got, err)
			}
			quotesNothing(t, err)
		})
	}
}

// quotesNothing fails when the error of a request is more than a line, or holds
// what the request brought.
func quotesNothing(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, part := range []string{secret, "hunter2", "\n", "\r", "\x1b"} {
		if strings.Contains(err.Error(), part) {
			t.Errorf("the error holds %q: %v", part, err)
		}
	}
}

func TestAForgeWithoutASecretIsRefused(t *testing.T) {
	for _, f := range hook.Forges() {
		for _, none := range [][]byte{nil, {}} {
			r := webhook(f, "push", "1", []byte(pushBody))
			r.Body = io.NopCloser(noBody{t})
			r.Header.Set("X-Hub-Signature-256", "sha256="+sign("", []byte(pushBody)))
			if got, err := (hook.Receiver{Forge: f, Secret: none}).Read(nil, r); !errors.Is(err, hook.ErrUnauthorized) {
				t.Errorf("%s: %+v, %v", f, got, err)
			}
		}
	}
}

func TestWhatIsNoWebhookIsRefusedUnread(t *testing.T) {
	for _, tc := range []struct {
		name   string
		forge  hook.Forge
		change func(*http.Request)
		want   error
		status int
	}{
		{"another forge", "gitlab", del("X"), hook.ErrProvider, 404},
		{"a registry", hook.Forge(hook.GHCR), del("X"), hook.ErrProvider, 404},
		{"Gitea's webhooks by GET", hook.Gitea, func(r *http.Request) { r.Method = http.MethodGet }, hook.ErrMethod, 405},
		{"no signature", hook.GitHub, del("X-Hub-Signature-256"), hook.ErrUnauthorized, 401},
		{"GitHub's form", hook.GitHub, set("Content-Type", "application/x-www-form-urlencoded"), hook.ErrContentType, 415},
		{"Gitea's form", hook.Gitea, set("Content-Type", "application/x-www-form-urlencoded"), hook.ErrContentType, 415},
		{"curl's form", hook.Git, set("Content-Type", "application/x-www-form-urlencoded"), hook.ErrContentType, 415},
		{"a form without a signature", hook.GitHub, both(set("Content-Type", "application/x-www-form-urlencoded"), del("X-Hub-Signature-256")), hook.ErrUnauthorized, 401},
		{"no content type", hook.Git, del("Content-Type"), hook.ErrContentType, 415},
		{"a content type that is none", hook.Git, set("Content-Type", "hunter2; ;"), hook.ErrContentType, 415},
		{"a body that says it is too large", hook.GitHub, func(r *http.Request) { r.ContentLength = hook.MaxWebhook + 1 }, hook.ErrTooLarge, 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := webhook(tc.forge, "push", "1", []byte(pushBody))
			r.Body = io.NopCloser(noBody{t})
			tc.change(r)
			got, err := receiver(tc.forge).Read(nil, r)
			if !errors.Is(err, tc.want) || hook.StatusCode(err) != tc.status || !cmp.Equal(got, hook.Poke{}) {
				t.Errorf("%+v, error %v, status %d", got, err, hook.StatusCode(err))
			}
			quotesNothing(t, err)
		})
	}
}

func TestAFormIsRefusedWithAHint(t *testing.T) {
	r := webhook(hook.GitHub, "push", "1", []byte("payload="))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, err := receiver(hook.GitHub).Read(nil, r)
	if err == nil || !strings.Contains(err.Error(), "choose application/json as the content type in the webhook's settings") {
		t.Error(err)
	}
}

func TestASignedBodyIsReadUpToItsLimit(t *testing.T) {
	largest := []byte(pushBody + strings.Repeat(" ", hook.MaxWebhook-len(pushBody)))
	if got, err := receiver(hook.GitHub).Read(nil, webhook(hook.GitHub, "push", "1", largest)); err != nil || !cmp.Equal(got, pushed) {
		t.Errorf("the largest: %+v, %v", got, err)
	}
	for name, body := range map[string]io.Reader{
		"one byte more, of unknown length": io.LimitReader(spaces{}, hook.MaxWebhook+1),
		"an endless one":                   spaces{},
	} {
		r := webhook(hook.GitHub, "push", "1", []byte(pushBody))
		r.Body, r.ContentLength = io.NopCloser(body), -1
		if _, err := receiver(hook.GitHub).Read(nil, r); !errors.Is(err, hook.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := webhook(hook.GitHub, "push", "1", []byte(pushBody))
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), broken{}))
	if _, err := receiver(hook.GitHub).Read(nil, r); !errors.Is(err, hook.ErrPayload) {
		t.Errorf("one that breaks off: %v", err)
	}
}

func TestEventAndDeliveryAreNamedOnce(t *testing.T) {
	long := strings.Repeat("1", hook.MaxDeliveryID+1)
	for _, tc := range []struct {
		name   string
		forge  hook.Forge
		change func(*http.Request)
		good   bool
	}{
		{"the longest id", hook.GitHub, set("X-GitHub-Delivery", long[1:]), true},
		{"an id too long", hook.GitHub, set("X-GitHub-Delivery", long), false},
		{"no id", hook.GitHub, del("X-GitHub-Delivery"), false},
		{"two ids", hook.GitHub, set("X-GitHub-Delivery", "1", "2"), false},
		{"no event", hook.GitHub, del("X-GitHub-Event"), false},
		{"two events", hook.GitHub, set("X-GitHub-Event", "push", "ping"), false},
		{"Gitea without its own names", hook.Gitea, both(del("X-Gitea-Event"), set("X-GitHub-Event", "push")), false},
		{"Forgejo's names", hook.Gitea, both(both(del("X-Gitea-Event"), set("X-Forgejo-Event", "push")), both(del("X-Gitea-Delivery"), set("X-Forgejo-Delivery", "1"))), true},
		{"a push of anything without an id", hook.Git, del("X-Towpath-Delivery"), true},
		{"a push of anything with an id too long", hook.Git, set("X-Towpath-Delivery", long), false},
	} {
		r := webhook(tc.forge, "push", "1", []byte(pushBody))
		tc.change(r)
		got, err := receiver(tc.forge).Read(nil, r)
		if tc.good && (err != nil || !cmp.Equal(got, pushed)) || !tc.good && !errors.Is(err, hook.ErrPayload) {
			t.Errorf("%s: %+v, %v", tc.name, got, err)
		}
		quotesNothing(t, err)
	}
}

func TestAWebhookThatNamesNothingToLookAtIsRefused(t *testing.T) {
	const repo = `"repository":{"clone_url":"https://git.example/shop/config.git"}`
	for _, tc := range []struct{ name, event, body string }{
		{"nothing", "push", ``},
		{"no JSON", "push", `hunter2`},
		{"half of it", "push", `{"ref":"hunter2`},
		{"another form", "push", `["hunter2"]`},
		{"another type", "push", `{"ref":{"hunter2":1}}`},
		{"too deep", "push", strings.Repeat(`[`, hook.MaxDepth+1) + strings.Repeat(`]`, hook.MaxDepth+1)},
		{"a form", "push", `payload=%7B%7D`},
		{"no repository", "push", `{"ref":"refs/heads/main"}`},
		{"a repository without an address", "push", `{"ref":"refs/heads/main","repository":{"full_name":"shop/config"}}`},
		{"a repository of another kind", "push", `{"ref":"refs/heads/main","repository":{"clone_url":"svn://hunter2@git.example/shop"}}`},
		{"no ref", "push", `{` + repo + `}`},
		{"a short ref", "push", `{"ref":"main",` + repo + `}`},
		{"an empty branch", "push", `{"ref":"refs/heads/",` + repo + `}`},
		{"a branch with a line's end", "push", `{"ref":"refs/heads/main\nhunter2",` + repo + `}`},
		{"a branch with a blank", "push", `{"ref":"refs/heads/main hunter2",` + repo + `}`},
		{"a branch too long", "push", `{"ref":"refs/heads/` + strings.Repeat("x", hook.MaxBranch+1) + `",` + repo + `}`},
		{"no pull request", "pull_request", `{` + repo + `}`},
		{"pull request 0", "pull_request", `{"number":0,` + repo + `}`},
		{"pull request -1", "pull_request", `{"number":-1,` + repo + `}`},
		{"pull request 1e99", "pull_request", `{"number":1e99,` + repo + `}`},
		{"no commit", "status", `{` + repo + `}`},
		{"a commit that is none", "status", `{"sha":"hunter2",` + repo + `}`},
		{"a merge queue of no branch", "merge_group", `{"merge_group":{"head_sha":"` + headSHA + `"},` + repo + `}`},
	} {
		got, err := receiver(hook.GitHub).Read(nil, webhook(hook.GitHub, tc.event, "1", []byte(tc.body)))
		if !errors.Is(err, hook.ErrPayload) || !cmp.Equal(got, hook.Poke{}) {
			t.Errorf("%s: %+v, %v", tc.name, got, err)
		}
		quotesNothing(t, err)
	}
}

func TestThePushOfAnythingIsReadInTheCommonForm(t *testing.T) {
	const two = `"repository":{"clone_url":"https://user:hunter2@git.example/shop/config.git","ssh_url":"git@ssh.example:shop/config.git"}}`
	names := []string{"git.example/shop/config", "ssh.example/shop/config"}
	for _, tc := range []struct {
		name, body string
		want       hook.Poke
	}{
		{"as little as may be", pushBody, pushed},
		{"both addresses", `{"ref":"refs/heads/main",` + two, hook.Poke{Kind: hook.Push, Repos: names, Branch: "main"}},
		{"a branch in folders", `{"ref":"refs/heads/towpath/prod/web",` + two, hook.Poke{Kind: hook.Push, Repos: names, Branch: "towpath/prod/web"}},
		{"a tag", `{"ref":"refs/tags/v1",` + two, hook.Poke{Kind: hook.Ignored, Reason: "a push of a ref that is no branch"}},
		{"one address of two is none", `{"ref":"refs/heads/main","repository":{"clone_url":"%","html_url":"https://git.example/shop/config"}}`, pushed},
		{"a repository on this machine", `{"ref":"refs/heads/main","repository":{"clone_url":"file:///srv/git/Config.git"}}`,
			hook.Poke{Kind: hook.Push, Repos: []string{"file:///srv/git/Config"}, Branch: "main"}},
		{"with a byte order mark", "\ufeff" + pushBody, pushed},
	} {
		got, err := receiver(hook.Git).Read(nil, webhook(hook.Git, "", "1", []byte(tc.body)))
		if err != nil || !cmp.Equal(got, tc.want) {
			t.Errorf("%s: %v\n%s", tc.name, err, cmp.Diff(tc.want, got))
		}
	}
}

// TestAWebhookArrivesOverARealConnection also shows that a refused one leaves the
// server usable.
func TestAWebhookArrivesOverARealConnection(t *testing.T) {
	in := receiver(hook.GitHub)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		poke, err := in.Read(w, r)
		w.WriteHeader(hook.StatusCode(err))
		_, _ = io.WriteString(w, string(poke.Kind))
	}))
	defer server.Close()
	for _, tc := range []struct {
		name, key, id string
		status        int
		kind          hook.Kind
	}{
		{"a push", secret, "1", 200, hook.Push},
		{"a stranger's push", "wrong", "2", 401, ""},
		{"the push again", secret, "1", 200, hook.Ignored},
		{"another push", secret, "2", 200, hook.Push},
	} {
		r := webhook(hook.GitHub, "push", tc.id, []byte(pushBody))
		r.Header.Set("X-Hub-Signature-256", "sha256="+sign(tc.key, []byte(pushBody)))
		out, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, r.Body)
		if err != nil {
			t.Fatal(err)
		}
		out.Header = r.Header
		answer, err := server.Client().Do(out)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != tc.status || string(text) != string(tc.kind) {
			t.Errorf("%s: %d %q (%v)", tc.name, answer.StatusCode, text, err)
		}
	}
}

func TestTheReferenceHasEveryForgeAndAPushThatIsOne(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/events.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, f := range hook.Forges() {
		if !strings.Contains(page, "\n## "+string(f)+": ") {
			t.Errorf("docs/reference/events.md has no section %q", f)
		}
	}
	_, example, _ := strings.Cut(page, "\n```json\n")
	example, _, _ = strings.Cut(example, "\n```\n")
	if got, err := receiver(hook.Git).Read(nil, webhook(hook.Git, "", "1", []byte(example))); err != nil || !cmp.Equal(got, pushed) {
		t.Errorf("%q: %+v, %v", example, got, err)
	}
}
