package fakegithub

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

type obj = map[string]any

// route is one operation. A user needs the role in the repository, an installation the permission.
type route struct {
	method, template string
	role             role
	permission       string // "contents:read"
	handle           func(*call) (*answer, error)

	pattern *regexp.Regexp
	params  []string
	literal int
}

// many are the parameters that may hold slashes.
func many(name string) bool {
	return slices.Contains([]string{"ref", "branch", "path", "sha"}, name)
}

func (r *route) compile() (err error) {
	r.pattern, r.params, r.literal, err = compileTemplate(r.template, many)
	return err
}

// compileTemplate makes a path with {parameters} a pattern for escaped paths.
func compileTemplate(template string, many func(name string) bool) (pattern *regexp.Regexp, params []string, literal int, err error) {
	var b strings.Builder
	at := 0
	for _, m := range templateParam.FindAllStringSubmatchIndex(template, -1) {
		name := template[m[2]:m[3]]
		b.WriteString(regexp.QuoteMeta(template[at:m[0]]))
		literal += m[0] - at
		at = m[1]
		if many(name) {
			b.WriteString("(.+)")
		} else {
			b.WriteString("([^/]+)")
		}
		params = append(params, name)
	}
	b.WriteString(regexp.QuoteMeta(template[at:]))
	pattern, err = regexp.Compile("^" + b.String() + "$")
	return pattern, params, literal + len(template) - at, err
}

// match returns the values of a pattern's parameters, unescaped.
func match(pattern *regexp.Regexp, params []string, path string) map[string]string {
	m := pattern.FindStringSubmatch(path)
	if m == nil {
		return nil
	}
	values := map[string]string{}
	for i, name := range params {
		value := m[i+1]
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		values[name] = value
	}
	return values
}

// call is a request on its way.
type call struct {
	s      *Server
	r      *http.Request
	path   string
	body   []byte
	query  url.Values
	route  *route
	params map[string]string
	who    *token // nil: nobody
	repo   *Repo  // when the path names one
}

// read decodes the body; no body is the zero value.
func (c *call) read(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return fail(http.StatusBadRequest, "Problems parsing JSON")
	}
	return nil
}

// number reads a parameter of the path.
func (c *call) number(name string) (int, error) {
	n, err := strconv.Atoi(c.params[name])
	if err != nil {
		return 0, notFound()
	}
	return n, nil
}

// answer is what is sent.
type answer struct {
	status int
	header http.Header
	body   []byte
	free   bool // counts against no limit
}

func (a *answer) send(w http.ResponseWriter) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a client that is gone learns nothing anyway
}

// respond makes an answer of a value; nil is no body.
func respond(status int, v any) *answer {
	a := &answer{status: status, header: http.Header{}}
	if v != nil {
		data, err := json.Marshal(v)
		if err != nil { // only maps, lists and plain values: cannot happen
			data = []byte(`{"message":"Server Error"}`)
			a.status = http.StatusInternalServerError
		}
		a.body = data
		a.header.Set("Content-Type", "application/json; charset=utf-8")
	}
	return a
}

func ok(v any) (*answer, error) { return respond(http.StatusOK, v), nil }

// problem is an error as GitHub words it.
type problem struct {
	status  int
	message string
	errors  any // of "Validation Failed"; nil: none
	header  http.Header
	docs    string // below docs.github.com/rest
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s", p.status, p.message) }

func (p *problem) answer() *answer {
	body := obj{"message": p.message, "documentation_url": "https://docs.github.com/rest" + p.docs}
	if p.status == http.StatusUnauthorized || p.status == http.StatusNotFound {
		body["status"] = strconv.Itoa(p.status)
	}
	if p.errors != nil {
		body["errors"] = p.errors
	}
	a := respond(p.status, body)
	for k, v := range p.header {
		a.header[k] = v
	}
	return a
}

func fail(status int, format string, args ...any) *problem {
	return &problem{status: status, message: fmt.Sprintf(format, args...)}
}

func notFound() *problem { return fail(http.StatusNotFound, "Not Found") }

// invalid is a 422 with one error of a field.
func invalid(resource, field, code, message string) *problem {
	e := obj{"resource": resource, "code": code}
	if field != "" {
		e["field"] = field
	}
	if message != "" {
		e["message"] = message
	}
	return &problem{status: http.StatusUnprocessableEntity, message: "Validation Failed", errors: []any{e}}
}

// invalidText is a 422 with one error in words, as reviews have it.
func invalidText(message string) *problem {
	return &problem{status: http.StatusUnprocessableEntity, message: "Unprocessable Entity", errors: []any{message}}
}

// carryOut does what is asked.
func (s *Server) carryOut(c *call) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.handle(c)
	if err != nil {
		if p, ok := err.(*problem); ok { //nolint:errorlint // problems are never wrapped
			a = p.answer()
		} else {
			s.opts.Logf("%s %s: %v", c.r.Method, c.path, err)
			a = fail(http.StatusInternalServerError, "Server Error: %v", err).answer()
		}
	}
	s.condition(c, a)
	s.charge(c, a)
	return a
}

