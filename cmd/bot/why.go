package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/promote"
)

// whyView is the JSON of `why`.
type whyView struct {
	Subject string      `json:"subject"`
	Choices []choice    `json:"choices"`
	Steps   []whyStep   `json:"steps"`
	Lists   []whyListed `json:"listings"`
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
		"For an image: every tag and the rule that dropped it. For an app: what each environment holds,\nwhat keeps the next version out, and when it is looked at next. Registries are asked now,\nwhatever schedules say; nothing is written.",
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
			if len(v.Choices)+len(v.Steps) == 0 {
				if len(policiesOf(sit, args[0])) > 0 {
					return fmt.Errorf("%s is chosen nowhere: an app of an environment with update needs a marker of its policy, and that environment must name the policy", args[0])
				}
				return usagef("%s is no app, image or policy of this repository; towpath status lists them", args[0])
			}
			return o.print(s.out, v, func(w io.Writer) { printWhy(w, v, sit.Now) })
		})
	c.flags(cmd)
	c.forgeFlag(cmd)
	r.flags(cmd)
	o.flag(cmd)
	cmd.Flags().BoolVar(&unauthenticated, "allow-unauthenticated-approvals", false, "judge as a bot with this flag would")
	return cmd
}

func explain(s promote.Situation, subject string) whyView {
	v := whyView{Subject: subject, Choices: []choice{}, Steps: []whyStep{}, Lists: []whyListed{}}
	name, env, _ := strings.Cut(subject, "@")
	if e, a, ok := strings.Cut(subject, "/"); ok && env == "" && s.Envs[e].Env.Name == e && e != "" {
		name, env = a, e // prod/web, as in `approve`
	}
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
	for _, c := range choices(s) {
		if named[c.Policy] || used[c.Policy] && c.App == name {
			v.Choices = append(v.Choices, c)
			v.Lists = append(v.Lists, listed(s, c.Policy)...)
		}
	}
	return v
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
	for _, l := range v.Lists {
		fmt.Fprintf(w, "%s listed %d tags", l.Image, l.Tags)
		if !l.At.IsZero() {
			fmt.Fprintf(w, " %s ago", ago(l.At, now))
		}
		if l.Error != "" {
			fmt.Fprintf(w, ", now failing: %s", l.Error)
		}
		fmt.Fprintln(w)
	}
}
