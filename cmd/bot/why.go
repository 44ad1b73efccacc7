package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/scan"
)

// whyView is the JSON of `why`.
type whyView struct {
	Subject  string      `json:"subject"`
	Branch   string      `json:"branch"`
	Commit   string      `json:"commit"`
	Choices  []choice    `json:"choices"`
	Steps    []whyStep   `json:"steps"`
	Lists    []whyListed `json:"listings"`
	NotUsed  []string    `json:"notUsed,omitempty"` // policies of the subject's that cannot be used, and why
	Problems []finding   `json:"problems"`          // errors of the repository, and warnings about the subject

	failed, images int // images that could not be looked at, and all that were to be
}

// whyStep is one app in one environment and what keeps it as it is.
type whyStep struct {
	Environment string      `json:"environment"`
	App         string      `json:"app"`
	Version     string      `json:"version"`
	Health      string      `json:"health"`
	Since       time.Time   `json:"since,omitzero"`
	Failing     []string    `json:"failing,omitempty"`
	Pull        *pullStatus `json:"pull,omitempty"`
	Waiting     []string    `json:"waiting,omitempty"`
	Next        time.Time   `json:"next,omitzero"`
}

type whyListed struct {
	Image string    `json:"image"`
	Tags  int       `json:"tags"`
	At    time.Time `json:"at,omitzero"`
	Error string    `json:"error,omitempty"`
}

func whyCommand(s std) *cobra.Command {
	var c connection
	var r registryFlags
	var o output
	var unauthenticated bool
	cmd := command("why IMAGE|APP[@ENV]", "each tag or gate with its reason",
		"For an image: every tag and the rule that dropped it. For an app: what each environment holds,\nwhat keeps the next version out, and when it is looked at next. Registries are asked now,\nwhatever schedules say; nothing is written. The base branch of the repository's origin is\nread, not the folder you stand in.",
		"  towpath why web\n  towpath why web@prod\n  towpath why registry.example/shop/web", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			sit, err := c.readSituation(cmd.Context(), s.err, &r, unauthenticated)
			if err != nil {
				return err
			}
			v := explain(sit, args[0])
			c.sayElsewhere(s.err, sit)
			if len(v.Choices)+len(v.Steps)+len(v.NotUsed) == 0 {
				return unexplained(s, sit, args[0])
			}
			if err := o.print(s.out, v, func(w io.Writer) { printWhy(w, v, sit.Now) }); err != nil {
				return err
			}
			return unseen(v.failed, v.images)
		})
	c.flags(cmd)
	c.forge.flags(cmd)
	r.flags(cmd)
	o.flag(cmd)
	cmd.Flags().BoolVar(&unauthenticated, "allow-unauthenticated-approvals", false, "judge as a bot with this flag would")
	return cmd
}

func explain(s promote.Situation, subject string) whyView {
	v := whyView{Subject: subject, Branch: s.Branch, Commit: s.Commit, Choices: []choice{}, Steps: []whyStep{}, Lists: []whyListed{}}
	name, env := appOf(s, subject)
	named := policiesOf(s, subject)
	used := map[string]bool{}
	for _, e := range describeStatus(s).Environments {
		for _, a := range e.Apps {
			if a.Name != name || env != "" && e.Name != env {
				continue
			}
			for p := range a.Values {
				used[p] = true
			}
			v.Steps = append(v.Steps, step(e, a))
		}
	}
	var about []scan.Result
	for i, c := range choices(s) {
		if named[c.Policy] || used[c.Policy] && c.App == name {
			v.Choices, about = append(v.Choices, c), append(about, s.Choices[i])
			v.Lists = append(v.Lists, listed(s, c.Policy)...)
		}
	}
	v.failed, v.images = images(s, about)
	v.NotUsed = notUsed(s, subject, used)
	maps.Copy(used, named)
	v.Problems = findings(concerning(s, name, used))
	return v
}

// appOf reads a subject as an app and, when it says so, its environment.
func appOf(s promote.Situation, subject string) (name, env string) {
	name, env, _ = strings.Cut(subject, "@")
	if e, a, ok := strings.Cut(subject, "/"); ok && env == "" && s.Envs[e].Env.Name == e && e != "" {
		return a, e // prod/web, as in `approve`
	}
	return name, env
}

// notUsed says of the subject, when it is a policy, and of the policies that its
// markers name why they cannot be used.
func notUsed(s promote.Situation, subject string, used map[string]bool) []string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(used)) {
		if slices.ContainsFunc(s.Policies, func(have policy.Policy) bool { return have.Name == p }) {
			continue
		}
		reason := "no policy of this name can be read"
		if place := promote.BrokenPolicy(s.Problems, p); place != "" {
			reason = "it has an error (" + place + ")"
		}
		out = append(out, fmt.Sprintf("policy %s is not used: %s", p, reason))
	}
	if place := promote.BrokenPolicy(s.Problems, subject); place != "" && !used[subject] {
		out = append(out, fmt.Sprintf("policy %s is not used: it has an error (%s)", subject, place))
	}
	return out
}

// concerning picks every error, and the warnings about the app or the policies.
func concerning(s promote.Situation, app string, policies map[string]bool) []policy.Problem {
	var out []policy.Problem
	for _, p := range s.Problems {
		if !p.Warning || policies[strings.TrimPrefix(p.Object, "ImagePolicy/")] {
			out = append(out, p)
			continue
		}
		for _, e := range s.Envs {
			if a, ok := e.App(app); ok && strings.HasPrefix(p.Path, a.Dir+"/") {
				out = append(out, p)
				break
			}
		}
	}
	return out
}

