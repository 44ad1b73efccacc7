package fakegithub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"
)

const mergePath = "/repos/acme/config/pulls/1/merge"

func TestFaultsHappenBeforeOrAfterTheRequestIsCarriedOut(t *testing.T) {
	ctx := context.Background()
	isStatus := func(status int) func(error) bool {
		return func(err error) bool {
			var e *github.ErrorResponse
			return errors.As(err, &e) && e.Response.StatusCode == status
		}
	}
	isLost := func(err error) bool {
		var e *github.ErrorResponse
		return err != nil && !errors.As(err, &e)
	}
	tests := []struct {
		name   string
		fault  Fault
		is     func(error) bool
		merged bool
	}{
		{"no fault", Fault{Method: "PUT", Path: "/other"}, func(err error) bool { return err == nil }, true},
		{"a transient 405", Fault{Path: mergePath, Status: http.StatusMethodNotAllowed, Message: "Base branch was modified. Review and try the merge again."}, isStatus(405), false},
		{"a 409", Fault{Method: "PUT", Status: http.StatusConflict}, isStatus(409), false},
		{"an error of the server", Fault{Path: "/repos/acme/*", Method: "PUT", Status: http.StatusInternalServerError}, isStatus(500), false},
		{"a page of the front server", Fault{Path: mergePath, Status: http.StatusBadGateway}, isStatus(502), false},
		{"the connection ends first", Fault{Path: mergePath, Cut: true}, isLost, false},
		{"the answer is lost", Fault{Path: mergePath, Lost: true}, isLost, true},
		{"the answer is a 502 though it was done", Fault{Path: mergePath, LostAs: http.StatusBadGateway}, isStatus(502), true},
		{"the answer is late", Fault{Path: mergePath, Latency: time.Millisecond}, func(err error) bool { return err == nil }, true},
		{"the hour's requests are used up", Fault{Path: mergePath, Primary: true}, func(err error) bool {
			var e *github.RateLimitError
			return errors.As(err, &e) && e.Rate.Remaining == 0 && e.Rate.Limit == 5000
		}, false},
		{"too much at once", Fault{Path: mergePath, Secondary: 90 * time.Second}, func(err error) bool {
			var e *github.AbuseRateLimitError
			return errors.As(err, &e) && e.GetRetryAfter() == 90*time.Second
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := newStage(t, Options{})
			st.propose(t, "bump", "image: web:1.1.0\n")
			before := st.repo.head("main")
			tt.fault.Times = 1
			st.Inject(tt.fault)
			_, _, err := st.bot.PullRequests.Merge(ctx, owner, name, 1, "", nil)
			if !tt.is(err) {
				t.Errorf("the client got %T %v", err, err)
			}
			if merged := st.repo.head("main") != before; merged != tt.merged {
				t.Errorf("merged: %v, want %v", merged, tt.merged)
			}
			st.Heal()
		})
	}
}

func TestAFaultCountsItsRequests(t *testing.T) {
	st := newStage(t, Options{})
	ann := st.as(t, "ann")
	st.Inject(Fault{Path: "/user", Skip: 1, Times: 2, Status: 503})
	for i, want := range []int{200, 503, 503, 200} {
		if status, _, _ := get(t, ann.http, ann.token, "GET", st.URL+"user", ""); status != want {
			t.Errorf("request %d: %d, want %d", i+1, status, want)
		}
	}
	if n := len(st.Requests()); n != 4 {
		t.Errorf("%d requests noted, want 4", n)
	}
}

func TestRequestsAreLimited(t *testing.T) {
	st := newStage(t, Options{Limits: Limits{PerHour: 3}})
	ann, bot := st.as(t, "ann"), st.as(t, "bot")
	for left := 2; left >= 0; left-- {
		_, h, _ := get(t, ann.http, ann.token, "GET", st.URL+"user", "")
		if got := h.Get("X-RateLimit-Remaining"); got != strconv.Itoa(left) {
			t.Errorf("%s left, want %d", got, left)
		}
	}
	status, h, body := get(t, ann.http, ann.token, "GET", st.URL+"user", "")
	reset := strconv.FormatInt(st.now.Add(time.Hour).Unix(), 10)
	if status != 403 || h.Get("X-RateLimit-Remaining") != "0" || h.Get("X-RateLimit-Reset") != reset || !strings.Contains(body, "API rate limit exceeded") {
		t.Errorf("beyond the limit: %d %v %s", status, h, body)
	}
	wantAt(t, ann.do(200, "GET", "/rate_limit", nil), 0, "rate", "remaining")
	bot.do(200, "GET", "/user", nil) // has a limit of its own
	st.now = st.now.Add(time.Hour)
	ann.do(200, "GET", "/user", nil)
}

