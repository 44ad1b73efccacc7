package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"towpath.dev/towpath/internal/image"
)

const (
	// pageSize is what is asked for; ECR refuses more than 1000.
	pageSize = 1000
	// maxTagBytes of a string that is no tag are kept, so that it can be named.
	// Tags have at most 128.
	maxTagBytes = 256
	maxPageURL  = 4 << 10
	maxETag     = 256
)

// Listing is what a registry answered to one List; it may be kept on disk and
// given to the next.
type Listing struct {
	// Tags are all tags, as the registry wrote and ordered them, which includes
	// strings that are no tag; those are cut where they are too long.
	Tags []string `json:"tags"`
	// Pages are the answers they came in.
	Pages []Page `json:"pages,omitempty"`
	// Unchanged: the registry said so of every page; Tags are those of the last
	// listing.
	Unchanged bool `json:"-"`
}

// Page is one answer of a Listing.
type Page struct {
	ETag string `json:"etag,omitempty"`
	Next string `json:"next,omitempty"` // URL of the page after it
	Tags int    `json:"tags"`           // how many of Listing.Tags it holds
}

// List returns every tag of repo, or an error: never a part of them. last is an
// earlier answer (zero: none); what did not change since costs no body where the
// registry gave an ETag. Equal calls at one time are one listing.
func (c *Client) List(ctx context.Context, repo image.Repo, last Listing) (Listing, error) {
	op := "list tags of " + repo.String()
	if !last.whole() {
		last = Listing{}
	}
	got, err := c.lists.do(ctx, key(repo.Canonical(), last), func(ctx context.Context) (Listing, error) {
		return perform(ctx, c, op, repo, c.c.MaxPages, func(k call) (Listing, error) { return k.list(last) })
	})
	if err != nil {
		return Listing{}, leftBy(ctx, op, err)
	}
	// What came is shared with whoever asked at the same time.
	got.Tags, got.Pages = slices.Clone(got.Tags), slices.Clone(got.Pages)
	return got, nil
}

// whole reports whether the pages account for the tags: a listing from a disk
// may be anything.
func (l Listing) whole() bool {
	n := 0
	for i, p := range l.Pages {
		if p.Tags < 0 || p.Tags > len(l.Tags)-n || (p.Next == "") != (i == len(l.Pages)-1) {
			return false
		}
		n += p.Tags
	}
	return n == len(l.Tags) && len(l.Pages) > 0
}

// key tells listings apart whose requests would differ.
func key(repo string, last Listing) string {
	var b strings.Builder
	b.WriteString(repo)
	for _, p := range last.Pages {
		if p.ETag != "" {
			fmt.Fprintf(&b, "\n%s %s %d", p.ETag, p.Next, p.Tags)
		}
	}
	return b.String()
}

// answer is one page of tags.
type answer struct {
	tags      []string
	etag      string
	next      string // "" at the end
	unchanged bool   // 304: tags and etag are those of last time
}

// list follows the pages from the first to the last.
func (k call) list(last Listing) (Listing, error) {
	got := Listing{Tags: []string{}, Unchanged: true}
	next := fmt.Sprintf("%s/v2/%s/tags/list?n=%d", k.c.base(k.repo.Host()), k.repo.Path(), pageSize)
	seen := map[string]bool{}
	size, at, before := int64(0), 0, next // at: in last.Tags; before: where last had this page
	for i := 0; next != ""; i++ {
		switch {
		case seen[next]:
			return Listing{}, bad("its list of tags leads in a circle")
		case i >= k.c.c.MaxPages:
			return Listing{}, bad("its list of tags has more than %d pages", k.c.c.MaxPages)
		}
		seen[next] = true
		var known *Page
		if i < len(last.Pages) && before == next {
			known = &last.Pages[i]
		}
		a, err := k.page(next, known)
		if err != nil {
			return Listing{}, err
		}
		if a.unchanged {
			a.tags, a.etag = last.Tags[at:at+known.Tags], known.ETag
		} else {
			got.Unchanged = false
		}
		if i < len(last.Pages) {
			at, before = at+last.Pages[i].Tags, last.Pages[i].Next
		}
		for _, t := range a.tags {
			size += int64(len(t))
		}
		got.Tags = append(got.Tags, a.tags...)
		got.Pages = append(got.Pages, Page{ETag: a.etag, Next: a.next, Tags: len(a.tags)})
		switch {
		case len(got.Tags) > k.c.c.MaxTags:
			return Listing{}, bad("the image has more than %d tags", k.c.c.MaxTags)
		case size > k.c.c.MaxBody:
			return Listing{}, bad("its tags are more than %d bytes", k.c.c.MaxBody)
		}
		next = a.next
	}
	return got, nil
}

