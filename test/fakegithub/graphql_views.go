package fakegithub

import (
	"fmt"
	"strings"
	"time"
)

func (c *call) gqlCommit(r *Repo, sha string) obj {
	if sha == "" {
		return nil
	}
	g, err := r.readCommit(sha)
	if err != nil {
		return nil
	}
	v := obj{"id": nodeID("C", r.id) + sha[:8], "oid": sha, "url": r.web("commit/%s", sha), "message": g.message, "signature": nil}
	v["statusCheckRollup"] = resolver(func(map[string]any) (any, error) { return c.gqlRollup(r, sha) })
	if g.verified {
		v["signature"] = obj{"isValid": true, "state": "VALID", "wasSignedByGitHub": true}
	}
	return v
}

func (c *call) gqlRepo(r *Repo) obj {
	return obj{
		"id": nodeID("R", r.id), "nameWithOwner": r.fullName(), "autoMergeAllowed": r.Settings.AutoMerge,
		"pullRequest": resolver(func(args map[string]any) (any, error) {
			for _, p := range r.pulls {
				if fmt.Sprint(args["number"]) == fmt.Sprint(p.number) {
					return c.gqlPull(r, p), nil
				}
			}
			return nil, &graphqlError{"NOT_FOUND", fmt.Sprintf("Could not resolve to a PullRequest with the number of %v.", args["number"])}
		}),
		"mergeQueue": resolver(func(args map[string]any) (any, error) {
			branch, _ := args["branch"].(string)
			if branch == "" {
				branch = r.Default
			}
			if r.needs(branch, nil).queue == nil {
				return nil, nil //nolint:nilnil // null is the answer
			}
			nodes := []any{}
			for _, e := range r.queue {
				if e.pull.base == branch {
					nodes = append(nodes, c.gqlEntry(r, e))
				}
			}
			return obj{"id": nodeID("MQ", r.id), "entries": obj{"nodes": nodes, "totalCount": len(nodes)}}, nil
		}),
	}
}

func (c *call) gqlEntry(r *Repo, e *queueEntry) obj {
	position := 1
	for i, o := range r.queue {
		if o == e {
			position = i + 1
		}
	}
	return obj{
		"id": nodeID("MQE", e.id), "position": position, "state": r.entryState(e), "enqueuedAt": e.at.Format(time.RFC3339),
		"headCommit": c.gqlCommit(r, e.head), "baseCommit": c.gqlCommit(r, e.base),
		"pullRequest": resolver(func(map[string]any) (any, error) { return c.gqlPull(r, e.pull), nil }),
	}
}

func (c *call) gqlPull(r *Repo, p *pull) obj {
	return obj{
		"id": nodeID("PR", p.id), "number": p.number, "url": r.web("pull/%d", p.number), "merged": p.merged,
		"headRefName": p.head, "headRefOid": p.headSHA, "baseRefName": p.base, "updatedAt": date(p.updated),
		"isDraft": p.draft, "isCrossRepository": p.fork != "",
		"reviews": resolver(func(args map[string]any) (any, error) {
			var all []any
			for _, v := range p.reviews {
				if v.state != "PENDING" || v.user == c.who.user {
					all = append(all, c.gqlReview(r, v))
				}
			}
			return connection(all, args)
		}),
		"comments": resolver(func(args map[string]any) (any, error) {
			var all []any
			for _, m := range p.comments {
				all = append(all, c.gqlComment(m))
			}
			return connection(all, args)
		}),
		"timelineItems": resolver(func(args map[string]any) (any, error) { return c.gqlTimeline(p, args) }),
		"commits": resolver(func(args map[string]any) (any, error) {
			// The last is the head; of the others nobody asks here.
			return connection([]any{obj{"commit": c.gqlCommit(r, p.headSHA)}}, args)
		}),
		"state": resolver(func(map[string]any) (any, error) {
			switch {
			case p.merged:
				return "MERGED", nil
			case !p.open():
				return "CLOSED", nil
			}
			return "OPEN", nil
		}),
		"isInMergeQueue": resolver(func(map[string]any) (any, error) { return r.entry(p) != nil, nil }),
		"mergeQueueEntry": resolver(func(map[string]any) (any, error) {
			if e := r.entry(p); e != nil {
				return c.gqlEntry(r, e), nil
			}
			return nil, nil //nolint:nilnil // null is the answer
		}),
		"autoMergeRequest": resolver(func(map[string]any) (any, error) {
			if p.auto == nil {
				return nil, nil //nolint:nilnil // null is the answer
			}
			return obj{"enabledAt": date(p.auto.at), "enabledBy": obj{"login": p.auto.by.login}, "mergeMethod": strings.ToUpper(p.auto.method)}, nil
		}),
		"mergeStateStatus": resolver(func(map[string]any) (any, error) {
			_, state, err := r.mergeability(p)
			return strings.ToUpper(state), err
		}),
		"reviewDecision": resolver(func(map[string]any) (any, error) {
			n := r.needs(p.base, nil)
			approved, requested := r.verdicts(p, n)
			switch {
			case !n.review:
				return nil, nil //nolint:nilnil // null is the answer
			case requested:
				return "CHANGES_REQUESTED", nil
			case len(approved) < n.approvals:
				return "REVIEW_REQUIRED", nil
			}
			return "APPROVED", nil
		}),
	}
}
