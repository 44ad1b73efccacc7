package docs_test

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// instruction is one line of a Dockerfile, continuations joined.
type instruction struct{ name, args string }

func parseDockerfile(text string) []instruction {
	var all []instruction
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, args, _ := strings.Cut(line, " ")
		all = append(all, instruction{strings.ToUpper(name), strings.Join(strings.Fields(args), " ")})
	}
	return all
}

// lastStage returns the instructions that make the image that is shipped.
func lastStage(all []instruction) []instruction {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].name == "FROM" {
			return all[i:]
		}
	}
	return nil
}

var (
	bareBase    = regexp.MustCompile(`^(scratch|gcr\.io/distroless/static\S*)( |$)`)
	numericUser = regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`)
	execForm    = regexp.MustCompile(`^\[("[^"]*"(, ?)?)+\]$`)
	buildLine   = regexp.MustCompile(`CGO_ENABLED=0 .*go build -trimpath .*\./cmd/bot$`)
)

// checkDockerfile finds what would put a shell, a root user, a dynamic binary or
// a need to write outside the cache into the image.
func checkDockerfile(all []instruction) []string {
	var findings []string
	need := func(ok bool, what string) {
		if !ok {
			findings = append(findings, "Dockerfile: "+what)
		}
	}
	stage := lastStage(all)
	has := func(in []instruction, name string, ok func(args string) bool) bool {
		return slices.ContainsFunc(in, func(i instruction) bool { return i.name == name && ok(i.args) })
	}
	contains := func(part string) func(string) bool {
		return func(args string) bool { return strings.Contains(args, part) }
	}
	need(has(all, "RUN", buildLine.MatchString), "the binary is not built with CGO_ENABLED=0 and -trimpath from ./cmd/bot")
	need(has(stage, "FROM", bareBase.MatchString), "the last stage is neither scratch nor distroless static")
	need(has(stage, "USER", numericUser.MatchString), "USER of the last stage is not a number, so a cluster cannot prove that it is not root")
	need(has(stage, "ENTRYPOINT", execForm.MatchString), "ENTRYPOINT needs a shell, and there is none")
	need(!has(stage, "CMD", func(args string) bool { return !execForm.MatchString(args) }), "CMD needs a shell, and there is none")
	need(!has(stage, "RUN", func(string) bool { return true }), "the last stage runs something")
	need(has(stage, "COPY", contains("ca-certificates.crt")), "no CA certificates")
	need(has(stage, "COPY", contains("--chown=65532:65532 /out/cache /cache")), "the cache folder does not belong to the user")
	need(has(stage, "VOLUME", contains("/cache")), "/cache is no volume, so a read-only root file system would not do")
	need(has(stage, "ENV", contains("TOWPATH_CACHE=/cache")), "the cache is not in /cache")
	need(has(stage, "LABEL", contains("org.opencontainers.image.licenses")), "no label with the licence")
	return findings
}

func TestDockerfileShipsOneStaticBinaryWithoutRootOrShell(t *testing.T) {
	none(t, checkDockerfile(parseDockerfile(readText(t, "Dockerfile"))))
}

func TestDockerfileChecksFind(t *testing.T) {
	text := readText(t, "Dockerfile")
	tests := []struct{ name, old, new, want string }{
		{"a dynamic binary", "CGO_ENABLED=0 ", "", "CGO_ENABLED=0"},
		{"a base with a shell", "FROM scratch", "FROM debian", "neither scratch"},
		{"root", "USER 65532:65532\n", "", "not root"},
		{"a user by name", "USER 65532:65532", "USER nonroot", "not root"},
		{"an entry point for a shell", `ENTRYPOINT ["/towpath"]`, "ENTRYPOINT /towpath", "ENTRYPOINT needs a shell"},
		{"a command for a shell", `CMD ["--help"]`, "CMD --help", "CMD needs a shell"},
		{"a step in the image", "VOLUME /cache", "VOLUME /cache\nRUN true", "runs something"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			broken := strings.Replace(text, tt.old, tt.new, 1)
			if broken == text {
				t.Fatalf("the Dockerfile has no %q", tt.old)
			}
			if got := strings.Join(checkDockerfile(parseDockerfile(broken)), "\n"); !strings.Contains(got, tt.want) {
				t.Errorf("findings %q, want one with %q", got, tt.want)
			}
		})
	}
}

// The flags are those of the Makefile and the Dockerfile, so that after
// `make build` this only links.
func TestBinaryIsStatic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has static executables in ELF form")
	}
	bin := filepath.Join(t.TempDir(), "towpath")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "./cmd/bot")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary asks for a dynamic loader")
		}
	}
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("the binary needs libraries: %q, %v", libs, err)
	}
}

func TestMakeHelpNamesWhatPeopleType(t *testing.T) {
	makefile := readText(t, "Makefile")
	if !strings.Contains(makefile, ".DEFAULT_GOAL := help\n") {
		t.Error("plain make does not print help")
	}
	for _, target := range []string{"help", "build", "demo", "test", "lint", "bench", "clean"} {
		if !regexp.MustCompile(`(?m)^` + target + `:.* ## \S`).MatchString(makefile) {
			t.Errorf("Makefile: %s has no line in help", target)
		}
	}
}

func TestCIRunsWhatTheReadmeSays(t *testing.T) {
	ci := readText(t, ".ci/run")
	readme := readText(t, "README.md")
	for _, command := range []string{"make demo", "make test"} {
		if !strings.Contains(readme, command) {
			t.Errorf("README.md does not say `%s`", command)
		}
		if !strings.Contains(ci, "\nstep "+command+"\n") {
			t.Errorf(".ci/run does not run `%s`", command)
		}
	}
	if !strings.Contains(ci, "\nstep make lint\n") {
		t.Error(".ci/run does not run `make lint`")
	}
	if info, err := os.Stat(filepath.Join(root, ".ci/run")); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf(".ci/run is not executable: %v", err)
	}
}

var (
	fragmentSlug  = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*\.md$`)
	fragmentTitle = regexp.MustCompile(`^(Added|Changed|Fixed|Removed|Security): \S.*[^.]$`)
)

// checkFragment finds what changes/README.md forbids.
func checkFragment(name, text string) []string {
	title, body, _ := strings.Cut(text, "\n")
	var findings []string
	if !fragmentSlug.MatchString(name) {
		findings = append(findings, fmt.Sprintf("%s: the name is not lower case with hyphens", name))
	}
	if !fragmentTitle.MatchString(title) {
		findings = append(findings, fmt.Sprintf("%s: the first line %q is not \"Added: one sentence\" or another of the five words, without a full stop", name, title))
	}
	if !strings.HasPrefix(body, "\n") || strings.TrimSpace(body) == "" {
		findings = append(findings, name+": no paragraph below the first line")
	}
	return findings
}

func TestChangelogFragmentsHaveTheForm(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "changes", "*", "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fragments: %v", err)
	}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		none(t, checkFragment(filepath.Base(p), string(text)))
	}
	for _, bad := range [][2]string{{"Bad.md", "Added: x\n\ny\n"}, {"a.md", "Improved: x\n\ny\n"}, {"a.md", "Added: x.\n\ny\n"}, {"a.md", "Added: x\ny\n"}, {"a.md", "Added: x\n"}} {
		if len(checkFragment(bad[0], bad[1])) == 0 {
			t.Errorf("nothing found in %q", bad)
		}
	}
}