func TestTooMuchAtOnceIsLimited(t *testing.T) {
	st := newStage(t, Options{Limits: Limits{PointsPerMinute: 20, CreatesPerMinute: 3, CreatesPerHour: 4}})
	st.propose(t, "bump", "image: web:1.1.0\n")
	st.now = st.now.Add(time.Hour)
	bot := st.as(t, "bot")
	comment := func(want int, wait string) {
		t.Helper()
		status, h, body := get(t, bot.http, bot.token, "POST", st.URL+"repos/acme/config/issues/1/comments", `{"body":"x"}`)
		if status != want || h.Get("Retry-After") != wait {
			t.Errorf("%d, Retry-After %q, %s; want %d, %q", status, h.Get("Retry-After"), body, want, wait)
		}
	}
	for range 3 {
		comment(201, "")
	}
	st.now = st.now.Add(20 * time.Second)
	comment(403, "40") // of the 3 in a minute
	st.now = st.now.Add(40 * time.Second)
	comment(201, "")
	comment(403, "3540") // of the 4 in an hour
	for range 15 {
		bot.do(200, "GET", "/user", nil)
	}
	if status, h, _ := get(t, bot.http, bot.token, "GET", st.URL+"user", ""); status != 403 || h.Get("Retry-After") != "60" {
		t.Errorf("beyond the points: %d %v", status, h)
	}
}

func TestAnAnswerThatIsKnownIsFree(t *testing.T) {
	st := newStage(t, Options{})
	st.propose(t, "bump", "image: web:1.1.0\n")
	ann := st.as(t, "ann")
	list := func(etag string) (int, http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, st.URL+"repos/acme/config/pulls", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+ann.token)
		if etag != "" {
			req.Header.Set("If-None-Match", etag)
		}
		resp, err := ann.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header
	}
	status, first := list("")
	etag, left := first.Get("ETag"), first.Get("X-RateLimit-Remaining")
	if status != 200 || etag == "" {
		t.Fatalf("%d, ETag %q", status, etag)
	}
	if status, h := list(etag); status != 304 || h.Get("X-RateLimit-Remaining") != left {
		t.Errorf("again: %d, %s left; want 304 and %s", status, h.Get("X-RateLimit-Remaining"), left)
	}
	st.now = st.now.Add(time.Minute)
	ann.do(201, "POST", "issues/1/comments", obj{"body": "x"})
	if status, _ := list(etag); status != 200 {
		t.Errorf("after a comment: %d, want 200", status)
	}
}

func TestListsHavePages(t *testing.T) {
	st := newStage(t, Options{})
	const pulls = 5
	for i := range pulls {
		st.propose(t, fmt.Sprintf("bump-%d", i), fmt.Sprintf("image: web:1.%d.0\n", i+1))
	}
	opts := &github.PullRequestListOptions{Sort: "created", Direction: "asc", ListOptions: github.ListOptions{PerPage: 2}}
	var got []int
	for {
		page, resp, err := st.bot.PullRequests.List(context.Background(), owner, name, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page {
			got = append(got, p.GetNumber())
		}
		if resp.LastPage != 3 && resp.NextPage != 0 {
			t.Errorf("last page %d, want 3", resp.LastPage)
		}
		if resp.NextPage == 0 {
			break
		}
		opts.Page = resp.NextPage
	}
	if fmt.Sprint(got) != "[1 2 3 4 5]" {
		t.Errorf("pull requests %v", got)
	}
}

func TestStrangersAreKeptOut(t *testing.T) {
	st := newStage(t, Options{})
	st.repo.Change(func(r *Repo) { r.Settings.Private = true })
	bot, stranger := st.as(t, "bot"), st.as(t, "stranger")
	bot.do(200, "GET", "", nil)
	stranger.do(404, "GET", "", nil)
	st.repo.Collaborator("stranger", "read")
	stranger.do(200, "GET", "", nil)
	stranger.do(403, "POST", "statuses/"+st.repo.head("main"), obj{"state": "success"})
	(&asker{t, st, "ghp_wrong", stranger.http}).do(401, "GET", "", nil)
	st.Revoke(bot.token)
	bot.do(401, "GET", "", nil)
}
