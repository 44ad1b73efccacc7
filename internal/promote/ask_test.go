package promote_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
)

// onlyOnce is due for what was never asked.
func onlyOnce(_ string, last, _ time.Time) bool { return last.IsZero() }

// botWith is the line's bot with a scanner and a repository of the test's own.
func (l *line) botWith(git promote.Git, s promote.Scanner) *promote.Bot {
	return promote.New(promote.Config{Git: git, Forge: l.forge, Author: l.git.Author(), Now: l.clock, Scanner: s,
		States: func(ctx context.Context) (state.State, error) { return state.Load(ctx, l.git) }, AllowUnauthenticated: true})
}

func (l *line) state() state.State {
	l.t.Helper()
	if err := l.git.Fetch(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	s, err := state.Load(l.t.Context(), l.git)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

func TestATickInWhichNothingIsDueAsksNoRegistryAndWritesNothing(t *testing.T) {
	l := newLine(t, aged)
	l.bot = l.botWith(l.git, l.scanner(onlyOnce))
	l.settle()
	l.tick()
	l.reg.Reset()
	before := l.git.Counts()
	l.forge.calls = nil
	for range 3 {
		l.now = l.now.Add(time.Minute)
		l.tick()
	}
	if n := l.reg.Count("", ""); n != 0 {
		t.Errorf("%d requests: %+v", n, l.reg.Requests())
	}
	after := l.git.Counts()
	if after.ObjectsWritten != before.ObjectsWritten || after.Pushes != before.Pushes {
		t.Errorf("%d objects, %d pushes", after.ObjectsWritten-before.ObjectsWritten, after.Pushes-before.Pushes)
	}
	if got := strings.Join(l.forge.calls, " "); got != "List List List" {
		t.Errorf("forge calls %s", got)
	}
}

func TestAHundredPoliciesOnTenImagesAreTenListings(t *testing.T) {
	const images, each = 10, 10
	l := newLine(t, nil)
	var policies, app strings.Builder
	for i := range images {
		if err := l.reg.PushAll(fmt.Sprintf("many/i%d", i), "1.0.0"); err != nil {
			t.Fatal(err)
		}
		for j := range each {
			fmt.Fprintf(&policies, "---\napiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: p%d-%d}\nspec: {image: %s/many/i%d, select: {semver: {range: 1.x}}}\n", i, j, l.reg.Host(), i)
			fmt.Fprintf(&app, "i%d-%d: %s/many/i%d:1.0.0 # towpath: p%d-%d\n", i, j, l.reg.Host(), i, i, j)
		}
	}
	l.commit("many\n", map[string][]byte{"policies/many.yaml": []byte(policies.String()[4:]), "envs/dev/many/x.yaml": []byte(app.String())})
	l.reg.Reset()
	if out := l.tick(); out.Changed() || len(out.Situation.Choices) != images*each+2 {
		t.Fatalf("%d choices, pushed %q, problems %v", len(out.Situation.Choices), out.Pushed, out.Situation.Problems)
	}
	lists := 0
	for i := range images {
		n := l.reg.Listings(fmt.Sprintf("many/i%d", i))
		if lists += n; n != 1 {
			t.Errorf("image %d: %d listings", i, n)
		}
	}
	if n := l.reg.Count(http.MethodHead, ""); n != 0 {
		t.Errorf("nothing is new, but %d digests were asked for", n)
	}
	for i := range images {
		if err := l.reg.PushAll(fmt.Sprintf("many/i%d", i), "1.1.0"); err != nil {
			t.Fatal(err)
		}
	}
	l.reg.Reset()
	if out := l.tick(); out.Pushed == "" {
		t.Fatal("nothing was pushed")
	}
	for i := range images {
		if n := l.reg.Listings(fmt.Sprintf("many/i%d", i)); n != 1 {
			t.Errorf("image %d: %d listings", i, n)
		}
		if n := l.reg.Count(http.MethodHead, fmt.Sprintf("/v2/many/i%d/manifests/1.1.0", i)); n != 2 {
			t.Errorf("image %d: %d questions for the new tag, want one to choose it and one just before it is written", i, n)
		}
	}
}

func TestADigestWaitsForItsAgeAlsoWithAnotherBot(t *testing.T) {
	l := newLine(t, func(path string, data []byte) []byte {
		if path == "policies/web.yaml" {
			return append(data, "  minAge: 1h\n"...)
		}
		return data
	})
	l.settle()
	l.push("1.1.0")
	out := l.tick()
	if out.Changed() {
		t.Fatalf("moved at once: %+v", out.Plan.Push)
	}
	seen := l.state().Seen
	if len(seen) != 1 {
		t.Fatalf("sights %+v", seen)
	}
	pushes := l.git.Counts().Pushes
	l.now = l.now.Add(59 * time.Minute)
	l.bot = l.newBot(l.git) // nothing but Git remembers the first sight
	out = l.tick()
	if out.Changed() || l.git.Counts().Pushes != pushes {
		t.Fatalf("moved before its time, or recorded again: %+v", out.Situation.Sights)
	}
	var next time.Time
	for _, c := range out.Situation.Choices {
		if c.App == "web" {
			next = c.Next
		}
	}
	if want := l.now.Add(time.Minute); !next.Equal(want) {
		t.Errorf("looked at next at %s, want %s", next, want)
	}
	l.now = l.now.Add(time.Minute)
	l.tick()
	if got := l.versions("web"); got != "1.1.0 1.0.0 1.0.0" {
		t.Errorf("old enough: %s", got)
	}
}

// noState refuses what goes to the state ref.
type noState struct{ *gitrepo.Repo }

var errNoState = errors.New("the server declines")

func (g noState) Push(ctx context.Context, updates ...gitrepo.Update) error {
	if updates[0].Ref == state.Ref {
		return errNoState
	}
	return g.Repo.Push(ctx, updates...)
}

func TestWithoutARecordNothingUnderAMinAgeMovesAndTheRestGoesOn(t *testing.T) {
	l := newLine(t, func(path string, data []byte) []byte {
		if path == "policies/web.yaml" {
			return append(data, "  minAge: 1m\n"...)
		}
		return data
	})
	l.settle()
	l.bot = l.botWith(noState{l.git}, l.scanner(nil))
	l.push("1.1.0")
	if err := l.reg.PushAll("shop/api", "1.0.1"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		out, err := l.bot.Tick(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Failures) != 1 || !strings.HasPrefix(out.Failures[0], "record what registries said: ") {
			t.Errorf("failures %q", out.Failures)
		}
		l.now = l.now.Add(time.Hour)
	}
	if web, api := l.versions("web"), l.versions("api"); !strings.HasPrefix(web, "1.0.0 ") || !strings.HasPrefix(api, "1.0.1 ") {
		t.Errorf("web %s, api %s", web, api)
	}
}

// doubter cannot prove references of one image.
type doubter struct {
	*scan.Scanner
	image  string
	proofs []string
}

func (d *doubter) Prove(ctx context.Context, ref image.Ref) error {
	d.proofs = append(d.proofs, ref.String())
	if strings.HasSuffix(ref.Repo.String(), d.image) {
		return errors.New("prove that " + ref.String() + " can be pulled: gone")
	}
	return d.Scanner.Prove(ctx, ref)
}

func TestWhatCannotBePulledJustBeforeItIsWrittenWaitsAndTheRestGoesOn(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	d := &doubter{Scanner: l.scanner(nil), image: "/shop/web"}
	l.bot = l.botWith(l.git, d)
	l.push("1.1.0")
	if err := l.reg.PushAll("shop/api", "1.0.1"); err != nil {
		t.Fatal(err)
	}
	out, err := l.bot.Tick(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(out.Failures, "; "), "dev/web waits: prove that "+l.reg.Host()+"/shop/web:1.1.0 can be pulled: gone"; got != want {
		t.Errorf("failures %q, want %q", got, want)
	}
	if web, api := l.versions("web"), l.versions("api"); web != "1.0.0 1.0.0 1.0.0" || !strings.HasPrefix(api, "1.0.1 ") {
		t.Errorf("web %s, api %s", web, api)
	}
	if len(d.proofs) != 2 {
		t.Errorf("proved %q, want each of the two once", d.proofs)
	}
	d.image, d.proofs = "nothing", nil
	l.tick()
	if got := l.versions("web"); !strings.HasPrefix(got, "1.1.0 ") {
		t.Errorf("once it can be pulled: %s", got)
	}
	d.proofs = nil
	l.settle() // on to staging: what dev runs needs no proof
	if got := l.versions("web"); got != "1.1.0 1.1.0 1.0.0" || len(d.proofs) != 0 {
		t.Errorf("versions %s, proved %q", got, d.proofs)
	}
}

func TestAProblemWithARegistryIsRecordedOnceAndTakenOutWhenItIsOver(t *testing.T) {
	l := newLine(t, aged)
	began := l.now
	l.tick()
	check := func(what string, n int) {
		t.Helper()
		scans := l.state().Scans
		if len(scans) != n {
			t.Fatalf("%s: recorded %+v", what, scans)
		}
		for _, s := range scans {
			if s.Image != "127.0.0.1:1/shop/api" || s.Registry != "127.0.0.1:1" || s.Problem == "" || !s.Since.Equal(began) {
				t.Errorf("%s: recorded %+v", what, s)
			}
		}
	}
	check("at first", 1)
	pushes := l.git.Counts().Pushes
	for range 3 {
		l.now = l.now.Add(time.Hour)
		l.tick()
	}
	l.bot = l.newBot(l.git) // it does not know since when, but Git does
	l.tick()
	check("hours later, with another bot", 1)
	if n := l.git.Counts().Pushes - pushes; n != 0 {
		t.Errorf("%d pushes for what was known", n)
	}
	sit, err := promote.New(promote.Config{Git: l.git, Forge: l.forge, Now: l.clock,
		States: func(ctx context.Context) (state.State, error) { return state.Load(ctx, l.git) }}).Look(t.Context())
	if err != nil || len(sit.Scans) != 1 {
		t.Errorf("who asks no registry sees %+v, %v", sit.Scans, err)
	}
	l.commit("back\n", map[string][]byte{"policies/api.yaml": []byte(strings.ReplaceAll(l.file(l.head(), "policies/api.yaml"), "127.0.0.1:1/", l.reg.Host()+"/"))})
	l.tick()
	check("when it is over", 0)
}

// TestTwoBotsThatDoNotSeeTheSameWriteNothingOnEachTick has one bot that cannot
// reach a registry, a second that cannot either, and one that can.
func TestTwoBotsThatDoNotSeeTheSameWriteNothingOnEachTick(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	began := l.now
	view := func(problems ...scan.Problem) *seeing {
		return &seeing{Scanner: l.scanner(nil), problems: problems}
	}
	down := func(kept int, since time.Duration, text string) scan.Problem {
		return scan.Problem{Image: l.reg.Image("shop/api"), Registry: l.reg.Host(), Kind: scan.KindUnavailable, Problem: text,
			Kept: kept, KeptAt: l.now.Add(since - time.Hour), Since: l.now.Add(since)}
	}
	views := []*seeing{view(down(3, -time.Minute, "it hangs")), view(down(4, -2*time.Minute, "it is refused")), view()}
	var bots []*promote.Bot
	for _, v := range views {
		bots = append(bots, l.botWith(l.git, v))
	}
	round := func(what string, recorded, most int) {
		t.Helper()
		before := l.git.Counts().Pushes
		for _, b := range bots {
			if _, err := b.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := l.git.Fetch(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		scans := l.state().Scans
		if n := l.git.Counts().Pushes - before; n > most || len(scans) != recorded {
			t.Errorf("%s: %d pushes, want at most %d; recorded %+v", what, n, most, scans)
		}
		for _, s := range scans {
			if s.Kept != 3 || s.Problem != "it hangs" || !s.Since.Equal(began.Add(-time.Minute)) {
				t.Errorf("%s: recorded %+v, want what the first bot recorded", what, s)
			}
		}
	}
	round("the first ticks", 0, 2) // a bot that starts takes what is recorded for its own, once
	round("the next ones", 1, 1)
	for range 3 {
		l.now = l.now.Add(time.Minute)
		round("a minute later", 1, 0)
	}
	for range 8 {
		l.now = l.now.Add(time.Hour)
		round("an hour later", 1, 1)
	}
	for _, v := range views {
		v.problems = nil
	}
	round("when it is over", 0, 1)
	round("and then", 0, 0)
}

// TestAProblemThatNobodySaysAnyMoreIsTakenOut has a bot that had it go for good.
func TestAProblemThatNobodySaysAnyMoreIsTakenOut(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	healthy := l.botWith(l.git, l.scanner(nil))
	tick := func(b *promote.Bot, want int) {
		t.Helper()
		if _, err := b.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		if scans := l.state().Scans; len(scans) != want {
			t.Errorf("at %s recorded %+v, want %d", l.now, scans, want)
		}
	}
	tick(healthy, 0)
	tick(l.botWith(l.git, &seeing{Scanner: l.scanner(nil), problems: []scan.Problem{{Image: l.reg.Image("shop/api"), Registry: l.reg.Host(), Kind: scan.KindRefused, Since: l.now}}}), 1)
	l.now = l.now.Add(6 * time.Hour)
	tick(healthy, 1)
	l.now = l.now.Add(time.Second)
	tick(healthy, 0)
}

// seeing is a scanner with problems of its own.
type seeing struct {
	*scan.Scanner
	problems []scan.Problem
}

func (s *seeing) Scan(ctx context.Context, now time.Time, wants []scan.Want, first scan.First) scan.Report {
	rep := s.Scanner.Scan(ctx, now, wants, first)
	for _, p := range s.problems {
		for key, l := range rep.Listings {
			if l.Repo.String() == p.Image {
				l.Err = errors.New(p.Problem)
				rep.Listings[key] = l
			}
		}
	}
	rep.Problems = s.problems
	return rep
}

// TestARegistryThatDoesNotAnswerDelaysNoOther has the registry of api behind a
// gate: web moves meanwhile, and api when the gate opens.
func TestARegistryThatDoesNotAnswerDelaysNoOther(t *testing.T) {
	gate := make(chan struct{})
	l := newLine(t, nil)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: l.reg.Host()})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
			proxy.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	host := strings.TrimPrefix(slow.URL, "http://")
	l.commit("elsewhere\n", map[string][]byte{"policies/api.yaml": []byte(strings.ReplaceAll(l.file(l.head(), "policies/api.yaml"), l.reg.Host()+"/", host+"/"))})
	awake := make(chan struct{}, 1)
	client := registry.New(registry.Config{InsecureHosts: []string{l.reg.Host(), host}})
	t.Cleanup(client.Close)
	s := scan.New(scan.Config{Registry: client, Patience: 200 * time.Millisecond, Wake: func() {
		select {
		case awake <- struct{}{}:
		default:
		}
	}})
	t.Cleanup(s.Close)
	l.bot = l.botWith(l.git, s)
	l.push("1.1.0")
	if err := l.reg.PushAll("shop/api", "1.0.1"); err != nil {
		t.Fatal(err)
	}
	out := l.tick()
	for out.Pushed == "" { // a machine so slow that neither answered
		out = l.tick()
	}
	if web, api := l.versions("web"), l.versions("api"); web != "1.1.0 1.0.0 1.0.0" || api != "1.0.0 1.0.0 1.0.0" {
		t.Errorf("while one does not answer: web %s, api %s", web, api)
	}
	if p := out.Situation.Choices[0].Problem; !strings.Contains(p, "has not answered yet") || !strings.Contains(p, host) {
		t.Errorf("api: %q", p)
	}
	close(gate)
	<-awake
	for range 100 {
		if l.tick(); l.versions("api") != "1.0.0 1.0.0 1.0.0" {
			break
		}
	}
	if api := l.versions("api"); api != "1.0.1 1.0.0 1.0.0" {
		t.Errorf("once it answers: api %s", api)
	}
}
