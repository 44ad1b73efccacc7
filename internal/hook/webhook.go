package hook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// eventPush is what the forges call a push, and what a sender of nothing else sends.
const eventPush = "push"

var (
	eventName  = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	commitName = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// kindOf knows the events by their names, which GitHub, Gitea and Forgejo share
// or use for nothing else.
func kindOf(event string) Kind {
	switch event {
	case eventPush, "create", "delete":
		return Push
	case "pull_request", "issue_comment":
		return PullRequest
	case "pull_request_review", "pull_request_review_comment", "pull_request_review_thread", // GitHub
		"pull_request_approved", "pull_request_rejected", "pull_request_comment": // Gitea
		return Review
	case "check_run", "check_suite", "status", "workflow_run", "merge_group":
		return Check
	case "ping":
		return Ping
	}
	return Ignored
}

// webhook is the part of a payload that says where to look. GitHub, Gitea and
// Forgejo give these the same names.
type webhook struct {
	Repository repository `json:"repository"`
	Ref        string     `json:"ref"`
	RefType    string     `json:"ref_type"` // of create and delete, whose Ref is short
	Number     int        `json:"number"`
	Pull       *struct {
		Number int `json:"number"`
	} `json:"pull_request"`
	Issue *struct {
		Number int       `json:"number"`
		Pull   *struct{} `json:"pull_request"` // there when it is one
	} `json:"issue"`
	SHA         string  `json:"sha"` // of a status
	CheckRun    *headed `json:"check_run"`
	CheckSuite  *headed `json:"check_suite"`
	WorkflowRun *headed `json:"workflow_run"`
	MergeGroup  *headed `json:"merge_group"`
}

type headed struct {
	HeadSHA string `json:"head_sha"`
	BaseRef string `json:"base_ref"` // of a merge group
}

type repository struct {
	CloneURL string `json:"clone_url"`
	SSHURL   string `json:"ssh_url"`
	HTMLURL  string `json:"html_url"`
}

// decodeWebhook finds where the body of a proved request says to look. Events of
// other kinds are not even parsed.
func decodeWebhook(event string, body []byte) (Poke, error) {
	kind := kindOf(event)
	if kind == Ignored {
		return otherEvent(event), nil
	}
	var e webhook
	if err := parse(body, &e); err != nil {
		return Poke{}, err
	}
	poke := Poke{Kind: kind, Repos: e.Repository.names()}
	if len(poke.Repos) == 0 && kind != Ping {
		return Poke{}, fmt.Errorf("%w: it names no repository by clone_url, ssh_url or html_url", ErrPayload)
	}
	switch kind {
	case Push:
		return e.push(poke)
	case PullRequest, Review:
		return e.pull(poke)
	case Check:
		return e.check(poke)
	}
	return poke, nil
}

// otherEvent says why an event is passed over, of an organization's members or a
// forge's kind that came later.
func otherEvent(event string) Poke {
	switch {
	case event == "package" || event == "registry_package":
		return ignored("events of packages are read as those of the registry " + string(GHCR))
	case eventName.MatchString(event):
		return ignored("the event " + event + " changes nothing that is looked at")
	}
	return ignored("the event's name is none")
}

func ignored(reason string) Poke {
	return Poke{Kind: Ignored, Reason: reason}
}

// push is of branches; tags and other refs are not followed.
func (e *webhook) push(poke Poke) (Poke, error) {
	branch, full := strings.CutPrefix(e.Ref, "refs/heads/")
	switch {
	case !full && strings.HasPrefix(e.Ref, "refs/") && e.RefType == "":
		return ignored("a push of a ref that is no branch"), nil
	case e.RefType != "" && e.RefType != "branch":
		return ignored("what came or went is no branch"), nil
	case !full && e.RefType == "":
		return Poke{}, fmt.Errorf("%w: its ref is not a whole one, such as refs/heads/main", ErrPayload)
	case !validBranch(branch):
		return Poke{}, fmt.Errorf("%w: its ref has no usable name of a branch", ErrPayload)
	}
	poke.Branch = branch
	return poke, nil
}

func (e *webhook) pull(poke Poke) (Poke, error) {
	poke.Number = e.Number
	switch {
	case e.Pull != nil && e.Pull.Number != 0:
		poke.Number = e.Pull.Number
	case e.Issue != nil && e.Issue.Pull == nil:
		return ignored("a comment on an issue"), nil
	case e.Issue != nil:
		poke.Number = e.Issue.Number
	}
	if poke.Number <= 0 {
		return Poke{}, fmt.Errorf("%w: it names no pull request by its number", ErrPayload)
	}
	return poke, nil
}

func (e *webhook) check(poke Poke) (Poke, error) {
	poke.Commit = e.SHA
	for _, of := range []*headed{e.CheckRun, e.CheckSuite, e.WorkflowRun, e.MergeGroup} {
		if of != nil {
			poke.Commit = of.HeadSHA
		}
	}
	if !commitName.MatchString(poke.Commit) {
		return Poke{}, fmt.Errorf("%w: it names no commit", ErrPayload)
	}
	if e.MergeGroup != nil {
		poke.Branch = strings.TrimPrefix(e.MergeGroup.BaseRef, "refs/heads/")
		if !validBranch(poke.Branch) {
			return Poke{}, fmt.Errorf("%w: its base_ref has no usable name of a branch", ErrPayload)
		}
	}
	return poke, nil
}

// names are those of the repository, each once. An address of a form that is not
// known is left out.
func (r repository) names() []string {
	var names []string
	for _, address := range []string{r.CloneURL, r.SSHURL, r.HTMLURL} {
		if name, err := RepoName(address); err == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// validBranch is true of what can be compared and logged; whether Git would take
// the name does not matter.
func validBranch(name string) bool {
	return name != "" && len(name) <= MaxBranch && printable(name) && !strings.Contains(name, " ")
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
