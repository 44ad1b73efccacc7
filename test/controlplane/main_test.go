package controlplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childEnv makes the test binary play the process that is killed while its control plane runs. Its
// value is the Config.WorkDir.
const childEnv = "TOWPATH_CONTROLPLANE_TEST_CHILD"

// patience bounds what a test waits for; passing tests take a small part of it.
const patience = 90 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// child starts a control plane, says so on standard output and waits to be killed.
func child(dir string) {
	set, err := Start(context.Background(), Config{Names: []string{"orphan"}, WorkDir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready", set.Dir())
	select {}
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

// nothingLeft fails unless the folder is empty and no process has it in its command line.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	if left := processes(t, dir); len(left) > 0 {
		t.Errorf("processes left:\n%s", strings.Join(left, "\n"))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("left in the folder: %s", entry.Name())
	}
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
		time.Sleep(100 * time.Millisecond)
	}
}
