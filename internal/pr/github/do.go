package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	gh "github.com/google/go-github/v60/github"

	"towpath.dev/towpath/internal/pr"
)

// maxServerText bounds what is told of a server's words in an error, in bytes.
const maxServerText = 300

// answer is what callers need of a response besides its body.
type answer struct {
	status int
	header http.Header
	next   int // number of the next page of a list; 0: there is none
}

// do sends one request of REST: path below the interface's root (see repoPath, may have a query), in as
// JSON (nil: no body), the answer into out (nil: it is dropped; a *json.RawMessage: as it came). Errors
// are *apiError, *pr.LimitError or of the connection.
func (f *Forge) do(ctx context.Context, method, path string, in, out any) (answer, error) {
	req, err := f.client.NewRequest(method, path, in)
	if err != nil {
		return answer{}, err
	}
	var body bytes.Buffer // read whole: go-github takes an answer that was cut to nothing for an empty one
	resp, err := f.client.Do(ctx, req, &body)
	var a answer
	if resp != nil {
		a = answer{status: resp.StatusCode, header: resp.Header, next: resp.NextPage}
	}
	if err != nil {
		return a, f.translate(ctx, err)
	}
	return a, decode(body.Bytes(), out)
}

// decode reads the body of a good answer; a nil out wants none.
func decode(body []byte, out any) error {
	switch out := out.(type) {
	case nil:
		return nil
	case *json.RawMessage:
		*out = body
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("read GitHub's answer: %w", err)
	}
	return nil
}

// graphql does one query or mutation; out is what stands in "data". Errors of GraphQL itself are
// *graphqlError; data may be filled in part then.
func (f *Forge) graphql(ctx context.Context, query string, variables map[string]any, out any) error {
	_, err := f.ask(ctx, query, variables, out)
	return err
}

// ask is graphql with what the answer says besides.
func (f *Forge) ask(ctx context.Context, query string, variables map[string]any, out any) (answer, error) {
	req, err := f.client.NewRequest(http.MethodPost, f.graphqlURL, map[string]any{"query": query, "variables": variables})
	if err != nil {
		return answer{}, err
	}
	if !strings.HasPrefix(strings.TrimSpace(query), "mutation") {
		ctx = context.WithValue(ctx, readsOnly{}, true)
	}
	var raw bytes.Buffer
	resp, err := f.client.Do(ctx, req, &raw)
	if err != nil {
		return answer{}, f.translate(ctx, err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	var body struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Type    string `json:"type"`
			Message string `json:"message"`
			Path    []any  `json:"path"`
		} `json:"errors"`
	}
	if err := decode(raw.Bytes(), &body); err != nil {
		return a, err
	}
	var failed error
	if len(body.Errors) > 0 {
		e := &graphqlError{}
		for _, one := range body.Errors {
			e.kinds = append(e.kinds, one.Type)
			e.messages = append(e.messages, one.Message)
			e.paths = append(e.paths, one.Path)
		}
		if limit := f.transport.graphqlLimit(e.kinds, e.messages); limit != nil {
			return a, limit
		}
		failed = e
	}
	if len(body.Data) > 0 && out != nil {
		if err := json.Unmarshal(body.Data, out); err != nil {
			if failed == nil {
				failed = fmt.Errorf("read GitHub's answer: %w", err)
			}
			return a, &plainError{failed.Error(), err} // nothing of it can be believed
		}
	}
	return a, failed
}

// apiError is a refusal of GitHub's. errors.Is knows pr.ErrNotFound (404), pr.ErrForbidden (403) and
// pr.ErrUnauthorized (401).
type apiError struct {
	status  int
	message string // GitHub's words: message and the texts of its errors, one line, cut
	codes   []string
}

func (e *apiError) Error() string {
	return fmt.Sprintf("GitHub answered %d: %s", e.status, e.message)
}

// Is implements errors.Is.
func (e *apiError) Is(target error) bool {
	switch target {
	case pr.ErrNotFound:
		return e.status == http.StatusNotFound || e.status == http.StatusGone
	case pr.ErrForbidden:
		return e.status == http.StatusForbidden
	case pr.ErrUnauthorized:
		return e.status == http.StatusUnauthorized
	}
	return false
}

// says reports whether GitHub's words have one of the texts, in whatever case.
func (e *apiError) says(texts ...string) bool {
	have := strings.ToLower(e.message)
	for _, t := range texts {
		if strings.Contains(have, strings.ToLower(t)) {
			return true
		}
	}
	return false
}

// exists reports whether what was to be made is there already.
func (e *apiError) exists() bool {
	return slices.Contains(e.codes, "already_exists") || e.says("already exists")
}

// status is the HTTP status of a refusal, 0 for other errors.
func status(err error) int {
	var e *apiError
	if errors.As(err, &e) {
		return e.status
	}
	return 0
}

// plainError is an error in one line, without the URL.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

// graphqlError are the errors of a GraphQL answer.
type graphqlError struct {
	kinds, messages []string
	paths           [][]any // of the fields that are null because of them; nil: of none in particular
}

func (e *graphqlError) Error() string {
	return "GitHub answered: " + oneLine(strings.Join(e.messages, "; "), maxServerText)
}

// all reports whether every error is of a field whose path is so.
func (e *graphqlError) all(so func(path []any) bool) bool {
	return len(e.paths) > 0 && !slices.ContainsFunc(e.paths, func(path []any) bool { return !so(path) })
}

// within reports whether an error's path begins with a name: "query" is of the query itself.
func (e *graphqlError) within(name string) bool {
	return slices.ContainsFunc(e.paths, func(path []any) bool { return len(path) > 0 && path[0] == name })
}

// Is implements errors.Is.
func (e *graphqlError) Is(target error) bool {
	for _, kind := range e.kinds {
		if kind == "NOT_FOUND" && target == pr.ErrNotFound || kind == "FORBIDDEN" && target == pr.ErrForbidden {
			return true
		}
	}
	return false
}

// translate makes go-github's errors ours.
func (f *Forge) translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var limit *pr.LimitError
	if errors.As(err, &limit) {
		return limit
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refused *gh.ErrorResponse
	if errors.As(err, &refused) && refused.Response != nil {
		e := &apiError{status: refused.Response.StatusCode}
		words := []string{refused.Message}
		for _, one := range refused.Errors {
			words = append(words, one.Message)
			e.codes = append(e.codes, one.Code)
		}
		e.message = oneLine(strings.Join(notEmpty(words), ": "), maxServerText)
		if e.message == "" {
			e.message = strings.ToLower(http.StatusText(e.status))
		}
		return e
	}
	if errors.Is(err, errTooLarge) {
		return errTooLarge
	}
	return &plainError{oneLine(strip(err), maxServerText), err}
}
