package fakegithub

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
)

// graphqlError is one of the list "errors".
type graphqlError struct{ kind, message string }

func (e *graphqlError) Error() string { return e.message }

// resolver is a field that is computed when it is asked for.
type resolver func(args map[string]any) (any, error)

// postGraphQL answers a query or does a mutation. A failed field is null and has its error.
func postGraphQL(c *call) (*answer, error) {
	var q graphqlRequest
	if err := c.read(&q); err != nil {
		return nil, err
	}
	broken := func(err error) (*answer, error) {
		return ok(obj{"errors": []any{obj{"message": err.Error()}}})
	}
	doc, problems := gqlparser.LoadQuery(c.s.graphql, q.Query) //nolint:staticcheck // all rules are what is wanted
	if len(problems) > 0 {
		return broken(problems[0])
	}
	op := doc.Operations.ForName(q.OperationName)
	if op == nil {
		return broken(fmt.Errorf("no operation named %q", q.OperationName))
	}
	vars, err := validator.VariableValues(c.s.graphql, op, q.Variables)
	if err != nil {
		return broken(err)
	}
	root := c.queries()
	if op.Operation == ast.Mutation {
		root = c.mutations()
	}
	data, errs := obj{}, []any{}
	for _, s := range op.SelectionSet {
		field, is := s.(*ast.Field)
		if !is {
			continue
		}
		v, err := project(field, root, vars)
		data[field.Alias] = v
		if err != nil {
			e := obj{"message": err.Error(), "path": []any{field.Alias}}
			var typed *graphqlError
			if errors.As(err, &typed) {
				e["type"] = typed.kind
			}
			errs = append(errs, e)
			data[field.Alias] = nil
		}
	}
	answer := obj{"data": data}
	if len(errs) > 0 {
		answer["errors"] = errs
	}
	return ok(answer)
}

// project takes of a value what a field selects.
func project(field *ast.Field, from obj, vars map[string]any) (any, error) {
	v, there := from[field.Name]
	if field.Name == "__typename" && !there { // only what may be one of many types has to say which
		return field.ObjectDefinition.Name, nil
	}
	if !there {
		return nil, fmt.Errorf("the fake GitHub has no %s", field.Name)
	}
	if resolve, computed := v.(resolver); computed {
		var err error
		if v, err = resolve(field.ArgumentMap(vars)); err != nil {
			return nil, err
		}
	}
	return shape(field, v, vars)
}

func shape(field *ast.Field, v any, vars map[string]any) (any, error) {
	switch v := v.(type) {
	case obj:
		if v == nil {
			return nil, nil //nolint:nilnil // null is a value
		}
		out := obj{}
		return out, shapeInto(out, field.SelectionSet, v, vars)
	case []any:
		out := []any{}
		for _, item := range v {
			shaped, err := shape(field, item, vars)
			if err != nil {
				return nil, err
			}
			out = append(out, shaped)
		}
		return out, nil
	}
	return v, nil
}

func shapeInto(out obj, set ast.SelectionSet, v obj, vars map[string]any) error {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			value, err := project(s, v, vars)
			if err != nil {
				return err
			}
			out[s.Alias] = value
		case *ast.InlineFragment:
			if name, known := v["__typename"]; known && s.TypeCondition != "" && s.TypeCondition != name {
				continue
			}
			if err := shapeInto(out, s.SelectionSet, v, vars); err != nil {
				return err
			}
		case *ast.FragmentSpread:
			if err := shapeInto(out, s.Definition.SelectionSet, v, vars); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *call) queries() obj {
	return obj{
		"viewer": obj{"login": c.who.user.login},
		"rateLimit": resolver(func(map[string]any) (any, error) {
			u := c.s.usageOf(c.who)
			limit := c.s.opts.Limits.PerHour
			return obj{"cost": 1, "limit": limit, "remaining": max(0, limit-u.used), "resetAt": date(u.reset)}, nil
		}),
		"repository": resolver(func(args map[string]any) (any, error) {
			r, err := c.repoNamed(fmt.Sprintf("%v/%v", args["owner"], args["name"]))
			if err != nil {
				return nil, err
			}
			return c.gqlRepo(r), nil
		}),
	}
}

