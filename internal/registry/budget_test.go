package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/test/ociregistry"
)

// TestTheWireBudget holds a tick to what it may cost: one list request per
// image, at most one token per image, one ping per host; and with entity tags
// no list body the second time.
func TestTheWireBudget(t *testing.T) {
	const images = 30
	s := start(t, ociregistry.Config{User: "bot", Password: "p", Tokens: true, TokenLife: time.Hour, ETags: true})
	for i := range images {
		push(t, s, fmt.Sprintf("team/app%d", i), "1.0.0", "1.1.0")
	}
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}, DockerConfig: dockerConfig(t, "", s.Host(), "bot", "p")})
	var mu sync.Mutex
	last := map[int]registry.Listing{}
	tick := func() {
		var wg sync.WaitGroup
		for i := range images {
			for range 3 { // several policies on one image
				wg.Go(func() {
					mu.Lock()
					before := last[i]
					mu.Unlock()
					l, err := c.List(t.Context(), repo(t, s.Image(fmt.Sprintf("team/app%d", i))), before)
					if err != nil || len(l.Tags) != 2 {
						t.Errorf("tags %q, error %v", l.Tags, err)
					}
					mu.Lock()
					defer mu.Unlock()
					last[i] = l
				})
			}
		}
		wg.Wait()
	}
	tick()
	if s.Pings() != 1 || s.Tokens() != images {
		t.Errorf("first tick: %d pings and %d tokens, want 1 and %d", s.Pings(), s.Tokens(), images)
	}
	for _, r := range s.Requests() {
		if r.Status == http.StatusUnauthorized && r.Path != "/v2/" {
			t.Errorf("asked without a token: %+v", r)
		}
	}
	// The calls of one image need not have met, so count them one by one now.
	s.Reset()
	for i := range images {
		l := list(t, c, s.Image(fmt.Sprintf("team/app%d", i)), last[i])
		if !l.Unchanged {
			t.Errorf("app%d is said to have changed", i)
		}
	}
	if n := len(s.Requests()); n != images || s.ListBytes() != 0 {
		t.Errorf("second tick: %d requests with %d bytes of tags, want %d with 0", n, s.ListBytes(), images)
	}
}

func TestATokenThatEndsIsReplacedBeforeItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tokens, lists, refused atomic.Int64
		var until time.Time
		c := client(t, registry.Config{Transport: headed(func(req *http.Request) (int, string, http.Header) {
			switch {
			case req.URL.Path == "/token":
				tokens.Add(1)
				until = time.Now().Add(5 * time.Minute)
				return 200, `{"access_token":"abc","expires_in":300}`, nil
			case req.Header.Get("Authorization") != "Bearer abc" || time.Now().After(until):
				refused.Add(1)
				return 401, "", http.Header{"Www-Authenticate": {`Bearer realm="https://auth.example/token",service="r"`}}
			}
			lists.Add(1)
			return 200, `{"tags":["1.0.0"]}`, nil
		})})
		for range 10 {
			list(t, c, "registry.example/web", registry.Listing{})
			time.Sleep(5 * time.Minute)
		}
		if tokens.Load() != 10 || lists.Load() != 10 || refused.Load() != 1 {
			t.Errorf("%d tokens, %d lists, %d refusals; want 10, 10 and the ping's", tokens.Load(), lists.Load(), refused.Load())
		}
	})
}

// headed answers with headers, from a function.
type headed func(*http.Request) (int, string, http.Header)

func (h headed) RoundTrip(req *http.Request) (*http.Response, error) {
	code, body, header := h(req)
	resp, err := paper(func(*http.Request) (int, string) { return code, body }).RoundTrip(req)
	if header != nil {
		resp.Header = header
	}
	return resp, err
}

func TestATokenWithoutAnEndThatIsRefusedIsReplacedOnce(t *testing.T) {
	s := start(t, ociregistry.Config{Tokens: true, TokenLife: time.Nanosecond}) // all are refused
	push(t, s, "web", "1.0.0")
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}})
	_, err := c.List(t.Context(), repo(t, s.Image("web")), registry.Listing{})
	mention(t, err, registry.ErrUnauthorized, "401")
	if s.Tokens() > 2 || s.Listings("web") > 2 {
		t.Errorf("%d tokens and %d lists for one question", s.Tokens(), s.Listings("web"))
	}
}

