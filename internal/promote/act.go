package promote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/state"
)

// Outcome is what a tick did.
type Outcome struct {
	Situation Situation
	Plan      Plan
	Pushed    string   // commit on the base branch; "" when none
	Proposed  []int    // pull requests opened or rebuilt
	Merged    []int    // pull requests merged
	Closed    []int    // pull requests closed
	Failures  []string // what could not be done, one line each; the rest was done
	// Limit: the forge asked to be left alone. What it was still to be asked waits
	// until then; what only needs Git was done.
	Limit *pr.LimitError
}

// Changed reports whether anything moved, so that looking again at once pays.
func (o Outcome) Changed() bool {
	return o.Pushed != "" || len(o.Proposed)+len(o.Merged)+len(o.Closed) > 0
}

// keyGates names the comment that lists the gates.
const keyGates = "gates"

func isRace(err error) bool {
	return errors.Is(err, gitrepo.ErrStale) || errors.Is(err, pr.ErrBaseMoved)
}

// Act executes a plan. A lost race on the base branch ends it at once with an
// error for which the caller looks again; every other failure concerns one pull
// request and is reported in Outcome.Failures while the rest goes on.
func (b *Bot) Act(ctx context.Context, s Situation, plan Plan) (Outcome, error) {
	out := Outcome{Situation: s, Plan: plan}
	b.record(ctx, s, &out)
	proofs := proofs{}
	if err := b.push(ctx, s, b.pullable(ctx, plan.Push, proofs, &out), &out); err != nil {
		return out, err
	}
	for _, c := range plan.Close {
		if out.Limit != nil {
			return out, nil //nolint:nilerr // the forge's limit is in the outcome
		}
		err := b.unqueue(ctx, c.Pull)
		if err == nil {
			err = b.cfg.Forge.Close(ctx, c.Pull.Number, "Closed: "+c.Reason+".")
		}
		if err == nil {
			err = b.deleteBranch(ctx, s, c.Pull.Branch)
		}
		if out.failed(err, "close pull request #%d", c.Pull.Number) {
			continue
		}
		out.Closed = append(out.Closed, c.Pull.Number)
		b.cfg.Logger.Info("pull request closed", "number", c.Pull.Number, "reason", c.Reason)
	}
	for _, p := range plan.Propose {
		if out.Limit != nil {
			return out, nil //nolint:nilerr // the forge's limit is in the outcome
		}
		if p.Reuse == "" && len(b.pullable(ctx, []Move{p.Move}, proofs, &out)) == 0 {
			continue
		}
		pull, err := b.propose(ctx, s, p)
		if isRace(err) {
			return out, err
		}
		if out.failed(err, "propose %s", p.Key()) {
			continue
		}
		out.Proposed = append(out.Proposed, pull.Number)
		b.cfg.Logger.Info("pull request proposed", "number", pull.Number, "environment", p.Env.Name, "app", p.App, "version", Versions(p.Values))
		out.failed(b.show(ctx, s.justProposed(p, pull)), "look after pull request #%d", pull.Number)
	}
	for _, j := range plan.Judged {
		if out.Limit != nil {
			return out, nil //nolint:nilerr // the forge's limit is in the outcome
		}
		merged, err := b.conclude(ctx, s, j)
		if isRace(err) {
			return out, err
		}
		if out.failed(err, "look after pull request #%d", j.Pull.Number) {
			continue
		}
		if merged {
			out.Merged = append(out.Merged, j.Pull.Number)
			b.cfg.Logger.Info("pull request merged", "number", j.Pull.Number, "environment", j.Block.Env, "app", j.Block.App)
			// The base branch is another one now: everything else is judged again.
			return out, nil
		}
	}
	return out, nil
}

func (o *Outcome) failed(err error, format string, args ...any) bool {
	if err == nil {
		return false
	}
	if errors.As(err, &o.Limit) {
		return true // said once, by the guard
	}
	o.Failures = append(o.Failures, fmt.Sprintf(format, args...)+": "+err.Error())
	return true
}

