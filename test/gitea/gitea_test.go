package gitea_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"go.uber.org/goleak"

	"towpath.dev/towpath/test/build"
	"towpath.dev/towpath/test/gitea"
)

// childEnv makes the test binary play the process that is killed while its Gitea runs. Its value is the
// folder with what Build made and, after a colon, the one for the data.
const childEnv = "TOWPATH_GITEA_TEST_CHILD"

// patience bounds what a test waits for; passing tests take a small part of it.
const patience = 90 * time.Second

func TestMain(m *testing.M) {
	if folders := os.Getenv(childEnv); folders != "" {
		child(folders)
		return
	}
	goleak.VerifyTestMain(m)
}

// child runs a Gitea, says where on standard output and waits to be killed.
func child(folders string) {
	built, dir, _ := strings.Cut(folders, ":")
	s, err := gitea.Run(context.Background(), built, dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready", strings.TrimPrefix(s.URL, "http://"))
	select {}
}

// client is the vendor's, for a user.
func client(t *testing.T, s *gitea.Server, u gitea.User) *sdk.Client {
	t.Helper()
	c, err := sdk.NewClient(s.URL, sdk.SetContext(t.Context()), sdk.SetToken(u.Token),
		sdk.SetHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func user(t *testing.T, s *gitea.Server, name string) gitea.User {
	t.Helper()
	u, err := s.NewUser(t.Context(), name)
	must(t, err)
	return u
}

// eventually polls until problem returns "" and fails with the last problem when patience is over.
func eventually(t *testing.T, problem func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		last := problem()
		if last == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %s", patience, last)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// processes returns the processes that have dir in their command line, as ps shows them.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	out, err := exec.Command("ps", "-axww", "-o", "pid=,stat=,args=").Output()
	if err != nil {
		t.Fatalf("list processes: %v", err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		// A zombie has ended; who reaps it, in a container, is not our affair.
		if len(fields) > 2 && !strings.HasPrefix(fields[1], "Z") && strings.Contains(line, dir) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func listens(host string) bool {
	conn, err := net.Dial("tcp", host)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func built(t *testing.T) string {
	t.Helper()
	dir, err := gitea.Build(t.Context(), build.Config{Say: t.Logf})
	must(t, err)
	return dir
}

func TestTwoServersSideBySideShareNothing(t *testing.T) {
	ctx := t.Context()
	one, other := gitea.Start(t), gitea.Start(t)
	bot, namesake := user(t, one, "bot"), user(t, other, "bot")
	must(t, one.NewRepository(ctx, "bot/config", gitea.Files{"a.yaml": "a: 1\n"}))
	if _, _, err := client(t, one, bot).GetRepo("bot", "config"); err != nil {
		t.Error(err)
	}
	if _, resp, err := client(t, other, namesake).GetRepo("bot", "config"); err == nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("the other has the repository, too: %v", err)
	}
	stranger := client(t, other, gitea.User{})
	must(t, sdk.SetToken(bot.Token)(stranger))
	if _, resp, err := stranger.GetMyUserInfo(); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the other takes a token of the first: %v", err)
	}
	version, _, err := client(t, other, namesake).ServerVersion()
	if err != nil || version != "1.26.0" {
		t.Errorf("version %q, %v", version, err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	where := built(t)
	dir, tmp := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s, err := gitea.Run(t.Context(), where, dir)
	must(t, err)
	must(t, s.NewRepository(t.Context(), s.Admin.Name+"/config", gitea.Files{"a.yaml": "a: 1\n"}))
	if len(processes(t, dir)) == 0 {
		t.Error("no process is found while Gitea runs, so this test shows nothing")
	}
	for range 2 {
		must(t, s.Close())
	}
	if left := processes(t, dir); len(left) > 0 {
		t.Errorf("processes left:\n%s", strings.Join(left, "\n"))
	}
	if listens(strings.TrimPrefix(s.URL, "http://")) {
		t.Error("something still listens")
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left %v outside its folder, %v", left, err)
	}
}

func TestAKilledParentLeavesNoProcess(t *testing.T) {
	where, dir := built(t), t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+where+":"+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var host string
	if _, err := fmt.Fscanf(out, "ready %s\n", &host); err != nil {
		t.Errorf("the child did not say that it is ready: %v", err)
	}
	if len(processes(t, dir)) == 0 || !listens(host) {
		t.Error("the child's Gitea does not run")
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	eventually(t, func() string {
		if left := processes(t, dir); len(left) > 0 {
			return "left are the processes\n" + strings.Join(left, "\n")
		}
		if listens(host) {
			return "something still listens"
		}
		return ""
	})
}

func TestAGiteaThatCannotStartSaysWhy(t *testing.T) {
	where := built(t)
	for _, tc := range []struct {
		name, want string
		run        func(dir string) error
	}{
		{"without its binary", "no such file", func(dir string) error {
			_, err := gitea.Run(t.Context(), t.TempDir(), dir)
			return err
		}},
		{"when it is given up", "context canceled", func(dir string) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := gitea.Run(ctx, where, dir)
			return err
		}},
		{"without what it reads", "it ended (exit status 1)", func(dir string) error {
			bare := t.TempDir()
			must(t, os.Symlink(where+"/gitea", bare+"/gitea"))
			_, err := gitea.Run(t.Context(), bare, dir)
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			err := tc.run(dir)
			if err == nil || !strings.HasPrefix(err.Error(), "start Gitea: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
			if left := processes(t, dir); len(left) > 0 {
				t.Errorf("processes left:\n%s", strings.Join(left, "\n"))
			}
		})
	}
}

func TestTokensMayWhatTheirScopesSay(t *testing.T) {
	s := gitea.Start(t)
	u := user(t, s, "reader")
	token, err := s.NewToken(t.Context(), u, "read:repository", "read:user")
	must(t, err)
	c := client(t, s, gitea.User{Token: token})
	if _, _, err := c.GetMyUserInfo(); err != nil {
		t.Error(err)
	}
	_, resp, err := c.CreateRepo(sdk.CreateRepoOption{Name: "config"})
	if err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a token that may only read makes a repository: %v", err)
	}
	if _, _, err := client(t, s, u).CreateRepo(sdk.CreateRepoOption{Name: "config"}); err != nil {
		t.Error(err)
	}
	repos, _, err := c.ListMyRepos(sdk.ListReposOptions{})
	if err != nil || !slices.ContainsFunc(repos, func(r *sdk.Repository) bool { return r.FullName == "reader/config" }) {
		t.Errorf("repositories %v, %v", repos, err)
	}
}
