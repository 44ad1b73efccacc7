package gitrepo

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"towpath.dev/towpath/test/bigrepo"
	"towpath.dev/towpath/test/githttp"
)

// monorepos are the sizes that the figures are for.
var monorepos = []bigrepo.Shape{
	{Files: 10_000, Commits: 20_000, Branches: 500},
	{Files: 100_000, Commits: 20_000, Branches: 500},
}

// BenchmarkMonorepo makes each repository once, serves it over http, and measures
// what reads and writes it.
func BenchmarkMonorepo(b *testing.B) {
	for _, s := range monorepos {
		b.Run(strconv.Itoa(s.Files), func(b *testing.B) {
			root := b.TempDir()
			m := monorepo{Shape: s, dir: filepath.Join(root, "big.git")}
			check(b, bigrepo.Make(b.Context(), m.dir, s))
			m.url = githttp.Serve(b, root, githttp.Options{}) + "/big.git"
			m.cache = b.TempDir()
			b.Run("clone", m.clone)
			check(b, must(Open(b.Context(), m.config()))(b).Close())
			b.Run("open", m.open)
			b.Run("idle", m.idle)
			b.Run("changed", m.changed)
			b.Run("far", m.far)
			b.Run("list", func(b *testing.B) { m.files(b, false) })
			b.Run("read", func(b *testing.B) { m.files(b, true) })
			b.Run("edits", m.edits)
		})
	}
}

// monorepo is one of them, with a cache that is warm.
type monorepo struct {
	bigrepo.Shape
	url, dir, cache string
}

func (m monorepo) config() Config { return Config{URL: m.url, Branch: "main", Dir: m.cache} }

// cloneHelper is set in a process that only clones, so that its memory is seen alone.
const cloneHelper = "TOWPATH_TEST_CLONE"

// TestCloneInAProcessOfItsOwn is started by BenchmarkMonorepo.
func TestCloneInAProcessOfItsOwn(t *testing.T) {
	url, dir, ok := strings.Cut(os.Getenv(cloneHelper), " ")
	if !ok {
		return // there is nothing to clone
	}
	open(t, Config{URL: url, Dir: dir, Branch: "main"})
}

// clone is a first clone, and beside it `git clone --bare` of the
// same branch; the memory is the most that the process had resident.
func (m monorepo) clone(b *testing.B) {
	self := must(os.Executable())(b)
	for name, command := range map[string]func(dir string) *exec.Cmd{
		"git": func(dir string) *exec.Cmd {
			return exec.Command("git", "clone", "--quiet", "--bare", "--single-branch", m.url, dir)
		},
		"towpath": func(dir string) *exec.Cmd {
			c := exec.Command(self, "-test.run", "^TestCloneInAProcessOfItsOwn$")
			c.Env = append(os.Environ(), cloneHelper+"="+m.url+" "+dir)
			return c
		},
	} {
		b.Run(name, func(b *testing.B) {
			var peak int64
			for range b.N {
				cmd := command(filepath.Join(b.TempDir(), "clone"))
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
				peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			b.ReportMetric(float64(peak)/1024, "peak-MB")
		})
	}
}

// edits commits 20 edits on the base branch and pushes them.
func (m monorepo) edits(b *testing.B) {
	r := m.warm(b)
	head := must(r.Head("main"))(b)
	n := 0
	b.ResetTimer()
	for range b.N {
		edits := map[string][]byte{}
		for range 20 {
			n++
			edits[bigrepo.Path(n*3571%m.Files)] = fmt.Appendf(nil, "image: web:%d\n", n)
		}
		c := must(r.Commit(b.Context(), Change{Parent: head, Message: "m", Files: edits}))(b)
		check(b, r.Push(b.Context(), Update{Ref: "refs/heads/main", Old: head, New: c.Hash}))
		head = c.Hash
	}
	resident(b)
}

func (m monorepo) warm(b *testing.B) *Repo {
	b.Helper()
	return open(b, m.config())
}

// resident reports what the process has resident, clone and benchmark included.
func resident(b *testing.B) {
	b.Helper()
	b.StopTimer()
	for line := range strings.Lines(string(must(os.ReadFile("/proc/self/status"))(b))) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			b.ReportMetric(must(strconv.ParseFloat(f[1], 64))(b)/1024, "resident-MB")
		}
	}
}

// idle is a fetch without news, with 500 branches of people.
func (m monorepo) idle(b *testing.B) {
	r := m.warm(b)
	check(b, r.Fetch(b.Context()))
	reads := r.ObjectsRead()
	b.ResetTimer()
	for range b.N {
		check(b, r.Fetch(b.Context()))
	}
	b.ReportMetric(float64(r.ObjectsRead()-reads)/float64(b.N), "objects-read/op")
	resident(b)
}

// open opens a cache that is there.
func (m monorepo) open(b *testing.B) {
	for range b.N {
		check(b, must(Open(b.Context(), m.config()))(b).Close())
	}
}

// changed compares the base branch with what it was 100 commits ago.
func (m monorepo) changed(b *testing.B) {
	r := m.warm(b)
	log := must(r.Log(must(r.Head("main"))(b), 101))(b)
	now, then := must(r.Snapshot(log[0].Hash))(b), must(r.Snapshot(log[100].Hash))(b)
	b.ResetTimer()
	for range b.N {
		if paths := must(now.Changed(then, ""))(b); len(paths) == 0 {
			b.Fatal("nothing changed")
		}
	}
}

// files lists all files, and reads all or none.
func (m monorepo) files(b *testing.B, read bool) {
	r := m.warm(b)
	s := must(r.Snapshot(must(r.Head("main"))(b)))(b)
	b.ResetTimer()
	for range b.N {
		must(s.Files("", func(string) bool { return read }))(b)
	}
	resident(b)
}

// far looks whether 20,000 commits lead back to the first.
func (m monorepo) far(b *testing.B) {
	r := m.warm(b)
	first, head := gitRun(b, m.dir, "rev-list", "--max-parents=0", "main"), must(r.Head("main"))(b)
	b.ResetTimer()
	for range b.N {
		if yes := must(r.IsAncestor(first, head))(b); !yes {
			b.Fatal("not an ancestor")
		}
	}
}