// record keeps first sights and problems with registries before anything moves.
// A digest whose sight was not kept is too young at every tick, so a failure
// lets nothing move that has no record.
func (b *Bot) record(ctx context.Context, s Situation, out *Outcome) {
	if s.record {
		out.failed(state.Put(ctx, b.cfg.Git, state.Change{Sights: s.Sights, Scans: &s.Scans, At: s.Now}), "record what registries said")
	}
}

// proofs is what registries answered in one Act when they were asked whether a
// reference can be pulled.
type proofs map[image.Ref]error

// pullable leaves out the moves that would bring in an image that cannot be
// pulled at this moment. They wait; the others go on.
func (b *Bot) pullable(ctx context.Context, moves []Move, known proofs, out *Outcome) []Move {
	var good []Move
	for _, m := range moves {
		if err := b.prove(ctx, m, known); !out.failed(err, "%s waits", m.Key()) {
			good = append(good, m)
		}
	}
	return good
}

func (b *Bot) prove(ctx context.Context, m Move, known proofs) error {
	if m.From != FromRegistry || b.cfg.Scanner == nil {
		return nil
	}
	for _, set := range m.Sets {
		err, asked := known[set.Ref]
		if !asked {
			err = b.cfg.Scanner.Prove(ctx, set.Ref)
			known[set.Ref] = err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// push makes one commit on the base branch of all moves that need no review. A
// move that cannot be committed, or a server that declines, is a failure that
// stops nothing else; only a lost race is an error.
func (b *Bot) push(ctx context.Context, s Situation, moves []Move, out *Outcome) error {
	moves = b.committable(ctx, s, moves, out)
	if len(moves) == 0 {
		return nil
	}
	c, err := b.cfg.Git.Publish(ctx, b.change(s, moves), "refs/heads/"+s.Branch, s.Commit)
	if isRace(err) {
		return fmt.Errorf("push to %s: %w", s.Branch, err)
	}
	if out.failed(err, "push %d changes to %s", len(moves), s.Branch) {
		return nil
	}
	out.Pushed = c.Hash
	for _, m := range moves {
		b.cfg.Logger.Info("pushed", "environment", m.Env.Name, "app", m.App, "version", Versions(m.Values), "commit", c.Hash)
	}
	return nil
}

// committable leaves out the moves that Git cannot hold, so that they do not
// take the others with them.
func (b *Bot) committable(ctx context.Context, s Situation, moves []Move, out *Outcome) []Move {
	if len(moves) < 2 {
		return moves
	}
	if _, err := b.commit(ctx, s, moves); err == nil {
		return moves
	}
	var good []Move
	for _, m := range moves {
		if _, err := b.commit(ctx, s, []Move{m}); !out.failed(err, "commit %s", m.Key()) {
			good = append(good, m)
		}
	}
	return good
}

func (b *Bot) commit(ctx context.Context, s Situation, moves []Move) (gitrepo.Commit, error) {
	return b.cfg.Git.Commit(ctx, b.change(s, moves))
}

// change is the one commit of moves.
func (b *Bot) change(s Situation, moves []Move) gitrepo.Change {
	files := map[string][]byte{}
	for _, m := range moves {
		for _, f := range m.Files {
			files[f.Path] = f.Data
		}
	}
	return gitrepo.Change{Parent: s.Commit, Files: files, Message: Message(moves), Author: b.cfg.Author, Time: s.Now}
}

// propose puts one commit of ours on the branch and one pull request over it.
func (b *Bot) propose(ctx context.Context, s Situation, p Proposal) (pr.Pull, error) {
	branch := BranchOf(p.Env.Name, p.App)
	head := p.Reuse
	if head == "" {
		c, err := b.cfg.Git.Publish(ctx, b.change(s, []Move{p.Move}), "refs/heads/"+branch, s.Branches[branch].Commit)
		if err != nil {
			return pr.Pull{}, fmt.Errorf("push %s: %w", branch, err)
		}
		head = c.Hash
	}
	// Said before the pull request is edited: once it is, nobody would know any more
	// that it has not been said.
	if p.Supersedes != "" && p.Pull != 0 {
		text := fmt.Sprintf("Superseded: %s → %s. Approvals given before do not count for this.", code(p.Supersedes), code(Versions(p.Values)))
		if err := b.cfg.Forge.Comment(ctx, p.Pull, pr.Comment{Key: "superseded-" + short(p.Content), Body: text}); err != nil {
			return pr.Pull{}, err
		}
	}
	pull, err := b.cfg.Forge.Ensure(ctx, pr.Request{Branch: branch, Base: s.Branch, Head: head, Title: Title(p.Move), Body: Body(p, s), Labels: []string{pr.LabelPromo}})
	if errors.Is(err, pr.ErrHeadMoved) {
		return pr.Pull{}, fmt.Errorf("propose %s: %w: %w", p.Key(), gitrepo.ErrStale, err) // another bot was at it, too
	}
	if err != nil {
		return pr.Pull{}, err
	}
	pull.Head = head
	return pull, nil
}

// justProposed is the verdict on a pull request that was opened or rebuilt in this
// tick. It is shown at once, so that the forge's next list has it all: shown at the
// next tick it would be one more change to read.
func (s Situation) justProposed(p Proposal, pull pr.Pull) Judged {
	if i := slices.IndexFunc(s.Pulls, func(o pr.Pull) bool { return o.Number == pull.Number }); i >= 0 {
		old := s.Pulls[i]
		pull.Reviews, pull.Comments, pull.Labels, pull.Draft = old.Reviews, old.Comments, old.Labels, old.Draft
	}
	pull.Checks = nil // of the head before
	if !pull.HasLabel(pr.LabelPromo) {
		pull.Labels = append(slices.Clone(pull.Labels), pr.LabelPromo) // Ensure has seen to it
	}
	s.Branches = maps.Clone(s.Branches)
	s.Branches[pull.Branch] = BranchHead{Commit: pull.Head, Content: p.Content, OnBase: true}
	return Judged{Pull: pull, Env: p.Env, Block: blockOf(p), Verdict: Judge(s, p.Env, pull, blockOf(p))}
}

// conclude shows the verdict on the pull request and merges when it says so.
// Nothing is written that is there already.
func (b *Bot) conclude(ctx context.Context, s Situation, j Judged) (merged bool, err error) {
	if j.Foreign && !j.Pull.HasLabel(pr.LabelEdited) {
		if err := b.markEdited(ctx, j.Pull.Number); err != nil {
			return false, err
		}
	}
	if err := b.show(ctx, j); err != nil {
		return false, err
	}
	if j.Pull.Queued && j.Verdict.Act == ActBlocked {
		return false, b.unqueue(ctx, j.Pull)
	}
	if !j.wantsMerge() {
		return false, nil
	}
	if j.Env.Update != nil && !s.Asked {
		return false, nil // nobody knows whether anything offers this
	}
	message, err := b.squashMessage(s, j)
	if err != nil {
		return false, err
	}
	_, err = b.cfg.Forge.Merge(ctx, pr.MergeRequest{Number: j.Pull.Number, Head: j.Pull.Head, Base: s.Branch, Message: message, Bypass: j.Env.Gates.Approvals == nil})
	if errors.Is(err, pr.ErrHeadMoved) {
		return false, nil // looked at again at the next tick
	}
	if err != nil {
		return false, b.refuse(s.Now, j.Pull, err)
	}
	if err := b.deleteBranch(ctx, s, j.Pull.Branch); err != nil { // tried again by tidy
		b.cfg.Logger.Warn("the merged branch stays", "branch", j.Pull.Branch, "error", err)
	}
	return true, nil
}

// unqueue keeps the forge from merging what it was asked to merge later.
func (b *Bot) unqueue(ctx context.Context, p pr.Pull) error {
	if !p.Queued {
		return nil
	}
	if err := b.cfg.Forge.Unqueue(ctx, p.Number); err != nil {
		return err
	}
	delete(b.refused, p.Head)
	b.cfg.Logger.Info("pull request taken out of the queue", "number", p.Number)
	return nil
}

// squashMessage is the message of the head commit, with the number and the
// people who approved.
func (b *Bot) squashMessage(s Situation, j Judged) (string, error) {
	c, err := b.cfg.Git.ReadCommit(j.Pull.Head)
	if err != nil {
		return "", err
	}
	subject, rest, _ := strings.Cut(c.Message, "\n")
	msg := fmt.Sprintf("%s (#%d)\n%s", subject, j.Pull.Number, strings.TrimRight(rest, "\n"))
	for _, r := range pr.Latest(j.Pull.Reviews) {
		a := j.Env.Gates.Approvals
		if r.State == pr.Approved && r.Commit == j.Pull.Head && (a == nil || s.discount(*a, j.Pull, r) == "") {
			msg += "\nTowpath-Approved-By: " + oneLine(r.User)
		}
	}
	return msg + "\n", nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// said recognises a status of ours with the same words. Where the forge says whose
// it is, somebody else's is none: a required check may be bound to us.
func (b *Bot) said(want pr.Check) func(pr.Check) bool {
	return func(c pr.Check) bool {
		return want.Says(c) && (c.App == "" || strings.EqualFold(strings.TrimSuffix(c.App, "[bot]"), strings.TrimSuffix(b.cfg.User, "[bot]")))
	}
}

func (b *Bot) show(ctx context.Context, j Judged) error {
	if j.Pull.Head == "" {
		return nil // the branch is gone: there is no commit to speak of
	}
	if !j.Pull.HasLabel(pr.LabelPromo) { // killed between opening and labelling, or somebody took it off
		if err := b.cfg.Forge.SetLabel(ctx, j.Pull.Number, pr.LabelPromo, true); err != nil {
			return err
		}
	}
	want := Status(j.Verdict, j.Pull.Head)
	if !slices.ContainsFunc(j.Pull.Checks, b.said(want)) {
		if err := b.cfg.Forge.SetStatus(ctx, j.Pull.Number, want); err != nil {
			return err
		}
	}
	text := GateComment(j.Verdict)
	if !slices.ContainsFunc(j.Pull.Comments, func(c pr.Comment) bool { return c.Key == keyGates && c.Body == text }) {
		return b.cfg.Forge.Comment(ctx, j.Pull.Number, pr.Comment{Key: keyGates, Body: text})
	}
	return nil
}

func (b *Bot) markEdited(ctx context.Context, number int) error {
	if err := b.cfg.Forge.SetLabel(ctx, number, pr.LabelEdited, true); err != nil {
		return err
	}
	return b.cfg.Forge.Comment(ctx, number, pr.Comment{Key: "edited",
		Body: "Somebody else committed to this branch, so it is left alone from now on. Delete the branch and take the label off (`towpath release`) to have it rebuilt."})
}

// maxTidied is how many branches a tick deletes that merges left.
const maxTidied = 20

// tidy deletes the branches that merges left: by the forge itself, or by a bot that
// died, or could not push, after it.
func (b *Bot) tidy(ctx context.Context, s Situation, out *Outcome) {
	open := map[string]bool{}
	for _, p := range s.Pulls {
		open[p.Branch] = open[p.Branch] || p.Open && !p.Fork
	}
	n := 0
	for _, p := range s.Pulls {
		block, ours := ownBlock(p)
		head, exists := s.Branches[p.Branch]
		if !ours || !p.Merged || !exists || open[p.Branch] || head.Commit != p.Head || head.Content != block.Content {
			continue
		}
		if n++; n > maxTidied || ctx.Err() != nil {
			return
		}
		out.failed(b.deleteBranch(ctx, s, p.Branch), "delete branch %s", p.Branch)
	}
}

// deleteBranch removes a branch of ours as it was looked at, never one with
// somebody else's commit.
func (b *Bot) deleteBranch(ctx context.Context, s Situation, branch string) error {
	ref := "refs/heads/" + branch
	head, ok := s.Branches[branch]
	if !ok || head.Foreign {
		return nil
	}
	if refs, err := b.cfg.Git.Refs(ref); err == nil && refs[ref] == "" {
		return nil // the merge took it along
	}
	err := b.cfg.Git.Push(ctx, gitrepo.Update{Ref: ref, Old: head.Commit})
	if errors.Is(err, gitrepo.ErrStale) {
		return nil // moved meanwhile: not ours to delete
	}
	return err
}