func TestARegistryThatPingsOpenlyAndWantsATokenAfterwards(t *testing.T) {
	var tokens atomic.Int64
	c := client(t, registry.Config{Transport: headed(func(req *http.Request) (int, string, http.Header) {
		switch {
		case req.URL.Path == "/v2/":
			return 200, "", nil
		case req.URL.Path == "/token":
			tokens.Add(1)
			if got := req.URL.Query()["scope"]; len(got) != 2 || got[0] != "repository:web:pull,special" {
				t.Errorf("scopes %q", got)
			}
			return 200, `{"token":"abc"}`, nil
		case req.Header.Get("Authorization") != "Bearer abc":
			return 401, "", http.Header{"Www-Authenticate": {`Bearer realm="https://registry.example/token",scope="repository:web:pull,special"`}}
		}
		return 200, `{"tags":["1.0.0"]}`, nil
	})})
	for range 3 {
		list(t, c, "registry.example/web", registry.Listing{})
	}
	if tokens.Load() != 1 {
		t.Errorf("%d tokens", tokens.Load())
	}
}

func TestAHostThatAsksToBeLeftAloneIs(t *testing.T) {
	for name, after := range map[string]string{"seconds": "1800", "a date": time.Now().Add(30 * time.Minute).UTC().Format(http.TimeFormat)} {
		t.Run(name, func(t *testing.T) {
			s, other := start(t, ociregistry.Config{}), start(t, ociregistry.Config{})
			push(t, s, "web", "1.0.0")
			push(t, other, "web", "1.0.0")
			c := client(t, registry.Config{InsecureHosts: []string{s.Host(), other.Host()}})
			list(t, c, s.Image("web"), registry.Listing{})
			s.Fail(&ociregistry.Failure{Status: 429, RetryAfter: after, Path: "/v2/web/tags"})
			_, err := c.List(t.Context(), repo(t, s.Image("web")), registry.Listing{})
			mention(t, err, registry.ErrUnavailable, "429 Too Many Requests", "left alone until 2")
			at := registry.RetryAt(err)
			if d := time.Until(at); d < 29*time.Minute || d > 31*time.Minute {
				t.Fatalf("RetryAt %s", at)
			}
			s.Fail(nil)
			s.Reset()
			_, err = c.Digest(t.Context(), ref(t, s.Image("web")+":1.0.0")) // another image or question, the same host
			mention(t, err, registry.ErrUnavailable, s.Host()+" asked to be left alone until ", at.UTC().Format(time.RFC3339))
			if got := registry.RetryAt(err); !got.Equal(at) {
				t.Errorf("RetryAt %s, want %s", got, at)
			}
			if n := len(s.Requests()); n != 0 {
				t.Errorf("%d requests reached it", n)
			}
			list(t, c, other.Image("web"), registry.Listing{}) // no other host waits for it
		})
	}
}

func TestAHeldHostIsNotAsked(t *testing.T) {
	s := start(t, ociregistry.Config{})
	push(t, s, "web", "1.0.0")
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}})
	until := time.Now().Add(20 * time.Minute)
	c.Hold(s.Host(), until)
	_, err := c.List(t.Context(), repo(t, s.Image("web")), registry.Listing{})
	mention(t, err, registry.ErrUnavailable, "list tags of "+s.Image("web"))
	if !registry.RetryAt(err).Equal(until) || len(s.Requests()) != 0 {
		t.Errorf("RetryAt %s, %d requests", registry.RetryAt(err), len(s.Requests()))
	}
	if at := registry.RetryAt(errors.New("another")); !at.IsZero() {
		t.Errorf("RetryAt of any error: %s", at)
	}
	hub := client(t, registry.Config{Transport: paper(func(*http.Request) (int, string) { t.Error("asked"); return 200, "" })})
	hub.Hold("docker.io", until)
	_, err = hub.Digest(t.Context(), ref(t, "alpine:3"))
	mention(t, err, registry.ErrUnavailable, "left alone")
}