// page asks for one page. known is what it was last time; nil: nothing.
func (k call) page(target string, known *Page) (answer, error) {
	header := http.Header{}
	if known != nil && known.ETag != "" {
		header.Set("If-None-Match", known.ETag)
	}
	resp, err := k.ask(http.MethodGet, target, header)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && header.Get("If-None-Match") != "":
		next, err := continues(resp.Request.URL, known.Next)
		return answer{unchanged: true, next: next}, err
	case resp.StatusCode != http.StatusOK:
		return answer{}, statusOf(resp)
	}
	tags, next, err := readTags(resp.Body)
	if err != nil {
		return answer{}, err
	}
	link, err := nextLink(resp.Header)
	if err != nil {
		return answer{}, err
	}
	if link == "" {
		link = next
	}
	if link, err = continues(resp.Request.URL, fromJFrog(resp, link)); err != nil {
		return answer{}, err
	}
	return answer{tags: tags, etag: goodETag(resp.Header.Get("ETag")), next: link}, nil
}

// readTags reads one page's body, which is all of it and nothing else.
func readTags(body io.Reader) (tags []string, next string, err error) {
	var list struct {
		Tags   tagList           `json:"tags"`
		Next   string            `json:"next"`
		Errors []json.RawMessage `json:"errors"`
	}
	dec := json.NewDecoder(body)
	if err := dec.Decode(&list); err != nil {
		return nil, "", err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		if err != nil && !isSyntax(err) {
			return nil, "", err
		}
		return nil, "", bad("what it answered goes on behind the list of tags")
	}
	if len(list.Errors) > 0 {
		return nil, "", bad("its list of tags comes with errors")
	}
	if !list.Tags.there { // an image without tags has "tags": null or []
		return nil, "", bad("what it answered has no list of tags")
	}
	if list.Next != "" && !strings.HasPrefix(list.Next, "/") && !strings.HasPrefix(list.Next, "http") {
		return nil, "", bad("its list of tags goes on in a way that is not known")
	}
	all := list.Tags.tags
	for i, t := range all {
		if len(t) > maxTagBytes {
			cut := maxTagBytes
			for !utf8.RuneStart(t[cut]) {
				cut--
			}
			all[i] = t[:cut] + "…"
		}
	}
	return all, list.Next, nil
}

// tagList tells a list that is not there from one that is null.
type tagList struct {
	tags  []string
	there bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *tagList) UnmarshalJSON(data []byte) error {
	*l = tagList{there: true}
	return json.Unmarshal(data, &l.tags)
}

func isSyntax(err error) bool {
	var syntax *json.SyntaxError
	return errors.As(err, &syntax)
}

// goodETag returns an entity tag that may be sent back; "" for others.
func goodETag(s string) string {
	if len(s) > maxETag || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return s
}

// continues resolves the link of the page that came from here to the next; ""
// at the end. It does not leave the host or the scheme.
func continues(here *url.URL, link string) (string, error) {
	if link == "" {
		return "", nil
	}
	next, err := here.Parse(link)
	if err != nil || next.Opaque != "" {
		return "", bad("its link to the next page of tags cannot be read")
	}
	if next.Host != here.Host || next.Scheme != here.Scheme || next.User != nil {
		return "", bad("its list of tags continues on another host or scheme")
	}
	next.Fragment, next.RawFragment = "", ""
	s := next.String()
	if len(s) > maxPageURL {
		return "", bad("its link to the next page of tags is longer than %d bytes", maxPageURL)
	}
	return s, nil
}

// fromJFrog mends the links of Artifactory behind a proxy, which leave out the
// folder that the proxy took away (RTFACT-18971): only their query is right.
func fromJFrog(resp *http.Response, link string) string {
	if resp.Header.Get("X-Artifactory-Id") == "" && resp.Header.Get("X-Jfrog-Version") == "" {
		return link
	}
	if _, query, ok := strings.Cut(link, "?"); ok {
		return "?" + query
	}
	return link
}
