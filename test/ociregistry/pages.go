package ociregistry

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
)

// pages adds to a registry what go-containerregistry's in-process one lacks: a
// Link header when a tag list was cut by n. Without it a client cannot know
// that there is more.
func pages(next http.Handler, most int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isList(r.Method, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		q := r.URL.Query()
		last := q.Get("last")
		n, _ := strconv.Atoi(q.Get("n")) // not a number: no limit, as with none
		if most > 0 && (n <= 0 || n > most) {
			n = most
		}
		all := r.Clone(r.Context())
		all.URL.RawQuery = ""
		rec := &recorder{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(rec, all)
		var list struct {
			Name string   `json:"name"`
			Tags []string `json:"tags"`
		}
		if rec.status != http.StatusOK || json.Unmarshal([]byte(rec.body.String()), &list) != nil {
			copyAnswer(w, rec)
			return
		}
		// tags come sorted
		list.Tags = list.Tags[sort.Search(len(list.Tags), func(i int) bool { return list.Tags[i] > last }):]
		if n > 0 && n < len(list.Tags) {
			list.Tags = list.Tags[:n]
			more := url.Values{"n": {strconv.Itoa(n)}, "last": {list.Tags[n-1]}}
			w.Header().Set("Link", "<"+r.URL.Path+"?"+more.Encode()+`>; rel="next"`)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
	})
}

func isList(method, path string) bool {
	return method == http.MethodGet && strings.HasSuffix(path, "/tags/list")
}

// etags gives each page the digest of its body as its entity tag.
func etags(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isList(r.Method, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		rec := &recorder{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		if rec.status == http.StatusOK {
			sum := sha256.Sum256([]byte(rec.header.Get("Link") + rec.body.String()))
			tag := fmt.Sprintf(`"%x"`, sum[:8])
			rec.header.Set("ETag", tag)
			if r.Header.Get("If-None-Match") == tag {
				w.Header().Set("ETag", tag)
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		copyAnswer(w, rec)
	})
}

func copyAnswer(w http.ResponseWriter, rec *recorder) {
	for k, v := range rec.header {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.status)
	_, _ = w.Write([]byte(rec.body.String()))
}
