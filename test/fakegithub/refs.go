package fakegithub

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

func getRepo(c *call) (*answer, error) {
	mine := roleRead
	if c.who.app == nil {
		mine = c.repo.role(c.who.user.login)
	} else if c.who.permits("contents", "write") {
		mine = roleWrite
	}
	return ok(c.repo.viewFull(mine))
}

func (r *Repo) viewRef(ref, sha string) obj {
	return obj{
		"ref": ref, "node_id": nodeID("REF", r.id) + base64.RawURLEncoding.EncodeToString([]byte(ref)),
		"url": r.url("git/%s", ref), "object": obj{"type": "commit", "sha": sha, "url": r.url("git/commits/%s", sha)},
	}
}

// refNamed returns the full name of {ref} and the commit it is at.
func (c *call) refNamed() (ref, sha string, err error) {
	ref = "refs/" + strings.TrimPrefix(c.params["ref"], "refs/")
	sha, err = c.repo.git("rev-parse", "--verify", "--quiet", ref+"^{commit}")
	if said(err, 1) {
		return ref, "", nil
	}
	return ref, sha, err
}

func getRef(c *call) (*answer, error) {
	ref, sha, err := c.refNamed()
	if err != nil {
		return nil, err
	}
	if sha == "" {
		return nil, notFound()
	}
	return ok(c.repo.viewRef(ref, sha))
}

func matchingRefs(c *call) (*answer, error) {
	out, err := c.repo.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags")
	if err != nil {
		return nil, err
	}
	all := []any{}
	for line := range strings.Lines(out) {
		ref, sha, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(ref, "refs/"+c.params["ref"]) {
			all = append(all, c.repo.viewRef(ref, sha))
		}
	}
	return ok(all)
}

