package fakegithub

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

//go:embed contract/openapi.json.gz contract/schema.graphql.gz
var descriptions embed.FS

// maxBody limits a request's or an answer's body, which a contract holds in memory.
const maxBody = 32 << 20

// Breach is one thing that was said in a request or an answer and that GitHub's description of its
// interface does not allow.
type Breach struct {
	Side      string // "request" or "response"
	Operation string // "GET /repos/{owner}/{repo}", or method and path of an operation that is not described
	Place     string // "path owner", "query page", "status", "body /head/sha"
	Reason    string
}

// String is one line.
func (b Breach) String() string {
	return fmt.Sprintf("%s of %s: %s: %s", b.Side, b.Operation, b.Place, b.Reason)
}

// Contract compares requests and answers with GitHub's own description: the OpenAPI description for
// REST, the schema for GraphQL, each reduced to what is used (contract/SOURCES.md). It is stricter than
// these in one thing: a query parameter, or a property of a body, that they do not name is a breach,
// too, because GitHub would ignore it silently or never send it.
//
// Its Handler stands around a server, its Transport around a client. A Contract may be used by many.
type Contract struct {
	report     func(Breach)
	operations []*operation
	graphql    *ast.Schema

	mu   sync.Mutex
	seen map[string]int
}

// NewContract calls report for every breach, maybe from many goroutines at once.
func NewContract(report func(Breach)) (*Contract, error) {
	c := &Contract{report: report, seen: map[string]int{}}
	data, err := unpack("contract/openapi.json.gz")
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("read GitHub's OpenAPI description: %w", err)
	}
	if c.operations, err = listOperations(doc); err != nil {
		return nil, err
	}
	c.graphql, err = loadGraphQL()
	return c, err
}

func loadGraphQL() (*ast.Schema, error) {
	data, err := unpack("contract/schema.graphql.gz")
	if err != nil {
		return nil, err
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: string(data)})
	if err != nil {
		return nil, fmt.Errorf("read GitHub's GraphQL schema: %w", err)
	}
	return schema, nil
}

// CheckContract is a contract whose breaches fail the test.
func CheckContract(t testing.TB) *Contract {
	t.Helper()
	c, err := NewContract(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Checking(t)
}

// Checking is the same contract for another test: reading the descriptions takes some 50 ms, under the
// race detector far more, which many tests may share.
func (c *Contract) Checking(t testing.TB) *Contract {
	return c.Reporting(func(b Breach) { t.Errorf("GitHub's contract is broken: %s", b) })
}

// Reporting is the same contract with another report and nothing seen.
func (c *Contract) Reporting(report func(Breach)) *Contract {
	return &Contract{report: report, operations: c.operations, graphql: c.graphql, seen: map[string]int{}}
}

func unpack(name string) ([]byte, error) {
	f, err := descriptions.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// Seen returns how many answers were compared, by operation.
func (c *Contract) Seen() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]int{}
	for k, v := range c.seen {
		all[k] = v
	}
	return all
}

// Operations returns the described operations, "POST /graphql" last.
func (c *Contract) Operations() []string {
	var names []string
	for _, o := range c.operations {
		names = append(names, o.name)
	}
	slices.Sort(names)
	return append(names, graphqlOperation)
}

// exchange is a request and its answer.
type exchange struct {
	request *http.Request // its body is in sent
	path    string        // without the prefix of an enterprise server, escaped
	sent    []byte
	status  int
	header  http.Header
	got     []byte
}

// check compares one exchange and reports.
func (c *Contract) check(e *exchange) {
	if e.path == "/graphql" && e.request.Method == http.MethodPost {
		c.count(graphqlOperation)
		c.checkGraphQL(e)
		return
	}
	op, params := c.find(e.request.Method, e.path)
	if op == nil {
		c.report(Breach{"request", e.request.Method + " " + e.path, "path", "not one of the operations in contract/operations.txt"})
		return
	}
	c.count(op.name)
	for _, b := range append(op.checkRequest(e, params), op.checkResponse(e)...) {
		c.report(b)
	}
}

func (c *Contract) count(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[name]++
}

// Handler is next with all that it is asked and answers compared. The paths of a GitHub Enterprise
// Server, /api/v3 and /api/graphql, are known, too; what ends in .git or goes to a Git service is
// none of the contract's.
func (c *Contract) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ours := apiPath(r)
		if !ours {
			next.ServeHTTP(w, r)
			return
		}
		sent, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
		rec := &recorder{ResponseWriter: w}
		// A handler that ends the connection has answered nothing to compare: its panic goes on.
		next.ServeHTTP(rec, r)
		if rec.status == 0 {
			rec.status = http.StatusOK
		}
		c.check(&exchange{request: r, path: path, sent: sent, status: rec.status, header: rec.Header(), got: rec.body.Bytes()})
	})
}

// recorder keeps a copy of what is written.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	_, _ = r.body.Write(b) // a Buffer takes all
	return r.ResponseWriter.Write(b)
}

// Transport is next (nil: http.DefaultTransport) with all that is asked and answered compared.
func (c *Contract) Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &contractTransport{contract: c, next: next}
}

type contractTransport struct {
	contract *Contract
	next     http.RoundTripper
}

// RoundTrip implements http.RoundTripper. The answer's body is read whole.
func (t *contractTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	path, ours := apiPath(r)
	if !ours {
		return t.next.RoundTrip(r)
	}
	out := r.Clone(r.Context()) // the caller's request must not change
	var sent []byte
	if r.Body != nil {
		var err error
		sent, err = io.ReadAll(io.LimitReader(r.Body, maxBody))
		_ = r.Body.Close() // it was only read
		if err != nil {
			return nil, fmt.Errorf("read request body: %w", err)
		}
		out.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := t.next.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_ = resp.Body.Close() // it was only read
	if err == nil {
		t.contract.check(&exchange{request: r, path: path, sent: sent, status: resp.StatusCode, header: resp.Header, got: got})
	}
	// An answer that was cut is the client's to notice.
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(got), ending{err}))
	return resp, nil
}

// ending is a reader that only ends, with an error where there is one.
type ending struct{ err error }

// Read implements io.Reader.
func (e ending) Read([]byte) (int, error) {
	if e.err == nil {
		return 0, io.EOF
	}
	return 0, e.err
}

// apiPath returns the escaped path below the root of the REST interface; it is false for Git over HTTP.
func apiPath(r *http.Request) (string, bool) {
	path := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, enterprisePrefix); ok {
		return rest, true
	}
	if path == "/api/graphql" {
		return "/graphql", true
	}
	for _, service := range []string{".git/info/refs", ".git/git-upload-pack", ".git/git-receive-pack"} {
		if strings.HasSuffix(path, service) {
			return "", false
		}
	}
	return path, true
}

// enterprisePrefix stands before the REST paths of a GitHub Enterprise Server.
const enterprisePrefix = "/api/v3"

// decode reads one JSON value.
func decode(data []byte) (any, error) {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return v, nil
}
