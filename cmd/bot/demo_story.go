package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/reconcile"
	"towpath.dev/towpath/internal/state"
)

// stepTimeout bounds each wait of the story on a slow machine.
const stepTimeout = 2 * time.Minute

// story tells the line from end to end. It only pushes images, approves, and
// edits prod by hand: everything else is done by the bot and the agents.
func (w *world) story(ctx context.Context, tell *teller, keep bool) error {
	sum := &summary{}
	for _, chapter := range []func(context.Context, *teller, *summary) error{
		w.chapterStart, w.chapterDev, w.chapterStaging,
		func(ctx context.Context, t *teller, s *summary) error { return w.chapterProd(ctx, t, s, keep) },
		w.chapterDrift, w.chapterBroken,
	} {
		if err := chapter(ctx, tell, sum); err != nil {
			return err
		}
	}
	tell.say("summary:")
	tell.show(sum.String())
	return nil
}

// summary collects what the story measured.
type summary struct{ lines []string }

func (s *summary) add(what string, d time.Duration) {
	s.lines = append(s.lines, fmt.Sprintf("%-58s %8.2f s", what, d.Seconds()))
}

func (s *summary) String() string { return strings.Join(s.lines, "\n") }

func (w *world) chapterStart(ctx context.Context, tell *teller, sum *summary) error {
	begin := now()
	_, err := w.wait(ctx, "all clusters run 1.0.0", func(v statusView) bool {
		for _, env := range demoEnvs {
			for _, app := range []string{"web", "api"} {
				if !runs(v, env, app, "1.0.0") {
					return false
				}
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	tell.say("all three clusters run version 1.0.0 and are healthy")
	sum.add("empty clusters to 1.0.0 healthy, both apps, all three", now().Sub(begin))
	return nil
}

func (w *world) chapterDev(ctx context.Context, tell *teller, sum *summary) error {
	begin := now()
	if _, err := w.registry.Push("shop/web", "1.1.0"); err != nil {
		return err
	}
	tell.say("shop/web:1.1.0 is pushed to the registry")
	if _, err := w.wait(ctx, "dev holds 1.1.0 in Git", func(v statusView) bool { return find(v, "dev", "web").Version == "1.1.0" }); err != nil {
		return err
	}
	tell.say("dev: the bot saw it, chose it by policy web (1.x) and committed it to envs/dev")
	if _, err := w.wait(ctx, "dev runs 1.1.0", func(v statusView) bool { return runs(v, "dev", "web", "1.1.0") }); err != nil {
		return err
	}
	tell.say("dev: the agent applied it, and it is healthy")
	sum.add("image pushed to healthy in dev", now().Sub(begin))
	return nil
}

func (w *world) chapterStaging(ctx context.Context, tell *teller, sum *summary) error {
	begin := now()
	v, err := w.wait(ctx, "a pull request for staging", func(v statusView) bool { return find(v, "staging", "web").Pull != nil })
	if err != nil {
		return err
	}
	a := find(v, "staging", "web")
	tell.say("staging: pull request #%d is open: %s", a.Pull.Number, a.Pull.Title)
	for _, x := range a.Waiting {
		tell.say("staging: it waits for %s", x)
	}
	if _, err := w.wait(ctx, "staging holds 1.1.0 in Git", func(v statusView) bool { return find(v, "staging", "web").Version == "1.1.0" }); err != nil {
		return err
	}
	tell.say("staging: it soaked long enough, every gate passed, the pull request was merged by itself")
	if _, err := w.wait(ctx, "staging runs 1.1.0", func(v statusView) bool { return runs(v, "staging", "web", "1.1.0") }); err != nil {
		return err
	}
	tell.say("staging: healthy")
	sum.add("healthy in dev to healthy in staging (soak of 5 s included)", now().Sub(begin))
	return nil
}

func (w *world) chapterProd(ctx context.Context, tell *teller, sum *summary, keep bool) error {
	v, err := w.wait(ctx, "a pull request for prod that waits for a person", func(v statusView) bool {
		return waitsOnly(find(v, "prod", "web"), "approvals")
	})
	if err != nil {
		return err
	}
	number := find(v, "prod", "web").Pull.Number
	pull, err := w.forge.Get(ctx, number)
	if err != nil {
		return err
	}
	tell.say("prod: pull request #%d is open and waits for a person; its text:", number)
	tell.show("# " + pull.Title + "\n\n" + pr.WithoutBlock(pull.Body))
	var status bytes.Buffer
	printStatus(&status, v, false)
	tell.say("towpath status:")
	tell.show(status.String())
	begin := now()
	if keep {
		tell.say("prod: waiting for you; in another terminal type:")
		tell.show(w.approveWords())
	} else if err := w.approve(ctx, tell, pull); err != nil {
		return err
	}
	limit := stepTimeout
	if keep {
		limit = 24 * time.Hour
	}
	if _, err := w.waitFor(ctx, limit, "prod holds 1.1.0 in Git", func(v statusView) bool { return find(v, "prod", "web").Version == "1.1.0" }); err != nil {
		return err
	}
	tell.say("prod: merged")
	if _, err := w.wait(ctx, "prod runs 1.1.0", func(v statusView) bool { return runs(v, "prod", "web", "1.1.0") }); err != nil {
		return err
	}
	tell.say("prod: healthy; version 1.1.0 has travelled from the registry to production")
	if !keep {
		sum.add("approved to healthy in prod", now().Sub(begin))
	}
	return nil
}

func (w *world) chapterDrift(ctx context.Context, tell *teller, sum *summary) error {
	flags := w.clusters["prod"]
	client, err := flags.openCluster()
	if err != nil {
		return err
	}
	defer client.Close()
	kind, err := client.Resolve(ctx, "apps", "v1", "Deployment")
	if err != nil {
		return err
	}
	for len(w.events) > 0 {
		<-w.events
	}
	tell.say("prod: somebody edits the cluster by hand: kubectl -n web patch deployment web, replicas 3 to 9")
	begin := now()
	target := kube.Target{Kind: kind, Namespace: "web", Name: "web"}
	if err := client.Patch(ctx, target, []byte(`{"spec":{"replicas":9}}`), "kubectl-patch"); err != nil {
		return err
	}
	var seen time.Duration
	timeout := time.After(stepTimeout)
	for {
		select {
		case e := <-w.events:
			switch {
			case e.env != "prod" || e.ID.Name != "web" || e.ID.Kind != "Deployment":
			case e.Type == reconcile.EventDrift:
				seen = e.At.Sub(begin)
			case e.Type == reconcile.EventHealed:
				healed := e.At.Sub(begin)
				tell.say("prod: the agent saw it after %d ms and put it back after %d ms", seen.Milliseconds(), healed.Milliseconds())
				sum.add("edit by hand to healed", healed)
				return nil
			}
		case <-timeout:
			return errors.New("the edit by hand was not healed")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *world) chapterBroken(ctx context.Context, tell *teller, sum *summary) error {
	begin := now()
	if _, err := w.registry.Push("shop/web", "1.2.0"); err != nil {
		return err
	}
	tell.say("shop/web:1.2.0 is pushed; its pods will never become ready")
	v, err := w.wait(ctx, "dev reports 1.2.0 as failing", func(v statusView) bool {
		a := find(v, "dev", "web")
		return runs(v, "dev", "web", "1.2.0") || a.Version == "1.2.0" && saysWhy(a)
	})
	if err != nil {
		return err
	}
	if runs(v, "dev", "web", "1.2.0") {
		if w.planes != nil {
			return errors.New("dev runs 1.2.0 in health, which was to fail")
		}
		tell.say("the nodes of the borrowed clusters make every pod ready: 1.2.0 is healthy in dev and travels on, so this is the end")
		return nil
	}
	tell.say("dev: the agent applied it and reports that it is not healthy")
	sit, err := w.viewer.Look(ctx)
	if err != nil {
		return err
	}
	v = describeStatus(sit)
	for _, env := range []string{"staging", "prod"} {
		if a := find(v, env, "web"); a.Version != "1.1.0" || a.Pull != nil {
			return fmt.Errorf("%s should have stayed at 1.1.0 without a pull request, but holds %s", env, a.Version)
		}
	}
	tell.say("staging and prod stay at 1.1.0, and no pull request is opened; towpath why web says why:")
	var why bytes.Buffer
	printWhy(&why, explain(sit, "web"), sit.Now)
	tell.show(why.String())
	sum.add("broken image pushed to reported as failing in dev", now().Sub(begin))
	return nil
}

// saysWhy reports whether the cluster names a container that keeps the app from
// being healthy; before that, a rollout is only on its way.
func saysWhy(a appStatus) bool {
	for _, c := range a.Clusters {
		for _, f := range c.Failing {
			if c.Current && strings.Contains(f.Reason, "container ") {
				return true
			}
		}
	}
	return false
}

// wait looks until ok, or says what did not happen in time.
func (w *world) wait(ctx context.Context, what string, ok func(statusView) bool) (statusView, error) {
	return w.waitFor(ctx, stepTimeout, what, ok)
}

func (w *world) waitFor(ctx context.Context, limit time.Duration, what string, ok func(statusView) bool) (statusView, error) {
	deadline := now().Add(limit)
	for {
		sit, err := w.viewer.Look(ctx)
		if err == nil {
			if v := describeStatus(sit); ok(v) {
				return v, nil
			}
		}
		if w.planes != nil && w.planes.Err() != nil {
			return statusView{}, w.planes.Err()
		}
		if now().After(deadline) {
			return statusView{}, fmt.Errorf("waited %s in vain until %s", limit, what)
		}
		if !sleep(ctx, demoLook) {
			return statusView{}, ctx.Err()
		}
	}
}

// demoLook is the pause between two looks of the story.
const demoLook = 200 * time.Millisecond

func find(v statusView, env, app string) appStatus {
	for _, e := range v.Environments {
		for _, a := range e.Apps {
			if e.Name == env && a.Name == app {
				return a
			}
		}
	}
	return appStatus{}
}

// runs reports whether every cluster of env runs the version that Git holds, in
// health.
func runs(v statusView, env, app, version string) bool {
	a := find(v, env, app)
	return a.Version == version && a.Health == string(state.Healthy)
}

// waitsOnly reports whether gate is all that an open pull request waits for.
func waitsOnly(a appStatus, gate string) bool {
	if a.Pull == nil {
		return false
	}
	missing := promote.Verdict{Gates: a.Pull.Gates}.Missing()
	return len(missing) == 1 && missing[0].Gate == gate
}
