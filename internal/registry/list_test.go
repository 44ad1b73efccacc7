package registry_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/test/ociregistry"
)

// list asks and fails the test when that fails.
func list(t *testing.T, c *registry.Client, image string, last registry.Listing) registry.Listing {
	t.Helper()
	l, err := c.List(t.Context(), repo(t, image), last)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range l.Pages {
		n += p.Tags
	}
	if n != len(l.Tags) {
		t.Errorf("the pages hold %d tags, the listing %d", n, len(l.Tags))
	}
	return l
}

// kept is a listing as it comes back from a disk.
func kept(t *testing.T, l registry.Listing) registry.Listing {
	t.Helper()
	data, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var back registry.Listing
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func tagsOf(prefix string, n int) []string {
	var tags []string
	for i := range n {
		tags = append(tags, fmt.Sprintf("%s%03d", prefix, i))
	}
	return tags
}

func TestAnUnchangedListCostsNoBody(t *testing.T) {
	for _, pageSize := range []int{0, 7} {
		s := start(t, ociregistry.Config{ETags: true, PageSize: pageSize})
		push(t, s, "web", tagsOf("1.0.", 20)...)
		c := client(t, registry.Config{InsecureHosts: []string{s.Host()}})
		first := list(t, c, s.Image("web"), registry.Listing{})
		if first.Unchanged || len(first.Tags) != 20 {
			t.Fatalf("first listing: %+v", first)
		}
		pages := len(first.Pages)
		s.Reset()
		second := list(t, c, s.Image("web"), kept(t, first))
		if !second.Unchanged || !slices.Equal(second.Tags, first.Tags) || !slices.Equal(second.Pages, first.Pages) {
			t.Errorf("second listing: %+v, want %+v", second, first)
		}
		if s.ListBytes() != 0 || s.Listings("web") != pages {
			t.Errorf("pages of %d: %d bytes of tags in %d requests, want 0 in %d", pageSize, s.ListBytes(), s.Listings("web"), pages)
		}
	}
}

func TestOnlyChangedPagesHaveABody(t *testing.T) {
	s := start(t, ociregistry.Config{ETags: true, PageSize: 5})
	push(t, s, "web", tagsOf("1.0.", 13)...)
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}})
	first := list(t, c, s.Image("web"), registry.Listing{})

	push(t, s, "web", "1.0.013") // on the last page
	second := list(t, c, s.Image("web"), first)
	if second.Unchanged || !slices.Equal(second.Tags, tagsOf("1.0.", 14)) {
		t.Errorf("tags %q", second.Tags)
	}
	var with int
	for _, r := range s.Requests() {
		if r.Bytes > 0 {
			with++
		}
	}
	if with != 1 {
		t.Errorf("%d answers had a body, want the last page's: %+v", with, s.Requests())
	}

	push(t, s, "web", "0.9.0") // moves everything by one
	third := list(t, c, s.Image("web"), second)
	if third.Unchanged || !slices.Equal(third.Tags, append([]string{"0.9.0"}, tagsOf("1.0.", 14)...)) {
		t.Errorf("tags %q", third.Tags)
	}

	for range 12 { // fewer pages than before
		if err := s.Delete("web", third.Tags[len(third.Tags)-1]); err != nil {
			t.Fatal(err)
		}
		third.Tags = third.Tags[:len(third.Tags)-1]
	}
	fourth := list(t, c, s.Image("web"), second)
	if fourth.Unchanged || !slices.Equal(fourth.Tags, third.Tags) {
		t.Errorf("tags %q, want %q", fourth.Tags, third.Tags)
	}
}