func createRef(c *call) (*answer, error) {
	var in struct{ Ref, SHA string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	switch {
	case !strings.HasPrefix(in.Ref, "refs/") || strings.Count(in.Ref, "/") < 2:
		return nil, &problem{status: http.StatusUnprocessableEntity, message: "Reference name must start with 'refs/' and contain at least two slashes."}
	case c.repo.resolve(in.SHA) != in.SHA || in.SHA == "":
		return nil, &problem{status: http.StatusUnprocessableEntity, message: "Object does not exist"}
	case c.repo.resolve(in.Ref) != "":
		return nil, &problem{status: http.StatusUnprocessableEntity, message: "Reference already exists"}
	}
	if err := c.mayPush(in.Ref, "", in.SHA, false); err != nil {
		return nil, err
	}
	if err := c.repo.setRef(in.Ref, in.SHA, ""); err != nil {
		return nil, err
	}
	a := respond(http.StatusCreated, c.repo.viewRef(in.Ref, in.SHA))
	a.header.Set("Location", c.repo.url("git/%s", in.Ref))
	return a, nil
}

func updateRef(c *call) (*answer, error) {
	var in struct {
		SHA   string
		Force bool
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	ref, old, err := c.refNamed()
	if err != nil {
		return nil, err
	}
	switch {
	case old == "":
		return nil, &problem{status: http.StatusUnprocessableEntity, message: "Reference does not exist"}
	case in.SHA == "" || c.repo.resolve(in.SHA) != in.SHA:
		return nil, &problem{status: http.StatusUnprocessableEntity, message: "Object does not exist"}
	}
	forward, err := c.repo.contains(in.SHA, old)
	if err != nil {
		return nil, err
	}
	if !forward && !in.Force {
		return nil, &problem{status: http.StatusUnprocessableEntity, message: "Update is not a fast forward"}
	}
	if err := c.mayPush(ref, old, in.SHA, !forward); err != nil {
		return nil, err
	}
	if err := c.repo.setRef(ref, in.SHA, old); err != nil {
		return nil, err
	}
	return ok(c.repo.viewRef(ref, in.SHA))
}

func deleteRef(c *call) (*answer, error) {
	ref, old, err := c.refNamed()
	if err != nil {
		return nil, err
	}
	if old == "" {
		return nil, &problem{status: http.StatusUnprocessableEntity, message: "Reference does not exist"}
	}
	if err := c.mayPush(ref, old, "", false); err != nil {
		return nil, err
	}
	if err := c.repo.setRef(ref, "", old); err != nil {
		return nil, err
	}
	return respond(http.StatusNoContent, nil), c.repo.sync()
}

// mayPush says why a branch must not be moved past its rules, and notes who moved it.
func (c *call) mayPush(ref, old, sha string, force bool) error {
	if why := c.repo.refuses(c.who, ref, old, sha, force); why != "" {
		return &problem{status: http.StatusUnprocessableEntity, message: "Repository rule violations found\n\n" + why}
	}
	c.repo.pushed(c.who, ref)
	return nil
}

// refuses says why somebody must not move a ref; "" for what is allowed.
func (r *Repo) refuses(who *token, ref, old, sha string, force bool) string {
	branch, ok := strings.CutPrefix(ref, "refs/heads/")
	if !ok {
		return ""
	}
	n := r.needs(branch, who)
	switch {
	case sha == "" && n.noDelete:
		return "Cannot delete this branch"
	case force && n.noForce:
		return "Cannot force-push to this branch"
	case n.noUpdate:
		return "Cannot update this protected ref."
	case n.push != nil && !slices.Contains(n.push, who.user.login):
		return "You're not authorized to push to this branch."
	case n.review && old != "" && sha != "":
		return "Changes must be made through a pull request."
	}
	for _, check := range n.checks {
		if old != "" && sha != "" && r.checkState(sha, check) != "success" {
			return fmt.Sprintf("Required status check %q is expected.", check.Context)
		}
	}
	return ""
}

// pushed notes who moved the head of pull requests.
func (r *Repo) pushed(who *token, ref string) {
	for _, p := range r.pulls {
		if p.open() && "refs/heads/"+p.head == ref {
			p.pusher = who.user
		}
	}
}

// gitCommit reads a commit.
type gitCommit struct {
	sha, tree, message string
	parents            []string
	author, committer  identity
	authored, at       string
	verified           bool
}

func (r *Repo) readCommit(sha string) (gitCommit, error) {
	out, err := r.gitOf("log", "-1", "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B", sha)
	if err != nil {
		return gitCommit{}, err
	}
	f := strings.SplitN(out, "\x00", 10)
	stamp := func(s string) string {
		n, _ := strconv.ParseInt(s, 10, 64) // git's own number
		return time.Unix(n, 0).UTC().Format(time.RFC3339)
	}
	g := gitCommit{
		sha: f[0], tree: f[1], parents: strings.Fields(f[2]), author: identity{f[3], f[4]}, authored: stamp(f[5]),
		committer: identity{f[6], f[7]}, at: stamp(f[8]), message: strings.TrimRight(f[9], "\n"),
	}
	g.verified = g.committer == button() // GitHub signs what its button and its interfaces commit
	return g, nil
}

func (r *Repo) viewCommit(sha string) (obj, error) {
	g, err := r.readCommit(sha)
	if err != nil {
		return nil, err
	}
	parents := []any{}
	for _, p := range g.parents {
		parents = append(parents, obj{"sha": p, "url": r.url("commits/%s", p), "html_url": r.web("commit/%s", p)})
	}
	why := map[bool]string{true: "valid", false: "unsigned"}[g.verified]
	return obj{
		"url": r.url("commits/%s", sha), "sha": sha, "node_id": nodeID("C", r.id) + sha[:8], "html_url": r.web("commit/%s", sha),
		"comments_url": r.url("commits/%s/comments", sha), "parents": parents,
		"commit": obj{
			"url": r.url("git/commits/%s", sha), "message": g.message, "comment_count": 0,
			"author":       obj{"name": g.author.name, "email": g.author.email, "date": g.authored},
			"committer":    obj{"name": g.committer.name, "email": g.committer.email, "date": g.at},
			"tree":         obj{"sha": g.tree, "url": r.url("git/trees/%s", g.tree)},
			"verification": obj{"verified": g.verified, "reason": why, "signature": nil, "payload": nil, "verified_at": nil},
		},
		"author": r.accountOf(g.author), "committer": r.accountOf(g.committer),
	}, nil
}

// accountOf finds the user of an address; null for nobody's.
func (r *Repo) accountOf(i identity) any {
	for _, u := range r.s.users {
		if u.identity().email == i.email {
			return r.s.viewUser(u)
		}
	}
	return nil
}

func getCommit(c *call) (*answer, error) {
	sha, err := c.commit()
	if err != nil {
		return nil, err
	}
	v, err := c.repo.viewCommit(sha)
	if err != nil {
		return nil, err
	}
	return ok(v)
}

func getBranch(c *call) (*answer, error) {
	branch := c.params["branch"]
	sha := c.repo.head(branch)
	if sha == "" {
		return nil, fail(http.StatusNotFound, "Branch not found")
	}
	commit, err := c.repo.viewCommit(sha)
	if err != nil {
		return nil, err
	}
	p := c.repo.Protections[branch]
	protection := obj{"enabled": p != nil}
	if p != nil {
		protection["required_status_checks"] = obj{"enforcement_level": "non_admins", "contexts": contexts(p.Checks), "checks": checks(p.Checks)}
	}
	n := c.repo.needs(branch, nil)
	ruled := n.review || n.queue != nil || n.noDelete || n.noForce || n.noUpdate || len(n.checks) > 0
	url := c.repo.url("branches/%s", branch)
	return ok(obj{
		"name": branch, "commit": commit, "protected": p != nil || ruled, "protection": protection, "protection_url": url + "/protection",
		"_links": obj{"self": url, "html": c.repo.web("tree/%s", branch)},
	})
}

// getContents answers a file or a folder.
func getContents(c *call) (*answer, error) {
	ref := c.query.Get("ref")
	if ref == "" {
		ref = c.repo.Default
	}
	sha := c.repo.resolve(ref)
	if sha == "" {
		return nil, fail(http.StatusNotFound, "No commit found for the ref %s", ref)
	}
	name := strings.Trim(c.params["path"], "/")
	listing, err := c.repo.git("ls-tree", "-l", "--full-tree", "-z", sha, "--", name)
	if err != nil {
		return nil, err
	}
	entries := c.repo.entries(listing, ref)
	if len(entries) == 0 {
		return nil, notFound()
	}
	v, _ := entries[0].(obj)
	if v["type"] == "dir" {
		if listing, err = c.repo.git("ls-tree", "-l", "--full-tree", "-z", sha, "--", name+"/"); err != nil {
			return nil, err
		}
		return ok(c.repo.entries(listing, ref))
	}
	content, err := c.repo.git("cat-file", "blob", fmt.Sprint(v["sha"]))
	if err != nil {
		return nil, err
	}
	if size, _ := v["size"].(int); size > len(content) {
		content += "\n" // what git() cut
	}
	v["encoding"], v["content"] = "base64", wrap(base64.StdEncoding.EncodeToString([]byte(content)))
	return ok(v)
}

// wrap breaks base64 into lines, as GitHub does.
func wrap(s string) string {
	var b strings.Builder
	for chunk := range slices.Chunk([]byte(s), 60) {
		b.Write(chunk)
		b.WriteByte('\n')
	}
	return b.String()
}

// entries reads `git ls-tree -l -z`.
func (r *Repo) entries(listing, ref string) []any {
	all := []any{}
	for _, line := range strings.Split(listing, "\x00") {
		columns, name, ok := strings.Cut(line, "\t")
		f := strings.Fields(columns)
		if !ok || len(f) < 4 {
			continue
		}
		size, _ := strconv.Atoi(f[3]) // "-" for folders
		kind, web, under := "file", "blob", "git/blobs/"
		if f[1] == "tree" {
			kind, web, under = "dir", "tree", "git/trees/"
		}
		self, gitURL, html := r.url("contents/%s?ref=%s", name, ref), r.url("%s%s", under, f[2]), r.web("%s/%s/%s", web, ref, name)
		v := obj{
			"type": kind, "size": size, "name": path.Base(name), "path": name, "sha": f[2], "url": self, "git_url": gitURL, "html_url": html,
			"download_url": nil, "_links": obj{"self": self, "git": gitURL, "html": html},
		}
		if kind == "file" {
			v["download_url"] = r.web("raw/%s/%s", ref, name)
		}
		all = append(all, v)
	}
	return all
}
