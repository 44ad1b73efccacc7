package promote

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
)

// GateState is what a gate says. Whatever is not known is Pending: closed.
type GateState string

// The states of a gate.
const (
	Pass    GateState = "pass"
	Pending GateState = "pending"
	Fail    GateState = "fail"
)

// GateResult is one gate's answer, with its reason and, when time alone can
// change it, the moment it is looked at next.
type GateResult struct {
	Gate   string    `json:"gate"`
	State  GateState `json:"state"`
	Reason string    `json:"reason"`
	Next   time.Time `json:"next,omitzero"`
}

// Act says what to do with a pull request.
type Act string

// The acts of a verdict.
const (
	ActMerge   Act = "merge"
	ActWait    Act = "wait"
	ActBlocked Act = "blocked" // a person has to do something
)

// Verdict is what to do with a pull request, and why.
type Verdict struct {
	Act   Act          `json:"act"`
	Gates []GateResult `json:"gates"`
	Next  time.Time    `json:"next,omitzero"` // earliest Next of the gates
}

// Missing returns the gates that do not pass.
func (v Verdict) Missing() []GateResult {
	var out []GateResult
	for _, g := range v.Gates {
		if g.State != Pass {
			out = append(out, g)
		}
	}
	return out
}

// passes reports whether no gate of a name is closed.
func (v Verdict) passes(gate string) bool {
	return !slices.ContainsFunc(v.Gates, func(g GateResult) bool { return g.Gate == gate && g.State != Pass })
}

// Judge decides on an open pull request that carries block into env. Unknown is
// closed: a gate that cannot be evaluated does not pass.
func Judge(s Situation, env policy.Environment, p pr.Pull, block pr.Block) Verdict {
	gates := []GateResult{judgeHold(p), judgeChanges(s.Config, env, p), judgePolicies(s, env, block)}
	if p.Draft {
		gates = append(gates, GateResult{Gate: "draft", State: Pending, Reason: "it is a draft; say that it is ready for review to go on"})
	}
	if env.Update == nil {
		up, ok := s.Envs[env.From[0]].App(block.App)
		gates = append(gates, judgeUpstream(env, up, ok, block))
		if h := env.Gates.Healthy; h != nil {
			gates = append(gates, judgeGreen("healthy", h.StableFor, s, env.From[0], up))
		}
		if k := env.Gates.Soak; k != nil {
			gates = append(gates, judgeGreen("soak", k.For, s, env.From[0], up))
		}
	}
	if a := env.Gates.Approvals; a != nil {
		gates = append(gates, judgeApprovals(s, *a, p))
	}
	return verdict(gates)
}

func verdict(gates []GateResult) Verdict {
	v := Verdict{Act: ActMerge, Gates: gates}
	for _, g := range gates {
		switch {
		case g.State == Fail:
			v.Act = ActBlocked
		case g.State == Pending && v.Act == ActMerge:
			v.Act = ActWait
		}
		if !g.Next.IsZero() && (v.Next.IsZero() || g.Next.Before(v.Next)) {
			v.Next = g.Next
		}
	}
	return v
}

func judgeHold(p pr.Pull) GateResult {
	switch {
	case p.HasLabel(pr.LabelEdited):
		return GateResult{Gate: "hold", State: Fail, Reason: "somebody else committed to the branch; delete the branch and take the label " + pr.LabelEdited + " off (towpath release) to have it rebuilt"}
	case p.HasLabel(pr.LabelHold):
		return GateResult{Gate: "hold", State: Fail, Reason: heldBy(p) + "; take the label " + pr.LabelHold + " off (towpath release) to go on"}
	}
	return GateResult{Gate: "hold", State: Pass, Reason: "nobody holds it"}
}

// heldBy says who holds it and why, as far as a comment tells.
func heldBy(p pr.Pull) string { return cmp.Or(heldComment(p), "held by a person") }

// judgeUpstream holds that no environment is ever skipped: the environment
// before must hold exactly these values on the base branch now.
func judgeUpstream(env policy.Environment, up AppState, ok bool, block pr.Block) GateResult {
	from := env.From[0]
	if !ok {
		return GateResult{Gate: "upstream", State: Pending, Reason: fmt.Sprintf("%s has no app %s", from, block.App)}
	}
	if len(up.Skipped) > 0 {
		return GateResult{Gate: "upstream", State: Pending, Reason: fmt.Sprintf("the markers of %s in %s cannot all be read: %s", block.App, from, skippedText(up.Skipped[0]))}
	}
	for _, name := range block.Policies {
		have, ok := up.Values[name]
		want := refTail(block.Values[name])
		if !ok {
			return GateResult{Gate: "upstream", State: Pending, Reason: fmt.Sprintf("%s has no marker of %s any more", from, name)}
		}
		if string(have.Tag) != want.tag {
			return GateResult{Gate: "upstream", State: Pending, Reason: fmt.Sprintf("%s holds %s %s, not %s", from, name, version(have), want.tag)}
		}
		if want.digest != "" && string(have.Digest) != want.digest {
			holds := "no digest"
			if have.Digest != "" {
				holds = short(string(have.Digest))
			}
			return GateResult{Gate: "upstream", State: Pending, Reason: fmt.Sprintf("%s holds %s of %s %s, not %s", from, holds, name, version(have), short(want.digest))}
		}
	}
	return GateResult{Gate: "upstream", State: Pass, Reason: from + " holds exactly these values"}
}

