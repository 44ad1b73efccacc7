package fakegithub

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// operation is one of the description's.
type operation struct {
	name     string // METHOD TEMPLATE
	method   string
	pattern  *regexp.Regexp
	literal  int // length of the template's fixed text: the longer one fits better
	params   []string
	route    *routers.Route
	problem  *openapi3.SchemaRef // of answers that GitHub gives anywhere and describes nowhere
	invalid  *openapi3.SchemaRef // of the same with status 422
	declared openapi3.Parameters
}

var templateParam = regexp.MustCompile(`\{([^}]+)\}`)

func listOperations(doc *openapi3.T) ([]*operation, error) {
	var all []*operation
	for template, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			op := &operation{
				name:     method + " " + template,
				method:   method,
				route:    &routers.Route{Spec: doc, Path: template, PathItem: item, Method: method, Operation: o},
				problem:  doc.Components.Schemas["basic-error"],
				invalid:  doc.Components.Schemas["validation-error"],
				declared: append(append(openapi3.Parameters{}, item.Parameters...), o.Parameters...),
			}
			if err := op.compile(template); err != nil {
				return nil, err
			}
			all = append(all, op)
		}
	}
	return all, nil
}

// compile makes the template a pattern for escaped paths. Parameters that GitHub marks with
// x-multi-segment, such as names of branches, may hold slashes, which no router of kin-openapi knows.
func (o *operation) compile(template string) (err error) {
	o.pattern, o.params, o.literal, err = compileTemplate(template, func(name string) bool {
		p := o.declared.GetByInAndName(openapi3.ParameterInPath, name)
		return p != nil && p.Extensions["x-multi-segment"] != nil
	})
	return err
}

// find returns the operation that fits best and the path's parameters; nil if there is none.
func (c *Contract) find(method, path string) (*operation, map[string]string) {
	var best *operation
	for _, o := range c.operations {
		if o.method == method && o.pattern.MatchString(path) && (best == nil || o.literal > best.literal) {
			best = o
		}
	}
	if best == nil {
		return nil, nil
	}
	return best, match(best.pattern, best.params, path)
}

func (o *operation) breach(side, place, reason string) Breach {
	return Breach{Side: side, Operation: o.name, Place: place, Reason: reason}
}

// checkRequest compares path, query and body.
func (o *operation) checkRequest(e *exchange, params map[string]string) []Breach {
	var found []Breach
	query, err := url.ParseQuery(e.request.URL.RawQuery)
	if err != nil {
		found = append(found, o.breach("request", "query", err.Error()))
	}
	for name := range query {
		if o.declared.GetByInAndName(openapi3.ParameterInQuery, strings.TrimSuffix(name, "[]")) == nil {
			found = append(found, o.breach("request", "query "+name, "no such parameter"))
		}
	}
	input := &openapi3filter.RequestValidationInput{
		Request: e.request, PathParams: params, QueryParams: query, Route: o.route,
		Options: &openapi3filter.Options{MultiError: true, SkipSettingDefaults: true, SchemaValidationOptions: formats()},
	}
	for _, p := range o.declared {
		if err := openapi3filter.ValidateParameter(context.Background(), input, p.Value); err != nil {
			found = append(found, o.breach("request", p.Value.In+" "+p.Value.Name, reason(err)))
		}
	}
	body := o.route.Operation.RequestBody
	switch {
	case len(e.sent) == 0:
		if body != nil && body.Value.Required {
			found = append(found, o.breach("request", "body", "is missing"))
		}
		return found
	case body == nil:
		return append(found, o.breach("request", "body", "the operation takes none"))
	}
	media := body.Value.GetMediaType("application/json")
	if kind, _, err := mime.ParseMediaType(e.request.Header.Get("Content-Type")); err != nil || kind != "application/json" || media == nil {
		return append(found, o.breach("request", "header Content-Type", fmt.Sprintf("%q is not application/json", e.request.Header.Get("Content-Type"))))
	}
	return append(found, o.checkBody("request", media.Schema, e.sent)...)
}

// checkResponse compares status, headers and body.
func (o *operation) checkResponse(e *exchange) []Breach {
	if e.status == http.StatusNotModified {
		if len(e.got) > 0 || e.request.Header.Get("If-None-Match") == "" && e.request.Header.Get("If-Modified-Since") == "" {
			return []Breach{o.breach("response", "status", "304 with a body, or without a condition in the request")}
		}
		return nil
	}
	declared := o.route.Operation.Responses.Status(e.status)
	if declared == nil {
		return o.checkProblem(e)
	}
	media := declared.Value.Content.Get(e.header.Get("Content-Type"))
	switch {
	case len(declared.Value.Content) == 0 && e.status >= http.StatusBadRequest:
		return o.checkProblem(e) // GitHub explains itself where its description says nothing of it
	case len(declared.Value.Content) == 0:
		if len(e.got) > 0 {
			return []Breach{o.breach("response", "body", fmt.Sprintf("status %d has none", e.status))}
		}
		return nil
	case media == nil && e.status >= http.StatusInternalServerError:
		return o.checkProblem(e) // the page of a front server, whatever the operation itself would say
	case media == nil:
		return []Breach{o.breach("response", "header Content-Type", fmt.Sprintf("%q is not described", e.header.Get("Content-Type")))}
	case media.Schema == nil:
		return nil
	}
	return o.checkBody("response", media.Schema, e.got)
}

// checkProblem is for a status that the operation does not declare. Every operation may answer with
// the errors of authentication, limits and validation, and with those of GitHub's front servers, which
// are pages and no JSON.
func (o *operation) checkProblem(e *exchange) []Breach {
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
		http.StatusTooManyRequests, http.StatusBadRequest:
		return o.checkBody("response", o.problem, e.got)
	case http.StatusUnprocessableEntity:
		return o.checkBody("response", o.invalid, e.got)
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nil
	}
	return []Breach{o.breach("response", "status", fmt.Sprintf("%d is not described", e.status))}
}

// checkBody compares JSON with a schema.
func (o *operation) checkBody(side string, schema *openapi3.SchemaRef, data []byte) []Breach {
	value, err := decode(data)
	if err != nil {
		return []Breach{o.breach(side, "body", err.Error())}
	}
	var found []Breach
	options := append(formats(), openapi3.MultiErrors())
	if err := schema.Value.VisitJSON(value, options...); err != nil {
		found = o.collect(side, err, found)
	}
	undeclared(schema.Value, value, "", func(place, reason string) {
		found = append(found, o.breach(side, "body "+place, reason))
	})
	return found
}

// collect makes breaches of kin-openapi's errors.
func (o *operation) collect(side string, err error, found []Breach) []Breach {
	var many openapi3.MultiError
	var one *openapi3.SchemaError
	switch {
	case errors.As(err, &one) && !errors.As(err, &many):
		return append(found, o.breach(side, "body /"+strings.Join(one.JSONPointer(), "/"), reason(one)))
	case errors.As(err, &many):
		for _, e := range many {
			found = o.collect(side, e, found)
		}
		return found
	}
	return append(found, o.breach(side, "body", err.Error()))
}

// maxReason limits the text of one reason: kin-openapi quotes schemas and values.
const maxReason = 400

// reason is the shortest that says what is wrong.
func reason(err error) string {
	var one *openapi3.SchemaError
	text := err.Error()
	if errors.As(err, &one) {
		text = one.Reason
		if one.Origin != nil {
			text += ": " + one.Origin.Error()
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxReason {
		text = text[:maxReason] + "…"
	}
	return text
}
