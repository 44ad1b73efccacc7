package promote

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

// Plan is what one tick does, in order, and what it does not do and why. The
// dry run prints the same plan that is executed.
type Plan struct {
	Push    []Move    // one commit on the base branch
	Close   []Closing // pull requests that have nothing left to do
	Propose []Proposal
	Judged  []Judged // every open pull request of ours, after Propose
	Waiting []Move   // moves that are not made, with Hold
}

// Proposal opens a pull request or rebuilds an open one.
type Proposal struct {
	Move
	Pull       int    // 0: a new one
	Supersedes string // versions that this replaces, "" when none
	Old        pr.Block
	// Reuse is the head that already holds exactly this; "" builds one.
	Reuse string
}

// Closing closes a pull request.
type Closing struct {
	Pull   pr.Pull
	Reason string
}

// Judged is an open pull request and its verdict. Foreign: its branch has a
// commit that is not ours.
type Judged struct {
	Pull    pr.Pull
	Env     policy.Environment
	Block   pr.Block
	Verdict Verdict
	Foreign bool
	// Ask: the forge declined to merge it, but may think otherwise by now.
	Ask bool
}

// wantsMerge reports whether the forge is to be asked to merge it.
func (j Judged) wantsMerge() bool { return j.Verdict.Act == ActMerge || j.Ask }

// Idle reports whether the plan changes nothing (statuses and comments aside).
func (plan Plan) Idle() bool {
	return len(plan.Push)+len(plan.Close)+len(plan.Propose) == 0 && !slices.ContainsFunc(plan.Judged, Judged.wantsMerge)
}

// Decide turns a situation into a plan. Pure.
func Decide(s Situation) Plan {
	var plan Plan
	moves := map[string]Move{}
	for _, m := range Next(s) {
		if len(m.Hold) > 0 {
			plan.Waiting = append(plan.Waiting, m)
			continue
		}
		if m.Env.Merge == policy.MergePush {
			plan.Push = append(plan.Push, m)
			continue
		}
		moves[m.Key()] = m
	}
	if s.Limit != nil {
		plan.wait(moves, s.Limit.Error())
		return plan
	}
	plan.existing(s, moves)
	for _, key := range slices.Sorted(maps.Keys(moves)) {
		plan.propose(s, moves[key], nil)
	}
	// What an open pull request waits for is said there, not twice.
	plan.Waiting = slices.DeleteFunc(plan.Waiting, func(m Move) bool {
		return slices.ContainsFunc(plan.Judged, func(j Judged) bool { return j.Block.Content == m.Content && m.Content != "" })
	})
	return plan
}

// wait makes none of the moves.
func (plan *Plan) wait(moves map[string]Move, why string) {
	for _, key := range slices.Sorted(maps.Keys(moves)) {
		m := moves[key]
		m.Hold = append(m.Hold, why)
		plan.Waiting = append(plan.Waiting, m)
	}
}

// ownBlock reads what a pull request of ours carries. A branch of another
// repository is none of ours, whatever it is called and whatever its text says.
func ownBlock(p pr.Pull) (pr.Block, bool) {
	if p.Fork || !strings.HasPrefix(p.Branch, ownPrefix) {
		return pr.Block{}, false
	}
	block, err := pr.ParseBlock(p.Body)
	return block, err == nil && BranchOf(block.Env, block.App) == p.Branch
}

// existing looks at every open pull request of ours, and takes the moves that
// it carries out of moves.
func (plan *Plan) existing(s Situation, moves map[string]Move) {
	for _, p := range s.Pulls {
		block, ours := ownBlock(p)
		if !p.Open || !ours {
			continue
		}
		key := block.Env + "/" + block.App
		env, app, ok := s.find(block)
		move, wanted := moves[key]
		delete(moves, key)
		head := s.Branches[p.Branch]
		switch {
		case !ok && s.doubtful(block.Env):
			v := verdict([]GateResult{judgeHold(p), {Gate: "configuration", State: Pending, Reason: "the pipeline cannot be read in full, so nobody knows what this is for"}})
			plan.Judged = append(plan.Judged, Judged{Pull: p, Block: block, Verdict: v})
		case !ok:
			plan.Close = append(plan.Close, Closing{p, fmt.Sprintf("the pipeline has no %s with an app %s any more", block.Env, block.App)})
		case holds(app, block):
			plan.Close = append(plan.Close, Closing{p, fmt.Sprintf("%s holds %s already", block.Env, describe(block.Values))})
		case head.Foreign || p.HasLabel(pr.LabelEdited):
			plan.Judged = append(plan.Judged, Judged{Pull: p, Env: env, Block: block, Verdict: Judge(s, env, edited(p), block), Foreign: true})
		case wanted && (move.Content != block.Content && !keep(s, env, p) || move.Content == block.Content && !current(head, move, s)):
			plan.propose(s, move, &p)
		default:
			proved := wanted && move.Content == block.Content && current(head, move, s)
			v, ask := s.askForge(p, plan.judge(s, env, p, block, proved))
			plan.Judged = append(plan.Judged, Judged{Pull: p, Env: env, Block: block, Verdict: v, Ask: ask})
		}
	}
}

