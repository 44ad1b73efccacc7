package fakegithub

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// mergeability is what GitHub says of mergeable and mergeable_state: null and "unknown" until it has been
// asked often enough, as GitHub finds it out in the background.
func (r *Repo) mergeability(p *pull) (any, string, error) {
	if !p.open() {
		return nil, "unknown", nil
	}
	if !p.computed {
		p.reads++
		if p.reads <= r.s.opts.Unknown {
			return nil, "unknown", nil
		}
		if err := r.tryMerge(p); err != nil {
			return nil, "", err
		}
	}
	state, err := r.mergeState(p)
	return p.mergeable, state, err
}

// tryMerge merges as a trial, whose commit is merge_commit_sha until the pull request is merged.
func (r *Repo) tryMerge(p *pull) error {
	tree, fits, err := r.mergeTree(p.baseSHA, p.headSHA)
	if err != nil {
		return err
	}
	p.computed, p.mergeable, p.mergeSHA = true, fits, ""
	if !fits {
		return nil
	}
	p.mergeSHA, err = r.commitTree(tree, fmt.Sprintf("Merge %s into %s\n", p.headSHA, p.baseSHA), p.author.identity(), button(), r.s.now(), p.baseSHA, p.headSHA)
	if err != nil {
		return err
	}
	return r.setRef(fmt.Sprintf("refs/pull/%d/merge", p.number), p.mergeSHA, "")
}

func (r *Repo) mergeState(p *pull) (string, error) {
	n := r.needs(p.base, nil)
	why, err := r.missing(p, n)
	if err != nil {
		return "", err
	}
	behind := false
	if n.strict {
		upToDate, err := r.contains(p.headSHA, p.baseSHA)
		if err != nil {
			return "", err
		}
		behind = !upToDate
	}
	switch {
	case p.draft:
		return "draft", nil
	case !p.mergeable:
		return "dirty", nil
	case len(why) > 0 || n.noUpdate:
		return "blocked", nil
	case behind:
		return "behind", nil
	case !r.allGreen(p.headSHA):
		return "unstable", nil
	}
	return "clean", nil
}

