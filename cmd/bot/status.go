package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
)

// statusView is the JSON of `status`.
type statusView struct {
	Branch       string      `json:"branch"`
	Commit       string      `json:"commit"`
	At           time.Time   `json:"at"`
	Environments []envStatus `json:"environments"`
	// Scans are the images that the bot could not look at, as it recorded.
	Scans    []state.ScanProblem `json:"scans"`
	Problems []finding           `json:"problems"`
}

type envStatus struct {
	Name    string      `json:"name"`
	Path    string      `json:"path"`
	From    []string    `json:"from,omitempty"`
	Problem string      `json:"problem,omitempty"`
	Apps    []appStatus `json:"apps"`
}

type appStatus struct {
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	Values   map[string]string `json:"values"`
	Content  string            `json:"content"`
	Health   string            `json:"health"` // of the least healthy cluster, for exactly this content
	Since    time.Time         `json:"since,omitzero"`
	Clusters []clusterStatus   `json:"clusters"`
	Pull     *pullStatus       `json:"pull,omitempty"`    // the open pull request
	Waiting  []string          `json:"waiting,omitempty"` // why the next version is not here yet
	Next     time.Time         `json:"next,omitzero"`     // when time alone may change that
}

type clusterStatus struct {
	Name    string          `json:"name"`
	Commit  string          `json:"commit"`
	Phase   string          `json:"phase"`
	Since   time.Time       `json:"since,omitzero"`
	At      time.Time       `json:"at"`
	Current bool            `json:"current"` // runs exactly the content that Git holds
	Problem string          `json:"problem,omitempty"`
	Failing []state.Failing `json:"failing,omitempty"`
}

type pullStatus struct {
	Number int                  `json:"number"`
	Title  string               `json:"title"`
	Head   string               `json:"head"`
	Act    promote.Act          `json:"act"`
	Gates  []promote.GateResult `json:"gates"`
}

func statusCommand(s std) *cobra.Command {
	var c connection
	var o output
	var watch, unauthenticated bool
	cmd := command("status", "environments and apps: version, health, what is waiting",
		"Shows what every environment holds in Git, what its clusters report, what the next version\nwaits for, and which registries the bot could not read. Asks no registry.",
		"  towpath status\n  towpath status -o json\n  towpath status --watch", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			for {
				sit, err := c.readSituation(cmd.Context(), s.err, nil, unauthenticated)
				if err != nil {
					return err
				}
				v := describeStatus(sit)
				if err := o.print(s.out, v, func(w io.Writer) { printStatus(w, v, o.wide()) }); err != nil {
					return err
				}
				if !watch || !sleep(cmd.Context(), watchEvery) {
					return nil
				}
				fmt.Fprintln(s.out)
			}
		})
	c.flags(cmd)
	c.forge.flags(cmd)
	o.flag(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "print again every two seconds")
	cmd.Flags().BoolVar(&unauthenticated, "allow-unauthenticated-approvals", false, "judge as a bot with this flag would")
	return cmd
}

const watchEvery = 2 * time.Second

// sleep waits and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func describeStatus(s promote.Situation) statusView {
	v := statusView{Branch: s.Branch, Commit: s.Commit, At: s.Now, Environments: []envStatus{}, Scans: []state.ScanProblem{}, Problems: findings(s.Problems)}
	v.Scans = append(v.Scans, s.Scans...)
	plan := promote.Decide(s)
	for _, pl := range s.Pipelines {
		for _, env := range pl.Environments {
			st := s.Envs[env.Name]
			e := envStatus{Name: env.Name, Path: env.Path, From: env.From, Problem: st.Problem, Apps: []appStatus{}}
			for _, a := range st.Apps {
				e.Apps = append(e.Apps, describeApp(s, plan, a))
			}
			v.Environments = append(v.Environments, e)
		}
	}
	return v
}

func describeApp(s promote.Situation, plan promote.Plan, a promote.AppState) appStatus {
	v := appStatus{Name: a.Name, Version: promote.Versions(a.Values), Values: map[string]string{}, Content: a.Content, Clusters: []clusterStatus{}}
	for name, ref := range a.Values {
		v.Values[name] = strings.TrimPrefix(ref.String(), ":")
	}
	describeHealth(&v, s, a)
	for _, m := range plan.Waiting {
		if m.Env.Name == a.Env && m.App == a.Name {
			v.Waiting, v.Next = append(v.Waiting, m.Hold...), m.Next
		}
	}
	for _, j := range plan.Judged {
		if j.Block.Env == a.Env && j.Block.App == a.Name {
			v.Pull = &pullStatus{j.Pull.Number, j.Pull.Title, j.Pull.Head, j.Verdict.Act, j.Verdict.Gates}
			v.Waiting, v.Next = append(v.Waiting, reasons(j.Verdict)...), j.Verdict.Next
		}
	}
	for _, p := range plan.Propose {
		if p.Env.Name == a.Env && p.App == a.Name {
			v.Waiting = append(v.Waiting, "the bot has not proposed "+promote.Versions(p.Values)+" yet; is it running?")
		}
	}
	return v
}