// judge adds to Judge that the head is exactly the base plus our edits, and that
// it undoes no person's revert. proved: the head was compared with what is wanted.
func (plan *Plan) judge(s Situation, env policy.Environment, p pr.Pull, block pr.Block, proved bool) Verdict {
	v, head := Judge(s, env, p, block), s.Branches[p.Branch]
	if s.unheard[p.Number] {
		v = verdict(append(v.Gates, GateResult{Gate: "commands", State: Pending, Reason: "a command in its comments is not carried out yet"}))
	}
	reason := ""
	switch {
	case p.Head == "":
		reason = "the branch is gone; it is made again once the environment before is healthy"
	case head.Commit != p.Head || head.Content != block.Content:
		reason = "the branch is not the commit that was proposed; it is looked at again"
	case !head.OnBase:
		reason = s.Branch + " was rewritten since this was proposed; it is rebuilt once the environment before is healthy"
	default:
		app, _ := s.Envs[block.Env].App(block.App)
		for _, path := range head.Paths {
			if head.Before[path] != app.hash(path) {
				reason = path + " was changed since this was proposed; close this, or change it back"
			}
		}
		if reason == "" && !proved {
			reason = s.differs(env, block, head)
		}
		// Where these gates are closed, they say more.
		if reason == "" && !proved && v.passes("policy") && v.passes("upstream") && (env.Update == nil || s.Asked) {
			reason = s.unfounded(env, block, head)
		}
	}
	if reason != "" {
		v = verdict(append(v.Gates, GateResult{Gate: "head", State: Pending, Reason: reason}))
	}
	return plan.judgeReverts(v, block)
}

// differs returns how a head is not the base plus exactly the edits that its block
// speaks of, "" when it is: who wrote the commit and what its trailers say proves
// nothing, as anybody who may push can write both.
func (s Situation) differs(env policy.Environment, block pr.Block, head BranchHead) string {
	m := Move{Env: env, App: block.App}
	for _, name := range block.Policies {
		p, ok := findPolicy(s, name)
		if !ok {
			return "" // its own gate is closed
		}
		want := refTail(block.Values[name])
		m.Sets = append(m.Sets, patch.Set{Policy: name, Ref: image.Ref{Repo: p.Image, Tag: image.Tag(want.tag), Digest: image.Digest(want.digest)}})
	}
	if s.otherwise(&m, block, head) {
		return "the branch changes something else than its text says; close this and delete the branch to have it made anew"
	}
	return ""
}

// unfounded returns how a head is not the base plus exactly what the environment
// before holds, or registries offer, of the policies that its block names; "" when
// it is. The block's own values are no source: whoever made the branch wrote them.
func (s Situation) unfounded(env policy.Environment, block pr.Block, head BranchHead) string {
	m := Move{Env: env, App: block.App, FromCommit: s.Commit}
	app, _ := s.Envs[env.Name].App(block.App)
	what := "policies choose now"
	if env.Update != nil {
		m.From = FromRegistry
		fromChoices(&m, s, app)
	} else {
		m.From = env.From[0]
		what = m.From + " holds now"
		up, _ := s.Envs[m.From].App(block.App)
		fromUpstream(&m, s, up, app)
	}
	m.Sets = slices.DeleteFunc(m.Sets, func(set patch.Set) bool { return !slices.Contains(block.Policies, set.Policy) })
	if !s.otherwise(&m, block, head) && maps.Equal(blockOf(Proposal{Move: m}).Values, block.Values) {
		return ""
	}
	if len(m.Hold) > 0 {
		return strings.Join(m.Hold, "; ")
	}
	return "the branch is not " + s.Branch + " with exactly what " + what + "; close this and delete the branch to have it made anew"
}

// otherwise reports whether a head is not the base with exactly m's edits. It fills
// m.
func (s Situation) otherwise(m *Move, block pr.Block, head BranchHead) bool {
	app, _ := s.Envs[m.Env.Name].App(m.App)
	m.fill(app)
	return m.Content != block.Content || !current(head, *m, s)
}

// judgeReverts closes a pull request whose values a person took back on the base
// branch while it was open.
func (plan *Plan) judgeReverts(v Verdict, block pr.Block) Verdict {
	for _, m := range plan.Waiting {
		for _, name := range m.Reverted {
			if m.Env.Name == block.Env && m.App == block.App && m.Values[name].String() == block.Values[name] {
				return verdict(append(v.Gates, GateResult{Gate: "revert", State: Pending, Reason: strings.Join(m.Hold, "; ")}))
			}
		}
	}
	return v
}

