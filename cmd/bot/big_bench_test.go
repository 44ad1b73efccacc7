//go:build unix

package main

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"towpath.dev/towpath/test/bigrepo"
	"towpath.dev/towpath/test/githttp"
	"towpath.dev/towpath/test/ociregistry"
)

// BenchmarkRunOnALargeRepository runs the binary itself, `towpath run --once` with a
// warm cache folder, on repositories of 20,000 commits over http: a run that finds
// a new version for 20 apps, commits and pushes, and one that finds nothing. The
// figures are those of whole processes: start, registries and end included.
func BenchmarkRunOnALargeRepository(b *testing.B) {
	binary := shippedBinary(b)
	for name, files := range map[string]int{"10000": 10_000, "100000": 100_000} {
		b.Run(name, func(b *testing.B) { benchmarkRun(b, binary, files) })
	}
}

func benchmarkRun(b *testing.B, binary string, files int) {
	reg, err := ociregistry.Start(ociregistry.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = reg.Close() })
	big := bigrepo.Config{Files: files, Commits: 20_000, Host: reg.Host()}
	for p := range big.Policies() {
		if err := reg.PushAll(big.Image(p), bigrepo.Version); err != nil {
			b.Fatal(err)
		}
	}
	root := b.TempDir()
	if err := bigrepo.Make(b.Context(), filepath.Join(root, "config.git"), big.Shape()); err != nil {
		b.Fatal(err)
	}
	git, err := githttp.Handler(root, githttp.Options{})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(git)
	b.Cleanup(server.Close)
	cache := b.TempDir()
	run := func() (time.Duration, int64) {
		cmd := exec.Command(binary, "run", "--once", "--repo", server.URL+"/config.git", "--cache", cache, "--insecure-registry", reg.Host())
		cmd.Env = append(os.Environ(), "GOCOVERDIR=")
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		peak := usage.Maxrss
		if runtime.GOOS == "linux" {
			peak <<= 10 // kilobytes there
		}
		return time.Since(began), peak
	}
	first, peak := run()
	b.ReportMetric(float64(first.Milliseconds()), "first-ms")
	b.ReportMetric(float64(peak)/1e6, "first-MB")
	versions := []string{"1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.0.5", "1.0.6", "1.0.7", "1.0.8"}
	for i := 0; b.Loop(); i++ {
		idle, idlePeak := run()
		if err := reg.PushAll(big.Image(0), versions[i%len(versions)]); err != nil {
			b.Fatal(err)
		}
		edit, editPeak := run()
		b.ReportMetric(float64(idle.Milliseconds()), "idle-ms")
		b.ReportMetric(float64(idlePeak)/1e6, "idle-MB")
		b.ReportMetric(float64(edit.Milliseconds()), "edit-ms")
		b.ReportMetric(float64(editPeak)/1e6, "edit-MB")
	}
}