func (c *call) repoNamed(name string) (*Repo, error) {
	r := c.s.repos[strings.ToLower(name)]
	if r == nil || !r.allows(c.who, roleRead) {
		return nil, &graphqlError{"NOT_FOUND", fmt.Sprintf("Could not resolve to a Repository with the name '%s'.", name)}
	}
	if err := r.sync(); err != nil {
		return nil, err
	}
	return r, nil
}

// pullOf finds a pull request by its node ID.
func (c *call) pullOf(id any) (*Repo, *pull, error) {
	for _, r := range c.s.repos {
		for _, p := range r.pulls {
			if nodeID("PR", p.id) == id && r.allows(c.who, roleRead) {
				if err := r.sync(); err != nil {
					return nil, nil, err
				}
				return r, p, nil
			}
		}
	}
	return nil, nil, &graphqlError{"NOT_FOUND", fmt.Sprintf("Could not resolve to a node with the global id of '%v'", id)}
}

func (c *call) mutations() obj {
	with := func(f func(in map[string]any) (obj, error)) resolver {
		return func(args map[string]any) (any, error) {
			in, _ := args["input"].(map[string]any)
			v, err := f(in)
			if err != nil {
				var p *problem
				if errors.As(err, &p) {
					err = &graphqlError{"UNPROCESSABLE", p.message}
				}
				return nil, err
			}
			v["clientMutationId"] = in["clientMutationId"]
			return v, nil
		}
	}
	return obj{
		"enablePullRequestAutoMerge":  with(c.enableAutoMerge),
		"disablePullRequestAutoMerge": with(c.disableAutoMerge),
		"enqueuePullRequest":          with(c.enqueuePull),
		"dequeuePullRequest":          with(c.dequeuePull),
		"createCommitOnBranch":        with(c.createCommit),
	}
}

// writable finds a pull request that who asks may merge, at the head they expect.
func (c *call) writable(id, head any) (*Repo, *pull, error) {
	r, p, err := c.pullOf(id)
	if err != nil {
		return nil, nil, err
	}
	if !r.allows(c.who, roleWrite) || !c.who.permits("contents", "write") || !c.who.permits("pull_requests", "write") {
		return nil, nil, &graphqlError{"FORBIDDEN", fmt.Sprintf("%s does not have the correct permissions to execute this mutation", c.who.user.login)}
	}
	if head != nil && head != "" && head != p.headSHA {
		return nil, nil, &graphqlError{"UNPROCESSABLE", "Head branch was modified. Review and try the merge again."}
	}
	return r, p, nil
}

func (c *call) enableAutoMerge(in map[string]any) (obj, error) {
	r, p, err := c.writable(in["pullRequestId"], in["expectedHeadOid"])
	if err != nil {
		return nil, err
	}
	if !r.Settings.AutoMerge {
		return nil, &graphqlError{"UNPROCESSABLE", "Auto merge is not allowed for this repository"}
	}
	if !p.open() {
		return nil, &graphqlError{"UNPROCESSABLE", "Pull request is closed"}
	}
	if !p.computed {
		if err := r.tryMerge(p); err != nil {
			return nil, err
		}
	}
	state, err := r.mergeState(p)
	if err != nil {
		return nil, err
	}
	queue := r.needs(p.base, c.who).queue != nil
	if !queue && (state == "clean" || state == "unstable" || state == "dirty") {
		return nil, &graphqlError{"UNPROCESSABLE", "Pull request Pull request is in " + state + " status"}
	}
	method, _ := in["mergeMethod"].(string)
	method = strings.ToLower(method)
	if method == "" {
		method = "merge"
	}
	if err := r.methodAllowed(r.needs(p.base, c.who), method); !queue && err != nil {
		return nil, err
	}
	title, _ := in["commitHeadline"].(string)
	message, _ := in["commitBody"].(string)
	p.auto = &autoMerge{by: c.who.user, method: method, title: title, message: message, at: r.s.now()}
	return obj{"actor": obj{"login": c.who.user.login}, "pullRequest": c.gqlPull(r, p)}, r.autoMerge(p)
}