func (plan *Plan) propose(s Situation, m Move, open *pr.Pull) {
	p := Proposal{Move: m}
	if open != nil {
		p.Pull = open.Number
		p.Old, _ = pr.ParseBlock(open.Body)
		if p.Old.Content != m.Content {
			p.Supersedes = describe(p.Old.Values)
		}
	} else if why := rejected(s, m); why != "" {
		m.Hold = append(m.Hold, why)
		plan.Waiting = append(plan.Waiting, m)
		return
	}
	branch := BranchOf(m.Env.Name, m.App)
	head, exists := s.Branches[branch]
	if exists && head.Foreign {
		m.Hold = append(m.Hold, fmt.Sprintf("branch %s holds a commit that is not ours; delete it to go on", branch))
		plan.Waiting = append(plan.Waiting, m)
		return
	}
	if exists && current(head, m, s) {
		p.Reuse = head.Commit
	}
	plan.Propose = append(plan.Propose, p)
}

// rejected returns why a move is not proposed again: a person closed exactly
// this content. A newer version, reopening, or the retry label releases it.
func rejected(s Situation, m Move) string {
	branch := BranchOf(m.Env.Name, m.App)
	for _, p := range s.Pulls { // newest first
		if p.Branch != branch || p.Open {
			continue
		}
		block, ours := ownBlock(p)
		if !ours || p.Merged || sameName(p.ClosedBy, s.Config.User) || block.Content != m.Content {
			continue
		}
		if p.HasLabel(pr.LabelRetry) {
			return ""
		}
		return fmt.Sprintf("pull request #%d with exactly this was closed by %s; give it the label %s (towpath release) to have it again", p.Number, p.ClosedBy, pr.LabelRetry)
	}
	return ""
}

// keep reports whether an approved pull request is left as it is although
// something newer is there (onNewVersion: wait). Only where versions enter: behind
// another environment, newer means that it holds other values now, so that what
// was approved could never pass its gates again.
func keep(s Situation, env policy.Environment, p pr.Pull) bool {
	if env.OnNewVersion != policy.Wait || env.Gates.Approvals == nil || env.Update == nil {
		return false
	}
	return judgeApprovals(s, *env.Gates.Approvals, p).State == Pass
}

// current reports whether the head is one commit of ours that changes exactly
// the wanted files to exactly the wanted bytes, on a base that still has the
// same content at those paths.
func current(head BranchHead, m Move, s Situation) bool {
	if head.Commit == "" || head.Foreign || !head.OnBase || head.Content != m.Content || len(head.Paths) != len(m.Files) {
		return false
	}
	for _, f := range m.Files {
		if head.Files[f.Path] != gitrepo.BlobHash(f.Data) || head.Before[f.Path] != s.hashOf(m, f.Path) {
			return false
		}
	}
	return true
}

// hashOf returns the object hash of a file of the move's app on the base.
func (s Situation) hashOf(m Move, path string) string {
	app, _ := s.Envs[m.Env.Name].App(m.App)
	return app.hash(path)
}

// hash returns the object hash of one of the app's files with markers.
func (a AppState) hash(path string) string {
	i := slices.IndexFunc(a.Files, func(f patch.File) bool { return f.Path == path })
	if i < 0 {
		return ""
	}
	return gitrepo.BlobHash(a.Files[i].Data)
}

// doubtful reports whether an environment may be missing only because something
// cannot be read now.
func (s Situation) doubtful(env string) bool {
	if e, ok := s.Envs[env]; ok && e.Problem != "" {
		return true
	}
	return slices.ContainsFunc(s.Problems, func(p policy.Problem) bool {
		return !p.Warning && (p.Path == PolicyDir || strings.HasPrefix(p.Path, PolicyDir+"/"))
	})
}

func (s Situation) find(b pr.Block) (policy.Environment, AppState, bool) {
	e, ok := s.Envs[b.Env]
	if !ok {
		return policy.Environment{}, AppState{}, false
	}
	a, ok := e.App(b.App)
	return e.Env, a, ok
}

// holds reports whether the app has the block's values already: that is what
// "merged" means, however it came about.
func holds(app AppState, b pr.Block) bool {
	return app.Content == b.Content
}

func edited(p pr.Pull) pr.Pull {
	if !p.HasLabel(pr.LabelEdited) {
		p.Labels = append(slices.Clone(p.Labels), pr.LabelEdited)
	}
	return p
}

// describe names the versions of a block's values for people.
func describe(values map[string]string) string {
	refs := map[string]image.Ref{}
	for name, v := range values {
		t := refTail(v)
		refs[name] = image.Ref{Tag: image.Tag(t.tag), Digest: image.Digest(t.digest)}
	}
	return Versions(refs)
}