// handle finds who asks, and the operation, and runs it.
func (s *Server) handle(c *call) (*answer, error) {
	if c.r.Header.Get("User-Agent") == "" {
		return nil, fail(http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
	}
	if err := s.authenticate(c); err != nil {
		return nil, err
	}
	if err := s.limit(c); err != nil {
		return nil, err
	}
	for _, r := range s.routes {
		if r.method != c.r.Method || c.route != nil && c.route.literal > r.literal {
			continue
		}
		if params := match(r.pattern, r.params, c.path); params != nil {
			c.route, c.params = r, params
		}
	}
	if c.route == nil {
		return nil, notFound()
	}
	if name, ok := c.params["repo"]; ok {
		c.repo = s.repos[strings.ToLower(c.params["owner"]+"/"+name)]
		if c.repo == nil || !c.repo.allows(c.who, roleRead) {
			return nil, notFound() // GitHub tells nobody that there is one
		}
		if err := c.repo.sync(); err != nil {
			return nil, err
		}
	}
	if err := c.authorize(); err != nil {
		return nil, err
	}
	return c.route.handle(c)
}

// condition answers 304 when the asker has the answer already.
func (s *Server) condition(c *call, a *answer) {
	if c.r.Method != http.MethodGet || a.status != http.StatusOK {
		return
	}
	sum := sha256.Sum256(a.body)
	etag := `W/"` + hex.EncodeToString(sum[:]) + `"`
	a.header.Set("ETag", etag)
	a.header.Set("Cache-Control", "private, max-age=60, s-maxage=60")
	if c.r.Header.Get("If-None-Match") == etag {
		a.status, a.body, a.free = http.StatusNotModified, nil, true
		a.header.Del("Content-Type")
	}
}

// Sizes of pages.
const (
	defaultPage = 30
	maxPage     = 100
)

// page cuts a list and says in the Link header where the rest is.
func (c *call) page(all []any) ([]any, http.Header) {
	size, number := defaultPage, 1
	if n, err := strconv.Atoi(c.query.Get("per_page")); err == nil && n > 0 {
		size = min(n, maxPage)
	}
	if n, err := strconv.Atoi(c.query.Get("page")); err == nil && n > 0 {
		number = n
	}
	last := max(1, (len(all)+size-1)/size)
	var links []string
	link := func(rel string, n int) {
		q := url.Values{}
		for k, v := range c.query {
			q[k] = v
		}
		q.Set("page", strconv.Itoa(n))
		links = append(links, fmt.Sprintf("<%s%s?%s>; rel=%q", c.s.URL, strings.TrimPrefix(c.path, "/"), q.Encode(), rel))
	}
	if number > 1 {
		link("prev", number-1)
	}
	if number < last {
		link("next", number+1)
		link("last", last)
	}
	if number > 1 {
		link("first", 1)
	}
	header := http.Header{}
	if len(links) > 0 {
		header.Set("Link", strings.Join(links, ", "))
	}
	from := min((number-1)*size, len(all))
	cut := all[from:min(from+size, len(all))]
	if cut == nil {
		cut = []any{}
	}
	return cut, header
}

// list answers one page of a list.
func (c *call) list(all []any) (*answer, error) {
	cut, header := c.page(all)
	a := respond(http.StatusOK, cut)
	for k, v := range header {
		a.header[k] = v
	}
	return a, nil
}
