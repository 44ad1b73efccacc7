package main

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	slowestShown = 5               // tests listed at the end
	slowFrom     = 5 * time.Second // a test faster than this is not worth a line
)

// report gathers events and prints a package when it ends.
type report struct {
	out      io.Writer
	packages map[string]*pkg // started and not yet ended
	passed   int
	benches  int
	failed   int
	skipped  []string // "package TestName: reason"
	slow     []timed
	broken   bool // the run itself failed
}

// resultLine is a benchmark's result: name, runs, and figures, of which ns/op may
// be missing when a benchmark reports its own.
var resultLine = regexp.MustCompile(`^Benchmark\S+\s+\d+\s+[0-9.]+ \S`)

type timed struct {
	name string
	took time.Duration
}

type pkg struct {
	name    string
	started time.Time
	tests   map[string]*test
	output  strings.Builder // of no test: panics, TestMain, build failures
	line    string          // unfinished line of output, to find benchmark results
	bench   []string
}

type test struct {
	name    string
	parent  bool // has subtests, so it is not counted when it passes
	action  string
	elapsed time.Duration
	output  strings.Builder
}

func newReport(out io.Writer) *report {
	return &report{out: out, packages: map[string]*pkg{}}
}

func (r *report) add(e event) {
	if strings.HasPrefix(e.Action, "build-") {
		fmt.Fprint(r.out, e.Output)
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &pkg{name: e.Package, started: e.Time, tests: map[string]*test{}}
		r.packages[e.Package] = p
	}
	if e.Action == "output" {
		p.addOutput(e)
		return
	}
	if e.Test != "" {
		p.addResult(e)
		return
	}
	switch e.Action {
	case "pass", "fail", "skip":
		delete(r.packages, e.Package)
		r.end(p, e)
	}
}

func (p *pkg) test(name string) *test {
	t := p.tests[name]
	if t == nil {
		t = &test{name: name}
		p.tests[name] = t
		if i := strings.LastIndexByte(name, '/'); i > 0 {
			if parent := p.tests[name[:i]]; parent != nil {
				parent.parent = true
			}
		}
	}
	return t
}

func (p *pkg) addOutput(e event) {
	p.line += e.Output
	if strings.HasSuffix(p.line, "\n") {
		if resultLine.MatchString(p.line) {
			p.bench = append(p.bench, p.line)
		}
		p.line = ""
	}
	if e.Test == "" {
		if !strings.HasPrefix(e.Output, "FAIL") { // said again at the package's end
			p.output.WriteString(e.Output)
		}
		return
	}
	p.test(e.Test).output.WriteString(e.Output)
}

func (p *pkg) addResult(e event) {
	t := p.test(e.Test)
	switch e.Action {
	case "pass", "fail", "skip":
		t.action = e.Action
		t.elapsed = time.Duration(e.Elapsed * float64(time.Second))
	}
	if e.Action == "pass" {
		t.output.Reset() // nobody will read it
	}
}

// end prints a package that ended and adds it to the sums.
func (r *report) end(p *pkg, e event) {
	names := make([]string, 0, len(p.tests))
	for name := range p.tests {
		names = append(names, name)
	}
	slices.Sort(names)
	passed, failures := 0, 0
	for _, name := range names {
		t := p.tests[name]
		if t.elapsed >= slowFrom && !t.parent {
			r.slow = append(r.slow, timed{shortName(p.name) + " " + name, t.elapsed})
		}
		switch {
		case t.action == "skip":
			r.skipped = append(r.skipped, shortName(p.name)+" "+name+": "+skipReason(t.output.String()))
		case t.action == "fail", t.action == "" && e.Action == "fail":
			fmt.Fprint(r.out, t.output.String())
			if !p.failedBelow(name) {
				failures++
			}
		case !t.parent && !strings.HasPrefix(name, "Benchmark"):
			passed++
		}
	}
	if e.Action == "fail" && failures == 0 {
		failures = 1 // a panic, os.Exit, a build failure: no test has the blame
	}
	r.passed += passed
	r.failed += failures
	if e.Action == "fail" {
		fmt.Fprint(r.out, p.output.String())
		fmt.Fprintf(r.out, "FAIL  %s  %.1fs  %d passed, %d failed in it\n", p.name, e.Elapsed, passed, failures)
		return
	}
	if len(p.tests) == 0 {
		return // no test files
	}
	r.benches += len(p.bench)
	if len(p.bench) > 0 {
		fmt.Fprintf(r.out, "\n%s\n%s", p.name, strings.Join(p.bench, ""))
		return
	}
	fmt.Fprintf(r.out, "ok    %s  %.1fs  %d tests\n", p.name, e.Elapsed, passed)
}

// failedBelow reports whether a subtest of name failed; then name failed only
// because of it and is not counted.
func (p *pkg) failedBelow(name string) bool {
	for _, t := range p.tests {
		if t.action == "fail" && strings.HasPrefix(t.name, name+"/") {
			return true
		}
	}
	return false
}

// skipReason is what t.Skip printed: the line before "--- SKIP", without place.
func skipReason(output string) string {
	reason := "no reason given"
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") {
			continue
		}
		if _, after, ok := strings.Cut(line, ".go:"); ok {
			if _, text, ok := strings.Cut(after, ": "); ok {
				line = text
			}
		}
		reason = line
	}
	return reason
}

// shortName drops the module's path: internal/policy.
func shortName(pkg string) string {
	if _, rest, ok := strings.Cut(pkg, "/towpath/"); ok {
		return rest
	}
	return pkg
}

// running says which packages have not ended yet.
func (r *report) running(now time.Time) {
	var names []string
	for name, p := range r.packages {
		names = append(names, fmt.Sprintf("%s (%s)", shortName(name), now.Sub(p.started).Round(time.Second)))
	}
	if len(names) == 0 {
		fmt.Fprintln(r.out, "...   building")
		return
	}
	slices.Sort(names)
	fmt.Fprintf(r.out, "...   still running: %s\n", strings.Join(names, ", "))
}

// close prints the sums and returns the exit code.
func (r *report) close() int {
	for _, name := range sortedKeys(r.packages) {
		fmt.Fprintf(r.out, "FAIL  %s  did not end\n", name)
		r.failed++
	}
	for _, s := range r.skipped {
		fmt.Fprintf(r.out, "skip  %s\n", s)
	}
	slices.SortFunc(r.slow, func(a, b timed) int { return cmp.Compare(b.took, a.took) })
	for _, s := range r.slow[:min(len(r.slow), slowestShown)] {
		fmt.Fprintf(r.out, "slow  %s  %.1fs\n", s.name, s.took.Seconds())
	}
	sum := r.passed + r.failed + len(r.skipped)
	if sum == 0 && r.benches > 0 && !r.broken {
		fmt.Fprintf(r.out, "\n%d benchmarks\n", r.benches)
		return 0
	}
	if sum == 0 {
		fmt.Fprintln(r.out, "no test ran")
		r.broken = true
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skipped))
	if r.failed > 0 || r.broken {
		return 1
	}
	return 0
}

func sortedKeys(m map[string]*pkg) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
