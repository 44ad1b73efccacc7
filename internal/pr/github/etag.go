package github

import (
	"container/list"
	"encoding/json"
	"net/http"
	"sync"
)

const (
	maxCached = 32 << 20 // bytes of all bodies that are kept
	maxKept   = maxBody  // bytes of one: a hundred pull requests may have long texts
)

// fromCache marks an answer that GitHub said is still the one it gave before.
const fromCache = "X-Towpath-Unchanged"

// etags keeps answers to GET, the least recently used of which go first.
type etags struct {
	mu    sync.Mutex
	all   map[string]*list.Element
	order *list.List // of *cached; the last used in front
	bytes int
}

type cached struct {
	key, etag string
	header    http.Header
	body      []byte
}

func newEtags() *etags { return &etags{all: map[string]*list.Element{}, order: list.New()} }

// cacheKey is "" for what is not kept. Different credentials are shown different things.
func cacheKey(r *http.Request, who string) string {
	if r.Method != http.MethodGet {
		return ""
	}
	return who + " " + r.Header.Get("Accept") + " " + r.URL.String()
}

func (c *etags) get(key string) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.all[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached)
}

func (c *etags) put(key string, resp *http.Response) {
	etag, body := resp.Header.Get("ETag"), bodyOf(resp)
	if key == "" || len(body) > maxKept || !json.Valid(body) { // one that was cut would come back with each 304
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(c.all[key])
	if etag == "" {
		return
	}
	c.all[key] = c.order.PushFront(&cached{key: key, etag: etag, header: resp.Header.Clone(), body: body})
	c.bytes += len(body)
	for c.bytes > maxCached {
		c.drop(c.order.Back())
	}
}

func (c *etags) drop(e *list.Element) {
	if e == nil {
		return
	}
	old := c.order.Remove(e).(*cached)
	delete(c.all, old.key)
	c.bytes -= len(old.body)
}

// replay is the answer that was kept, with the date of the one that said so.
func (c *cached) replay(now *http.Response) *http.Response {
	resp := *now
	resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
	resp.Header = c.header.Clone()
	resp.Header.Set(fromCache, "1")
	if date := now.Header.Get("Date"); date != "" {
		resp.Header.Set("Date", date)
	}
	setBody(&resp, c.body)
	return &resp
}