func (c *call) disableAutoMerge(in map[string]any) (obj, error) {
	r, p, err := c.writable(in["pullRequestId"], nil)
	if err != nil {
		return nil, err
	}
	if p.auto == nil {
		return nil, &graphqlError{"UNPROCESSABLE", "Can't disable auto-merge for this pull request."}
	}
	p.auto = nil
	return obj{"actor": obj{"login": c.who.user.login}, "pullRequest": c.gqlPull(r, p)}, nil
}

func (c *call) enqueuePull(in map[string]any) (obj, error) {
	r, p, err := c.writable(in["pullRequestId"], in["expectedHeadOid"])
	if err != nil {
		return nil, err
	}
	jump, _ := in["jump"].(bool)
	e, err := r.enqueue(p, c.who, jump)
	if err != nil {
		return nil, err
	}
	return obj{"mergeQueueEntry": c.gqlEntry(r, e)}, nil
}

func (c *call) dequeuePull(in map[string]any) (obj, error) {
	r, p, err := c.writable(in["id"], nil)
	if err != nil {
		return nil, err
	}
	e := r.entry(p)
	if e == nil {
		return nil, &graphqlError{"UNPROCESSABLE", "Pull request is not in the merge queue"}
	}
	v := c.gqlEntry(r, e)
	r.drop(e)
	return obj{"mergeQueueEntry": v}, r.syncQueue()
}

// createCommit commits on a branch that is where the asker thinks, and GitHub signs it.
func (c *call) createCommit(in map[string]any) (obj, error) {
	var args struct {
		Branch          struct{ RepositoryNameWithOwner, BranchName, ID string }
		ExpectedHeadOid string
		Message         struct{ Headline, Body string }
		FileChanges     struct {
			Additions []struct{ Path, Contents string }
			Deletions []struct{ Path string }
		}
	}
	data, err := json.Marshal(in)
	if err == nil {
		err = json.Unmarshal(data, &args)
	}
	if err != nil {
		return nil, err
	}
	r, err := c.repoNamed(args.Branch.RepositoryNameWithOwner)
	if err != nil {
		return nil, err
	}
	if !r.allows(c.who, roleWrite) || !c.who.permits("contents", "write") {
		return nil, &graphqlError{"FORBIDDEN", "Resource not accessible by integration"}
	}
	head := r.head(args.Branch.BranchName)
	if head == "" {
		return nil, &graphqlError{"NOT_FOUND", fmt.Sprintf("No ref with the name %q was found.", args.Branch.BranchName)}
	}
	if head != args.ExpectedHeadOid {
		return nil, &graphqlError{"STALE_DATA", fmt.Sprintf("Expected branch to point to %q but it did not. Pull and try again.", args.ExpectedHeadOid)}
	}
	files := map[string][]byte{}
	for _, d := range args.FileChanges.Deletions {
		if _, err := r.git("cat-file", "-e", head+":"+d.Path); err != nil {
			return nil, &graphqlError{"UNPROCESSABLE", fmt.Sprintf("A path was requested for deletion which does not exist as of commit oid `%s`: %s", head, d.Path)}
		}
		files[d.Path] = nil
	}
	for _, a := range args.FileChanges.Additions {
		content, err := base64.StdEncoding.DecodeString(a.Contents)
		if err != nil {
			return nil, &graphqlError{"UNPROCESSABLE", "contents of " + a.Path + " is not Base64"}
		}
		files[a.Path] = append([]byte{}, content...) // never nil: an empty file is one
	}
	message := args.Message.Headline
	if args.Message.Body != "" {
		message += "\n\n" + args.Message.Body
	}
	sha, err := r.change(head, files, message+"\n", c.who.user.identity(), button())
	if err != nil {
		return nil, err
	}
	repo := c.repo
	c.repo = r
	err = c.mayPush("refs/heads/"+args.Branch.BranchName, head, sha, false)
	c.repo = repo
	if err != nil {
		return nil, err
	}
	if err := r.setRef("refs/heads/"+args.Branch.BranchName, sha, head); err != nil {
		return nil, err
	}
	return obj{"commit": c.gqlCommit(r, sha), "ref": obj{"id": nodeID("REF", r.id), "name": args.Branch.BranchName}}, r.sync()
}

// graphqlRoute is not in the OpenAPI description.
func graphqlRoute() *route {
	return &route{method: http.MethodPost, template: "/graphql", handle: postGraphQL}
}
