package fakegithub

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxNodes is how much of a list GraphQL gives at once.
const maxNodes = 100

// connection is a part of a list: first and after, or last and before. A cursor is a place in the list.
func connection(all []any, args map[string]any) (any, error) {
	place := func(name string, none int) int {
		text, _ := args[name].(string)
		if n, err := strconv.Atoi(strings.TrimPrefix(text, "cursor:")); err == nil {
			return n
		}
		return none
	}
	from, to := place("after", 0), place("before", len(all)+1)-1
	first, isFirst := number(args["first"])
	last, isLast := number(args["last"])
	switch {
	case !isFirst && !isLast:
		return nil, &graphqlError{"MISSING_PAGINATION_BOUNDARIES", "You must provide a `first` or `last` value to properly paginate the connection."}
	case first > maxNodes || last > maxNodes:
		return nil, &graphqlError{"EXCESSIVE_PAGINATION", fmt.Sprintf("Requesting %d records exceeds the limit of %d records.", max(first, last), maxNodes)}
	}
	from, to = min(from, len(all)), min(to, len(all))
	if isFirst {
		to = min(to, from+first)
	}
	if isLast {
		from = max(from, to-last)
	}
	nodes := slices.Clone(all[from:max(from, to)])
	if nodes == nil {
		nodes = []any{}
	}
	info := obj{"hasNextPage": to < len(all), "hasPreviousPage": from > 0, "startCursor": nil, "endCursor": nil}
	if len(nodes) > 0 {
		info["startCursor"], info["endCursor"] = fmt.Sprintf("cursor:%d", from+1), fmt.Sprintf("cursor:%d", to)
	}
	return obj{"nodes": nodes, "pageInfo": info, "totalCount": len(all)}, nil
}

func number(v any) (int, bool) {
	if v == nil {
		return 0, false
	}
	n, err := strconv.Atoi(fmt.Sprint(v))
	return n, err == nil
}

// gqlActor is an account; an App's bot is called by the App's name alone here, and "name[bot]" in REST.
func gqlActor(u *user) any {
	switch {
	case u == nil:
		return nil
	case u.kind == "Bot":
		return obj{"__typename": "Bot", "login": strings.TrimSuffix(u.login, "[bot]")}
	}
	return obj{"__typename": "User", "login": u.login}
}

func (c *call) gqlReview(r *Repo, v *review) obj {
	return obj{
		"state": v.state, "submittedAt": date(v.at), "commit": c.gqlCommit(r, v.commit), "author": gqlActor(v.user), "body": v.body,
		"authorCanPushToRepository": r.role(v.user.login) >= roleWrite,
	}
}

func (c *call) gqlComment(m *comment) obj {
	return obj{
		"fullDatabaseId": strconv.Itoa(m.id), "author": gqlActor(m.user), "body": m.body, "createdAt": m.created.UTC().Format(time.RFC3339),
		"viewerDidAuthor": m.user == c.who.user,
	}
}

// gqlTimeline has the closings alone.
func (c *call) gqlTimeline(p *pull, args map[string]any) (any, error) {
	kinds, _ := args["itemTypes"].([]any)
	var all []any
	for _, by := range p.closings {
		if kinds == nil || slices.Contains(kinds, any("CLOSED_EVENT")) {
			all = append(all, obj{"__typename": "ClosedEvent", "actor": gqlActor(by)})
		}
	}
	return connection(all, args)
}

// gqlRollup is what is said of a commit; null when that is nothing.
func (c *call) gqlRollup(r *Repo, sha string) (any, error) {
	var all []any
	required := func(context string) resolver {
		return func(args map[string]any) (any, error) {
			for _, p := range r.pulls {
				if fmt.Sprint(args["pullRequestNumber"]) != strconv.Itoa(p.number) {
					continue
				}
				for _, check := range r.needs(p.base, nil).checks {
					if strings.EqualFold(check.Context, context) {
						return true, nil
					}
				}
			}
			return false, nil
		}
	}
	for _, st := range r.standing(sha) {
		all = append(all, obj{
			"__typename": "StatusContext", "context": st.context, "state": strings.ToUpper(st.state), "description": text(st.description),
			"creator": gqlActor(st.creator), "isRequired": required(st.context),
		})
	}
	for _, ch := range r.standingChecks(sha) {
		suite := obj{"app": nil}
		if ch.app != nil {
			suite["app"] = obj{"slug": ch.app.Slug}
		}
		all = append(all, obj{
			"__typename": "CheckRun", "name": ch.name, "status": strings.ToUpper(ch.status), "conclusion": text(strings.ToUpper(ch.conclusion)),
			"title": nil, "checkSuite": suite, "isRequired": required(ch.name),
		})
	}
	if len(all) == 0 {
		return nil, nil //nolint:nilnil // null is the answer
	}
	return obj{"contexts": resolver(func(args map[string]any) (any, error) { return connection(all, args) })}, nil
}