func TestAListingFromADiskIsNotTrusted(t *testing.T) {
	s := start(t, ociregistry.Config{ETags: true, PageSize: 5})
	want := tagsOf("1.0.", 8)
	push(t, s, "web", want...)
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}})
	good := list(t, c, s.Image("web"), registry.Listing{})
	for name, spoil := range map[string]func(*registry.Listing){
		"fewer tags than the pages say": func(l *registry.Listing) { l.Tags = l.Tags[:3] },
		"more tags than the pages say":  func(l *registry.Listing) { l.Tags = append(l.Tags, "9.9.9") },
		"a negative page":               func(l *registry.Listing) { l.Pages[0].Tags, l.Pages[1].Tags = -1, 9 },
		"an enormous page":              func(l *registry.Listing) { l.Pages[0].Tags = 1 << 62; l.Pages[1].Tags = 1 << 62 },
		"no pages":                      func(l *registry.Listing) { l.Pages = nil },
	} {
		t.Run(name, func(t *testing.T) {
			last := kept(t, good)
			spoil(&last)
			if got := list(t, c, s.Image("web"), last); got.Unchanged || !slices.Equal(got.Tags, want) {
				t.Errorf("unchanged %v, tags %q", got.Unchanged, got.Tags)
			}
		})
	}
	last := kept(t, good)
	last.Pages[0].Next = "http://169.254.169.254/latest"
	_, err := c.List(t.Context(), repo(t, s.Image("web")), last)
	mention(t, err, registry.ErrBadAnswer, "another host")
}

func TestOddAnswersToConditionalRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		kind   error // nil: the tags come
	}{
		"304 to who has nothing": {status(304), registry.ErrBadAnswer},
		"an entity tag that cannot be sent": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("ETag", `"ä`+strings.Repeat("x", 300)+`"`)
			_, _ = io.WriteString(w, `{"tags":["1.0.0"]}`)
		}, nil},
		"304 for ever": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `W/"same"`)
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = io.WriteString(w, `{"tags":["1.0.0"]}`)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := faulty(t, tc.answer)
			c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
			var last registry.Listing
			for range 3 {
				got, err := c.List(t.Context(), repo(t, hostOf(srv)+"/web"), last)
				if tc.kind != nil {
					mention(t, err, tc.kind, "304")
					return
				}
				if err != nil || !slices.Equal(got.Tags, []string{"1.0.0"}) {
					t.Fatalf("tags %q, error %v", got.Tags, err)
				}
				last = got
			}
		})
	}
}

func TestLinksToTheNextPage(t *testing.T) {
	for link, want := range map[string]string{
		`</v2/web/tags/list?last=b>; rel="next"`:                                          "b",
		`</v2/web/tags/list?last=b>`:                                                      "b", // no rel
		`<list?last=b>;rel=next`:                                                          "b",
		`<?last=b>; title="a, <b>; c"; rel="prev next"`:                                   "b",
		`</v2/web/tags/list?last=a>; rel="prev", </v2/web/tags/list?last=b>; rel="next"`:  "b",
		`</v2/web/tags/list?last=a>; rel="first", </v2/web/tags/list?last=c>; rel="last"`: "",
		`</docs>; rel="help"`:                                                             "",
		`<http://HOST/v2/web/tags/list?last=b#x>`:                                         "b",
	} {
		t.Run(link, func(t *testing.T) {
			srv, _ := faulty(t, func(w http.ResponseWriter, r *http.Request) {
				if last := r.URL.Query().Get("last"); last != "" {
					_, _ = fmt.Fprintf(w, `{"tags":["after-%s"]}`, last)
					return
				}
				w.Header().Set("Link", strings.ReplaceAll(link, "HOST", r.Host))
				_, _ = io.WriteString(w, `{"tags":["first"]}`)
			})
			expect := []string{"first"}
			if want != "" {
				expect = append(expect, "after-"+want)
			}
			c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
			if got := list(t, c, hostOf(srv)+"/web", registry.Listing{}); !slices.Equal(got.Tags, expect) {
				t.Errorf("tags %q, want %q", got.Tags, expect)
			}
		})
	}
}

func TestTheLinkOfArtifactoryWithoutItsFolderIsMended(t *testing.T) {
	srv, _ := faulty(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-JFrog-Version", "Artifactory/7")
		switch {
		case r.URL.Path != "/v2/docker-local/web/tags/list":
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Query().Get("last") == "a":
			_, _ = io.WriteString(w, `{"tags":["b"]}`)
		default:
			w.Header().Set("Link", `</v2/web/tags/list?last=a&n=1000>; rel="next"`)
			_, _ = io.WriteString(w, `{"tags":["a"]}`)
		}
	})
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
	if got := list(t, c, hostOf(srv)+"/docker-local/web", registry.Listing{}); !slices.Equal(got.Tags, []string{"a", "b"}) {
		t.Errorf("tags %q", got.Tags)
	}
}