func skippedText(s patch.Skipped) string {
	if s.Line == 0 {
		return s.Path + ": " + s.Reason
	}
	return fmt.Sprintf("%s:%d: %s", s.Path, s.Line, s.Reason)
}

// judgePolicies holds that the policies still are there and, where versions
// enter the pipeline, still choose what the pull request carries.
func judgePolicies(s Situation, env policy.Environment, block pr.Block) GateResult {
	pending := func(format string, args ...any) GateResult {
		return GateResult{Gate: "policy", State: Pending, Reason: fmt.Sprintf(format, args...)}
	}
	for _, name := range block.Policies {
		if _, ok := findPolicy(s, name); !ok {
			return pending("policy %s is gone or cannot be read", name)
		}
		if env.Update == nil || !s.Asked {
			continue
		}
		i := slices.IndexFunc(s.Choices, func(c scan.Result) bool { return c.Env == env.Name && c.App == block.App && c.Policy == name })
		switch want := refTail(block.Values[name]); {
		case i < 0:
			return pending("policy %s does not update %s any more", name, env.Name)
		case s.Choices[i].Problem != "":
			return pending("policy %s: %s", name, s.trouble(s.Choices[i]))
		case string(s.Choices[i].Selected) != want.tag:
			return pending("policy %s does not choose %s any more, but %s", name, want.tag, s.Choices[i].Selected)
		case !s.Choices[i].Wanted:
			return pending("policy %s wants nothing else than %s holds", name, env.Name)
		case want.digest != "" && s.Choices[i].Ref.Digest == "":
			return pending("policy %s chooses %s without a digest, not %s", name, want.tag, short(want.digest))
		case want.digest != "" && string(s.Choices[i].Ref.Digest) != want.digest:
			return pending("policy %s chooses %s of %s, not %s", name, short(string(s.Choices[i].Ref.Digest)), want.tag, short(want.digest))
		}
	}
	return GateResult{Gate: "policy", State: Pass, Reason: "the policies still want this"}
}

// trouble is why nothing can be chosen, in words that stay the same from tick to
// tick where there are such.
func (s Situation) trouble(c scan.Result) string {
	p, _ := findPolicy(s, c.Policy)
	for _, sc := range s.Scans {
		if sc.Image == p.Image.String() && scan.Blocks(sc.Kind) {
			return fmt.Sprintf("%s, since %s", sc.Problem, clock(sc.Since))
		}
	}
	return c.Problem
}

// judgeGreen holds that every cluster of the environment reports exactly this
// content as healthy, without interruption for at least min.
func judgeGreen(gate string, min time.Duration, s Situation, env string, app AppState) GateResult {
	pending := func(format string, args ...any) GateResult {
		return GateResult{Gate: gate, State: Pending, Reason: fmt.Sprintf(format, args...)}
	}
	reports, since := 0, time.Time{}
	for _, r := range s.Reports {
		if r.Env != env {
			continue
		}
		reports++
		if age := s.Now.Sub(r.At); age > s.Config.Silence {
			return pending("cluster %s of %s has been silent since %s", r.Cluster, env, clock(r.At))
		}
		i := slices.IndexFunc(r.Apps, func(a state.AppReport) bool { return a.App == app.Name })
		if i < 0 {
			return pending("cluster %s of %s does not report %s%s", r.Cluster, env, app.Name, because(r.Problem))
		}
		a := r.Apps[i]
		if a.Content != app.Content {
			return pending("cluster %s of %s has not applied %s %s yet%s", r.Cluster, env, app.Name, Versions(app.Values), because(r.Problem))
		}
		if a.Phase != state.Healthy {
			return pending("%s %s is %s in cluster %s of %s since %s%s", app.Name, Versions(app.Values), strings.ToLower(string(a.Phase)), r.Cluster, env, clock(a.Since), failingOf(a))
		}
		if a.Since.After(since) {
			since = a.Since
		}
	}
	if reports == 0 {
		return pending("no agent has reported from %s yet", env)
	}
	if until := since.Add(min); s.Now.Before(until) {
		g := pending("%s %s healthy in %s since %s, needs %s: until %s", app.Name, Versions(app.Values), env, clock(since), span(min), clock(until))
		g.Next = until
		return g
	}
	return GateResult{Gate: gate, State: Pass, Reason: fmt.Sprintf("%s %s healthy in %s since %s (needs %s)", app.Name, Versions(app.Values), env, clock(since), span(min))}
}

func because(problem string) string {
	if problem == "" {
		return ""
	}
	return ": " + problem
}

func failingOf(a state.AppReport) string {
	if len(a.Failing) == 0 {
		return ""
	}
	f := a.Failing[0]
	out := fmt.Sprintf(": %s: %s", f.Object, f.Reason)
	if n := len(a.Failing) - 1; n > 0 {
		out += fmt.Sprintf(" (and %d more)", n)
	}
	return out
}

// clock prints a moment for people and logs, in UTC to the second, so that the
// same situation gives the same text.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