func TestAHostThatKeepsFailingIsAskedLessAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var code atomic.Int64
		code.Store(500)
		c := client(t, registry.Config{Transport: paper(func(req *http.Request) (int, string) {
			if req.URL.Host != "failing.example" {
				return 200, `{"tags":["1.0.0"]}`
			}
			asked.Add(1)
			if code.Load() == 0 {
				time.Sleep(time.Hour) // hangs; the call's time runs out below
			}
			return int(code.Load()), `{"tags":["1.0.0"]}`
		})})
		for range 600 { // ten minutes, a question each second
			_, err := c.List(t.Context(), repo(t, "failing.example/web"), registry.Listing{})
			mention(t, err, registry.ErrUnavailable, "failing.example")
			if !registry.RetryAt(err).IsZero() {
				t.Fatalf("the registry said nothing, and RetryAt is %s", registry.RetryAt(err))
			}
			list(t, c, "good.example/web", registry.Listing{})
			time.Sleep(time.Second)
		}
		if n := asked.Load(); n > 15 {
			t.Errorf("a failing host was asked %d times in ten minutes", n)
		}
		code.Store(200)
		time.Sleep(2 * registry.MaxCoolDown)
		list(t, c, "failing.example/web", registry.Listing{})
		list(t, c, "failing.example/web", registry.Listing{})
	})
}

func TestWaitingForAHostsTurnIsNotATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, registry.Config{
			Timeout: time.Second, Hosts: []registry.Host{{Host: "slow.example", RequestsPerSecond: 1}},
			Transport: paper(func(*http.Request) (int, string) { return 200, `{"tags":["1.0.0"]}` }),
		})
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 120 {
			wg.Go(func() { list(t, c, fmt.Sprintf("slow.example/app%d", i), registry.Listing{}) })
		}
		wg.Wait()
		if took := time.Since(began); took < 110*time.Second {
			t.Errorf("121 requests at one per second took %s", took)
		}
	})
}

func TestACallerThatLeavesDoesNotEndTheCallOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, registry.Config{Transport: paper(func(req *http.Request) (int, string) {
			if strings.HasSuffix(req.URL.Path, "/list") {
				time.Sleep(10 * time.Second)
			}
			return 200, `{"tags":["1.0.0"]}`
		})})
		web := repo(t, "registry.example/web")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { // the first
			_, err := c.List(ctx, web, registry.Listing{})
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, registry.ErrUnavailable) || !strings.HasPrefix(err.Error(), "list tags of ") {
				t.Errorf("error %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if l, err := c.List(t.Context(), web, registry.Listing{}); err != nil || len(l.Tags) != 1 {
				t.Errorf("tags %q, error %v", l.Tags, err)
			}
		})
		wg.Wait()
	})
}