func TestANextPageInTheBodyIsHeldToTheSameRules(t *testing.T) {
	var next atomic.Pointer[string]
	srv, _ := faulty(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("last") != "" {
			_, _ = io.WriteString(w, `{"tags":["b"]}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"tags":["a"],"next":%q}`, *next.Load())
	})
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
	for value, mentions := range map[string]string{
		"/v2/web/tags/list?last=a": "", "http://169.254.169.254/": "another host", "opaque-token": "not known", "https://" + hostOf(srv) + "/x": "another host",
	} {
		next.Store(&value)
		got, err := c.List(t.Context(), repo(t, hostOf(srv)+"/web"), registry.Listing{})
		if mentions != "" {
			mention(t, err, registry.ErrBadAnswer, mentions)
		} else if err != nil || len(got.Tags) != 2 {
			t.Errorf("%s: %q, %v", value, got.Tags, err)
		}
	}
}

func TestStringsThatAreNoTagAreCut(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	srv, _ := faulty(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"tags": []string{"1.0.0", long, strings.Repeat("x", 128), "x" + strings.Repeat("é", 200)}})
	})
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
	got := list(t, c, hostOf(srv)+"/web", registry.Listing{})
	if len(got.Tags) != 4 || got.Tags[0] != "1.0.0" || got.Tags[2] != strings.Repeat("x", 128) {
		t.Fatalf("tags %q", got.Tags)
	}
	for _, i := range []int{1, 3} {
		if s := got.Tags[i]; len(s) > 260 || len(s) <= 128 || strings.ToValidUTF8(s, "?") != s || !strings.HasSuffix(s, "…") {
			t.Errorf("%d bytes: %q", len(s), s)
		}
	}
}

func TestListsThatComeWithSomethingElse(t *testing.T) {
	for body, mentions := range map[string]string{
		`{"tags":["1.0.0"]} {"tags":["2.0.0"]}`:                              "goes on behind",
		`{"tags":["1.0.0"]}<html>`:                                           "goes on behind",
		`{"tags":["1.0.0"],"errors":[{"code":"X","message":"s3cret-text"}]}`: "with errors",
		`{}`:                       "has no list of tags",
		`null`:                     "has no list of tags",
		`{"name":"web"}`:           "has no list of tags",
		`{"status":{"tags":null}}`: "has no list of tags",
		`[]`:                       "not a list of tags",
		`"tags"`:                   "not a list of tags",
		`{"tags":"x"}`:             "not a list of tags",
		`{"tags":{}}`:              "not a list of tags",
		"\x1f\x8b\x08":             "not a list of tags",
		`{"tags":[[]]}`:            "not a list of tags",
	} {
		srv, _ := faulty(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
		_, err := c.List(t.Context(), repo(t, hostOf(srv)+"/web"), registry.Listing{})
		mention(t, err, registry.ErrBadAnswer, mentions)
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the registry's own text: %v", err)
		}
	}
}

// paper answers from a function, without a network.
type paper func(*http.Request) (int, string)

func (p paper) RoundTrip(req *http.Request) (*http.Response, error) {
	code, body := p(req)
	return &http.Response{StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req}, nil
}

func TestAHundredEqualCallsAreOneListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings, lists atomic.Int64
		c := client(t, registry.Config{Transport: paper(func(req *http.Request) (int, string) {
			if req.URL.Path == "/v2/" {
				pings.Add(1)
				return 200, ""
			}
			lists.Add(1)
			time.Sleep(time.Second)
			return 200, `{"tags":["1.0.0","1.1.0"]}`
		})})
		web := repo(t, "registry.example/web")
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				l, err := c.List(t.Context(), web, registry.Listing{})
				if err != nil || len(l.Tags) != 2 {
					t.Errorf("tags %q, error %v", l.Tags, err)
					return
				}
				l.Tags[i%2] = "spoiled" // each has its own
			})
		}
		wg.Wait()
		if pings.Load() != 1 || lists.Load() != 1 {
			t.Errorf("%d pings and %d lists, want 1 and 1", pings.Load(), lists.Load())
		}
		if l := list(t, c, "registry.example/web", registry.Listing{}); !slices.Equal(l.Tags, []string{"1.0.0", "1.1.0"}) {
			t.Errorf("tags %q", l.Tags)
		}
		if lists.Load() != 2 {
			t.Errorf("a later call was answered from memory")
		}
	})
}
