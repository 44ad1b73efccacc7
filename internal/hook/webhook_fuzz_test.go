package hook_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/hook"
)

// seedSize is the largest example that the fuzzer begins with.
const seedSize = 12 << 10

// FuzzReceiver: whatever is sent, nothing panics; without the signature of the
// body there is never a poke; with it the result is bounded, one line where it is
// text, and the second time ignored; no error holds the secret or two lines.
func FuzzReceiver(f *testing.F) {
	for _, file := range exampleFiles(f) {
		for _, e := range examplesOf(f, file) {
			if body := e.Examples[0]; len(body) <= seedSize {
				f.Add(byte(0), e.Name, "72d3162e-cc78-11e3-81ab-4c9367dc0958", "application/json", []byte(body), "wrong")
			}
		}
	}
	for _, file := range recordings(f) {
		r, body := recorded(f, file)
		f.Add(byte(1), r.Header.Get("X-Gitea-Event"), r.Header.Get("X-Gitea-Delivery"), "application/json; charset=utf-8", body, sign(secret, body))
	}
	f.Add(byte(2), "", "", "application/json", []byte(pushBody), "correct horse battery stable")
	f.Add(byte(2), "push", secret, "application/x-www-form-urlencoded", []byte("payload="+secret), secret)
	f.Fuzz(func(t *testing.T, n byte, event, id, contentType string, body []byte, guess string) {
		forge := hook.Forges()[int(n)%len(hook.Forges())]
		in := receiver(forge)
		strangersWebhook(t, in, event, id, body, guess)

		r := webhook(forge, event, id, body)
		r.Header.Set("Content-Type", contentType)
		poke, err := in.Read(nil, r)
		if err != nil {
			refusal(t, poke, err)
			return
		}
		usable(t, poke)
		again, err := in.Read(nil, webhook(forge, event, id, body))
		if err != nil {
			t.Fatalf("the second time: %v", err)
		}
		if known := id != "" && poke.Kind != hook.Ignored; known != (again.Kind == hook.Ignored && !cmp.Equal(poke, again)) {
			t.Fatalf("%+v, the second time %+v", poke, again)
		}
	})
}

// strangersWebhook has the guess in the place of every signature: as it is, as
// the key of one, and as one.
func strangersWebhook(t *testing.T, in hook.Receiver, event, id string, body []byte, guess string) {
	t.Helper()
	bare, named := sign(guess, body), "sha256="+sign(guess, body)
	if len(guess)%2 == 0 {
		bare, named = guess, guess
	}
	right := sign(secret, body)
	if strings.EqualFold(bare, right) || strings.EqualFold(named, "sha256="+right) {
		return // the key with the zeros behind it that HMAC adds anyway, or no guess
	}
	r := httptest.NewRequest(http.MethodPost, "/?token="+hex.EncodeToString([]byte(guess)), bytes.NewReader(body))
	r.Header = webhook(in.Forge, event, id, body).Header
	r.Header.Set("X-Hub-Signature-256", named)
	if in.Forge == hook.Gitea {
		r.Header.Set("X-Gitea-Signature", bare)
		r.Header.Set("X-Forgejo-Signature", bare)
	}
	poke, err := in.Read(nil, r)
	if !errors.Is(err, hook.ErrUnauthorized) && !errors.Is(err, hook.ErrTooLarge) {
		t.Fatalf("guess %q got %+v, %v", guess, poke, err)
	}
	refusal(t, poke, err)
}

// refusal has a status and one line, without a poke and without the secret.
func refusal(t *testing.T, poke hook.Poke, err error) {
	t.Helper()
	if !cmp.Equal(poke, hook.Poke{}) || hook.StatusCode(err) < 400 || hook.StatusCode(err) > 499 {
		t.Fatalf("%+v beside %v", poke, err)
	}
	if len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\n\r\x00\x1b") || strings.Contains(err.Error(), secret) {
		t.Fatalf("error %q", err)
	}
}

var objectName = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// usable checks that exactly the fields of its kind are set, within their limits.
func usable(t *testing.T, p hook.Poke) {
	t.Helper()
	line := written(p)
	if len(line) > 3*3*hook.MaxAddress+hook.MaxBranch+300 || strings.ContainsAny(line, "\n\r\x00\x1b") {
		t.Fatalf("%q", line)
	}
	repos, branch, number, commit, reason := len(p.Repos), p.Branch != "", p.Number, p.Commit, p.Reason != ""
	ok := map[hook.Kind]bool{
		hook.Push:        repos > 0 && branch && number == 0 && commit == "" && !reason,
		hook.PullRequest: repos > 0 && !branch && number > 0 && commit == "" && !reason,
		hook.Review:      repos > 0 && !branch && number > 0 && commit == "" && !reason,
		hook.Check:       repos > 0 && number == 0 && objectName.MatchString(commit) && !reason,
		hook.Ping:        !branch && number == 0 && commit == "" && !reason,
		hook.Ignored:     repos == 0 && !branch && number == 0 && commit == "" && reason,
	}[p.Kind]
	if !ok || repos > 3 {
		t.Fatalf("%+v", p)
	}
}
