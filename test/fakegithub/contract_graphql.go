package fakegithub

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
)

const graphqlOperation = "POST /graphql"

// graphqlRequest is the body of a GraphQL request.
type graphqlRequest struct {
	Query         string         `json:"query"`
	Variables     map[string]any `json:"variables"`
	OperationName string         `json:"operationName"`
}

// checkGraphQL compares a query, its variables and its answer with GitHub's schema. The OpenAPI
// description has nothing of GraphQL.
func (c *Contract) checkGraphQL(e *exchange) {
	report := func(side, place, reason string) {
		c.report(Breach{Side: side, Operation: graphqlOperation, Place: place, Reason: reason})
	}
	var q graphqlRequest
	if err := json.Unmarshal(e.sent, &q); err != nil {
		report("request", "body", err.Error())
		return
	}
	doc, problems := gqlparser.LoadQuery(c.graphql, q.Query) //nolint:staticcheck // all rules are what is wanted
	for _, p := range problems {
		report("request", "query", p.Error())
	}
	if len(problems) > 0 {
		return
	}
	op := doc.Operations.ForName(q.OperationName)
	if op == nil {
		report("request", "operationName", fmt.Sprintf("%q is not in the query", q.OperationName))
		return
	}
	if _, err := validator.VariableValues(c.graphql, op, q.Variables); err != nil {
		report("request", "variables", err.Error())
	}
	if e.status != http.StatusOK {
		return // limits and credentials: the shape of REST's errors
	}
	root := c.graphql.Query
	if op.Operation == ast.Mutation {
		root = c.graphql.Mutation
	}
	c.checkAnswer(e.got, root, op.SelectionSet, report)
}

// checkAnswer compares {data, errors}.
func (c *Contract) checkAnswer(got []byte, root *ast.Definition, set ast.SelectionSet, report func(side, place, reason string)) {
	v, err := decode(got)
	if err != nil {
		report("response", "body", err.Error())
		return
	}
	body, ok := v.(map[string]any)
	if !ok {
		report("response", "body", "is "+typeName(v))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if name != "data" && name != "errors" && name != "extensions" {
			report("response", "body /"+name, "no such property is described")
		}
	}
	errs, failed := body["errors"].([]any)
	for i, e := range errs {
		if one, ok := e.(map[string]any); !ok || one["message"] == nil {
			report("response", "body /errors/"+strconv.Itoa(i), "has no message")
		}
	}
	switch data := body["data"].(type) {
	case nil:
		if !failed {
			report("response", "body", "has neither data nor errors")
		}
	case map[string]any:
		if failed {
			return // what failed is null, whatever its type
		}
		c.checkSelection(root, set, data, "/data", report)
	default:
		report("response", "body /data", "is "+typeName(data))
	}
}

// checkSelection compares an object with what was selected of it.
func (c *Contract) checkSelection(on *ast.Definition, set ast.SelectionSet, value map[string]any, place string, report func(side, place, reason string)) {
	wanted := map[string]*ast.Field{}
	if on.Kind == ast.Interface || on.Kind == ast.Union {
		collectFields(on, set, wanted)
		name, _ := value["__typename"].(string)
		if !slices.ContainsFunc(c.graphql.GetPossibleTypes(on), func(d *ast.Definition) bool { return d.Name == name }) {
			if wanted["__typename"] != nil {
				report("response", "body "+place+"/__typename", fmt.Sprintf("%q is none of the types of %s", name, on.Name))
			}
		} else {
			on = c.graphql.Types[name]
		}
	}
	collectFields(on, set, wanted)
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		got, there := value[name]
		if !there {
			report("response", "body "+place+"/"+name, "was asked for and is missing")
			continue
		}
		c.checkValue(wanted[name].Definition.Type, wanted[name].SelectionSet, got, place+"/"+name, report)
	}
	for _, name := range slices.Sorted(maps.Keys(value)) {
		if wanted[name] == nil {
			report("response", "body "+place+"/"+name, "was not asked for")
		}
	}
}

func collectFields(on *ast.Definition, set ast.SelectionSet, into map[string]*ast.Field) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			into[s.Alias] = s
		case *ast.InlineFragment:
			if s.TypeCondition == "" || s.TypeCondition == on.Name {
				collectFields(on, s.SelectionSet, into)
			}
		case *ast.FragmentSpread:
			if s.Definition.TypeCondition == on.Name {
				collectFields(on, s.Definition.SelectionSet, into)
			}
		}
	}
}

// checkValue compares one value with its type.
func (c *Contract) checkValue(t *ast.Type, set ast.SelectionSet, value any, place string, report func(side, place, reason string)) {
	bad := func(reason string) { report("response", "body "+place, reason) }
	if value == nil {
		if t.NonNull {
			bad("is null and must not be")
		}
		return
	}
	if t.Elem != nil {
		list, ok := value.([]any)
		if !ok {
			bad("is " + typeName(value) + ", want a list")
			return
		}
		for i, item := range list {
			c.checkValue(t.Elem, set, item, place+"/"+strconv.Itoa(i), report)
		}
		return
	}
	def := c.graphql.Types[t.NamedType]
	switch def.Kind {
	case ast.Object, ast.Interface, ast.Union:
		object, ok := value.(map[string]any)
		if !ok {
			bad("is " + typeName(value) + ", want an object")
			return
		}
		c.checkSelection(def, set, object, place, report)
	case ast.Enum:
		if text, ok := value.(string); !ok || def.EnumValues.ForName(text) == nil {
			bad(fmt.Sprintf("%v is none of the values of %s", value, def.Name))
		}
	default:
		if !scalar(def.Name, value) {
			bad("is " + typeName(value) + ", want a " + def.Name)
		}
	}
}

// scalar tells whether a value is of a scalar type; GitHub's own scalars are strings.
func scalar(name string, value any) bool {
	switch v := value.(type) {
	case bool:
		return name == "Boolean"
	case float64:
		return name == "Float" || name == "Int" && v == float64(int64(v))
	case string:
		return name != "Boolean" && name != "Float" && name != "Int"
	}
	return false
}