// unexplained is the error for a subject of which nothing is to be said: it is
// used nowhere, or not there, or hidden by errors, which are printed then.
func unexplained(s std, sit promote.Situation, subject string) error {
	broken := slices.DeleteFunc(slices.Clone(sit.Problems), func(p policy.Problem) bool {
		return p.Warning || p.Path != promote.PolicyDir && !strings.HasPrefix(p.Path, promote.PolicyDir+"/")
	})
	if len(broken) > 0 {
		printFindings(s.err, findings(broken))
		return fmt.Errorf("%s is no app, image or policy in use as far as policies/ can be read; correct the errors above first", subject)
	}
	if len(policiesOf(sit, subject)) > 0 {
		return fmt.Errorf("%s is chosen nowhere: an app of an environment with update needs a marker of its policy, and that environment must name the policy", subject)
	}
	envs, apps := map[string]bool{}, map[string]bool{}
	name, env := appOf(sit, subject)
	for _, e := range sit.Envs {
		envs[e.Env.Name] = true
		for _, a := range e.Apps {
			if env == "" || env == e.Env.Name {
				apps[a.Name] = true
			}
		}
	}
	switch {
	case env != "" && !envs[env]:
		return usagef("there is no environment %s; there are: %s", env, names(envs))
	case env != "":
		return usagef("%s has no app %s; it has: %s", env, name, names(apps))
	}
	policies := map[string]bool{}
	for _, p := range sit.Policies {
		policies[p.Name] = true
	}
	return usagef("%s is no app, image or policy of this repository; apps: %s; policies: %s", subject, names(apps), names(policies))
}

// maxNames bounds what a message lists.
const maxNames = 10

func names(set map[string]bool) string {
	all := slices.Sorted(maps.Keys(set))
	if len(all) > maxNames {
		return fmt.Sprintf("%s and %d more (towpath status)", strings.Join(all[:maxNames], ", "), len(all)-maxNames)
	}
	return dash(strings.Join(all, ", "))
}

// policiesOf returns the policies that subject names, itself or by its image.
func policiesOf(s promote.Situation, subject string) map[string]bool {
	out := map[string]bool{}
	repo, err := image.ParseRepo(subject)
	for _, p := range s.Policies {
		if p.Name == subject || err == nil && p.Image.Canonical() == repo.Canonical() {
			out[p.Name] = true
		}
	}
	return out
}

func listed(s promote.Situation, name string) []whyListed {
	for _, p := range s.Policies {
		if l, ok := s.Listings[p.Image.Canonical()]; ok && p.Name == name {
			v := whyListed{Image: p.Image.String(), Tags: len(l.Tags), At: l.At}
			if l.Err != nil {
				v.Error = l.Err.Error()
			}
			return []whyListed{v}
		}
	}
	return nil
}

func step(e envStatus, a appStatus) whyStep {
	w := whyStep{Environment: e.Name, App: a.Name, Version: a.Version, Health: a.Health, Since: a.Since, Pull: a.Pull, Waiting: a.Waiting, Next: a.Next}
	for _, c := range a.Clusters {
		if c.Problem != "" {
			w.Failing = append(w.Failing, fmt.Sprintf("cluster %s: %s", c.Name, c.Problem))
		}
		for _, f := range c.Failing {
			w.Failing = append(w.Failing, fmt.Sprintf("cluster %s: %s: %s", c.Name, f.Object, f.Reason))
		}
	}
	return w
}

func printWhy(w io.Writer, v whyView, now time.Time) {
	for _, st := range v.Steps {
		fmt.Fprintf(w, "%s/%s holds %s, %s", st.Environment, st.App, dash(st.Version), strings.ToLower(st.Health))
		if !st.Since.IsZero() {
			fmt.Fprintf(w, " for %s", ago(st.Since, now))
		}
		fmt.Fprintln(w)
		for _, f := range st.Failing {
			fmt.Fprintf(w, "    failing: %s\n", f)
		}
		if st.Pull != nil {
			fmt.Fprintf(w, "    pull request #%d %s: %s\n", st.Pull.Number, st.Pull.Title, st.Pull.Act)
			for _, g := range st.Pull.Gates {
				fmt.Fprintf(w, "    gate %s %s: %s\n", g.Gate, g.State, g.Reason)
			}
		} else {
			for _, x := range st.Waiting {
				fmt.Fprintf(w, "    waits: %s\n", x)
			}
		}
		if !st.Next.IsZero() {
			fmt.Fprintf(w, "    looked at next: %s\n", st.Next.UTC().Format(time.RFC3339))
		}
	}
	for _, c := range v.Choices {
		fmt.Fprintf(w, "%s/%s policy %s: %s: %s\n", c.Environment, c.App, c.Policy, dash(c.Selected), c.Reason)
		printChoice(w, c, true)
	}
	for _, n := range v.NotUsed {
		fmt.Fprintln(w, n)
	}
	printListed(w, v.Lists, now)
	fmt.Fprintf(w, "read from %s\n", baseOf(v.Branch, v.Commit))
	printFindings(w, v.Problems)
}

// printListed says once per image what its registry listed. Why one could not be
// asked is in the choice.
func printListed(w io.Writer, lists []whyListed, now time.Time) {
	said := map[string]bool{}
	for _, l := range lists {
		switch {
		case said[l.Image]:
		case l.Error != "" && l.At.IsZero():
			fmt.Fprintf(w, "%s could not be listed\n", l.Image)
		case l.Error != "":
			fmt.Fprintf(w, "%s could not be listed now; %d tags are known from %s ago\n", l.Image, l.Tags, ago(l.At, now))
		default:
			fmt.Fprintf(w, "%s listed %d tags %s ago\n", l.Image, l.Tags, ago(l.At, now))
		}
		said[l.Image] = true
	}
}