func describeHealth(v *appStatus, s promote.Situation, a promote.AppState) {
	v.Health = string(state.Unknown)
	for _, r := range s.Reports {
		if r.Env != a.Env {
			continue
		}
		c := clusterStatus{Name: r.Cluster, Commit: r.Commit, At: r.At, Phase: string(state.Unknown), Problem: r.Problem}
		for _, ar := range r.Apps {
			if ar.App == a.Name {
				c.Phase, c.Since, c.Failing = string(ar.Phase), ar.Since, ar.Failing
				c.Current = ar.Content == a.Content
			}
		}
		if s.Now.Sub(r.At) > s.Config.Silence {
			c.Phase, c.Problem = string(state.Unknown), "silent since "+r.At.UTC().Format(time.RFC3339)
		}
		v.Clusters = append(v.Clusters, c)
	}
	slices.SortFunc(v.Clusters, func(a, b clusterStatus) int { return cmp.Compare(a.Name, b.Name) })
	for i, c := range v.Clusters {
		phase, since := c.Phase, c.Since
		if !c.Current && phase != string(state.Unknown) {
			phase, since = string(state.Pending), time.Time{}
		}
		if i == 0 || worse(phase, v.Health) {
			v.Health, v.Since = phase, since
		}
	}
}

// worse reports whether phase a is worse news than b.
func worse(a, b string) bool {
	order := []string{string(state.Healthy), string(state.Progressing), string(state.Pending), string(state.Unknown), string(state.Degraded)}
	return slices.Index(order, a) > slices.Index(order, b)
}

func printStatus(w io.Writer, v statusView, wide bool) {
	head := []string{"ENVIRONMENT", "APP", "VERSION", "HEALTH", "SINCE", "PULL", "WAITING FOR"}
	if wide {
		head = []string{"ENVIRONMENT", "APP", "VERSION", "HEALTH", "SINCE", "CLUSTERS", "CONTENT", "PULL", "WAITING FOR"}
	}
	rows := [][]string{head}
	for _, e := range v.Environments {
		if e.Problem != "" {
			rows = append(rows, []string{e.Name, "-", "-", "-", "-", "-", e.Problem})
		}
		if e.Problem == "" && len(e.Apps) == 0 {
			rows = append(rows, []string{e.Name, "-", "-", "-", "-", "-", "no apps in " + e.Path})
		}
		for _, a := range e.Apps {
			row := []string{e.Name, a.Name, dash(a.Version), a.Health, ago(a.Since, v.At)}
			if wide {
				row = append(row, fmt.Sprint(len(a.Clusters)), fmt.Sprintf("%.19s", a.Content))
			}
			rows = append(rows, append(row, pullCell(a.Pull), dash(strings.Join(a.Waiting, "; "))))
		}
	}
	table(w, rows)
	var below bytes.Buffer
	printSilent(&below, v)
	printClusterProblems(&below, v)
	printScans(&below, v.Scans)
	printProblemsOf(&below, v.Problems, wide)
	if below.Len() > 0 {
		fmt.Fprintf(w, "\n%s", below.String())
	}
}

// maxShown is how many problems status prints before it counts the others.
const maxShown = 10

// printProblemsOf prints the problems, or the first of many and their count.
func printProblemsOf(w io.Writer, problems []finding, all bool) {
	if all || len(problems) <= maxShown {
		printFindings(w, problems)
		return
	}
	problems = slices.Clone(problems)
	slices.SortStableFunc(problems, func(a, b finding) int { return cmp.Compare(weight(a), weight(b)) })
	printFindings(w, problems[:maxShown])
	errs := 0
	for _, f := range problems {
		errs += 1 - weight(f)
	}
	fmt.Fprintf(w, "%d of %d problems are shown, errors first (%d errors, %d warnings in all); -o wide shows each\n", maxShown, len(problems), errs, len(problems)-errs)
}

// weight orders errors before warnings.
func weight(f finding) int {
	if f.Warning {
		return 1
	}
	return 0
}

// printSilent names the environments from which nothing is known, for which every
// health is unknown.
func printSilent(w io.Writer, v statusView) {
	var silent []string
	for _, e := range v.Environments {
		reported := slices.ContainsFunc(e.Apps, func(a appStatus) bool { return len(a.Clusters) > 0 })
		if len(e.Apps) > 0 && !reported {
			silent = append(silent, e.Name)
		}
	}
	if len(silent) > 0 {
		fmt.Fprintf(w, "no agent has reported from %s\n", strings.Join(silent, ", "))
	}
}

// printScans says which registry fails for which image, since when, and what is
// kept of it meanwhile.
func printScans(w io.Writer, scans []state.ScanProblem) {
	for _, p := range scans {
		fmt.Fprintf(w, "registry %s, image %s: %s; %s; since %s\n", p.Registry, p.Image, p.Problem, meaning(p), p.Since.UTC().Format(time.RFC3339))
	}
}

// meaning is what a problem keeps from happening.
func meaning(p state.ScanProblem) string {
	switch {
	case p.Kind == scan.KindUnresolved:
		return "the registry answers, and only what needs this tag waits"
	case p.Kind == scan.KindGone:
		return "the registry answers, and the other tags are chosen from"
	case p.Kind == scan.KindEmpty:
		return "the registry answers, and there is nothing to choose from"
	case p.KeptAt.IsZero():
		return "it never answered before"
	}
	return fmt.Sprintf("kept %d tags of %s, on which nothing is decided", p.Kept, p.KeptAt.UTC().Format(time.RFC3339))
}

// printClusterProblems says, once per cluster, what keeps an agent from its work.
func printClusterProblems(w io.Writer, v statusView) {
	for _, e := range v.Environments {
		said := map[string]bool{}
		for _, a := range e.Apps {
			for _, c := range a.Clusters {
				if c.Problem != "" && !said[c.Name] {
					said[c.Name] = true
					fmt.Fprintf(w, "cluster %s of %s: %s\n", c.Name, e.Name, c.Problem)
				}
			}
		}
	}
}

func pullCell(p *pullStatus) string {
	if p == nil {
		return "-"
	}
	return fmt.Sprintf("#%d %s", p.Number, p.Act)
}