func mergePull(c *call) (*answer, error) {
	var in struct {
		CommitTitle   string  `json:"commit_title"`
		CommitMessage *string `json:"commit_message"`
		SHA           string  `json:"sha"`
		MergeMethod   string  `json:"merge_method"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	p, err := c.pull("pull_number")
	if err != nil {
		return nil, err
	}
	method := in.MergeMethod
	if method == "" {
		method = "merge"
	}
	if in.SHA != "" && in.SHA != p.headSHA && p.open() {
		return nil, fail(http.StatusConflict, "Head branch was modified. Review and try the merge again.")
	}
	n := c.repo.needs(p.base, c.who)
	if n.queue != nil {
		return nil, fail(http.StatusMethodNotAllowed, "Repository rule violations found\n\nChanges must be made through the merge queue")
	}
	if err := c.repo.mayMerge(p, n, method, c.who); err != nil {
		return nil, err
	}
	if err := c.repo.merge(p, method, in.CommitTitle, in.CommitMessage, c.who.user); err != nil {
		return nil, err
	}
	return ok(obj{"sha": p.mergeSHA, "merged": true, "message": "Pull Request successfully merged"})
}

// mayMerge says why not, in GitHub's words: all of these are 405.
func (r *Repo) mayMerge(p *pull, n needs, method string, who *token) error {
	not := func(format string, args ...any) error { return fail(http.StatusMethodNotAllowed, format, args...) }
	if !p.open() {
		return not("Pull Request is not mergeable")
	}
	if p.draft {
		return not("Pull Request is still a draft")
	}
	if err := r.methodAllowed(n, method); err != nil {
		return err
	}
	if !p.computed {
		if err := r.tryMerge(p); err != nil {
			return err
		}
	}
	if !p.mergeable {
		return not("Pull Request is not mergeable")
	}
	if n.push != nil && !slices.Contains(n.push, who.user.login) || n.noUpdate {
		return not("You're not authorized to push to this branch. Visit https://docs.github.com/articles/about-protected-branches/ for more information.")
	}
	why, err := r.missing(p, n)
	if err != nil {
		return err
	}
	if len(why) > 0 {
		return not("%s", strings.Join(why, " "))
	}
	if n.strict {
		upToDate, err := r.contains(p.headSHA, p.baseSHA)
		if err != nil {
			return err
		}
		if !upToDate {
			return not("Head branch is out of date with the base branch. Update the branch and try again.")
		}
	}
	return nil
}

// methodAllowed says no in the words of GitHub.
func (r *Repo) methodAllowed(n needs, method string) error {
	no, words := r.Settings.NoMerge || n.linear, "Merge commits are"
	switch method {
	case "merge":
	case "squash":
		no, words = r.Settings.NoSquash, "Squash merges are"
	case "rebase":
		no, words = r.Settings.NoRebase, "Rebase merges are"
	default:
		return invalid("PullRequest", "merge_method", "invalid", "")
	}
	if no || n.methods != nil && !slices.Contains(n.methods, method) {
		return fail(http.StatusMethodNotAllowed, "%s not allowed on this repository.", words)
	}
	return nil
}

// merge carries a pull request into its base, and moves the base only if nobody else did.
func (r *Repo) merge(p *pull, method, title string, message *string, by *user) error {
	base := p.baseSHA
	sha, err := r.mergeCommit(p, base, method, title, message, by)
	if err != nil {
		return err
	}
	if err := r.setRef("refs/heads/"+p.base, sha, base); err != nil {
		return fail(http.StatusMethodNotAllowed, "Base branch was modified. Review and try the merge again.")
	}
	return r.merged(p, base, sha, by)
}

// merged records that a pull request's base, which was at base, has become sha.
func (r *Repo) merged(p *pull, base, sha string, by *user) error {
	if err := r.setRef(fmt.Sprintf("refs/pull/%d/base", p.number), base, ""); err != nil {
		return err
	}
	p.close(r.s.now(), by)
	p.merged, p.mergeSHA = true, sha
	if r.Settings.DeleteBranchOnMerge && p.fork == "" && r.head(p.head) == p.headSHA {
		return r.setRef("refs/heads/"+p.head, "", p.headSHA)
	}
	return nil
}

// mergeCommit makes what the base becomes.
func (r *Repo) mergeCommit(p *pull, base, method, title string, message *string, by *user) (string, error) {
	if method == "rebase" {
		tip, fits, err := r.rebase(base, p.headSHA, button())
		if err == nil && !fits {
			err = fail(http.StatusMethodNotAllowed, "This branch can't be rebased")
		}
		return tip, err
	}
	tree, fits, err := r.mergeTree(base, p.headSHA)
	if err != nil {
		return "", err
	}
	if !fits {
		return "", fail(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	}
	parents, body := []string{base, p.headSHA}, p.title
	if title == "" {
		title = fmt.Sprintf("Merge pull request #%d from %s/%s", p.number, r.headOwner(p), p.head)
		if method == "squash" {
			title = fmt.Sprintf("%s (#%d)", p.title, p.number)
		}
	}
	author := by.identity()
	if method == "squash" {
		parents, author = parents[:1], p.author.identity()
		if body, err = r.squashBody(p, base); err != nil {
			return "", err
		}
	}
	if message != nil {
		body = *message
	}
	text := title + "\n"
	if body != "" {
		text += "\n" + body + "\n"
	}
	return r.commitTree(tree, text, author, button(), r.s.now(), parents...)
}

// squashBody is what GitHub writes when no message is given: the only commit's own, or a list of all.
func (r *Repo) squashBody(p *pull, base string) (string, error) {
	out, err := r.gitOf("log", "--reverse", "--format=%s%x00%b%x01", base+".."+p.headSHA)
	if err != nil {
		return "", err
	}
	commits := strings.Split(strings.TrimSuffix(strings.TrimSpace(out), "\x01"), "\x01")
	if len(commits) == 1 {
		_, body, _ := strings.Cut(commits[0], "\x00")
		return strings.TrimSpace(body), nil
	}
	var b strings.Builder
	for _, c := range commits {
		subject, body, _ := strings.Cut(strings.TrimSpace(c), "\x00")
		fmt.Fprintf(&b, "* %s\n\n", subject)
		if body = strings.TrimSpace(body); body != "" {
			fmt.Fprintf(&b, "%s\n\n", body)
		}
	}
	return strings.TrimSpace(b.String()), nil
}