func TestPlatforms(t *testing.T) {
	index := `{"schemaVersion":2,"manifests":[
		{"platform":{"os":"linux","architecture":"arm64","variant":"v8"}},{"platform":{"os":"linux","architecture":"amd64"}},
		{"platform":{"os":"unknown","architecture":"unknown"}},{"platform":{"os":"linux","architecture":"amd64","features":["sse4"]}},
		{"platform":{"os":"li\nnux","architecture":"x"}},{}]}`
	config := `{"os":"linux","architecture":"arm","variant":"v7","rootfs":{}}`
	manifest := fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q}}`, digestOf(config))
	old := `{"schemaVersion":1,"architecture":"amd64","signatures":[]}`
	srv, n := faulty(t, func(w http.ResponseWriter, r *http.Request) {
		for _, body := range []string{index, manifest, old, config, "not json"} {
			if strings.HasSuffix(r.URL.Path, "/"+digestOf(body)) {
				_, _ = w.Write([]byte(body))
				return
			}
		}
		_, _ = w.Write([]byte("something else"))
	})
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
	web := repo(t, hostOf(srv)+"/web")
	if _, err := c.Platforms(t.Context(), web, image.Digest(digestOf(index))); err != nil { // and the ping
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		body     string
		want     string
		requests int64
		mentions string
	}{
		"an index":               {index, "linux/amd64 linux/arm64/v8", 1, ""},
		"an image":               {manifest, "linux/arm/v7", 2, ""},
		"the oldest format":      {old, "", 1, "names no config"},
		"no manifest":            {"not json", "", 1, "cannot be read"},
		"another than asked for": {"what is not there", "", 1, "another digest"},
	} {
		n.Store(0)
		got, err := c.Platforms(t.Context(), web, image.Digest(digestOf(tc.body)))
		if tc.mentions != "" {
			mention(t, err, registry.ErrBadAnswer, "read platforms of ", tc.mentions)
			continue
		}
		var all []string
		for _, p := range got {
			all = append(all, p.String())
		}
		if err != nil || strings.Join(all, " ") != tc.want {
			t.Errorf("%s: %q, %v", name, all, err)
		}
		if n.Load() > tc.requests {
			t.Errorf("%s: %d requests", name, n.Load())
		}
	}
}

func TestAHostThatHangsDelaysNoOtherAndIsSoonGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung atomic.Int64
		c := client(t, registry.Config{Transport: stuck(func(req *http.Request) bool {
			if req.URL.Host == "hanging.example" {
				hung.Add(1)
				return true
			}
			return false
		})})
		began := time.Now()
		var bad, good sync.WaitGroup
		for i := range 200 {
			bad.Go(func() {
				_, err := c.List(t.Context(), repo(t, fmt.Sprintf("hanging.example/app%d", i)), registry.Listing{})
				mention(t, err, registry.ErrUnavailable, "hanging.example")
			})
			good.Go(func() { list(t, c, fmt.Sprintf("good.example/app%d", i%50), registry.Listing{}) })
		}
		good.Wait()
		if took := time.Since(began); took > 10*time.Second { // its own pace
			t.Errorf("the good registry took %s", took)
		}
		bad.Wait()
		if took := time.Since(began); took > registry.DefaultTimeout {
			t.Errorf("200 questions to a host that hangs took %s, more than one of them may", took)
		}
		if n := hung.Load(); n != 1 {
			t.Errorf("a host that hangs was asked %d times", n)
		}
		_, err := c.List(t.Context(), repo(t, "hanging.example/app"), registry.Listing{})
		mention(t, err, registry.ErrUnavailable, "did not answer in time and is left alone")
	})
}

// stuck answers at once but where hang says so: there it never does.
type stuck func(*http.Request) bool

func (s stuck) RoundTrip(req *http.Request) (*http.Response, error) {
	if s(req) {
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	}
	return paper(func(*http.Request) (int, string) { return 200, `{"tags":["1.0.0"]}` }).RoundTrip(req)
}

func TestManyCallsThatAreRefusedAtOnceShareOneLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tokens, refused atomic.Int64
		var good atomic.Int64 // the number of the token that is taken
		c := client(t, registry.Config{Transport: headed(func(req *http.Request) (int, string, http.Header) {
			time.Sleep(time.Second)
			switch {
			case req.URL.Path == "/token":
				return 200, fmt.Sprintf(`{"token":"t%d","expires_in":36000}`, tokens.Add(1)), nil
			case req.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", good.Load()):
				refused.Add(1)
				return 401, "", http.Header{"Www-Authenticate": {`Bearer realm="https://registry.example/token"`}}
			}
			return 200, "", http.Header{"Docker-Content-Digest": {someDigest}}
		})})
		for round := range int64(3) {
			good.Store(round + 1) // the token before is no longer taken
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					if _, err := c.Digest(t.Context(), ref(t, fmt.Sprintf("registry.example/web:%d", i))); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if tokens.Load() != round+1 {
				t.Errorf("round %d: %d tokens", round, tokens.Load())
			}
		}
		if refused.Load() > 1+2*40 { // the ping, and each call of the later rounds once
			t.Errorf("%d refusals", refused.Load())
		}
	})
}
